"""Serves a process's numbers where that is wanted (see adapters/exposition.py).

What serving takes is imported then only: a process that serves nothing pays nothing.
"""

import contextlib
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from adapters.exposition import Board


@contextlib.asynccontextmanager
async def shown(
    listen: str, port: int, board: "Callable[[], Board]"
) -> AsyncIterator[None]:
    """Serves the board that `board()` makes meanwhile, unless the port is 0.

    Raises `Permanent` where the port cannot be had.
    """
    if not port:
        yield
        return
    from adapters.exposition import Settings, serving

    async with serving(Settings(listen=listen, port=port), board()):
        yield
