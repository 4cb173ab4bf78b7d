"""Writing objects: create, update and patch; each is one command of the user's.

1. What the object shall be is worked out here from what it is, and sent together with
   the position at which it was read: if it has changed meanwhile, nothing happens.
   Then a write that named no version of its own is worked out anew.
2. The object comes back as it is once the command is seen in the state. A dry run is
   decided as well, changes nothing, and shows what would be.
3. Names, kinds and versions in a body must be those of the path.
4. The gateway rolls the dice for `generateName`: control makes up no names.
5. What a namespace has without anybody's doing (gateway/derived.py) is there for a
   create; a change of it creates it as it shall be.
"""

import random
import time
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from domain import errors, names
from domain.errors import Rejected
from domain.protocol import Answer, Preconditions
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
from gateway.kube.bodies import Body
from gateway.kube.commander import Commander, Stale
from gateway.kube.live import Live
from gateway.kube.manifests import metadata_of, text_at
from gateway.kube.patches import Patch
from gateway.kube.patching import managers
from gateway.kube.patching.managers import Entry
from gateway.kube.request import JSON, Reply, Request
from gateway.kube.statuses import Failure

ATTEMPTS: Final = 5
"""So often a write is worked out anew before it is given up as a conflict."""
_NEEDS_VERSION: Final = frozenset({"lease"})
"""Kinds that are not updated blindly: a lease is won by its version."""


