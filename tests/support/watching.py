"""Who looks on at a simulated cluster: at every event, every step and every restart.

`Watcher`s see every event before and after it is folded, every step after its commit,
every restart, and the moment at which faults have stopped and nothing moves.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from domain.events import Event, Recorded
from projections.cluster import Cluster
from workers.outbox import Step
from workers.state import Settings, State

if TYPE_CHECKING:
    from tests.support.cluster import SimCluster


class Watcher:
    """What looks on; each method does nothing unless a subclass says otherwise."""

    def before(self, state: State, stream: str, event: Event, actor: str, /) -> None:
        """The event is about to be folded."""

    def after(self, state: State, recorded: Recorded, /) -> None:
        """The event was folded."""

    def after_step(self, sim: "SimCluster", step: Step, /) -> None:
        """The step was committed."""

    def after_restart(self, sim: "SimCluster", before: Cluster, /) -> None:
        """Control was rebuilt from the log; `before` is what it knew at the commit."""

    def at_rest(self, sim: "SimCluster") -> None:
        """Faults have stopped and nothing moves any more."""

    def close(self) -> None:
        """Nothing is looked at any more."""


class WatchedState(State):
    """The shipped state, with watchers beside the one place where events are made."""

    def __init__(self, settings: Settings, watchers: Sequence[Watcher]) -> None:
        super().__init__(settings)
        self.watchers = watchers

    def emit(
        self,
        stream: str,
        event: Event,
        *,
        actor: str,
        cause: int,
        command_id: str = "",
        known_version: int = 0,
    ) -> Recorded:
        for watcher in self.watchers:
            watcher.before(self, stream, event, actor)
        recorded = super().emit(
            stream,
            event,
            actor=actor,
            cause=cause,
            command_id=command_id,
            known_version=known_version,
        )
        for watcher in self.watchers:
            watcher.after(self, recorded)
        return recorded
