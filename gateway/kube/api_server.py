"""The Kubernetes API of one process: everything of this package wired together."""

import asyncio
import socket
import time
from pathlib import Path
from typing import Final

import msgspec

from adapters import certificates
from domain.errors import Permanent
from gateway.kube import kubeconfig, openapi, openapi_v2, writer
from gateway.kube.changes import Changes
from gateway.kube.commander import Commander
from gateway.kube.handlers import Handlers, Writer
from gateway.kube.logins import Logins
from gateway.kube.logs import Logs
from gateway.kube.metrics_api import Metrics
from gateway.kube.objects import Objects
from gateway.kube.request import Reply, Request
from gateway.kube.reviews import Reviews
from gateway.kube.server import Server, Socket, Stream
from gateway.kube.streams import Streams
from gateway.kube.watches import Watches
from gateway.past import Past
from gateway.reader import Reader

TIDY_SECONDS: Final = 5.0


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Where it is served. `tls_folder` holds the certificates; they are made there, for
    `listen` and for `address`, `host:port`, where clients find it.

    `socket` is a descriptor that listens there already; -1 is none.
    """

    nats_url: str
    listen: str
    port: int
    tls_folder: Path
    version: str = ""
    address: str = ""
    socket: int = -1


class ApiServer:
    """Serves what `reader` folds; every method runs in its loop."""

    def __init__(self, reader: Reader, settings: Settings) -> None:
        self._reader = reader
        self._settings = settings
        self._handlers: Handlers | None = None
        self.authority = ""
        """The certificate of the cluster's authority, PEM, once it is started."""
        self.logins = Logins(settings.nats_url)
        self.server = Server(self.logins, self, settings.version)
        self.server.extra[openapi.PATH] = openapi.answer
        self.server.extra[openapi_v2.PATH] = openapi_v2.answer

    async def start(self) -> int:
        """Afterwards the port, which comes back, is open and says: not ready.

        Raises `Permanent` where it cannot be.
        """
        told = self._settings
        files = await asyncio.to_thread(
            certificates.prepare,
            told.tls_folder,
            kubeconfig.hosts(told.listen, told.address),
        )
        self.authority = await asyncio.to_thread(files.authority.read_text)
        taken = socket.socket(fileno=told.socket) if told.socket >= 0 else None
        try:
            return await self.server.start(
                told.listen, told.port, files.server_context(), taken
            )
        except OSError as error:
            raise Permanent(
                f"the Kubernetes API cannot listen on {told.listen}:{told.port}: "
                f"{error.strerror or error}; take another --api-port"
            ) from error

    def open(self, past: Past) -> None:
        """Everything is folded: from now on requests are answered."""
        reader = self._reader

        def managed(key: str) -> bytes | None:
            return reader.managed.of(key)  # another log has another one

        changes = Changes(managed=managed, authority=self.authority)
        changes.start(reader.position)
        reader.observer = changes
        objects = Objects(reader, past, changes)
        self._handlers = Handlers(
            objects,
            Watches(reader, past, changes, objects),
            Reviews(),
            Logs(objects, self.logins),
            Streams(objects, self.logins, Commander(self.logins, reader)),
            Metrics(objects, lambda: reader.live),
            self._writer(objects),
        )
        self.server.ready = True

    async def follow(self) -> None:
        """Keeps house; returns never."""
        while True:
            await asyncio.sleep(TIDY_SECONDS)
            self.server.tidy(time.monotonic())
            await self.logins.tidy()

    async def stop(self) -> None:
        """Afterwards nothing is served, and no connection is open."""
        self.server.ready = False
        self._reader.observer = None
        await self.server.stop()
        await self.logins.close()

    async def handle(self, request: Request) -> Reply | Stream | Socket:
        """See `Handlers.handle`; there is one as soon as the server is ready."""
        assert self._handlers is not None, "nothing is asked before"
        return await self._handlers.handle(request)

    def _writer(self, objects: Objects) -> Writer | None:
        return writer.build(objects, self._reader, self.logins)
