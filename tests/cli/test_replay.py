"""`rollbook replay` as a person sees it: on a terminal, in a pipe, and otherwise.

The console script runs as a process of its own, on a pseudo-terminal where there is to
be one; the answers are the shipped gateway's, over logs that the shipped writer made.
"""

import asyncio
import contextlib
import fcntl
import os
import pty
import re
import struct
import termios
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from adapters import context as contexts
from adapters import eventstore
from adapters.eventlog import EventLog
from domain import deployment
from projections import digests, snapshots
from projections.cluster import Cluster
from rollbook import beginnings, client
from tests.cli.service import GUARD_SECONDS, ROLLBOOK, Service
from tests.cli.test_why import answering_from, incident
from tests.support.cluster import SimCluster

pytestmark = pytest.mark.asyncio(loop_scope="module")

SLOW = ("replay", "deployment/web", "--speed", "0.001")
"""Every pause is longer than a test may take, so it is cut."""
ENTERED, LEFT = "\x1b[?1049h", "\x1b[?1049l"
"""The terminal's second screen is shown, and put away."""


_OURS = frozenset({"COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR"})
"""What the shell of the tests says of its own terminal is not said of this one."""


class Terminal:
    """A command on a pseudo-terminal, and all that it has written there."""

    def __init__(self, service: Service, *words: str, **variables: str) -> None:
        self.text = ""
        self._words = words
        self._environment = {
            **{name: value for name, value in os.environ.items() if name not in _OURS},
            "ROLLBOOK_CONTEXT": str(service.context_file),
            "TERM": "xterm-256color",
            **variables,
        }

    async def __aenter__(self) -> "Terminal":
        """It has been started."""
        self._ours, theirs = pty.openpty()
        self.resize(24, 100)
        self._process = await asyncio.create_subprocess_exec(
            str(ROLLBOOK), *self._words, stdin=theirs, stdout=theirs, stderr=theirs,
            env=self._environment, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )  # fmt: skip
        os.close(theirs)
        self._grown = asyncio.Event()
        asyncio.get_running_loop().add_reader(self._ours, self._read)
        return self

    async def __aexit__(self, *_: object) -> None:
        """It has ended, if need be by force."""
        asyncio.get_running_loop().remove_reader(self._ours)
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()
        os.close(self._ours)

    def resize(self, rows: int, columns: int) -> None:
        """Give the window another size."""
        size = struct.pack("HHHH", rows, columns, 0, 0)
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, size)

    def press_ctrl_c(self) -> None:
        """What the keyboard sends."""
        os.write(self._ours, b"\x03")

    async def until(self, wanted: Callable[[str], object]) -> None:
        """Wait until what was written is so."""
        async with asyncio.timeout(GUARD_SECONDS):
            while not wanted(self.text):
                self._grown.clear()
                await self._grown.wait()

    async def status(self) -> int:
        """The exit status, once it has ended; everything is read by then."""
        async with asyncio.timeout(GUARD_SECONDS):
            found = await self._process.wait()
        self._read()
        return found

    def _read(self) -> None:
        with contextlib.suppress(OSError):  # the other end is gone
            self.text += os.read(self._ours, 1 << 20).decode()
        self._grown.set()


def frames(text: str) -> list[str]:
    """The pictures that were drawn, one after the other."""
    return text.split("\x1b[H")


async def test_a_terminal_is_drawn_on_and_given_back(service: Service) -> None:
    """Marks in colours on the second screen; the last picture stays, whole."""
    await answering_from(service, incident())
    words = ("replay", "deployment/web", "--from", "25", "--speed", "100000")
    async with Terminal(service, *words) as terminal:
        assert await terminal.status() == 0
    drawn, _, left = terminal.text.partition(LEFT)
    assert ENTERED in drawn
    assert "\x1b[32m●" in drawn, "what is ready is green"
    assert "● ready  ◐ starting" in drawn, "the marks are explained on the screen"
    assert left.startswith("\x1b[1mposition "), "the last picture"
    assert "◐" in left
    assert "● ready" not in left


async def test_ctrl_c_ends_it_and_the_terminal_is_as_it_was(service: Service) -> None:
    """Exit status 130, as of every command that is interrupted; no traceback."""
    await answering_from(service, incident())
    async with Terminal(service, *SLOW) as terminal:
        await terminal.until(lambda text: "position " in text)
        terminal.press_ctrl_c()
        assert await terminal.status() == 130
    assert terminal.text.count(LEFT) == 1
    assert "Traceback" not in terminal.text
    assert "\x1b[?25h" in terminal.text, "the cursor is back"


async def test_a_long_pause_is_cut_and_told(service: Service) -> None:
    """Nobody waits for an hour: the screen says how long nothing happened."""
    await answering_from(service, incident())
    async with Terminal(service, *SLOW) as terminal:
        await terminal.until(lambda text: re.search(r"\(\d+m?s? pause\)", text))
        terminal.press_ctrl_c()
        await terminal.status()
    piped = await service.run("replay", "deployment/web", "--speed", "max")
    assert "pause)" not in piped.out, "without waiting nothing is cut"


async def test_a_window_that_shrinks_is_drawn_anew(service: Service) -> None:
    """The picture fits into the new size at once: lines are cut, words are counted."""
    await answering_from(service, incident())
    async with Terminal(service, *SLOW) as terminal:
        await terminal.until(lambda text: "pause)" in text)
        terminal.resize(9, 30)
        await terminal.until(lambda text: fits(text, rows=9, columns=30))
        terminal.press_ctrl_c()
        await terminal.status()
    assert fits(terminal.text.partition(LEFT)[0], rows=9, columns=30)


