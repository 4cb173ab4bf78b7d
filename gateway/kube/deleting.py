"""`delete` and `deletecollection`.

1. What shall happen to an object's dependents, how long its end may take and which
   object is meant stands in the body (DeleteOptions), or else in the query.
2. The answer is the object where it goes gracefully or is still there, and a Status
   where it is gone, as the API server answers for each kind.
3. A collection is deleted one command an object, `AT_ONCE` at a time; what is gone by
   then is no failure.
4. What every namespace has (gateway/derived.py) is not deleted, and no part of a
   collection.
"""

import asyncio
from collections.abc import Mapping
from typing import Final, Literal, cast

import msgspec

from domain import deployment, node, plain, pod, replicaset
from domain import errors as core
from domain.errors import Rejected
from domain.protocol import Answer, Preconditions
from gateway.kube import bodies, commands, predicting, routes, statuses
from gateway.kube import options as queried
from gateway.kube.commander import Commander, Stale
from gateway.kube.commands import Command
from gateway.kube.live import Live
from gateway.kube.manifests import text_at
from gateway.kube.request import JSON, Reply, Request
from gateway.kube.resources import Resource
from gateway.kube.statuses import Failure

AT_ONCE: Final = 16
ATTEMPTS: Final = 5
LEAST_SECONDS: Final = 1
"""What a grace period below 0 is taken for, as the API server does."""
Propagation = Literal["background", "foreground", "orphan"]
_KIND: Final = "DeleteOptions"
_POLICIES: Final = ("Foreground", "Background", "Orphan")
_SHOWN: Final = frozenset({"pod", "serviceaccount", "namespace"})
"""Kinds whose object comes back, gone or not."""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """DeleteOptions; `grace` None leaves it to the pod."""

    propagation: Propagation = "background"
    grace: int | None = None
    uid: str = ""
    version: str = ""
    dry_run: bool = False


class Deletes:
    """Deletes objects; every method runs in one loop."""

    def __init__(self, live: Live, commander: Commander) -> None:
        self._live = live
        self._commander = commander

    async def delete(self, request: Request) -> Reply:
        """200 with what rule 2 says."""
        options = options_of(request)
        document, answer = await self._delete(request, request.name, options)
        return predicting.reply(request, 200, document, answer)

    async def collection(self, request: Request) -> Reply:
        """200 with the list of what was deleted."""
        options = options_of(request)
        chosen = await self._live.chosen(request)
        derived = self._live.is_derived
        chosen = [each for each in chosen if not derived(request.resource, *each)]
        room = asyncio.Semaphore(AT_ONCE)

        async def one(namespace: str, name: str) -> JSON | None:
            mine = msgspec.structs.replace(request, namespace=namespace, name=name)
            async with room:
                try:
                    document, _ = await self._live.get(
                        request.resource, namespace, name
                    )
                    await self._delete(mine, name, options)
                except (Rejected, Failure) as error:
                    if error.reason != "NotFound":
                        raise
                    return None
                return document

        found = await asyncio.gather(*(one(*each) for each in chosen))
        resource = request.resource
        return Reply(
            document={
                "kind": f"{resource.kind}List",
                "apiVersion": resource.api_version,
                "metadata": {},
                "items": [each for each in found if each is not None],
            }
        )

    async def _delete(
        self, request: Request, name: str, options: Options
    ) -> tuple[JSON, Answer]:
        resource, namespace = request.resource, request.namespace
        for _ in range(1 if options.version else ATTEMPTS):
            document, position = await self._live.get(resource, namespace, name)
            if self._live.is_derived(resource, namespace, name):
                raise Rejected(
                    "Forbidden",
                    f'{resource.qualified} "{name}" is forbidden: every namespace has '
                    "one, and it goes with its namespace",
                )
            _check(resource, name, document, options)
            wanted = (
                Preconditions(uid=options.uid, position=position)
                if options.version
                else Preconditions(uid=options.uid)
            )
            try:
                answer = await self._commander.send(
                    request,
                    name,
                    command_of(resource.own, options),
                    told=commands.told(request, ""),
                    preconditions=wanted if options.uid or options.version else None,
                    dry_run=options.dry_run,
                )
            except Stale as stale:
                await self._commander.seen(stale.position)
                continue
            return await self._gone(request, name, document, options), answer
        raise core.conflict(resource.qualified, name)

    async def _gone(
        self, request: Request, name: str, before: JSON, options: Options
    ) -> JSON:
        """The answer of rule 2 for an object that was `before`."""
        resource = request.resource
        uid = text_at(before, "metadata", "uid")
        left = before
        if not options.dry_run:
            try:
                left, _ = await self._live.get(resource, request.namespace, name)
            except Rejected as refused:
                if refused.reason != "NotFound":
                    raise
                left = {}
        if left and text_at(left, "metadata", "uid") == uid and not options.dry_run:
            return left
        if resource.own in _SHOWN:
            return before
        return statuses.success(resource, name, uid)


