"""kubectl, as people have it, against a whole cluster: it must not see a difference.

The kubectls are those of `KUBECTL_PATHS` (files, separated like PATH), else the one on
the PATH.
"""

import os
import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import pytest

from domain.command import CommandAccepted
from tests.e2e import kubectl_changes, kubectl_story
from tests.e2e.kubectl_story import Step
from tests.support import ports, system
from tests.support.system import System

pytestmark = pytest.mark.e2e

GUARD_SECONDS: Final = 60.0
SLOWLY: Final = "  replicas: 3\n  minReadySeconds: 1\n"
_READING: Final = ("get", "describe", "rollout history", "rollout status", "diff")
_KLOG: Final = r"^[EWI]\d{4} \d\d:\d\d:\d\d\.\d+ .*\n"
"""What the client's own library logs of itself, by its moods."""
_PROGRESS: Final = (
    r'Waiting for deployment "[a-z-]+" rollout to finish: '
    r"(?:(?P<new>\d+) out of \d+ new replicas have been updated"
    r"|(?P<old>\d+) old replicas are pending termination"
    r"|(?P<available>\d+) of \d+ updated replicas are available)\.\.\."
    r"|Waiting for deployment spec update to be observed\.\.\."
)
"""What kubectl says of a rollout on its way; how often, is a matter of time."""
_MASKS: Final = (
    (
        re.compile(r"nginx-deployment-[a-z0-9]{6,10}-[a-z0-9]{5}\b"),
        "nginx-deployment-HASH-POD",
    ),
    (re.compile(r"nginx-deployment-[a-z0-9]{6,10}\b(?!-)"), "nginx-deployment-HASH"),
    (re.compile(r"pod-template-hash=[a-z0-9]{6,10}"), "pod-template-hash=HASH"),
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)"), "TIME"),
    (re.compile(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4}"), "TIME"),
    (re.compile(rf"^({_PROGRESS})\n", re.MULTILINE), ""),
    (re.compile(_KLOG, re.MULTILINE), ""),
    (re.compile(r"^[ \t]+|[ \t]+$", re.MULTILINE), ""),
    (re.compile(r"[ \t]+"), " "),
    (re.compile(r"(?<=[^:] )(\d+[smhd])+(?= |$)", re.MULTILINE), "AGE"),
    (re.compile(r"^(\d+[smhd])+(?= (Normal|Warning) )", re.MULTILINE), "AGE"),
    # The autoscaler looks at its metrics every 15 s: once, or not at all until then.
    (
        re.compile(r"cpu: (?:<unknown>|\d+%)/80% 2 10 [02] "),
        "cpu: MEASURED/80% 2 10 SEEN ",
    ),
    (re.compile(r"\brollbook-\d+\.\d+\.\d+\b"), "rollbook-RELEASE"),
    (
        re.compile(
            r"^(Normal ScalingReplicaSet AGE deployment-controller Scaled (up|down) "
            r"replica set nginx-deployment-HASH from \d+ to \d+(\n|\Z))+",
            re.MULTILINE,
        ),
        "SCALED\n",
    ),
)
_ADVICE: Final = "\nPlease review the fields above"
"""From here on kubectl explains a conflict at length."""


def kubectls() -> list[Path]:
    """The kubectls that are to be tested."""
    given = os.environ.get("KUBECTL_PATHS", "")
    if given:
        return [Path(each) for each in given.split(os.pathsep) if each]
    found = shutil.which("kubectl")
    return [Path(found)] if found else []


