"""Commands in sessions of the process runtime: pipes, terminals, ends."""

import asyncio
import contextlib
import os
from pathlib import Path

import psutil
import pytest

from domain import errors
from kubelet import process_streams
from kubelet.runtime import StreamRequest
from tests.kubelet.processes import gone

GUARD = 60.0
ENV = {"PATH": os.environ.get("PATH", "")}


def started(
    folder: Path,
    *command: str,
    stdin: bool = False,
    tty: bool = False,
    until: asyncio.Event | None = None,
    width: int = 80,
) -> process_streams.CommandStream:
    """The command in `folder`."""
    request = StreamRequest(command=command, stdin=stdin, tty=tty, width=width)
    return process_streams.start(
        request, env=ENV, cwd=folder, until=until or asyncio.Event()
    )


async def said(stream: process_streams.CommandStream) -> dict[str, bytes]:
    """All that it says, by channel."""
    found: dict[str, bytes] = {}
    async with asyncio.timeout(GUARD):
        async for channel, data in stream.chunks():
            found[channel] = found.get(channel, b"") + data
    return found


@pytest.mark.asyncio
async def test_output_errors_and_exit_code(tmp_path: Path) -> None:
    """Each stream by itself, in the folder of the container, and the code."""
    stream = started(tmp_path, "sh", "-c", "pwd; echo oops >&2; exit 7")
    assert await said(stream) == {
        "stdout": f"{tmp_path}\n".encode(),
        "stderr": b"oops\n",
    }
    assert await stream.exit_code() == 7
    await stream.close()


@pytest.mark.asyncio
async def test_input_ends_where_it_is_ended(tmp_path: Path) -> None:
    """What is written is read, up to its end; without input it has ended at once."""
    stream = started(tmp_path, "cat", stdin=True)
    await stream.write(b"one ")
    await stream.write(b"two")
    await stream.end_input()
    assert await said(stream) == {"stdout": b"one two"}
    await stream.close()
    without = started(tmp_path, "cat")
    assert await said(without) == {}
    await without.close()


@pytest.mark.asyncio
async def test_much_input_to_one_that_does_not_read_waits(tmp_path: Path) -> None:
    """Nothing piles up; and it is dropped when the command has ended."""
    stream = started(tmp_path, "sh", "-c", "read line; exit 3", stdin=True)
    async with asyncio.timeout(GUARD):
        await stream.write(b"x" * 10_000 + b"\n" + b"y" * 5_000_000)
        assert await stream.exit_code() == 3
    await stream.close()


@pytest.mark.asyncio
async def test_a_terminal_is_one_and_has_a_size(tmp_path: Path) -> None:
    """With a tty: one output, the size that was asked for, then the new one, and the
    end of the input as a terminal tells it."""
    script = "test -t 0 && test -t 1 && stty size; read line; stty size; cat"
    stream = started(tmp_path, "sh", "-c", script, stdin=True, tty=True, width=97)
    output = b""
    resized = ended = False
    async with asyncio.timeout(GUARD):
        async for channel, data in stream.chunks():
            assert channel == "stdout"
            output += data
            if b"24 97" in output and not resized:
                resized = True
                await stream.resize(61, 20)
                await stream.write(b"\n")
            if b"20 61" in output and not ended:
                ended = True
                await stream.end_input()
        assert await stream.exit_code() == 0
    await stream.close()


@pytest.mark.asyncio
async def test_ctrl_c_interrupts_what_runs_in_the_terminal(tmp_path: Path) -> None:
    """The key is a byte; the terminal makes a signal of it.

    The command waits by itself: dash loses a Ctrl-C that comes while it starts a
    program, because the child takes it before it has become that program.
    """
    stream = started(tmp_path, "sh", "-c", "echo up; read line", stdin=True, tty=True)
    async with asyncio.timeout(GUARD):
        async for _, data in stream.chunks():
            if b"up" in data:
                await stream.write(b"\x03")
        assert await stream.exit_code() == 128 + 2
    await stream.close()


@pytest.mark.asyncio
async def test_closing_ends_the_command_and_what_it_started(tmp_path: Path) -> None:
    """Nothing of it runs on, and no descriptor stays open."""
    before = psutil.Process().num_fds()
    stream = started(tmp_path, "sh", "-c", "sleep 1000 & echo $!; wait")
    async with asyncio.timeout(GUARD):
        _, data = await anext(stream.chunks())
        await stream.close()
    await gone(int(data))
    assert psutil.Process().num_fds() <= before


@pytest.mark.asyncio
async def test_it_ends_with_its_container(tmp_path: Path) -> None:
    """When the container has ended nothing runs beside it."""
    until = asyncio.Event()
    stream = started(tmp_path, "sleep", "1000", until=until)
    until.set()
    async with asyncio.timeout(GUARD):
        assert await stream.exit_code() == 137
    await stream.close()


@pytest.mark.asyncio
async def test_a_detached_process_that_keeps_the_output_is_not_waited_for(
    tmp_path: Path,
) -> None:
    """The session ends with its command, whoever else holds its output."""
    stream = started(tmp_path, "sh", "-c", "setsid sleep 1000 & echo $!; exit 4")
    await said(stream)
    assert await stream.exit_code() == 4
    await stream.close()
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.name() == "sleep" and process.cwd() == str(tmp_path):
                process.kill()


@pytest.mark.asyncio
async def test_what_cannot_be_started_is_said_and_leaves_nothing(
    tmp_path: Path,
) -> None:
    """In the words of container runtimes; no descriptor is lost."""
    before = psutil.Process().num_fds()
    with pytest.raises(OSError, match=r'exec: "nosuch": executable file not found'):
        started(tmp_path, "nosuch")
    bad = tmp_path / "bad"
    bad.write_text("not a program")
    bad.chmod(0o755)
    for tty in (False, True):
        with pytest.raises(OSError, match="Exec format error"):
            started(tmp_path, str(bad), tty=tty)
    assert psutil.Process().num_fds() <= before


def test_nobody_speaks_to_a_container_without_input() -> None:
    """Attaching is watching; to want more is refused with what to do instead."""
    process_streams.refuse_input(StreamRequest(), "web")
    for wanted in (StreamRequest(stdin=True), StreamRequest(tty=True)):
        with pytest.raises(errors.Rejected, match="use exec"):
            process_streams.refuse_input(wanted, "web")
