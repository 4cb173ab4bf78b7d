"""The part `scale` of a Deployment or a ReplicaSet: how many pods it shall have.

1. A Scale is autoscaling/v1: the wanted number, the number that is there, and the
   selector of the pods. Only the wanted number can be written.
2. Its version is that of the object: who scales what was read may say so.
3. Whoever scales owns the number, as the manager of this part (`subresource`).
"""

import time
from collections.abc import Callable
from typing import Final

import msgspec

from domain import errors, labels
from domain.errors import Rejected
from domain.labels import LabelSelector
from domain.protocol import Preconditions
from gateway.kube import (
    bodies,
    checking,
    commands,
    managing,
    manifests,
    patches,
    predicting,
    routes,
)
from gateway.kube.commander import Commander, Stale
from gateway.kube.live import Live
from gateway.kube.manifests import metadata_of, text_at
from gateway.kube.patches import Patch
from gateway.kube.patching import managers
from gateway.kube.request import JSON, Reply, Request
from gateway.kube.resources import Resource

ATTEMPTS: Final = 5
SCALE: Final = Resource(
    group="autoscaling",
    version="v1",
    plural="scales",
    singular="scale",
    kind="Scale",
    own="",
)
_METADATA: Final = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")


class Scales:
    """Reads and writes Scales; every method runs in one loop."""

    def __init__(
        self,
        live: Live,
        commander: Commander,
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._live = live
        self._commander = commander
        self._now = now

    async def get(self, request: Request) -> Reply:
        """200 with the Scale."""
        found = await self._live.get(request.resource, request.namespace, request.name)
        return Reply(document=document_of(found[0]))

    async def update(self, request: Request) -> Reply:
        """200 with the Scale that was put in the place of the one before."""
        body = bodies.decode(request.body, request.content_type, SCALE.kind)
        wanted = bodies.document(body)
        once = bool(text_at(wanted, "metadata", "resourceVersion"))
        return await self._scale(request, lambda _: wanted, once=once)

    async def patch(self, request: Request) -> Reply:
        """200 with the patched Scale."""
        patch = patches.decode(request)

        def changed(scale: JSON) -> JSON:
            if patch.is_apply:
                assert isinstance(patch.value, dict), "decode has seen to that"
                return patch.value
            return patches.applied(patch, scale)

        once = patches.names_version(patch)
        return await self._scale(request, changed, once=once, patch=patch)

    async def _scale(
        self,
        request: Request,
        changed: Callable[[JSON], JSON],
        *,
        once: bool,
        patch: Patch | None = None,
    ) -> Reply:
        resource, name = request.resource, request.name
        for _ in range(1 if once else ATTEMPTS):
            live, position = await self._live.get(resource, request.namespace, name)
            wanted = changed(document_of(live))
            checking.check_kind(SCALE, wanted)
            checking.check_name(request, wanted)
            checking.check_identity(request, wanted, live)
            replicas = replicas_of(wanted)
            is_apply = patch is not None and patch.is_apply
            managed = self._managed(request, live, replicas, is_apply=is_apply)
            uid = text_at(live, "metadata", "uid")
            try:
                answer = await self._commander.send(
                    request,
                    name,
                    commands.scaling(resource.own, replicas),
                    told=commands.told(request, ""),
                    managed=managed,
                    preconditions=Preconditions(uid=uid, position=position),
                )
            except Stale as stale:
                await self._commander.seen(stale.position)
                continue
            if request.dry_run:
                scale = document_of(live)
                scale["spec"] = {"replicas": replicas} if replicas else {}
                return predicting.reply(request, 200, scale, answer)
            held, _ = await self._live.get(resource, request.namespace, name)
            return predicting.reply(request, 200, document_of(held), answer)
        raise errors.conflict(resource.qualified, name)

    def _managed(
        self, request: Request, live: JSON, replicas: int, *, is_apply: bool
    ) -> bytes | None:
        """The list by rule 3; None where it stays the same.

        Raises `Rejected` (Conflict) where an apply meets another owner.
        """
        resource = request.resource
        listed = self._live.managed(resource, request.namespace, request.name)
        entries = managing.entries_of(listed)
        writer = managing.writer_of(request, resource.api_version, self._now())
        held = manifests.cleaned(resource, live).manifest
        old = manifests.complete(resource, held)
        if is_apply:
            forced = routes.is_true(request.params.get("force"))
            entries = entries or managing.first_owner(old, writer)
            config: JSON = {"spec": {"replicas": replicas}}
            _, owners = managers.applied(entries, old, config, writer, forced)
            return managing.news(entries, managing.encoded(owners))
        spec = old["spec"]
        assert isinstance(spec, dict), "a manifest is complete"
        new = {**old, "spec": {**spec, "replicas": replicas}}
        return managing.news(entries, managing.updated(entries, old, new, writer))


def document_of(live: JSON) -> JSON:
    """The Scale of a Deployment or a ReplicaSet; a number that is 0 is left out, as
    Kubernetes does."""
    about = metadata_of(live)
    spec, status = live.get("spec"), live.get("status")
    assert isinstance(spec, dict), "what can be scaled has a spec"
    replicas = spec.get("replicas")
    selector = msgspec.convert(spec.get("selector") or {}, LabelSelector)
    there = status.get("replicas", 0) if isinstance(status, dict) else 0
    shown: JSON = {"replicas": there}
    if text := labels.format_selector(selector):
        shown["selector"] = text
    return {
        "kind": SCALE.kind,
        "apiVersion": SCALE.api_version,
        "metadata": {key: about[key] for key in _METADATA if key in about},
        "spec": {"replicas": replicas} if replicas else {},
        "status": shown,
    }


def replicas_of(scale: JSON) -> int:
    """The number that a Scale wants; absent is 0. Raises `Rejected` (BadRequest)."""
    spec = scale.get("spec")
    replicas = spec.get("replicas", 0) if isinstance(spec, dict) else 0
    if replicas is None:
        return 0
    if isinstance(replicas, bool) or not isinstance(replicas, int):
        raise Rejected(
            "BadRequest",
            manifests.not_handled(SCALE, "spec.replicas: expected an integer"),
        )
    if not -(2**31) <= replicas < 2**31:
        why = f"spec.replicas: {replicas} is no 32-bit integer"
        raise Rejected("BadRequest", manifests.not_handled(SCALE, why))
    return replicas
