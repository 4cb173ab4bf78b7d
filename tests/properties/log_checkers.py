"""Safety of the log: order, atomicity, exactly once, replay, causes and actors."""

from typing import Final, Literal

from domain import catalogue, command, events, node, plain, pod
from domain.events import Event, Recorded
from domain.pod import Pod
from domain.protocol import Answer
from projections.cluster import Cluster
from tests.properties.checking import Checker
from tests.support.cluster import SimCluster
from workers.outbox import Step
from workers.state import State

CHAIN_ENDS: Final = ("user/", "node/")
TALLIES: Final = ("active", "available", "labelled", "ready", "running", "terminating")


class DenseLog(Checker):
    """S1: positions and versions are dense and unique."""

    id = "S1"

    def __init__(self) -> None:
        super().__init__()
        self._versions: dict[str, int] = {}

    def after_step(self, sim: SimCluster, step: Step, /) -> None:
        """Checks the rows that this step added."""
        first = len(sim.log) - len(step.events)
        for index, row in enumerate(sim.log[first:], first + 1):
            self.reached += 1
            assert row.position == index, "positions are 1, 2, 3 … without a gap"
            last = self._versions.get(row.stream, 0)
            assert row.version == last + 1, (
                f"{row.stream} goes from version {last} to {row.version}: versions of "
                "a stream are dense"
            )
            self._versions[row.stream] = row.version


class AtomicSteps(Checker):
    """S2: a step is all its events and tracking rows and nothing else."""

    id = "S2"

    def __init__(self) -> None:
        super().__init__()
        self._time = 0.0
        self._tracked: dict[str, int] = {}

    def after_step(self, sim: SimCluster, step: Step, /) -> None:
        """Checks the step that was just committed."""
        if not step.events:
            assert not step.tracking, "what is tracked comes with its events"
            return
        self.reached += 1
        times = {recorded.timestamp for recorded in step.events}
        assert len(times) == 1, "all events of a step share one timestamp"
        assert min(times) > self._time, "time grows from step to step"
        self._time = min(times)
        assert step.position == step.events[-1].position == len(sim.log), (
            "a step speaks for the position of its last event"
        )
        for key, sequence in step.tracking.items():
            assert sequence > self._tracked.get(key, 0), f"{key} was tracked twice"
            self._tracked[key] = sequence


class OnceOnly(Checker):
    """S3: the same command id has one effect and one answer."""

    id = "S3"

    def __init__(self) -> None:
        super().__init__()
        self._answers: dict[str, Answer] = {}
        self._decided: set[str] = set()
        self._seen = 0

    def after_step(self, sim: SimCluster, step: Step, /) -> None:
        """Checks what was decided in this step and what was said before it."""
        for recorded in step.events:
            event = recorded.event
            if isinstance(event, command.CommandAccepted | command.CommandRejected):
                assert event.answer.id not in self._decided, (
                    f"{event.answer.id} was decided twice"
                )
                self._decided.add(event.answer.id)
        for answer in sim.said[self._seen :]:
            if answer.id not in sim.store_answers:
                continue  # a dry run: what it says is true of its moment only
            first = self._answers.get(answer.id)
            if first is None:
                self._answers[answer.id] = answer
            elif answer.id:
                self.reached += 1
                assert first == answer, f"{answer.id} was answered in two ways"
        self._seen = len(sim.said)


class Replay(Checker):
    """S4, S5, I13: what is known is what a replay of the stored log comes to."""

    id = "S4"

    def __init__(self) -> None:
        super().__init__()
        self._follower = Cluster()

    def after_step(self, sim: SimCluster, step: Step, /) -> None:
        """Folds what was stored, and compares with what the writer folded."""
        for row in sim.log[len(sim.log) - len(step.events) :]:
            again = catalogue.decode(*row)
            self._follower.fold(again)
        self._follower.settle()
        if step.events:
            self.reached += 1
            compare(self._follower, sim.cluster)

    def after_restart(self, sim: SimCluster, before: Cluster, /) -> None:
        """A restart knows what was known at the last commit."""
        compare(sim.cluster, before)

    def at_rest(self, sim: SimCluster) -> None:
        """S5: an event that was committed is what it was."""
        for row, recorded in zip(sim.log, sim.events, strict=True):
            assert catalogue.encode(recorded) == row.state, (
                f"the event at position {row.position} changed after its commit"
            )


