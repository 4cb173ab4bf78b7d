"""Small HTTP servers on loopback, for what the monitor asks."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import aiohttp
from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@contextlib.asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[str]:
    """The URL at which `handler` answers everything."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def asking(handler: Handler) -> AsyncIterator[tuple[str, aiohttp.ClientSession]]:
    """Such a server and a client."""
    async with serving(handler) as url, aiohttp.ClientSession() as session:
        yield url, session


def answering(status: int, body: str = "") -> Handler:
    """A handler that always says the same."""

    async def handle(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, text=body)

    return handle
