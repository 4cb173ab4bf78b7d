"""Programs that the monitor's file allows."""

import asyncio
import sys
from pathlib import Path

import psutil
import pytest

from gateway.monitoring.commands import Commands
from gateway.monitoring.configuration import Command
from gateway.monitoring.measured import Unmeasured


def python(text: str, timeout: str = "60s") -> Command:
    """A command that runs this program."""
    return Command(argv=(sys.executable, "-c", text), timeout=timeout)


@pytest.mark.asyncio
async def test_the_last_line_is_the_number() -> None:
    """What is written before is for people."""
    commands = Commands({"smoke": python("print('asking…'); print(' 0.5 ')")})

    assert await commands.number("smoke", {}) == 0.5


@pytest.mark.asyncio
async def test_it_is_told_what_it_is_about() -> None:
    """In variables of the environment; nothing else of ours is in it."""
    text = (
        "import os; e = os.environ\n"
        "assert 'ROLLBOOK_CONTEXT' not in e\n"
        "assert e['ROLLBOOK_NAMESPACE'] == 'a; echo 1'\n"
        "print(e['ROLLBOOK_REVISION'])"
    )
    about = {"namespace": "a; echo 1", "revision": "3"}

    assert await Commands({"smoke": python(text)}).number("smoke", about) == 3


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("command", "why"),
    [
        (python("import sys; print('broken'); sys.exit(3)"), "status 3: broken"),
        (python("pass"), "wrote no number"),
        (python("print('fine')"), "no number: 'fine'"),
        (python("print('nan')"), "nan"),
        (Command(argv=("/nowhere/to/be/found",)), "cannot be started"),
        (python("import time; time.sleep(3600)", timeout="1s"), "longer than 1s"),
    ],
)
async def test_what_gives_no_number_is_a_reason(command: Command, why: str) -> None:
    """An end that is not good, no number, no program, no end."""
    with pytest.raises(Unmeasured, match=why):
        await Commands({"smoke": command}).number("smoke", {})


@pytest.mark.asyncio
async def test_only_what_is_in_the_file_runs() -> None:
    """An annotation names a command; one that is not allowed is refused."""
    with pytest.raises(Unmeasured, match="not in the monitor's file; it allows: smoke"):
        await Commands({"smoke": python("print(1)")}).number("/bin/sh", {})


@pytest.mark.asyncio
async def test_nothing_of_it_runs_on(tmp_path: Path) -> None:
    """What the program has started ends with it, also where it ended well."""
    file = tmp_path / "pid"
    text = (
        "import subprocess, sys\n"
        "p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(3600)'],"
        " stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)\n"
        f"open({str(file)!r}, 'w').write(str(p.pid)); print(1)"
    )
    assert await Commands({"smoke": python(text)}).number("smoke", {}) == 1
    pid = int(file.read_text())

    async with asyncio.timeout(60):
        while not ended(pid):  # noqa: ASYNC110  # the kernel tells its parent only
            await asyncio.sleep(0.01)


def ended(pid: int) -> bool:
    """The process has ended, whether or not somebody has waited for it."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
