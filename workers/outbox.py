"""What is to be said after the commit of a step: answers, assignments, tracking rows.

1. Nothing here is sent by the step; control.py sends it when the events are on disk.
2. A node hears of changes once per step, in one message, chained to the one before.
3. A sync's answer is made at the end of the step, so that it speaks for all of it.
"""

from typing import Final

import msgspec

from domain import events, pod
from domain.events import Recorded
from domain.pod import Pod
from domain.podspec import PodTemplateSpec
from domain.protocol import (
    Answer,
    Assignment,
    Grant,
    Live,
    PodRun,
    PodStatus,
    PodStop,
    SyncReply,
)
from workers.state import State

_FOLLOWED: Final = frozenset(
    {pod.PodScheduled, pod.PodConfigured, pod.PodTerminationRequested}
)
"""The events that a node is told of."""


class _Changes:
    """What one node is told in this step."""

    __slots__ = ("confirm", "resync", "run", "stop", "templates")

    def __init__(self) -> None:
        self.run: list[PodRun] = []
        self.stop: list[PodStop] = []
        self.templates: dict[str, PodTemplateSpec] = {}
        self.confirm: list[int] = []
        self.resync = False


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """A step's outcome: `events` and `tracking` to commit, the rest to say then.

    `wake_at` is when the next alarm rings; `more` tells that the bound of the step was
    reached and the next one should follow at once.
    """

    events: list[Recorded]
    tracking: dict[str, int]
    answers: list[tuple[str, Answer]]
    assignments: dict[str, Assignment]
    syncs: list[tuple[str, SyncReply]]
    position: int
    wake_at: float | None
    more: bool
    grants: tuple[tuple[str, Grant], ...] = ()
    """Sessions that nodes are told of, before those who asked for them are answered."""
    live: Live | None = None
    """What was measured; it is in no log, and nobody waits for it."""


