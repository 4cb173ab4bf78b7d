"""Every request that changes something, to the part that answers it."""

import time
from collections.abc import Callable

from domain import names
from gateway.kube import evicting, options, statuses
from gateway.kube.commander import Commander
from gateway.kube.deleting import Deletes
from gateway.kube.live import Live
from gateway.kube.logins import Logins
from gateway.kube.objects import Objects
from gateway.kube.request import Reply, Request
from gateway.kube.scaling import Scales
from gateway.kube.writes import Writes
from gateway.reader import Reader


class Writer:
    """Answers creates, updates, patches and deletes; made by `build`."""

    def __init__(
        self, commander: Commander, writes: Writes, deletes: Deletes, scales: Scales
    ) -> None:
        self._commander = commander
        self._writes = writes
        self._deletes = deletes
        self._scales = scales

    async def handle(self, request: Request) -> Reply:
        """The answer, once what was changed can be read.

        Raises `Failure` or `Rejected`, both with Kubernetes' words.
        """
        options.check(request)
        match request.subresource, request.verb:
            case "", "create":
                return await self._writes.create(request)
            case "", "update":
                return await self._writes.update(request)
            case "", "patch":
                return await self._writes.patch(request)
            case "", "delete":
                return await self._deletes.delete(request)
            case "", "deletecollection":
                return await self._deletes.collection(request)
            case "scale", "get":
                return await self._scales.get(request)
            case "scale", "update":
                return await self._scales.update(request)
            case "scale", "patch":
                return await self._scales.patch(request)
            case "eviction", "create":
                return await evicting.evict(self._commander, request)
            case "binding", "create":
                raise evicting.refuse_binding()
            case _:
                raise statuses.plain(405)


def build(
    objects: Objects,
    reader: Reader,
    logins: Logins,
    *,
    now: Callable[[], float] = time.time,
    dice: names.Dice | None = None,
) -> Writer:
    """The parts put together: reads by `objects`, commands over `logins`."""
    live = Live(objects, reader)
    commander = Commander(logins, reader)
    return Writer(
        commander,
        Writes(live, commander, now=now, dice=dice),
        Deletes(live, commander),
        Scales(live, commander, now=now),
    )
