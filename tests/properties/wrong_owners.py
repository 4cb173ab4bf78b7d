"""Wrong variants of who is the new one, who owns what, and what a pause keeps.

Each function gives what is replaced, as in wrong_plans.py.
"""

from typing import Any

from projections import desired, references, rollouts
from tests.properties.wrong_plans import Change
from workers import rollbacks


def last_changed_is_youngest() -> Change:
    """Of two of one age the one that was changed last counts as the younger."""

    def wrong(self: Any, owner: Any) -> list[Any]:
        found = self.owned_by(owner.key)
        mine = [each for each in found if each.owner_uid == owner.uid]
        return sorted(mine, key=lambda each: (each.created_at, each.position))

    return desired.Desired, "replicasets_of", wrong


def foreign_controllers_overlooked() -> Change:
    """What something else controls counts as nobody's."""
    return references.Kept, "is_controlled", lambda _self, _key: False


def request_stays() -> Change:
    """A rollback is carried out, and the annotation asks again."""
    return rollbacks, "_restored", lambda _state, owner, _to, _kept: owner.annotations


def pause_forgets_the_stall() -> Change:
    """A former template is taken for progress, also while nothing moves."""
    right = rollouts.Rollouts._start

    def wrong(self: Any, owner: Any, rollout: Any, event: Any, now: float) -> None:
        right(self, owner, rollout, event, now)
        if owner.spec.paused:
            text = "{} is progressing."
            self._progressing(owner, rollout, "ReplicaSetUpdated", text, now, True)

    return rollouts.Rollouts, "_start", wrong