class Current(msgspec.Struct, frozen=True, kw_only=True):
    """An object that is to be changed, as it was read at `position`.

    `manifest` is its manifest with all defaults, in the version that is kept.
    """

    document: JSON
    manifest: JSON
    entries: tuple[Entry, ...]
    position: int
    derived: bool


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What an object shall be: its manifest, who owns what, what the user wrote."""

    manifest: JSON
    managed: bytes
    cause: str = ""
    command: commands.Command | None = None
    warnings: tuple[str, ...] = ()


class Writes:
    """Creates and changes objects; every method runs in one loop."""

    def __init__(
        self,
        live: Live,
        commander: Commander,
        *,
        now: Callable[[], float] = time.time,
        dice: names.Dice | None = None,
    ) -> None:
        self._live = live
        self._commander = commander
        self._now = now
        self._dice = dice or random.SystemRandom()

    # --- create ---------------------------------------------------------------------

    async def create(self, request: Request) -> Reply:
        """201 with the new object."""
        body = bodies.decode(request.body, request.content_type, request.resource.kind)
        document = bodies.document(body)
        checking.check_kind(request.resource, document)
        checking.check_namespace(request, document)
        if text_at(document, "metadata", "resourceVersion"):
            raise Rejected(
                "BadRequest",
                "resourceVersion should not be set on objects to be created",
            )
        base, given = checking.base_name(request, document)
        if await self._live.has_derived(request.resource, request.namespace, given):
            raise errors.already_exists(request.resource.qualified, given)
        for _ in range(ATTEMPTS):
            name = given or names.generate_name(base, self._dice)
            wanted = self._created(request, body, name)
            try:
                return await self._create(request, name, wanted)
            except Failure as failure:
                if given or failure.reason != "AlreadyExists":
                    raise
        raise Rejected("AlreadyExists", f"no free name was found for {base}")

    def _created(self, request: Request, body: Body, name: str) -> Wanted:
        resource, document = request.resource, bodies.document(body)
        metadata = {**metadata_of(document), "name": name}
        if request.namespace:
            metadata["namespace"] = request.namespace
        named = {**document, **checking.identity(resource), "metadata": metadata}
        found = manifests.cleaned(resource, named)
        warnings = checking.judged(request, found.unknown, body)
        entries = managing.base((), metadata)
        full = manifests.complete(resource, found.manifest)
        return Wanted(
            manifest=found.manifest,
            managed=managing.updated(entries, None, full, self._writer(request, full)),
            cause=commands.changed_cause(None, found.manifest),
            warnings=warnings,
        )

    async def _create(
        self, request: Request, name: str, wanted: Wanted, *, code: int = 201
    ) -> Reply:
        answer = await self._commander.send(
            request,
            name,
            commands.creation(request.resource.own, wanted.manifest),
            told=commands.told(request, wanted.cause),
            managed=wanted.managed,
        )
        if request.dry_run:
            full = manifests.complete(request.resource, wanted.manifest)
            document = predicting.would_be(
                request, full, wanted.managed, None, self._now()
            )
            return predicting.reply(request, code, document, answer, wanted.warnings)
        return await self._shown(request, name, code, wanted, answer)

    # --- update ---------------------------------------------------------------------

    async def update(self, request: Request) -> Reply:
        """200 with the object that was replaced."""
        resource = request.resource
        body = bodies.decode(request.body, request.content_type, resource.kind)
        document = bodies.document(body)
        checking.check_kind(resource, document)
        checking.check_name(request, document)
        version = text_at(document, "metadata", "resourceVersion")

        async def attempt() -> Reply:
            try:
                current = await self._current(request)
            except Rejected as refused:
                if refused.reason == "NotFound" and resource.own in _NEEDS_VERSION:
                    return await self._create(
                        request,
                        request.name,
                        self._created(request, body, request.name),
                    )
                raise
            if not version and resource.own in _NEEDS_VERSION:
                raise checking.version_required(resource, request.name)
            checking.check_identity(request, document, current.document)
            wanted = self._updated(request, current, document, body)
            return await self._change(request, current, wanted)

        return await self._retried(request, attempt, once=bool(version))

    def _updated(
        self, request: Request, current: Current, document: JSON, body: Body
    ) -> Wanted:
        resource = request.resource
        named = {
            **document,
            **checking.identity(resource),
            "metadata": checking.named(request, document),
        }
        found = manifests.cleaned(resource, named)
        warnings = checking.judged(request, found.unknown, body)
        full = manifests.complete(resource, found.manifest)
        entries = managing.base(current.entries, metadata_of(document))
        writer = self._writer(request, full)
        return Wanted(
            manifest=full,
            managed=managing.updated(entries, current.manifest, full, writer),
            cause=commands.changed_cause(current.manifest, full),
            warnings=warnings,
        )

    # --- patch ----------------------------------------------------------------------

    async def patch(self, request: Request) -> Reply:
        """200 with the patched object; 201 with one that an apply has created."""
        patch = patches.decode(request)

        async def attempt() -> Reply:
            try:
                current = await self._current(request)
            except Rejected as refused:
                if patch.is_apply and refused.reason == "NotFound":
                    return await self._apply_new(request, patch)
                raise
            if patch.is_apply:
                wanted = self._applied(request, patch, current)
            else:
                wanted = self._patched(request, patch, current)
            return await self._change(request, current, wanted)

        return await self._retried(request, attempt, once=patches.names_version(patch))

    def _patched(self, request: Request, patch: Patch, current: Current) -> Wanted:
        resource = request.resource
        document = patches.applied(patch, current.document)
        checking.check_kind(resource, document)
        checking.check_name(request, document)
        checking.check_identity(request, document, current.document)
        found = manifests.cleaned(resource, document)
        findings = bodies.strict_findings(found.unknown, patch.duplicates)
        validation = bodies.validation_of(request.params)
        if findings and validation == "Strict":
            raise patches.refuse_strictly(patch, findings)
        old, full = current.manifest, manifests.complete(resource, found.manifest)
        cause, command = commands.written_cause(patch.value), None
        if commands.is_rollback(request, patch.value):
            cause = ""
            full = commands.restored(old, full)
            revisions = self._live.revisions(request.namespace, request.name)
            command = commands.rollback(old, full, revisions)
        entries = managing.base(current.entries, metadata_of(document))
        return Wanted(
            manifest=full,
            managed=managing.updated(entries, old, full, self._writer(request, full)),
            cause=cause,
            command=command,
            warnings=findings if validation == "Warn" else (),
        )

    def _applied(self, request: Request, patch: Patch, current: Current) -> Wanted:
        config, writer = self._config(request, patch)
        document = patch.value
        assert isinstance(document, dict), "decode has seen to that"
        checking.check_identity(request, document, current.document)
        entries = current.entries or managing.first_owner(current.manifest, writer)
        merged, owners = managers.applied(
            entries,
            current.manifest,
            config,
            writer,
            routes.is_true(request.params.get("force")),
        )
        full = manifests.complete(request.resource, merged)
        return Wanted(
            manifest=full,
            managed=managing.encoded(owners),
            cause=commands.changed_cause(current.manifest, full),
        )

    async def _apply_new(self, request: Request, patch: Patch) -> Reply:
        config, writer = self._config(request, patch)
        assert isinstance(patch.value, dict), "decode has seen to that"
        if patches.names_version(patch) or text_at(patch.value, "metadata", "uid"):
            raise errors.conflict(request.resource.qualified, request.name)
        if "create" not in request.resource.verbs:
            raise errors.not_found(request.resource.qualified, request.name)
        merged, owners = managers.applied((), None, config, writer, force=False)
        wanted = Wanted(
            manifest=merged,
            managed=managing.encoded(owners),
            cause=commands.changed_cause(None, merged),
        )
        return await self._create(request, request.name, wanted)

    def _config(self, request: Request, patch: Patch) -> tuple[JSON, managers.Writer]:
        """What is applied, and who applies it. Raises `Rejected`."""
        resource, document = request.resource, patch.value
        assert isinstance(document, dict), "decode has seen to that"
        checking.check_kind(resource, document)
        checking.check_name(request, document)
        found = manifests.cleaned(
            resource, {**document, "metadata": checking.named(request, document)}
        )
        findings = bodies.strict_findings((), patch.duplicates)
        if found.unknown:
            whose = f"{request.namespace}/{request.name}".removeprefix("/")
            what = f"{resource.api_version}, Kind={resource.kind}"
            where = ", ".join(f".{path}" for path in found.unknown)
            raise Rejected(
                "BadRequest",
                f"failed to create typed patch object ({whose}; {what}): {where}: "
                "field not declared in schema",
            )
        if findings and bodies.validation_of(request.params) == "Strict":
            raise patches.refuse_strictly(patch, findings)
        return found.manifest, self._writer(request, found.manifest)

    # --- what they have in common ---------------------------------------------------

    async def _current(self, request: Request) -> Current:
        resource, namespace, name = request.resource, request.namespace, request.name
        document, position = await self._live.get(resource, namespace, name)
        listed = self._live.managed(resource, namespace, name)
        cleaned = manifests.cleaned(resource, document).manifest
        return Current(
            document=document,
            manifest=manifests.complete(resource, cleaned),
            entries=managing.entries_of(listed),
            position=position,
            derived=self._live.is_derived(resource, namespace, name),
        )

    async def _change(
        self, request: Request, current: Current, wanted: Wanted
    ) -> Reply:
        own = request.resource.own
        if current.derived:
            return await self._create_derived(request, wanted)
        command = wanted.command
        if command is None:
            command = commands.of(own, current.manifest, wanted.manifest)
        answer = await self._commander.send(
            request,
            request.name,
            command,
            told=commands.told(request, wanted.cause),
            managed=managing.news(current.entries, wanted.managed),
            preconditions=Preconditions(
                uid=text_at(current.document, "metadata", "uid"),
                position=current.position,
            ),
        )
        if request.dry_run:
            document = predicting.would_be(
                request,
                wanted.manifest,
                wanted.managed,
                current.document,
                self._now(),
            )
            return predicting.reply(request, 200, document, answer, wanted.warnings)
        return await self._shown(
            request, request.name, 200, wanted, answer, was=current.document
        )

    async def _create_derived(self, request: Request, wanted: Wanted) -> Reply:
        """200 with the object that is real now (rule 5). Raises `Stale` where somebody
        else has created it meanwhile."""
        try:
            return await self._create(request, request.name, wanted, code=200)
        except Failure as failure:
            if failure.reason != "AlreadyExists":
                raise
            refused = errors.conflict(request.resource.qualified, request.name)
            raise Stale(refused, 0) from failure

    async def _retried(
        self, request: Request, attempt: Callable[[], Awaitable[Reply]], *, once: bool
    ) -> Reply:
        """What `attempt` gives, tried again where the object has changed (rule 1)."""
        for _ in range(1 if once else ATTEMPTS):
            try:
                return await attempt()
            except Stale as stale:
                await self._commander.seen(stale.position)
        raise errors.conflict(request.resource.qualified, request.name)

    async def _shown(
        self,
        request: Request,
        name: str,
        code: int,
        wanted: Wanted,
        answer: Answer,
        *,
        was: JSON | None = None,
    ) -> Reply:
        """The object as it is now; if it is gone already, what was written of what it
        `was`: who takes the last finalizer away gets the object once more."""
        resource, namespace = request.resource, request.namespace
        try:
            document, _ = await self._live.get(resource, namespace, name)
        except Rejected as refused:
            if refused.reason != "NotFound":
                raise
            full = manifests.complete(resource, wanted.manifest)
            document = predicting.would_be(
                request, full, wanted.managed, was, self._now()
            )
        return predicting.reply(request, code, document, answer, wanted.warnings)

    def _writer(self, request: Request, manifest: JSON) -> managers.Writer:
        version = text_at(manifest, "apiVersion")
        return managing.writer_of(request, version, self._now())