def options_of(request: Request) -> Options:
    """The options of a deletion, from the body or else the query (rule 1).

    Raises `Rejected` (BadRequest), or `Failure` 415 or 422.
    """
    given: JSON = _queried(request.params)
    if request.body.strip():
        found = bodies.decode(request.body, request.content_type, "DeleteOptions")
        given = bodies.document(found)
    return decoded(given, dry_run=request.dry_run)


def decoded(given: JSON, *, dry_run: bool) -> Options:
    """DeleteOptions as they stand in a document; a grace period below 0 counts as
    `LEAST_SECONDS`.

    Raises `Rejected` (BadRequest), or `Failure` 422.
    """
    grace = given.get("gracePeriodSeconds")
    if isinstance(grace, bool) or not isinstance(grace, int | None):
        raise Rejected("BadRequest", "gracePeriodSeconds: expected a number of seconds")
    if grace is not None and grace < 0:
        grace = LEAST_SECONDS
    policy, orphan = given.get("propagationPolicy"), given.get("orphanDependents")
    if policy is not None and orphan is not None:
        why = "orphanDependents and deletionPropagation cannot be both set"
        said = f"Invalid value: {msgspec.json.encode(policy).decode()}: {why}"
        raise queried.invalid(_KIND, "propagationPolicy", "FieldValueInvalid", said)
    if policy is None and orphan is not None:
        policy = "Orphan" if orphan else "Background"
    if policy is not None and policy not in _POLICIES:
        known = (*_POLICIES, "nil")
        raise queried.unsupported(_KIND, "propagationPolicy", policy, known)
    asked = given.get("dryRun")
    if asked is not None:
        stages = asked if isinstance(asked, list) else [asked]
        queried.check_dry_run(_KIND, stages)
    return Options(
        propagation=cast(Propagation, str(policy or "Background").lower()),
        grace=grace,
        uid=text_at(given, "preconditions", "uid"),
        version=text_at(given, "preconditions", "resourceVersion"),
        dry_run=dry_run or bool(asked),
    )


def command_of(own: str, options: Options) -> Command:
    """The command that deletes an object of that kind."""
    match own:
        case "deployment":
            how = deployment.DeleteDeployment(propagation=options.propagation)
            return Command("delete", how)
        case "replicaset":
            return Command(
                "delete",
                replicaset.DeleteReplicaSet(
                    orphan=options.propagation == "orphan",
                    foreground=options.propagation == "foreground",
                ),
            )
        case "pod":
            return Command("delete", pod.DeletePod(grace=options.grace))
        case "node":
            return Command("delete", node.DeleteNode())
        case _:
            return Command("delete", plain.DeleteObject())


def _queried(params: Mapping[str, str]) -> JSON:
    found: JSON = {}
    if grace := params.get("gracePeriodSeconds"):
        if not grace.lstrip("-").isdecimal() or len(grace) > 9:
            raise Rejected("BadRequest", f'gracePeriodSeconds: "{grace}" is no number')
        found["gracePeriodSeconds"] = int(grace)
    if policy := params.get("propagationPolicy"):
        found["propagationPolicy"] = policy
    if orphan := params.get("orphanDependents"):
        found["orphanDependents"] = routes.is_true(orphan)
    return found


def _check(resource: Resource, name: str, document: JSON, options: Options) -> None:
    """Raises `Rejected` (Conflict) where another object or version was meant."""
    for field, wanted, what, meanwhile in (
        ("uid", options.uid, "UID", "deleted and then recreated"),
        ("resourceVersion", options.version, "ResourceVersion", "modified"),
    ):
        held = text_at(document, "metadata", field)
        if wanted and wanted != held:
            raise Rejected(
                "Conflict",
                f"Operation cannot be fulfilled on {resource.qualified_kind} "
                f'"{name}": the {what} in the precondition ({wanted}) does not match '
                f"the {what} in record ({held}). The object might have been "
                f"{meanwhile}",
            )
