"""The Python client: everything that the command line can do, typed and async.

    async with rollbook.connect() as cluster:
        answer = await cluster.scale("deployment/nginx", replicas=4)
        async for event in cluster.events("deployment/nginx"): ...

1. An object is `"deployment/nginx"` in the cluster's namespace (or the one that is
   given), or a `Reference`. Objects that come back are Kubernetes' JSON as `dict`s.
2. A refusal raises `domain.errors.Rejected` with Kubernetes' reason, code and causes.
   `Transient` says that nobody answered, `Permanent` that nobody will.
3. Reads see this client's own writes: each question waits for the position of the
   last answer.
4. Every command may say: `cause` (what the change is for; kept in the history),
   `source` (the program that asks), `dry_run`, `namespace`, `seconds` (how long to
   try) and `command_id` (the same id again never has a second effect).
"""

import contextlib
import os
from collections.abc import AsyncIterator

from adapters import context as contexts
from adapters import nats_wire
from rollbook import draining, settings
from rollbook.asking import Commands
from rollbook.reading import Questions, Table
from rollbook.session import Object, Said, Target

__all__ = [
    "Cluster",
    "Object",
    "Said",
    "Table",
    "Target",
    "connect",
    "connect_to",
]


class Cluster(Commands, Questions):
    """One cluster, as one user sees it; made by `connect`."""

    def drain(
        self,
        target: Target,
        *,
        force: bool = False,
        delete_emptydir_data: bool = False,
        selector: str = "",
        grace: int | None = None,
        seconds: float | None = None,
    ) -> AsyncIterator[draining.Step]:
        """Cordon the node, evict its pods and wait until they are gone, step by step.

        Raises `draining.Refused` before any eviction where a pod would be lost that
        nothing replaces (unless `force`), or data that is in an emptyDir (unless
        `delete_emptydir_data`); `TimeoutError` after `seconds`.
        """
        return draining.drain(
            self,
            self.reference(target),
            force=force,
            delete_emptydir_data=delete_emptydir_data,
            selector=selector,
            grace=grace,
            seconds=seconds,
        )


@contextlib.asynccontextmanager
async def connect(
    context: str | None = None,
    *,
    namespace: str = "default",
    seconds: float = settings.COMMAND_SECONDS,
    source: str = "",
) -> AsyncIterator["Cluster"]:
    """A connection to the cluster of `context`, a file, for as long as the block lasts.

    Without one it is searched for as the command line does (adapters/context.py).
    Raises `Permanent` if there is none, and `Transient` if its broker does not answer.
    """
    found = contexts.load_context(context, os.environ)
    async with connect_to(
        found, namespace=namespace, seconds=seconds, source=source
    ) as cluster:
        yield cluster


@contextlib.asynccontextmanager
async def connect_to(
    context: contexts.Context,
    *,
    namespace: str = "default",
    seconds: float = settings.COMMAND_SECONDS,
    source: str = "",
) -> AsyncIterator["Cluster"]:
    """As `connect`, with a context that is at hand."""
    client = await nats_wire.connect(
        context.nats_url, context.user, context.secret, "rollbook client"
    )
    try:
        cluster = Cluster(
            client, context.user, namespace=namespace, seconds=seconds, source=source
        )
        await cluster.start()
        yield cluster
    finally:
        await nats_wire.close(client)
