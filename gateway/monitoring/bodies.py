"""The body of an HTTP answer, bounded."""

from typing import Final

import aiohttp

from gateway.monitoring.measured import Unmeasured

_PIECE: Final = 65_536


async def body(answer: aiohttp.ClientResponse, limit: int) -> bytes:
    """All of it. Raises `Unmeasured` where it has more than `limit` bytes."""
    pieces: list[bytes] = []
    size = 0
    async for piece in answer.content.iter_chunked(_PIECE):
        size += len(piece)
        if size > limit:
            raise Unmeasured(f"{answer.url} says more than {limit} bytes")
        pieces.append(piece)
    return b"".join(pieces)
