"""What the log says was seen: pods and nodes, with the counts that planners need.

1. Counts are incremental: an event costs the same in a cluster of ten pods and of a
   million. A pod is taken out of every count as it was and put in as it is.
2. From the request to end it on, a pod counts for nothing but its node's room and its
   ReplicaSet's `terminating` (spec 3.7, 4.3).
3. When a node turns unready its pods turn unready with it (spec 4.6), by that one
   event; the node's next full report says what is true again.
4. A fold never rejects: see projections/desired.py, rule 1.
5. A log is mostly pods that come, are bound, are reported, end and are gone. What those
   five events change is changed alone; all others go by rule 2 in its general form.
"""

import sys
from collections.abc import Callable
from typing import Final

import msgspec

from domain import node, pod
from domain.events import Event, IllegalTransition, Recorded
from domain.pod import Pod
from domain.replicaset import ReplicaSet
from projections import tallies
from projections.desired import Desired
from projections.ranking import Ranking, Spread
from projections.tallies import NodeUse, Tally


class Actual:
    """The seen state; `evolve` is the only thing that changes it."""

    def __init__(self, desired: Desired) -> None:
        self._desired = desired
        self.pods: dict[str, Pod] = {}
        self.nodes: dict[str, NodeUse] = {}
        self.node_list: list[NodeUse] = []
        self.waiting: dict[str, None] = {}
        """Pods without a node that shall have one, oldest first."""
        self.loose: dict[str, None] = {}
        """Pods that nobody owns."""
        self.stranded: dict[str, None] = {}
        """Pods whose node is not there any more."""
        self.former_incarnations: dict[str, int] = {}
        """The last incarnation of each node that was removed."""
        self.ended: dict[str, None] = {}
        """Pods that are Succeeded or Failed and still listed."""
        self.relabelled: dict[str, None] = {}
        """Owned pods whose labels need not be those of their ReplicaSet's template:
        they were changed, or a manifest named the owner."""
        self.set_aside: int = 0
        self._tallies: dict[str, Tally] = {}
        """By the uid of the owner: a name may be used again (spec 3.1)."""
        self._owned: dict[str, dict[str, None]] = {}
        self._rankings: dict[str, Ranking] = {}
        """By the uid of the owner, where asked for; no snapshot has them."""
        self._spreads: dict[str, Spread] = {}
        """By ReplicaSet, where a ranking needs it."""

    # --- questions ------------------------------------------------------------------

    def tally(self, replicaset_key: str) -> Tally:
        """The counts of a ReplicaSet's pods; all zero where it has none."""
        held = self._desired.replicasets.get(replicaset_key)
        found = self._tallies.get(held.uid) if held is not None else None
        return found or Tally()

    def pods_of(self, replicaset_key: str) -> list[Pod]:
        """The pods whose owner has that key, of any uid, in order of creation."""
        return [self.pods[key] for key in self._owned.get(replicaset_key, ())]

    def pods_on(self, node_name: str) -> int:
        """How many pods are bound to that node, terminating and ended ones too."""
        held = self.nodes.get(node_name)
        return len(held.pods) if held is not None else 0

    def has_strays(self, replicaset_key: str) -> bool:
        """Pods are there whose owner had that key and is not there any more."""
        owned = len(self._owned.get(replicaset_key, ()))
        return owned > self.tally(replicaset_key).members

    def owns_pods(self, replicaset_key: str) -> bool:
        """The ReplicaSet owns a pod, terminating or ended ones included."""
        return replicaset_key in self._owned

    def labels_of(self, state: Pod) -> dict[str, str]:
        """The pod's labels: its own, or those of its template."""
        if state.labels is not None:
            return state.labels
        return self._desired.templates[state.template].labels

    def annotations_of(self, state: Pod) -> dict[str, str]:
        """The pod's annotations: its own, or those of its template."""
        if state.annotations is not None:
            return state.annotations
        return self._desired.templates[state.template].annotations

    def is_available(self, state: Pod) -> bool:
        """Ready, and for long enough (spec 4.2), and not on its way out."""
        if not state.ready or not state.active:
            return False
        owner = self._desired.replicasets.get(state.owner)
        return owner is None or state.ready_seconds >= owner.min_ready_seconds

    def related(self, state: Pod, node_name: str) -> int:
        """Active pods of the same controller on that node (spec 3.6, criterion 5)."""
        return self.siblings(self._desired.group_of(state.owner), node_name)

    def siblings(self, group: tuple[str, ...], node_name: str) -> int:
        """Active pods of these ReplicaSets on that node."""
        held = self.nodes.get(node_name)
        if held is None:
            return 0
        counts = held.siblings
        return sum(counts.get(key, 0) for key in group)

    def first_to_end(self, owner: ReplicaSet, count: int, now: float) -> list[Pod]:
        """The `count` pods that `owner` ends first, in the order of spec 3.6.

        From the first question on the order is kept up, until `forget_order`.
        """
        ranking = self._rankings.get(owner.uid)
        if ranking is None:
            ranking = self._rankings[owner.uid] = Ranking(
                held
                for held in self.pods_of(owner.key)
                if held.active and held.owner_uid == owner.uid
            )
        # Without a controller no pod is related to another (spec 3.6, criterion 5).
        group = self._desired.group_of(owner.key) if owner.owner else ()
        spread = self._spread(group) if group else Spread(())
        return [self.pods[key] for key in ranking.first(count, spread, now)]

    def forget_order(self, owner: ReplicaSet) -> None:
        """The ReplicaSet grows: which of its pods go first is of no interest now."""
        if self._rankings.pop(owner.uid, None) is not None:
            self._spreads.pop(owner.key, None)

    def _spread(self, group: tuple[str, ...]) -> Spread:
        found = self._spreads.get(group[0])
        if (
            found is None
            or found.group != group
            or any(self._spreads.get(key) is not found for key in group)
        ):
            found = Spread(group)
            for held in self.node_list:
                number = self.siblings(group, held.name)
                if number:
                    found.add(held.name, number)
            self._spreads.update(dict.fromkeys(group, found))
        return found

    # --- the fold -------------------------------------------------------------------

    def evolve(self, recorded: Recorded) -> None:
        """Afterwards the event is part of what was seen (Desired comes first)."""
        if recorded.stream.startswith("pod/"):
            self.evolve_pod(recorded, self.pods.get(recorded.stream))
        elif recorded.stream.startswith("node/"):
            self._node(recorded)

    def recount(self, replicaset_key: str) -> None:
        """Counts the pods of a ReplicaSet anew: what they are measured by changed."""
        owner = self._desired.replicasets.get(replicaset_key)
        counts = self._tallies.get(owner.uid) if owner is not None else None
        if owner is None or counts is None:
            return
        mine = [
            held
            for held in self.pods_of(replicaset_key)
            if held.active and held.owner_uid == owner.uid
        ]
        counts.available = sum(map(self.is_available, mine))
        counts.labelled = sum(map(self._fully_labelled, mine))

    def evolve_pod(self, recorded: Recorded, before: Pod | None) -> Pod | None:
        """`evolve` for a pod that is `before` now; gives what it is afterwards."""
        key = recorded.stream
        try:
            after = pod.evolve(before, recorded)
        except IllegalTransition:
            self.set_aside += 1
            return before
        if before is None:
            assert after is not None
            return self._came(key, after)
        if after is None:
            self._went(key, before)
            return None
        self.pods[key] = after
        usual = _USUAL.get(type(recorded.event))
        ended = after.phase in pod.ENDED  # `terminal` is a call, and this is hot
        if usual is None or ended or self._desired.references.by_object:
            self._changed(recorded, before, after)
        else:
            usual(self, key, before, after)
        if self._rankings:
            self._rank(before, after)
        return after

    def _came(self, key: str, born: Pod) -> Pod:
        after = self._with_template_cost(born)
        key = sys.intern(key)  # the one that all indexes have
        self.pods[key] = after
        owner = after.owner
        mine = self._owned.get(owner) if owner else self.loose
        if mine is None:
            mine = self._owned[owner] = {}
        mine[key] = None
        if owner and after.labels is not None:
            self.relabelled[key] = None
        self.waiting[key] = None
        self._count(after, 1)
        if self._rankings:
            self._rank(None, after)
        return after

    def _went(self, key: str, before: Pod) -> None:
        self._count(before, -1)
        use = self.nodes.get(before.node)
        if use is not None:
            self._take_room(use, before, -1)
            use.pods.pop(key, None)
        self._unown(key, before)
        if self.stranded or self.ended or self.relabelled or self.waiting:
            for index in (self.stranded, self.ended, self.relabelled, self.waiting):
                index.pop(key, None)
        del self.pods[key]
        if self._rankings:
            self._rank(before, None)
        kept = self._desired.references
        if key in kept.by_object:
            kept.forget(key)

    def _bound(self, key: str, _before: Pod, after: Pod) -> None:
        self.waiting.pop(key, None)
        use = self.nodes.get(after.node)
        if use is not None:
            use.pods[sys.intern(key)] = None
            self._take_room(use, after, 1)
        elif after.node:
            self.stranded[key] = None

    def _heard(self, _key: str, before: Pod, after: Pod) -> None:
        if after.stage == pod.TERMINATING or not after.owner:
            return
        was, now = before.ready, after.ready
        if was == now and before.ready_seconds == after.ready_seconds:
            return
        counts = self._tallies[after.owner_uid]
        held = self._desired.replicasets.get(after.owner)
        enough = held.min_ready_seconds if held is not None else 0
        counts.ready += now - was
        counts.available += _is_available(after, enough) - _is_available(before, enough)

    def _ending(self, key: str, before: Pod, after: Pod) -> None:
        if before.stage == pod.TERMINATING:
            return
        self.waiting.pop(key, None)
        if after.owner:
            counts = self._tallies[after.owner_uid]
            counts.terminating += 1
            self._count_active(counts, before, -1)
            if (use := self.nodes.get(before.node)) is not None:
                self._join(use, before, -1)

    def _changed(self, recorded: Recorded, before: Pod, after: Pod) -> None:
        """Rule 2 for any change; `pods` has the pod as it is now."""
        key, kept = recorded.stream, self._desired.references
        moved = _takes(before) != _takes(after)
        counted = tallies.counts_as(before) != tallies.counts_as(after)
        referred = bool(kept.by_object)
        if counted:
            self._count(before, -1)
        if moved:
            self._occupy(before, -1)
        if key in kept.by_object or isinstance(recorded.event, pod.PodOwnersChanged):
            kept.evolve(key, recorded.event, before.owner_uid)
        reindexed = moved or counted or referred or kept.by_object
        if reindexed or before.stage != after.stage:
            self._index(key, before, after)
        if counted:
            self._count(after, 1)
        if moved:
            self._occupy(after, 1)

    def _with_template_cost(self, state: Pod) -> Pod:
        """A pod's annotations are those of its template until it has its own."""
        facts = self._desired.templates.get(state.template)
        if facts is None or pod.DELETION_COST not in facts.annotations:
            return state
        cost = pod.deletion_cost(facts.annotations)
        return msgspec.structs.replace(state, deletion_cost=cost)

    def _count(self, state: Pod, sign: int) -> None:
        if not state.owner:
            return
        counts = self._tallies.get(state.owner_uid)
        if counts is None:
            counts = self._tallies[state.owner_uid] = Tally()
        counts.members += sign
        if state.phase in pod.ENDED:
            return
        counts.running += sign
        if state.stage == pod.TERMINATING:
            counts.terminating += sign
        else:
            self._count_active(counts, state, sign)

    def _count_active(self, counts: Tally, state: Pod, sign: int) -> None:
        """By what `_fully_labelled` and `is_available` say, with one look at the owner:
        this is the hottest place of a replay."""
        counts.active += sign
        held = self._desired.replicasets.get(state.owner)
        if (
            held is None
            or (state.labels is None and state.template == held.template)
            or self._fully_labelled(state)
        ):
            counts.labelled += sign
        if state.ready:
            counts.ready += sign
            if _is_available(state, held.min_ready_seconds if held is not None else 0):
                counts.available += sign

    def _occupy(self, state: Pod, sign: int) -> None:
        use = self.nodes.get(state.node)
        if use is not None:
            self._take_room(use, state, sign)

    def _take_room(self, use: NodeUse, state: Pod, sign: int) -> None:
        """The pod, which is bound to that node, takes its room there, or gives it."""
        if state.phase in pod.ENDED:
            return
        needs = self._desired.templates[state.template]
        use.free_cpu_milli -= sign * needs.cpu_milli
        use.free_memory -= sign * needs.memory
        use.free_pods -= sign
        if state.owner and state.stage != pod.TERMINATING:
            self._join(use, state, sign)

    def _join(self, use: NodeUse, state: Pod, sign: int) -> None:
        """The node has an active pod of its ReplicaSet more, or one less."""
        owner, siblings = state.owner, use.siblings
        count = siblings.get(owner, 0) + sign
        if count:
            siblings[owner] = count
        else:
            del siblings[owner]
        if self._spreads and (spread := self._spreads.get(owner)) is not None:
            spread.add(use.name, sign)

    def _rank(self, before: Pod | None, after: Pod | None) -> None:
        """Afterwards the orders that are kept are those of `pods` again."""
        orders = self._rankings
        old = orders.get(before.owner_uid) if before and before.active else None
        new = orders.get(after.owner_uid) if after and after.active else None
        if before and after and old is not None and old is new:
            old.replace(before, after)
            return
        if old is not None and before:
            old.remove(before)
        if new is not None and after:
            new.add(after)

    def _fully_labelled(self, state: Pod) -> bool:
        owner = self._desired.replicasets.get(state.owner)
        if owner is None or (state.labels is None and state.template == owner.template):
            return True
        wanted = self._desired.templates[owner.template].labels
        return wanted.items() <= self.labels_of(state).items()

    def _index(self, key: str, before: Pod, after: Pod) -> None:
        if before.owner != after.owner:
            self._unown(key, before)
            owner = after.owner
            mine = self._owned.setdefault(owner, {}) if owner else self.loose
            mine[key] = None
        if before.node != after.node:
            if before.node:
                self.stranded.pop(key, None)
                if before.node in self.nodes:
                    self.nodes[before.node].pods.pop(key, None)
            if after.node:
                if after.node in self.nodes:
                    self.nodes[after.node].pods[key] = None
                else:
                    self.stranded[key] = None
        if after.terminal:
            self.ended[key] = None
        else:
            self.ended.pop(key, None)
        named = key in self._desired.references.by_object
        if after.owner and (after.labels is not None or named):
            self.relabelled[key] = None
        else:
            self.relabelled.pop(key, None)
        if after.stage == pod.PENDING:
            self.waiting.setdefault(key)
        else:
            self.waiting.pop(key, None)

    def _unown(self, key: str, before: Pod) -> None:
        owner, uid = before.owner, before.owner_uid
        if not owner:
            self.loose.pop(key, None)
            return
        mine = self._owned[owner]
        del mine[key]
        if not mine:
            del self._owned[owner]
        held = self._desired.replicasets.get(owner)
        gone = held is None or held.uid != uid
        if gone and not self._tallies[uid].members:
            del self._tallies[uid]
            self._rankings.pop(uid, None)
            self._spreads.pop(owner, None)
            self._desired.orphaning.pop(uid, None)

    def _node(self, recorded: Recorded) -> None:
        name = recorded.stream.partition("/")[2]
        held = self.nodes.get(name)
        try:
            after = node.evolve(held.node if held else None, recorded)
        except IllegalTransition:
            self.set_aside += 1
            return
        if after is None:
            if held is not None:
                self._forget(held)
            return
        if held is None:
            held = self.nodes[name] = NodeUse(after)
            self._spreads.clear()
            self.former_incarnations.pop(name, None)
            self.node_list.append(held)
            self._readmit(held)
        else:
            held.describe(after)
        if isinstance(recorded.event, node.NodeBecameUnready):
            self._silence(held, recorded.timestamp)

    def _silence(self, held: NodeUse, now: float) -> None:
        """Rule 3: the pods of a node that is not heard are not ready."""
        for key in held.pods:
            state = self.pods[key]
            if state.ready:
                self._count(state, -1)
                silent = msgspec.structs.replace(
                    state, ready=False, ready_at=now, ready_seconds=0
                )
                self.pods[key] = silent
                self._count(silent, 1)
                if self._rankings:
                    self._rank(state, silent)

    def _forget(self, held: NodeUse) -> None:
        del self.nodes[held.name]
        self._spreads.clear()
        self.former_incarnations[held.name] = held.node.incarnation
        self.node_list.remove(held)
        for key in held.pods:
            self.stranded[key] = None

    def _readmit(self, held: NodeUse) -> None:
        """A node of a forgotten name is back: its stranded pods take room again."""
        for key in [key for key in self.stranded if self.pods[key].node == held.name]:
            del self.stranded[key]
            held.pods[key] = None
            self._occupy(self.pods[key], 1)


def _is_available(state: Pod, enough: float) -> bool:
    return state.ready and state.ready_seconds >= enough


def _takes(state: Pod) -> tuple[object, ...]:
    """What decides whose room a pod takes, and whose sibling it is."""
    return (
        state.node,
        state.owner,
        state.template,
        state.stage == pod.TERMINATING,
        state.terminal,
    )


_USUAL: Final[dict[type[Event], Callable[[Actual, str, Pod, Pod], None]]] = {
    pod.PodScheduled: Actual._bound,
    pod.PodReported: Actual._heard,
    pod.PodBecameAvailable: Actual._heard,
    pod.PodTerminationRequested: Actual._ending,
}
"""What these events of a pod change (rule 5): neither owner, labels nor template, and
nothing that is asked of a pod whose containers have ended for good."""