def fits(text: str, *, rows: int, columns: int) -> bool:
    """Whether the last picture in `text` has room in a window of that size."""
    last = next(each for each in reversed(frames(text)) if "position" in each)
    last = last.replace("^C", "")  # the terminal's own echo of the key
    plain = [re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", row) for row in last.split("\r\n")]
    return len(plain) <= rows and max(map(len, plain)) <= columns


@pytest.mark.parametrize("variables", [{"NO_COLOR": "1"}, {}])
async def test_colours_can_be_switched_off(
    service: Service, variables: dict[str, str]
) -> None:
    """By NO_COLOR or --no-color: no colour is written, though it is a terminal."""
    await answering_from(service, incident())
    words = ["replay", "deployment/web", "--from", "25", "--speed", "100000"]
    words += [] if variables else ["--no-color"]
    async with Terminal(service, *words, **variables) as terminal:
        assert await terminal.status() == 0
    assert "●" in terminal.text
    assert not re.search(r"\x1b\[(\d+;)*3\d", terminal.text)


async def test_in_a_pipe_there_are_only_lines(service: Service) -> None:
    """No escape sequence, and the marks' meaning on standard error."""
    await answering_from(service, incident())
    ran = await service.run("replay", "deployment/web", "--speed", "100000")
    assert ran.status == 0, ran.err
    assert "\x1b" not in ran.out + ran.err
    assert "● ready" in ran.err


# --- where it begins --------------------------------------------------------------


def stored(sim: SimCluster, folder: Path) -> tuple[str, EventLog]:
    """The same log in a file, still open."""
    url = f"sqlite://{folder}/rollbook.db"
    log = eventstore.open_log(url)
    log.append(sim.log, [])
    return url, log


def digest(cluster: Cluster) -> str:
    """What tells two states apart."""
    return digests.digest(snapshots.cut(cluster))


async def test_the_store_and_the_wire_give_the_same_beginning(
    service: Service, tmp_path: Path
) -> None:
    """Wherever it begins, within a step too: the state before that whole step."""
    sim = incident()
    await answering_from(service, sim)
    url, log = stored(sim, tmp_path)
    asked: client.Cluster
    async with service.connect() as asked:
        for position in (1, 2, 12, 25, 26, 31, len(sim.log)):
            near = await beginnings.before(asked, position, url)
            far = await beginnings.before(asked, position, "")
            lost = await beginnings.before(asked, position, "sqlite:///nowhere/x.db")
            assert near.position == far.position == lost.position < position
            if near.position:
                assert digest(near) == digest(far) == digest(lost)
                ended, begins = sim.events[near.position - 1 : near.position + 1]
                assert ended.timestamp != begins.timestamp
    log.close()


async def test_a_replay_reads_the_store_of_its_context(
    service: Service, tmp_path: Path
) -> None:
    """Beside the cluster only what is shown comes over the wire."""
    sim = incident()
    await answering_from(service, sim)
    url, log = stored(sim, tmp_path)
    file = tmp_path / "context.toml"
    beside = msgspec.structs.replace(service.context, store_url=url)
    contexts.write_context(file, beside)
    words = ("replay", "deployment/web", "--speed", "max", "--from", "26")
    from_afar = await service.run(*words)
    service.questions.clear()
    near = await service.run("--context", str(file), *words)
    assert near.status == 0, near.err
    assert near.out == from_afar.out
    asked = [found for verb, found in service.questions if verb == "log"]
    assert len(asked) == 3, "is there such an object, which step, and the page shown"
    log.close()


# --- otherwise --------------------------------------------------------------------


def scaled_at(sim: SimCluster) -> str:
    """The position of the change that the incident began with."""
    return str(sim.of(deployment.DeploymentTemplateChanged)[0].position)


async def test_what_if_compares_with_what_was_recorded(service: Service) -> None:
    """From the position of any event of the change, as a table and as JSON."""
    sim = incident()
    await answering_from(service, sim)
    words = ("replay", "deployment/web", "--from", scaled_at(sim))
    patch = ("--what-if", '{"spec": {"replicas": 3}}')
    table = await service.run(*words, *patch)
    assert table.status == 0, table.err
    assert "SIMULATED WITH THE CHANGE" in table.out
    said = await service.run(*words, *patch, "-o", "json")
    found = msgspec.json.decode(said.out)
    assert found["recorded"]["podsCreated"] == found["simulated"]["podsCreated"] == 1
    assert found["changed"]["podsCreated"] > 1
    assert found["until"] == len(sim.log), "the rollout never was complete"


@pytest.mark.parametrize(
    ("words", "status", "text"),
    [
        (
            ["--what-if", "{spec: {}}", "--from", "1"],
            2,
            "needs a Deployment and --from",
        ),
        (["deployment/web", "--what-if", "{spec: {}}"], 2, "needs a Deployment and"),
        (["deployment/web", "-o", "json"], 2, "--output is for --what-if"),
        (["pod/x", "--what-if", "{spec: {}}", "--from", "9"], 1, "is not a Deployment"),
        (
            ["deployment/web", "--what-if", "{spec: {}}", "--from", "9999"],
            1,
            "--from: nothing is behind it, the log ends at",
        ),
        (
            ["deployment/web", "--what-if", "{spec: {}}", "--from", "20", "--to", "5"],
            1,
            "--to is not behind --from",
        ),
        (["deployment/web", "--what-if", "{spec: {}}", "--from", "2"], 1, "not found"),
    ],
)
async def test_a_what_if_that_makes_no_sense_is_told_why(
    service: Service, words: list[str], status: int, text: str
) -> None:
    """One sentence on standard error, with what to do."""
    await answering_from(service, incident())
    ran = await service.run("replay", *words)
    assert ran.status == status
    assert text in ran.err
    assert not ran.out
