"""exec, attach, cp and logs against a whole cluster of ordinary processes, with
`rollbook` and with kubectl as people have it.

The kubectls are those of test_kubectl.py; one below 1.30 knows SPDY only.
"""

import os
import pty
import select
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import pytest

from domain.command import CommandAccepted
from tests.e2e.test_kubectl import kubectls
from tests.support import system
from tests.support.system import SCRIPT, System

pytestmark = pytest.mark.e2e

GUARD_SECONDS: Final = 60.0
MANIFEST: Final = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - name: main
        image: none
        command: [sh, -c, "while true; do echo tick; echo tock >&2; sleep 0.2; done"]
      - {name: side, image: none, command: [sleep, "100000"]}
"""


class Ran(NamedTuple):
    """What a command line came to."""

    status: int
    out: bytes
    err: str


class Tool:
    """`rollbook` or a kubectl, which take the same words here."""

    def __init__(self, program: Path, cluster: System, home: Path) -> None:
        self.program = program
        self.home = home
        self.environment = {
            "HOME": str(home),
            "PATH": os.environ.get("PATH", ""),
            "KUBECONFIG": str(cluster.folder / "kubeconfig"),
            "ROLLBOOK_CONTEXT": str(cluster.context),
            "TERM": "xterm",
        }

    def run(self, *words: str, stdin: bytes = b"") -> Ran:
        """The whole of it."""
        done = subprocess.run(
            [str(self.program), *words],
            env=self.environment,
            cwd=self.home,
            input=stdin,
            capture_output=True,
            timeout=GUARD_SECONDS,
            check=False,
        )
        return Ran(done.returncode, done.stdout, done.stderr.decode())

    def talk(self, words: Sequence[str], script: Sequence[tuple[bytes, bytes]]) -> Ran:
        """At a terminal: when the one was said, the other is typed, in order."""
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            [str(self.program), *words],
            env=self.environment,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        said, seen, rest = b"", 0, list(script)
        deadline = time.monotonic() + GUARD_SECONDS
        while time.monotonic() < deadline:
            if rest and rest[0][0] in said[seen:]:
                seen = said.index(rest[0][0], seen) + len(rest[0][0])
                os.write(ours, rest.pop(0)[1])
            if not select.select([ours], [], [], 0.2)[0]:
                continue
            try:
                said += os.read(ours, 4096)
            except OSError:  # so a terminal ends
                break
        os.close(ours)
        process.kill()
        assert not rest, said
        return Ran(process.wait(), said, "")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """One node of processes, and the Deployment `web` on it."""
    folder = tmp_path_factory.mktemp("exec")
    (folder / "web.yaml").write_text(MANIFEST)
    with system.running(folder / "cluster", "--nodes", "1") as running:
        running.cli("apply", "-f", str(folder / "web.yaml"))
        running.cli("rollout", "status", "deployment/web")
        yield running


@pytest.fixture(params=[SCRIPT, *kubectls()], ids=lambda path: path.name)
def tool(request: pytest.FixtureRequest, cluster: System, tmp_path: Path) -> Tool:
    """What is used to get into the container."""
    held = Tool(request.param, cluster, tmp_path)
    if request.param != SCRIPT:
        told = held.run("version", "--client", "-o", "json")
        minor = msgspec.json.decode(told.out)["clientVersion"]["minor"]
        if int(minor.rstrip("+")) < 30:
            pytest.skip("speaks SPDY only")
    return held


def pod_of(cluster: System) -> str:
    """The pod of the Deployment."""
    return cluster.cli("get", "pods", "-o", "name").strip().removeprefix("pod/")


def test_a_command_says_what_it_says_and_ends_as_it_ends(tool: Tool) -> None:
    """Both streams by themselves, and the exit code."""
    script = "echo out; echo err >&2; exit 7"
    ran = tool.run("exec", "deploy/web", "-c", "main", "--", "sh", "-c", script)
    assert (ran.status, ran.out) == (7, b"out\n")
    assert ran.err == "err\ncommand terminated with exit code 7\n"


def test_input_goes_in_and_its_end_too(tool: Tool) -> None:
    """More than any window, and back again, unchanged."""
    data = bytes(range(256)) * 20_000
    words = ("exec", "-i", "deploy/web", "-c", "main", "--", "cat")
    assert tool.run(*words, stdin=data) == Ran(0, data, "")


def test_a_terminal_takes_keys_and_interrupts(tool: Tool) -> None:
    """A tty on the other side, Ctrl-C for what runs there, and the exit code."""
    shell = ("sh", "-c", "PS1='ready> ' exec sh -i")
    ran = tool.talk(
        ("exec", "-it", "deploy/web", "-c", "main", "--", *shell),
        [
            (b"ready> ", b"test -t 0 && echo is''-a-tty\n"),
            # It waits by itself: a shell that starts a program may lose the key.
            (b"is-a-tty", b"sh -c 'echo wait\"\"ing; read line'\n"),
            (b"waiting", b"\x03"),
            (b"ready> ", b"exit 5\n"),
        ],
    )
    assert ran.status == 5, ran.out


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("exec", "nopod", "--", "ls"), 'pods "nopod" not found'),
        (("exec", "{pod}", "-c", "no", "--", "ls"), "container no is not valid for"),
        (("exec", "{pod}", "-c", "main", "--", "nosuch"), "executable file not found"),
    ],
)
def test_what_cannot_be_is_refused_with_its_reason(
    tool: Tool, cluster: System, words: tuple[str, ...], text: str
) -> None:
    """Before the session, or as its first word; exit status 1."""
    ran = tool.run(*(word.format(pod=pod_of(cluster)) for word in words))
    assert ran.status == 1
    assert text in ran.err


def test_attach_shows_what_is_said_from_now_on(tool: Tool, cluster: System) -> None:
    """Until somebody has seen enough."""
    process = subprocess.Popen(
        [str(tool.program), "attach", pod_of(cluster), "-c", "main"],
        env=tool.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdout is not None
    with process, process.stdout:
        assert process.stdout.readline() in (b"tick\n", b"tock\n")
        process.kill()


def test_files_and_folders_are_copied_both_ways(tool: Tool, cluster: System) -> None:
    """Into a folder that is there, under another name, and back."""
    pod, name = pod_of(cluster), tool.program.name
    (tool.home / "in" / "deep").mkdir(parents=True)
    (tool.home / "in" / "deep" / "file").write_bytes(os.urandom(200_000))
    (tool.home / "in" / "top").write_text("top\n")
    for words in (
        ("in", f"{pod}:{name}"),
        ("in/top", f"{pod}:{name}/second"),
        (f"{pod}:{name}", "out"),
        (f"{pod}:{name}/second", "one"),
    ):
        ran = tool.run("cp", "-c", "main", *words)
        assert ran.status == 0, ran
    copied = (tool.home / "out" / "deep" / "file").read_bytes()
    assert copied == (tool.home / "in" / "deep" / "file").read_bytes()
    assert (tool.home / "out" / "second").read_text() == "top\n"
    assert (tool.home / "one").read_text() == "top\n"


def test_the_log_tells_who_ran_what_in_which_pod(tool: Tool, cluster: System) -> None:
    """The whole command line, the container, the pod and the user."""
    mark = f"mark-{tool.program.name}"
    assert tool.run("exec", "deploy/web", "-c", "main", "--", "echo", mark).status == 0
    (told,) = [
        (recorded.actor, event.subject.split(".")[-1], msgspec.json.decode(event.body))
        for recorded in cluster.events()
        if isinstance(event := recorded.event, CommandAccepted)
        and mark.encode() in bytes(event.body)
    ]
    assert told == (
        "user/admin",
        "exec",
        {"command": ["echo", mark], "container": "main"},
    )


def test_ports_are_not_forwarded_and_it_is_said(tool: Tool, cluster: System) -> None:
    """kubectl shows the reason; rollbook has no such verb."""
    if tool.program == SCRIPT:
        pytest.skip("no such verb")
    ran = tool.run("port-forward", pod_of(cluster), "18080:80")
    assert ran.status == 1
    assert "ports of pods are not forwarded" in ran.err


def test_logs_of_several_containers(cluster: System, tmp_path: Path) -> None:
    """--all-containers, --prefix, --tail and --since-time, by `rollbook logs`."""
    tool, pod = Tool(SCRIPT, cluster, tmp_path), pod_of(cluster)
    ran = tool.run("logs", "deploy/web", "--all-containers", "--prefix", "--tail=1")
    assert ran.out.startswith(f"[pod/{pod}/main] t".encode())
    assert ran.out.count(b"\n") == 1  # the other one says nothing
    future = "2999-01-01T00:00:00Z"
    assert tool.run("logs", pod, "-c", "main", f"--since-time={future}").status == 0
    wrong = tool.run("logs", pod, "--since-time=tea", "-c", "main")
    assert "is no time" in wrong.err
