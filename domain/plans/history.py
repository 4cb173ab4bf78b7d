"""Revisions: their numbers, what is kept of them, and which one to go back to.

1. The new ReplicaSet has a higher revision than every old one. A revision is raised to
   that and never lowered, so going back to a template gives it the next number, and
   its former numbers stay in its history (spec 2.5).
2. The history of former numbers, joined by commas, has at most 2000 characters; the
   oldest numbers make room.
3. Of old ReplicaSets `revisionHistoryLimit` are kept. Those beyond it with the lowest
   revisions are deleted if they are empty; one that is not empty is passed over, and
   no younger one is taken in its place (spec 2.14).
4. Undo without a number goes to the second highest revision, which need not be the one
   that ran before (spec 6.8).
"""

from collections.abc import Iterable, Sequence
from typing import Final, Protocol

from domain.errors import Rejected

KEEP_ALL: Final = 2**31 - 1
"""The limit that means: keep every ReplicaSet."""
HISTORY_CHARACTERS_MAX: Final = 2000


class OldReplicaSet(Protocol):
    """What cleaning up needs to see of an old ReplicaSet."""

    @property
    def key(self) -> str:
        """Its stream."""

    @property
    def name(self) -> str:
        """The last tie-break."""

    @property
    def created_at(self) -> float:
        """The tie-break between equal revisions."""

    @property
    def revision(self) -> int:
        """0 when it has none."""

    @property
    def replicas(self) -> int:
        """Its size (spec)."""

    @property
    def status_replicas(self) -> int:
        """Its active pods."""

    @property
    def observed(self) -> bool:
        """Its own controller has seen its latest generation."""

    @property
    def deleting(self) -> bool:
        """It is being deleted already."""


def next_revision(old: Iterable[int]) -> int:
    """The least revision of the new ReplicaSet, given those of the old ones."""
    return max(old, default=0) + 1


def extended(former: Sequence[int], previous: int) -> tuple[int, ...]:
    """The former revisions once `previous` is one of them too, oldest first (rule 2).

    Without a `previous` (0), and when it can never fit, they stay as they are.
    """
    kept = tuple(former)
    if previous <= 0:
        return kept
    length = len(format_history((*kept, previous)))
    start = 0
    while length > HISTORY_CHARACTERS_MAX and start < len(kept):
        length -= len(str(kept[start])) + 1
        start += 1
    return (*kept[start:], previous) if length <= HISTORY_CHARACTERS_MAX else kept


def format_history(former: Iterable[int]) -> str:
    """The text of the `revision-history` annotation."""
    return ",".join(str(revision) for revision in former)


def expired(old: Iterable[OldReplicaSet], limit: int) -> tuple[str, ...]:
    """The keys of the old ReplicaSets to delete, lowest revision first (rule 3)."""
    if limit == KEEP_ALL:
        return ()
    alive = [each for each in old if not each.deleting]
    excess = len(alive) - limit
    if excess <= 0:
        return ()
    alive.sort(key=lambda each: (each.revision, each.created_at, each.name))
    return tuple(each.key for each in alive[:excess] if _is_spent(each))


def rollback_target(
    revisions: Iterable[int], to_revision: int, *, deployment: str
) -> int:
    """The revision that `rollout undo` goes to; 0 asks for the default (rule 4).

    `revisions` are those that can be gone back to, the current one included, one for
    each ReplicaSet. Raises `Rejected` with kubectl's texts.
    """
    known = sorted(revisions, reverse=True)
    if to_revision == 0:
        if len(known) < 2:
            raise Rejected(
                "NotFound", f'no rollout history found for deployment "{deployment}"'
            )
        return known[1]
    if to_revision < 0 or to_revision not in known:
        raise Rejected(
            "NotFound", f"unable to find specified revision {to_revision} in history"
        )
    return to_revision


def _is_spent(old: OldReplicaSet) -> bool:
    return old.status_replicas == 0 and old.replicas == 0 and old.observed
