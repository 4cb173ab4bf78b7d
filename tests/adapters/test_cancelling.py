"""Tasks that work side by side: they end when they are told to, also the deaf ones.

A control whose commit had failed once went on for ever: one of its tasks had swallowed
its cancellation, the process neither worked nor ended, and nobody started it again.
"""

import asyncio

import pytest

from adapters import cancelling


class Deaf:
    """Something that overhears its first `times` cancellations."""

    def __init__(self, times: int) -> None:
        self.left = times

    async def run(self) -> None:
        """Ends by the first cancellation that it does not overhear."""
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if not self.left:
                    raise
                self.left -= 1


async def _started(*runs: Deaf) -> list[asyncio.Task[None]]:
    tasks = [asyncio.create_task(each.run()) for each in runs]
    await asyncio.sleep(0)
    return tasks


@pytest.mark.asyncio
async def test_a_task_that_swallows_its_cancellation_ends_all_the_same() -> None:
    """Liveness: however often it is lost, a cancellation comes through."""
    tasks = await _started(Deaf(0), Deaf(3))
    async with asyncio.timeout(30):
        await cancelling.end(*tasks, again=0.01)
    assert all(task.cancelled() for task in tasks)


@pytest.mark.asyncio
async def test_what_a_task_raises_on_its_way_out_is_dropped() -> None:
    """The end of one task does not keep the others from ending."""

    async def fails() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise ValueError("on the way out")

    failing = asyncio.create_task(fails())
    (good,) = await _started(Deaf(0))
    await cancelling.end(failing, good)
    assert failing.done()
    assert good.cancelled()


@pytest.mark.asyncio
async def test_whoever_is_cancelled_meanwhile_ends_the_tasks_first() -> None:
    """A caller in a hurry leaves no task behind and is cancelled itself."""
    tasks = await _started(Deaf(1))
    ending = asyncio.create_task(cancelling.end(*tasks, again=60.0))
    await asyncio.sleep(0.01)
    assert not ending.done()
    ending.cancel()
    async with asyncio.timeout(30):
        with pytest.raises(asyncio.CancelledError):
            await ending
    assert tasks[0].cancelled()


@pytest.mark.asyncio
async def test_parts_that_run_together_end_with_the_first() -> None:
    """Whatever ended it is raised, and afterwards the others have ended too."""
    deaf = Deaf(0)
    ended = asyncio.Event()

    async def other() -> None:
        try:
            await deaf.run()
        finally:
            ended.set()

    async def failing() -> None:
        await asyncio.sleep(0)
        raise LookupError("the first")

    with pytest.raises(LookupError, match="the first"):
        await cancelling.until_one_ends(other(), failing())
    assert ended.is_set()
