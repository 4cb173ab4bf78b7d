"""The end of asyncio tasks that work side by side.

1. A cancellation can be lost: in Python 3.11 a wait with a time limit that ends at the
   very moment of the cancellation swallows it (cpython issue 86296), and the task goes
   on for ever. So whoever ends a task asks again until it has ended.
2. What a task raised on its way out is nobody's business any more.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final

AGAIN_SECONDS: Final = 5.0
"""A task is asked again after so long; whoever tidies up is given that time first."""


async def until_one_ends(*parts: Coroutine[None, None, None]) -> None:
    """Runs all of them; raises what ended the first, and ends the others."""
    tasks = [asyncio.create_task(part) for part in parts]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        await end(*tasks)


async def end(*tasks: asyncio.Task[Any], again: float = AGAIN_SECONDS) -> None:
    """Cancels the tasks; afterwards every one of them has ended.

    If the caller is cancelled meanwhile, that is carried out after them.
    """
    hurried = False
    while pending := [task for task in tasks if not task.done()]:
        for task in pending:
            task.cancel()
        try:
            await asyncio.wait(pending, timeout=again)
        except asyncio.CancelledError:
            hurried = True
    for task in tasks:
        if not task.cancelled():
            task.exception()
    if hurried:
        raise asyncio.CancelledError