class Outbox:
    """Collects during a step; `close` makes the step's outcome of it."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._nodes: dict[str, _Changes] = {}
        self._answers: list[tuple[str, Answer]] = []
        self._syncs: list[tuple[str, str, int]] = []
        self._refused: list[tuple[str, SyncReply]] = []
        self._grants: list[tuple[str, Grant]] = []
        self.tracking: dict[str, int] = {}

    def answer(self, reply: str, answer: Answer) -> None:
        """The answer of a command, to where it wants it."""
        if reply:
            self._answers.append((reply, answer))

    def grant(self, node: str, grant: Grant) -> None:
        """A session that `node` shall open when its user comes for it."""
        self._grants.append((node, grant))

    def sync(self, node: str, reply: str, incarnation: int) -> None:
        """The full list for `node`, as it is at the end of the step, for the boot
        that was granted `incarnation`."""
        self._syncs.append((node, reply, incarnation))

    def refuse_sync(self, reply: str, why: str) -> None:
        """A sync that cannot be answered: what is wrong with it."""
        refusal = SyncReply(position=0, incarnation=0, error=why)
        self._refused.append((reply, refusal))

    def resync(self, node: str) -> None:
        """Tells a kubelet that it must sync before it is believed."""
        self._of(node).resync = True

    def confirm(self, node: str, sequence: int) -> None:
        """Tells a kubelet that this report of its is in the store."""
        self._of(node).confirm.append(sequence)

    def track(self, node: str, incarnation: int, sequence: int) -> None:
        """The last report of this node that made events (exactly once)."""
        self.tracking[f"report/{node}/{incarnation}"] = sequence

    def stop_stranger(self, node: str, status: PodStatus) -> None:
        """The node runs a pod that it should not have: it is told to stop it."""
        stop = PodStop(
            namespace=status.namespace, name=status.name, uid=status.uid, grace=0.0
        )
        self._of(node).stop.append(stop)

    def run_again(self, node: str, held: Pod) -> None:
        """The node does not know of a pod that is bound to it."""
        self._run(self._of(node), held)

    def close(self, *, more: bool) -> Step:
        """The outcome of the step; called once, when everything is folded."""
        state = self._state
        for recorded in state.events:
            self._follow(recorded)
        for recorded, gone in state.left:
            self._forget(recorded, gone)
        syncs = [*self._refused]
        lists: dict[tuple[str, int], SyncReply] = {}
        for node, reply, incarnation in self._syncs:
            asked = node, incarnation
            if asked not in lists:
                lists[asked] = self._full_list(node, incarnation)
            syncs.append((reply, lists[asked]))
            self._nodes.pop(node, None)
        position = state.cluster.position
        assignments = {
            node: self._assignment(node, changes, position)
            for node, changes in self._nodes.items()
        }
        return Step(
            events=state.events,
            tracking=self.tracking,
            answers=self._answers,
            assignments=assignments,
            syncs=syncs,
            position=position,
            wake_at=state.timers.next_at(),
            more=more,
            grants=tuple(self._grants),
            live=self._live(),
        )

    def _live(self) -> Live | None:
        """What is to be published; it is told once."""
        state = self._state
        if not (state.measured or state.readings):
            return None
        live = Live(usage=tuple(state.measured), autoscalers=tuple(state.readings))
        state.measured, state.readings = [], []
        return live

    def _follow(self, recorded: Recorded) -> None:
        event = recorded.event
        if type(event) not in _FOLLOWED:
            return
        held = self._state.cluster.actual.pods.get(recorded.stream)
        if held is None or not held.node or held.position < recorded.position:
            return
        changes = self._of(held.node)
        if isinstance(event, pod.PodTerminationRequested):
            # It may be another pod of that name by now; the former is in `left`.
            if held.stage == pod.TERMINATING:
                changes.stop.append(_stop(held, self._state.now))
        elif held.stage == pod.BOUND:
            self._run(changes, held)

    def _forget(self, recorded: Recorded, gone: Pod) -> None:
        """A pod that is gone without its node's word: the node shall let go of it."""
        if not gone.node or recorded.actor == events.node_actor(gone.node):
            return
        stop = PodStop(
            namespace=gone.namespace, name=gone.name, uid=gone.uid, grace=0.0
        )
        self._of(gone.node).stop.append(stop)

    def _run(self, changes: _Changes, held: Pod) -> None:
        facts = self._state.cluster.desired.templates[held.template]
        reference = str(held.template)
        changes.templates[reference] = facts.template
        changes.run.append(
            PodRun(
                namespace=held.namespace,
                name=held.name,
                uid=held.uid,
                template=reference,
                created_at=held.created_at,
                labels=held.labels,
            )
        )

    def _assignment(self, node: str, changes: _Changes, position: int) -> Assignment:
        state = self._state
        use = state.cluster.actual.nodes.get(node)
        before, _ = state.chain.get(node, (-1, 0.0))
        state.chain[node] = position, state.now
        return Assignment(
            from_position=before,
            to_position=position,
            incarnation=use.node.incarnation if use else 0,
            confirmed=tuple(changes.confirm),
            templates=changes.templates,
            run=tuple(changes.run),
            stop=tuple(changes.stop),
            resync=changes.resync or use is None,
        )

    def _full_list(self, node: str, incarnation: int) -> SyncReply:
        state = self._state
        use = state.cluster.actual.nodes.get(node)
        if use is None:
            why = f"node {node} was deleted in the same moment: sync again"
            return SyncReply(position=0, incarnation=0, error=why)
        if use.node.incarnation != incarnation:
            # Two boots asked in one step: only the later one may believe it is it.
            why = f"another kubelet of node {node} has synced since: sync again"
            return SyncReply(position=0, incarnation=0, error=why)
        changes = _Changes()
        for key in use.pods:
            held = state.cluster.actual.pods[key]
            if held.stage == pod.TERMINATING:
                changes.stop.append(_stop(held, state.now))
            elif not held.terminal:
                self._run(changes, held)
        state.chain[node] = state.cluster.position, state.now
        return SyncReply(
            position=state.cluster.position,
            incarnation=use.node.incarnation,
            templates=changes.templates,
            run=tuple(changes.run),
            stop=tuple(changes.stop),
        )

    def _of(self, node: str) -> _Changes:
        return self._nodes.setdefault(node, _Changes())


def _stop(held: Pod, now: float) -> PodStop:
    left = held.deletion_at + held.grace - now
    return PodStop(
        namespace=held.namespace, name=held.name, uid=held.uid, grace=max(0.0, left)
    )
