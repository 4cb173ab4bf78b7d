"""A session at the keyboard: standard input and output of this process, and its
terminal.

1. With a terminal every key goes to the other side, Ctrl-C too; its size is told when
   it changes. It is put back as it was, whatever happens.
2. Input is read only as fast as the other side takes it. Output is written beside the
   loop: a reader that stands still (`| less`) does not look like one that is gone.
"""

import asyncio
import contextlib
import os
import shutil
import signal
import sys
import termios
import tty
from collections.abc import AsyncIterator, Iterator
from typing import Final

from adapters import cancelling, session_client

CHUNK: Final = 32 * 1024
_STDIN: Final = 0
_OUTPUTS: Final = {"stdout": 1, "stderr": 2}


def size() -> tuple[int, int]:
    """Columns and rows of the terminal here."""
    found = shutil.get_terminal_size((80, 24))
    return found.columns, found.lines


def has_terminal() -> bool:
    """Whether somebody types at standard input."""
    return os.isatty(_STDIN)


async def run(session: session_client.Session, *, stdin: bool, tty_: bool) -> int:
    """The exit code of the session, after everything went both ways.

    Raises what ended the session before its end.
    """
    with _raw(enabled=tty_):
        jobs = [asyncio.create_task(_show(session))]
        if stdin:
            jobs.append(asyncio.create_task(_type(session)))
        if tty_:
            jobs.append(asyncio.create_task(_follow_size(session)))
        try:
            waiting = set(jobs)
            while not jobs[0].done():
                done, waiting = await asyncio.wait(
                    waiting, return_when=asyncio.FIRST_COMPLETED
                )
                for job in done - {jobs[0]}:
                    if session.exit_code is None:
                        job.result()
            jobs[0].result()
        finally:
            await cancelling.end(*jobs)
    assert session.exit_code is not None, "its output is at its end"
    return session.exit_code


async def _show(session: session_client.Session) -> None:
    sys.stdout.flush()
    async for channel, data in session.chunks():
        await asyncio.to_thread(_write, _OUTPUTS[channel], data)


async def _type(session: session_client.Session) -> None:
    async for data in pieces(_STDIN):
        await session.write(data)
    await session.end_input()


async def _follow_size(session: session_client.Session) -> None:
    loop = asyncio.get_running_loop()
    changed = asyncio.Event()
    loop.add_signal_handler(signal.SIGWINCH, changed.set)
    try:
        while True:
            await changed.wait()
            changed.clear()
            await session.resize(*size())
    finally:
        loop.remove_signal_handler(signal.SIGWINCH)


async def pieces(descriptor: int) -> AsyncIterator[bytes]:
    """What can be read there, up to its end, without ever blocking the loop."""
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    try:
        loop.add_reader(descriptor, ready.set)
        watched = True
        loop.remove_reader(descriptor)
    except (PermissionError, ValueError):
        watched = False  # a file, which is always ready
    while True:
        if watched:
            ready.clear()
            loop.add_reader(descriptor, ready.set)
            try:
                await ready.wait()
            finally:
                loop.remove_reader(descriptor)
        try:
            data = os.read(descriptor, CHUNK)
        except BlockingIOError:
            continue
        except OSError:  # nobody has it open any more
            return
        if not data:
            return
        yield data


def _write(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


@contextlib.contextmanager
def _raw(*, enabled: bool) -> Iterator[None]:
    if not enabled:
        yield
        return
    before = termios.tcgetattr(_STDIN)
    try:
        tty.setraw(_STDIN)
        yield
    finally:
        with contextlib.suppress(termios.error):
            termios.tcsetattr(_STDIN, termios.TCSADRAIN, before)
