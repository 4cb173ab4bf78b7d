"""Draining a node: which of its pods may go, and seeing them off.

1. A pod that no controller would replace goes only with `force`, and one whose data
   would be lost (an emptyDir) only with `delete_emptydir_data`. One that is finished
   always goes.
2. Nothing is evicted as long as one pod of the node may not go.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

import msgspec

from domain import errors
from rollbook import conditions
from rollbook.conditions import Object
from rollbook.references import POD, Reference

if TYPE_CHECKING:
    from rollbook.client import Cluster

_FINISHED: Final = ("Succeeded", "Failed")
_UNMANAGED_FATAL: Final = (
    "cannot delete Pods that declare no controller (use --force to override)"
)
_STORAGE_FATAL: Final = (
    "Pods with local storage (use --delete-emptydir-data to override)"
)
_UNMANAGED_WARNING: Final = "deleting Pods that declare no controller"
_STORAGE_WARNING: Final = "deleting Pods with local storage"


class Step(NamedTuple):
    """What is being done, or was done: with the node, or with one of its pods."""

    what: Literal["cordoned", "already cordoned", "warning", "evicting", "evicted"]
    reference: Reference
    text: str = ""


class Refused(errors.Permanent):
    """Pods of the node may not go; the message is kubectl's."""


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """Which pods go, with kubectl's words about the others."""

    evict: tuple[Reference, ...]
    warning: str
    refusal: str


def choose(
    pods: Iterable[Object], *, force: bool, delete_emptydir_data: bool
) -> Choice:
    """What rule 1 says about the pods of a node."""
    evict: list[Reference] = []
    found: dict[str, list[str]] = {}
    for pod in pods:
        namespace = conditions.text_at(pod, "metadata", "namespace")
        name = conditions.text_at(pod, "metadata", "name")
        evict.append(Reference(POD, name, namespace))
        if conditions.text_at(pod, "status", "phase") in _FINISHED:
            continue
        # The first filter that objects decides, as in kubectl.
        if _has_storage(pod) and not delete_emptydir_data:
            found.setdefault(_STORAGE_FATAL, []).append(f"{namespace}/{name}")
        elif not _is_managed(pod):
            what = _UNMANAGED_WARNING if force else _UNMANAGED_FATAL
            found.setdefault(what, []).append(f"{namespace}/{name}")
        elif _has_storage(pod):
            found.setdefault(_STORAGE_WARNING, []).append(f"{namespace}/{name}")

    def told(*which: str) -> list[str]:
        return [f"{what}: {', '.join(found[what])}" for what in which if what in found]

    fatal = told(_STORAGE_FATAL, _UNMANAGED_FATAL)
    return Choice(
        evict=tuple(evict),
        warning="; ".join(told(_STORAGE_WARNING, _UNMANAGED_WARNING)),
        refusal=", ".join(f"cannot delete {text}" for text in fatal),
    )


async def drain(
    cluster: "Cluster",
    node: Reference,
    *,
    force: bool,
    delete_emptydir_data: bool,
    selector: str,
    grace: int | None,
    seconds: float | None,
) -> AsyncIterator[Step]:
    """The steps, as they are done; see `client.Cluster.drain`."""
    cordoned = (await cluster.cordon(node)).result == "accepted"
    yield Step("cordoned" if cordoned else "already cordoned", node)
    async with asyncio.timeout(seconds):
        pods = await cluster.list(
            POD,
            namespace="",
            selector=selector,
            field_selector=f"spec.nodeName={node.name}",
        )
        choice = choose(pods, force=force, delete_emptydir_data=delete_emptydir_data)
        if choice.refusal:
            raise Refused(choice.refusal)
        if choice.warning:
            yield Step("warning", node, choice.warning)
        for pod in choice.evict:
            yield Step("evicting", pod)
            try:
                await cluster.evict(pod, grace=grace)
            except errors.Rejected as error:
                if error.reason != "NotFound":
                    raise
        uids = {_place(pod): conditions.text_at(pod, "metadata", "uid") for pod in pods}
        for pod in choice.evict:
            await cluster.wait_for(pod, _gone(uids[(pod.namespace, pod.name)]))
            yield Step("evicted", pod)


def _gone(uid: str) -> conditions.Condition:
    return lambda found: (
        found is None or conditions.text_at(found, "metadata", "uid") != uid
    )


def _place(pod: Object) -> tuple[str, str]:
    return (
        conditions.text_at(pod, "metadata", "namespace"),
        conditions.text_at(pod, "metadata", "name"),
    )


def _is_managed(pod: Object) -> bool:
    owners = conditions.items_at(pod, "metadata", "ownerReferences")
    return any(conditions.at(owner, "controller") is True for owner in owners)


def _has_storage(pod: Object) -> bool:
    volumes = conditions.items_at(pod, "spec", "volumes")
    return any(conditions.at(volume, "emptyDir") is not None for volume in volumes)
