"""An event loop whose time is the simulation's, for shipped code that is asynchronous.

1. `run_until_idle` does all that can be done at one moment, in the order in which it
   became possible, and comes back where only time could bring more.
2. There are no threads: what is handed to one is done at once, where it is handed over.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final, TypeVar

T = TypeVar("T")
BUSY: Final = 100_000
"""Rounds at one moment after which something turns round and round."""


class Inline(ThreadPoolExecutor):
    """Does at once what it is given; `before` is called first, and may raise."""

    def __init__(self, before: Callable[[], None] | None = None) -> None:
        super().__init__(1)
        self._before = before

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> "Future[T]":
        """See `Executor.submit`; the future is done."""
        future: Future[T] = Future()
        try:
            if self._before is not None:
                self._before()
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


class SimulatedLoop(asyncio.BaseEventLoop):
    """See the docstring of this file. Close it: its tasks are cancelled then."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self._rounds = 0
        self._selector = self
        self.set_default_executor(Inline())

    def time(self) -> float:
        """The simulation's."""
        return self.now

    def run_until_idle(self, now: float) -> None:
        """Afterwards nothing is left to do at `now`; time never goes back.

        Raises AssertionError where that does not come to an end.
        """
        self.now = max(self.now, now)
        self._rounds = 0
        self.run_forever()

    def select(self, timeout: float | None) -> list[object]:
        """What the loop asks when it has nothing to do: it is stopped."""
        self._rounds += 1
        assert self._rounds < BUSY, "somebody turns round and round without waiting"
        if timeout is None or timeout > 0:
            self.stop()
        return []

    def _process_events(self, event_list: list[object]) -> None:
        """There are none."""

    def _write_to_self(self) -> None:
        """Nobody has to be woken: there are no threads."""

    def __del__(self) -> None:
        """One that nobody has closed holds nothing of the system's."""

    def close(self) -> None:
        """Ends all tasks first."""
        if self.is_closed():
            return
        tasks = asyncio.all_tasks(self)
        for task in tasks:
            task.cancel()
        if tasks:
            self.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        super().close()