class Kubectl:
    """One kubectl, called by the name that people call it."""

    def __init__(self, program: Path, folder: Path, cluster: System) -> None:
        self.folder = folder
        self.cluster = cluster
        (folder / "bin").mkdir(parents=True)
        (folder / "bin" / "kubectl").symlink_to(program)
        manifests = {**kubectl_story.MANIFESTS, **kubectl_changes.MANIFESTS}
        for name, text in manifests.items():
            (folder / name).write_text(text)
        said = self.run("version", "--client", "-o", "json").stdout
        found = re.search(r'"minor": "(\d+)', said)
        assert found, said
        self.minor = int(found[1])
        documented = self.run("get", "--raw", "/openapi/v3").returncode == 0
        self.unchecked = () if documented else ("--validate=ignore",)
        """Without a description of the API kubectl can have nothing validated."""

    def environment(self, editor: str = "") -> dict[str, str]:
        """What it finds around it; `editor` is what sed shall do to what is edited."""
        return {
            "HOME": str(self.folder),
            "PATH": os.environ.get("PATH", ""),
            "KUBECONFIG": str(self.cluster.folder / "kubeconfig"),
            "KUBE_EDITOR": f"sed -i '{editor}'",
        }

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """One that goes on until it is stopped."""
        return subprocess.Popen(
            [str(self.folder / "bin" / "kubectl"), *arguments],
            env=self.environment(),
            cwd=self.folder,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(
        self, *arguments: str, editor: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """What it says and how it ends."""
        return subprocess.run(
            [str(self.folder / "bin" / "kubectl"), *arguments],
            env=self.environment(editor),
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def says(self, words: str, editor: str = "") -> tuple[str, int]:
        """What it says of a command line, masked, and its exit status."""
        arguments = shlex.split(words)
        if "-f" in arguments and arguments[0] in ("create", "apply", "replace"):
            arguments += self.unchecked
        done = self.run(*arguments, editor=editor)
        return masked(done.stderr + done.stdout), done.returncode

    def expected(self, step: Step) -> str:
        """What this version of kubectl says."""
        text = step.says
        for minor, new, old in step.older:
            if self.minor <= minor:
                text = text.replace(new, old)
        return text

    def play(self, steps: Sequence[Step]) -> list[str]:
        """Every step in order; what was said otherwise than expected."""
        wrong: list[str] = []
        for step in steps:
            if self.unchecked and "unknown-field" in step.words:
                continue
            want, status = self.expected(step), int(step.failed)
            said, ended = self.says(step.words, step.editor)
            deadline = time.monotonic() + GUARD_SECONDS
            while (
                (said, ended) != (want, status)
                and step.words.startswith(_READING)
                and time.monotonic() < deadline
            ):
                time.sleep(0.2)
                said, ended = self.says(step.words)
            if (said, ended) != (want, status):
                wrong.append(
                    f"$ kubectl {step.words}\n{said}\n(exit {ended}), but expected:\n"
                    f"{want}\n(exit {status})"
                )
        return wrong


def masked(text: str) -> str:
    """What was said, without what differs from run to run."""
    text = text.partition(_ADVICE)[0]
    for pattern, instead in _MASKS:
        text = pattern.sub(instead, text)
    return text.replace(" --validate=ignore", "").strip()


_TESTED: Final[list[Path | None]] = [*kubectls()] or [None]


@pytest.fixture(scope="module", params=_TESTED, ids=str)
def kubectl(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Kubectl]:
    """A kubectl that is logged in to a fresh cluster of three hollow nodes."""
    if request.param is None:
        pytest.skip("no kubectl: put one on the PATH, or name it in KUBECTL_PATHS")
    folder = tmp_path_factory.mktemp("kubectl")
    port = str(ports.free_port())
    options = ("--runtime", "hollow", "--nodes", "3", "--api-port", port)
    with system.running(folder / "cluster", *options) as cluster:
        yield Kubectl(request.param, folder / "user", cluster)


def test_the_story_of_a_deployment(kubectl: Kubectl) -> None:
    """From creation to deletion every command says what it says of Kubernetes, but
    for the differences that are told with their reason."""
    wrong = kubectl.play(kubectl_story.STORY)
    assert not wrong, "\n\n".join(wrong)


def test_every_other_way_to_change_things(kubectl: Kubectl) -> None:
    """Apply on either side, patches, dry runs, plain objects, nodes and deletions."""
    wrong = kubectl.play(kubectl_changes.AFTERWARDS)
    assert not wrong, "\n\n".join(wrong)


def test_the_history_tells_who_changed_what_and_how(kubectl: Kubectl) -> None:
    """The log has each change as the command that it is, by that user, with the
    command line that kubectl has told."""
    assert kubectl.says("create deployment tale --image=nginx:1")[1] == 0
    assert kubectl.says("scale deployment tale --replicas=2")[1] == 0
    assert kubectl.says("set image deployment/tale nginx=nginx:2")[1] == 0
    assert kubectl.says("rollout undo deployment/tale")[1] == 0
    told = [
        (recorded.actor, event.subject.split(".")[-1], event.source)
        for recorded in kubectl.cluster.events()
        if isinstance(event := recorded.event, CommandAccepted)
        and ".deployment.tale." in event.subject
    ]
    assert told == [
        ("user/admin", "create", "kubectl create deployment"),
        ("user/admin", "scale", "kubectl scale"),
        ("user/admin", "set-image", "kubectl set image"),
        ("user/admin", "undo", "kubectl rollout undo"),
    ]


def test_a_rollout_is_followed_to_its_end(kubectl: Kubectl) -> None:
    """`rollout status` tells, while it lasts, how many pods are new, then how many old
    ones are left, and never goes back."""
    manifest = kubectl_story.changed("slow", "  replicas: 3\n", SLOWLY)
    (kubectl.folder / "slow.yaml").write_text(manifest)
    assert kubectl.says("apply -f slow.yaml")[1] == 0
    assert kubectl.run("rollout", "status", "deployment/slow").returncode == 0
    assert kubectl.says("set image deployment/slow nginx=nginx:2")[1] == 0
    done = kubectl.run("rollout", "status", "deployment/slow")
    *progress, last = done.stdout.splitlines()
    told = [re.fullmatch(_PROGRESS, line) for line in progress]
    assert last == 'deployment "slow" successfully rolled out'
    assert all(told), done.stdout
    new = [int(each["new"]) for each in told if each and each["new"]]
    old = [int(each["old"]) for each in told if each and each["old"]]
    assert (new, old) == (sorted(new), sorted(old, reverse=True))
    assert new or old, done.stdout


def test_a_watch_tells_each_change(kubectl: Kubectl) -> None:
    """`get --watch` shows what is there, then every change until the object is gone."""
    assert kubectl.says("create configmap seen --from-literal=a=1")[1] == 0
    watching = kubectl.start("get", "configmap", "seen", "-w", "--output-watch-events")
    assert watching.stdout is not None, "it is a pipe"
    try:
        told = [watching.stdout.readline() for _ in range(2)]
        assert kubectl.run("patch", "cm", "seen", "-p", '{"data":{"b":"2"}}').stdout
        told.append(watching.stdout.readline())
        assert kubectl.says("delete configmap seen")[1] == 0
        told.append(watching.stdout.readline())
    finally:
        watching.terminate()
        watching.communicate()
    assert [line.split()[:3] for line in told] == [
        ["EVENT", "NAME", "DATA"],
        ["ADDED", "seen", "1"],
        ["MODIFIED", "seen", "2"],
        ["DELETED", "seen", "2"],
    ]


def test_a_diff_shows_what_an_apply_would_change(kubectl: Kubectl) -> None:
    """`kubectl diff` ends with 1 and shows those fields alone; nothing is changed."""
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: d}\ndata: {a: '1'}\n"
    path = kubectl.folder / "d.yaml"
    path.write_text(text)
    assert kubectl.says("apply -f d.yaml")[1] == 0
    path.write_text(text.replace("'1'", "'2'"))
    done = kubectl.run("diff", "-f", "d.yaml")
    changed = [
        line.replace(" ", "")
        for line in done.stdout.splitlines()
        if line[:1] in ("+", "-") and line[:3] not in ("+++", "---")
    ]
    assert (done.returncode, changed) == (1, ['-a:"1"', '+a:"2"'])
    assert kubectl.says("get cm d -o jsonpath={.data.a}") == ("1", 0)


@pytest.mark.parametrize(
    "options", [(), ("--prune-allowlist=core/v1/ConfigMap",)], ids=["all", "some"]
)
def test_apply_prunes_what_is_no_longer_said(
    kubectl: Kubectl, options: Sequence[str]
) -> None:
    """`apply --prune` looks through all kinds that kubectl knows, or those that it is
    given, and deletes what was applied once and is not any more."""
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s, labels: {app: p}}\n"
    pruning = ("apply", "--prune", "-l", "app=p", *options)
    folder = kubectl.folder / f"pruned-{len(options)}"
    folder.mkdir()
    for name in ("first", "second"):
        (folder / f"{name}.yaml").write_text(text % name)
    said = kubectl.run(*pruning, "-f", str(folder), *kubectl.unchecked)
    assert said.stdout == "configmap/first created\nconfigmap/second created\n"
    said = kubectl.run(*pruning, "-f", str(folder / "first.yaml"), *kubectl.unchecked)
    assert said.stdout == "configmap/first unchanged\nconfigmap/second pruned\n"
    assert kubectl.says("delete configmap first")[1] == 0


def test_every_difference_has_its_reason() -> None:
    """Where the story is not Kubernetes' own, it says what is, and why not."""
    steps = (*kubectl_story.STORY, *kubectl_changes.AFTERWARDS)
    assert all(bool(step.kubernetes) == bool(step.why) for step in steps)
    assert all(step.kubernetes != step.says for step in steps if step.why)
