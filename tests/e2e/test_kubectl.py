"""kubectl, as people have it, against a whole cluster: it must not see a difference.

The kubectls are those of `KUBECTL_PATHS` (files, separated like PATH), else the one on
the PATH.
"""

import os
import re
import shlex
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import pytest

from domain.command import CommandAccepted
from tests.e2e import kubectl_story
from tests.e2e.kubectl_story import Step
from tests.support import system
from tests.support.system import System

pytestmark = pytest.mark.e2e

GUARD_SECONDS: Final = 20.0
_READING: Final = ("get", "rollout history", "rollout status", "diff")
_MASKS: Final = (
    (
        re.compile(r"nginx-deployment-[a-z0-9]{6,10}-[a-z0-9]{5}\b"),
        "nginx-deployment-HASH-POD",
    ),
    (re.compile(r"nginx-deployment-[a-z0-9]{6,10}\b(?!-)"), "nginx-deployment-HASH"),
    (re.compile(r"pod-template-hash=[a-z0-9]{6,10}"), "pod-template-hash=HASH"),
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)"), "TIME"),
    (re.compile(r"^Waiting for deployment .*\n", re.MULTILINE), ""),
    (re.compile(r"(?<= )(\d+[smh])+(?= |$)", re.MULTILINE), "AGE"),
    (re.compile(r"^[ \t]+|[ \t]+$", re.MULTILINE), ""),
    (re.compile(r"[ \t]+"), " "),
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
        for name, text in kubectl_story.MANIFESTS.items():
            (folder / name).write_text(text)
        said = self.run("version", "--client", "-o", "json").stdout
        found = re.search(r'"minor": "(\d+)', said)
        assert found, said
        self.minor = int(found[1])
        documented = self.run("get", "--raw", "/openapi/v3").returncode == 0
        self.unchecked = () if documented else ("--validate=ignore",)
        """Without a description of the API kubectl can have nothing validated."""

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """What it says and how it ends."""
        return subprocess.run(
            [str(self.folder / "bin" / "kubectl"), *arguments],
            env={
                "HOME": str(self.folder),
                "PATH": os.environ.get("PATH", ""),
                "KUBECONFIG": str(self.cluster.folder / "kubeconfig"),
            },
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def says(self, words: str) -> tuple[str, int]:
        """What it says of a command line, masked, and its exit status."""
        arguments = shlex.split(words)
        if "-f" in arguments and arguments[0] in ("create", "apply", "replace"):
            arguments += self.unchecked
        done = self.run(*arguments)
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
            said, ended = self.says(step.words)
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
    with socket.create_server(("127.0.0.1", 0)) as somewhere:
        port = somewhere.getsockname()[1]
    options = ("--runtime", "hollow", "--nodes", "3", "--api-port", str(port))
    with system.running(folder / "cluster", *options) as cluster:
        yield Kubectl(request.param, folder / "user", cluster)


def test_the_story_of_a_deployment(kubectl: Kubectl) -> None:
    """From creation to deletion every command says what it says of Kubernetes, but
    for the differences that are told with their reason."""
    assert kubectl.play(kubectl_story.STORY) == []


def test_every_other_way_to_change_things(kubectl: Kubectl) -> None:
    """Apply on either side, patches, dry runs, plain objects, nodes and deletions."""
    assert kubectl.play(kubectl_story.AFTERWARDS) == []


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


def test_every_difference_has_its_reason() -> None:
    """Where the story is not Kubernetes' own, it says what is, and why not."""
    steps = (*kubectl_story.STORY, *kubectl_story.AFTERWARDS)
    assert all(bool(step.kubernetes) == bool(step.why) for step in steps)
    assert all(step.kubernetes != step.says for step in steps if step.why)