class Causes(Checker):
    """S14: every chain of causes ends at a command, a report or a timer."""

    id = "S14"

    def after(self, _state: State, recorded: Recorded, /) -> None:
        """Checks the event's own link; chains follow by induction."""
        assert recorded.actor, "every event has an actor (S13)"
        assert 0 <= recorded.cause < recorded.position, (
            f"{_name(recorded)} names a cause that does not lie before it"
        )
        if recorded.cause:
            self.reached += 1
            return
        ends = recorded.actor in (events.TIMER, events.SYSTEM, events.MONITOR)
        assert ends or recorded.actor.startswith(CHAIN_ENDS), (
            f"{_name(recorded)} by {recorded.actor} has no cause, and only what a "
            "user, a node or the clock does needs none"
        )


class Compensation(Checker):
    """S14: a reconciler's event names what made its object different."""

    id = "S14"

    def after(self, _state: State, recorded: Recorded, /) -> None:
        """The chain of a user's command leads to what it changed."""
        if not recorded.command_id or recorded.stream.startswith("command/"):
            return
        self.reached += 1
        assert recorded.cause > 0, f"{_name(recorded)} does not name its command"


class OwnWord(Checker):
    """S13: a node causes only events about itself and the pods bound to it."""

    id = "S13"

    def __init__(self) -> None:
        super().__init__()
        self._pod: Pod | None = None

    def before(self, state: State, stream: str, _event: Event, _actor: str, /) -> None:
        """Remembers the pod that is spoken of."""
        self._pod = state.cluster.actual.pods.get(stream)

    def after(self, _state: State, recorded: Recorded, /) -> None:
        """Checks who spoke of whom."""
        actor, name = recorded.actor, recorded.actor.partition("/")[2]
        if not actor.startswith("node/"):
            return
        self.reached += 1
        if recorded.stream.startswith("pod/"):
            assert self._pod is not None, "nobody reports on a pod that is not there"
            assert self._pod.node == name, (
                f"{name} was believed about a pod that is bound to {self._pod.node}"
            )
        else:
            assert recorded.stream == f"node/{name}", (
                f"{name} was believed about {recorded.stream}"
            )


class Identity(Checker):
    """S8: a pod is bound once; a name with its uid never comes again."""

    id = "S8"

    def __init__(self) -> None:
        super().__init__()
        self._uids: set[str] = set()
        self._names: set[str] = set()
        self._bound: dict[str, str] = {}
        self._gone: set[str] = set()

    def after(self, state: State, recorded: Recorded, /) -> None:
        """Follows each pod from its creation to its end."""
        stream, event = recorded.stream, recorded.event
        if not stream.startswith("pod/"):
            return
        if isinstance(event, pod.PodCreated):
            assert event.uid not in self._uids, "a uid is given once"
            assert event.own is not None or stream not in self._names, (
                f"the generated name {stream} was used before"
            )
            self._uids.add(event.uid)
            self._names.add(stream)
            self._gone.discard(stream)
            self._bound.pop(stream, None)
            return
        assert stream not in self._gone, f"{stream} was removed and comes back"
        if isinstance(event, pod.PodScheduled):
            self.reached += 1
            assert stream not in self._bound, f"{stream} is bound a second time"
            self._bound[stream] = event.node
        elif isinstance(event, pod.PodRemoved):
            self._gone.add(stream)
        held = state.cluster.actual.pods.get(stream)
        assert (held is None) == (stream in self._gone), f"{stream} is gone, or not"

    def after_step(self, sim: SimCluster, _step: Step, /) -> None:
        """No pod is started on two nodes."""
        seen: set[str] = set()
        for each in sim.nodes.values():
            assert not seen & each.started, "a pod was started on two nodes"
            seen |= each.started


