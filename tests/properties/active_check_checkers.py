"""What must hold of active checks that availability counts on: S17.

1. One is recorded only if it changes something, of a pod that runs on a node that is
   heard; that it fails only by the monitor, and only where somebody asked for it.
2. A pod whose check fails is not ready; one whose check passes is what its node says.
3. No check ends or makes a pod: that is what rollouts are for.
4. In the end no check holds a pod back: it passes, or nobody repeats that it fails.
"""

from typing import Final

from domain import events, pod
from domain.active_check import ANNOTATION, PodChecked
from domain.events import Event, Recorded
from projections.cluster import Cluster
from tests.properties.checking import Checker, owner_of
from tests.support.cluster import SimCluster
from workers.state import State


class ActiveChecks(Checker):
    """S17, by a book of its own: which pods fail, by the events alone."""

    id = "S17"

    def __init__(self) -> None:
        super().__init__()
        self._failing: dict[str, str] = {}
        """Uids by stream."""
        self._positions: set[int] = set()

    def before(self, state: State, stream: str, event: Event, actor: str, /) -> None:
        """Rule 1."""
        if not isinstance(event, PodChecked):
            return
        held = state.cluster.actual.pods.get(stream)
        assert held is not None, f"{stream} is checked, and is not there"
        assert held.stage == pod.BOUND, f"{stream} is checked, and does not run"
        fails = self._failing.get(stream) == held.uid
        assert event.passing == fails, f"{stream}: a check that changes nothing"
        assert event.detail, "it says why"
        use = state.cluster.actual.nodes.get(held.node)
        assert use is not None, f"{stream} is checked on no node"
        assert use.ready, f"{stream} is checked, and {held.node} is not heard"
        if not event.passing:
            assert actor == events.MONITOR, "what fails was measured"
            owner = owner_of(state, held.owner)
            assert owner is not None, f"{stream} is nobody's, and is checked"
            assert ANNOTATION in owner.annotations, f"nobody asked to check {stream}"

    def after(self, state: State, recorded: Recorded, /) -> None:
        """Rules 2 and 3."""
        event, stream = recorded.event, recorded.stream
        if recorded.cause in self._positions:
            assert not isinstance(
                event,
                pod.PodCreated
                | pod.PodTerminationRequested
                | pod.PodRemoved
                | pod.PodFailed,
            ), f"a check has ended or made {stream} by itself"
        if not stream.startswith("pod/"):
            return
        held = state.cluster.actual.pods.get(stream)
        if held is None:
            self._failing.pop(stream, None)
            return
        if isinstance(event, PodChecked):
            self.reached += 1
            self._positions.add(recorded.position)
            self._failing.pop(stream, None)
            if not event.passing:
                self._failing[stream] = held.uid
            seen = held.seen is not None and held.seen.ready and not held.terminal
            assert held.ready == (event.passing and seen), (
                f"{stream} is not what its node and its check say"
            )
            assert held.ready_seconds == 0 or held.ready_at < recorded.timestamp, (
                f"{stream} is available from the moment on at which its check passes"
            )
        elif self._failing.get(stream) == held.uid:
            assert not held.ready, f"{stream} fails its check, and is ready"

    def after_restart(self, sim: SimCluster, _before: Cluster, /) -> None:
        """What was not committed was not said; S4 compares what the log came to."""
        pods = sim.cluster.actual.pods
        self._failing = {
            stream: held.uid for stream, held in pods.items() if held.check_failed
        }
        position = sim.cluster.position
        self._positions = {each for each in self._positions if each <= position}

    def at_rest(self, sim: SimCluster) -> None:
        """Rule 4."""
        held_back = [each for each in sim.cluster.actual.pods.values()
                     if each.check_failed and each.stage == pod.BOUND]  # fmt: skip
        assert not held_back, f"{held_back[0].key} is held back for ever"


SUITE: Final[tuple[type[Checker], ...]] = (ActiveChecks,)
