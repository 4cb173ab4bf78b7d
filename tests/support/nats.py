"""A real broker for a test: on a free port, in a temporary folder, always stopped."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

from adapters import nats_server, nats_wire
from tests.support.ports import free_port

WAIT_SECONDS = 60.0
"""A guard against hanging, never something that a test measures."""


class Broker:
    """A running server, and the connections that were made to it."""

    def __init__(self, server: nats_server.EmbeddedServer) -> None:
        self.server = server
        self._clients: list[nats_wire.Client] = []

    async def connect(
        self, login: str, *, counters: nats_wire.Counters | None = None
    ) -> nats_wire.Client:
        """A connection with the permissions of `login`, closed when the test ends."""
        client = await nats_wire.connect(
            self.server.url,
            login,
            self.server.credential(login).secret,
            f"test {login}",
            timeout=WAIT_SECONDS,
            counters=counters,
        )
        self._clients.append(client)
        return client

    async def close(self) -> None:
        """Close what `connect` has made."""
        for client in self._clients:
            await nats_wire.close(client)


@contextlib.asynccontextmanager
async def broker(
    folder: Path,
    *,
    nodes: Iterable[str] = ("worker-1", "worker-2"),
    users: Iterable[str] = ("admin", "bob"),
) -> AsyncIterator[Broker]:
    """A broker whose files lie in `folder`/nats."""
    server = nats_server.EmbeddedServer(
        folder / "nats", nodes=nodes, users=users, port=free_port()
    )
    async with server:
        running = Broker(server)
        try:
            yield running
        finally:
            await running.close()


async def send_command(
    client: nats_wire.Client,
    *,
    user: str = "admin",
    name: str = "nginx",
    data: bytes = b"{}",
    command_id: str | None = None,
    reply_to: str | None = None,
) -> None:
    """Publish a command as a user does, and wait until the broker has stored it."""
    headers = {"Nats-Msg-Id": command_id or str(uuid.uuid4())}
    if reply_to is not None:
        headers["Rollbook-Reply"] = reply_to
    await client.jetstream().publish(
        nats_wire.command_subject(user, "default", "deployment", name, "scale"),
        data,
        headers=headers,
    )


async def until_connected(*clients: nats_wire.Client) -> None:
    """Wait until each of them has found the broker again."""
    async with asyncio.timeout(WAIT_SECONDS):
        for client in clients:
            # The client offers nothing to wait for.
            while not client.is_connected or not client.stats["reconnects"]:  # noqa: ASYNC110  # it offers nothing to wait for
                await asyncio.sleep(0.01)