class Terminal(Checker):
    """Spec 4.1: the phase of a pod never leaves Succeeded or Failed."""

    id = "S8"

    def __init__(self) -> None:
        super().__init__()
        self._was: Literal["", "Succeeded", "Failed"] = ""

    def before(self, state: State, stream: str, _event: Event, _actor: str, /) -> None:
        """Remembers how the pod has ended, if it has."""
        held = state.cluster.actual.pods.get(stream)
        self._was = ""
        if held is not None and held.phase in ("Succeeded", "Failed"):
            self._was = "Failed" if held.phase == "Failed" else "Succeeded"

    def after(self, state: State, recorded: Recorded, /) -> None:
        """Checks that it has still ended so."""
        held = state.cluster.actual.pods.get(recorded.stream)
        if self._was and held is not None:
            self.reached += 1
            assert held.phase == self._was, "a phase does not go backwards"


class Incarnations(Checker):
    """Reports are taken by (incarnation, sequence) and never twice or backwards."""

    id = "S8"

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[str, tuple[int, int]] = {}

    def after(self, state: State, recorded: Recorded, /) -> None:
        """Checks the report that a pod's event came with."""
        event = recorded.event
        if isinstance(event, pod.PodReported):
            self.reached += 1
            now = (event.incarnation, event.sequence)
            assert now >= self._last.get(recorded.actor, (0, 0)), (
                "a report of the past was believed"
            )
            self._last[recorded.actor] = now
            name = recorded.actor.partition("/")[2]
            held = state.cluster.actual.nodes[name].node
            assert event.incarnation == held.incarnation, "it is of another life"
        elif isinstance(event, node.ReportsCounted):
            assert event.count <= event.last_sequence - event.first_sequence + 1, (
                "no more reports were silent than there were sequences"
            )


def compare(one: Cluster, other: Cluster) -> None:
    """Asserts that two folds of one log are the same, to the last tally."""
    first, second = picture(one), picture(other)
    for name, value in first.items():
        assert value == second[name], (
            f"{name}: a replay of the log comes to something else than was known: "
            f"{_difference(value, second[name])}"
        )


def picture(cluster: Cluster) -> dict[str, object]:
    """All that a cluster knows, order included, as plain values."""
    desired, actual, rollouts = cluster.desired, cluster.actual, cluster.rollouts
    return {
        "position": (cluster.position, cluster.timestamp, cluster.uid),
        "deployments": list(desired.deployments.items()),
        "replicasets": list(desired.replicasets.items()),
        "templates": list(desired.templates.items()),
        "last_versions": desired.last_versions,
        "orphaning": desired.orphaning,
        "set_aside": (desired.set_aside, actual.set_aside, cluster.plain.set_aside),
        "plain": list(cluster.plain.objects.items()),
        "plain_of": [
            (kind, [held.key for held in cluster.plain.of(kind)])
            for kind in plain.KINDS
        ],
        "plain_versions": cluster.plain.last_versions,
        "terminating": list(cluster.plain.terminating),
        "new": [
            (key, held.key if (held := desired.new_replicaset(owner)) else "")
            for key, owner in desired.deployments.items()
        ],
        "owned": [
            (key, [held.key for held in desired.owned_by(key)])
            for key in sorted({each.owner for each in desired.replicasets.values()})
        ],
        "pods": list(actual.pods.items()),
        "pods_of": [
            (key, [held.key for held in actual.pods_of(key)])
            for key in sorted({each.owner for each in actual.pods.values()})
        ],
        "nodes": [
            (name, {slot: getattr(use, slot) for slot in use.__slots__})
            for name, use in actual.nodes.items()
        ],
        "waiting": list(actual.waiting),
        "loose": list(actual.loose),
        "stranded": list(actual.stranded),
        "relabelled": list(actual.relabelled),
        "tallies": {
            key: [getattr(actual.tally(key), name) for name in TALLIES]
            for key in sorted({each.owner for each in actual.pods.values()})
        },
        "rollouts": [
            (key, {slot: getattr(held, slot) for slot in held.__slots__})
            for key, held in rollouts.by_key.items()
        ],
    }


def _difference(one: object, other: object) -> str:
    """The first element in which two values differ, for the message."""
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return next(f"{a} ≠ {b}" for a, b in zip(one, other, strict=True) if a != b)
    return f"{one} ≠ {other}"


def _name(recorded: Recorded) -> str:
    return f"{type(recorded.event).__name__} at {recorded.position}"
