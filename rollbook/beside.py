"""Work in a process of its own, beside this one: for two halves that share nothing.

1. The process is started afresh, not forked, so that no thread and no lock is half
   copied. Its beginning takes a few tenths of a second: this is for long work.
2. It ends with the block that began it, however that ends. Ctrl-C is this side's
   business.
"""

import contextlib
import multiprocessing
import signal
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from domain.errors import Permanent

T = TypeVar("T")


@contextlib.contextmanager
def begun(work: Callable[..., T], *arguments: Any) -> Iterator[Callable[[], T]]:
    """Within the block `work(*arguments)` runs; the value waits for its result.

    What crosses must be picklable. The value raises what `work` raised, and
    `Permanent` where the process has died.
    """
    spawn = multiprocessing.get_context("spawn")
    here, there = spawn.Pipe(duplex=False)
    process = spawn.Process(
        target=_carry_out, args=(there, work, arguments), daemon=True
    )
    process.start()
    there.close()

    def result() -> T:
        try:
            error, found = here.recv()
        except EOFError:
            process.join()
            text = f"the process beside this one has died ({process.exitcode})"
            raise Permanent(f"{text}: there may be too little memory") from None
        if error is not None:
            raise error
        value: T = found
        return value

    try:
        yield result
    finally:
        process.kill()
        process.join()
        here.close()


def _carry_out(
    answer: Connection, work: Callable[..., object], arguments: tuple[object, ...]
) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        said: tuple[Exception | None, object] = (None, work(*arguments))
    except Exception as error:  # it is raised on the other side
        said = (error, None)
    answer.send(said)
