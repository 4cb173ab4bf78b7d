"""A board that is served, and what it answers, for tests."""

import contextlib
from collections.abc import AsyncIterator

import aiohttp

from adapters.exposition import Board, Settings, serving
from tests.support import ports

OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


class Served:
    """The answers of one server."""

    def __init__(self, port: int, session: aiohttp.ClientSession) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._session = session

    async def get(self, path: str, accept: str = "") -> tuple[int, str, str]:
        """Status, content type and text."""
        headers = {"Accept": accept} if accept else {}
        async with self._session.get(self.url + path, headers=headers) as answer:
            kind = answer.headers.get("Content-Type", "")
            return answer.status, kind, await answer.text()


@contextlib.asynccontextmanager
async def served(board: Board) -> AsyncIterator[Served]:
    """The board at a free port of loopback, and a client."""
    port = ports.free_port()
    async with (
        serving(Settings(port=port), board),
        aiohttp.ClientSession() as session,
    ):
        yield Served(port, session)
