"""What control has yet to hear about a node's pods. Pure; a part of the agent.

1. A pod is dirty from a change until a report carries it, and in flight from there
   until that report is confirmed. What stays in flight too long is dirty again.
2. A report carries the full status of each dirty pod and all its unconfirmed notes.
   A full report carries every pod, and stays owed until it is confirmed.
3. A pod whose removal was confirmed is forgotten.
4. A confirmation speaks for one report only, not for those before it: one of them may
   have been lost on the way while a later one came through.
"""

import itertools
from typing import Final

import msgspec

from domain import protocol

NEVER: Final = float("inf")
NOTES_MAX: Final = 20
"""Notes kept for one pod while nobody confirms them; the oldest go first."""
REPORT_PODS_MAX: Final = 250
"""Pods in one report that is not a full one: a message has a largest size."""


class Pod:
    """One pod of this node until its removal is confirmed."""

    __slots__ = ("grace", "notes", "notes_sent", "sent", "status", "template")

    def __init__(self, status: protocol.PodStatus, template: str = "") -> None:
        self.status = status
        self.template = template  # the name of what it was last told to be
        self.grace: float = NEVER  # how long it may still live; NEVER: not stopping
        self.sent = 0  # the last report that carried this pod; 0: none yet
        self.notes: tuple[protocol.Note, ...] = ()
        self.notes_sent = 0  # how many of them that report carried


class Reporter:
    """The pods of a node, and which of their statuses are confirmed."""

    def __init__(self, node: protocol.NodeInfo, first: float, limit: float) -> None:
        self.pods: dict[str, Pod] = {}
        self.node = node
        self.sequence = 0
        self.repeats = 0
        self.due = NEVER  # when something has been in flight for too long
        self._first = first
        self._limit = limit
        self._delay = first
        self._dirty: dict[str, None] = {}
        self._flying: dict[int, tuple[float, list[str]]] = {}
        self._full_owed = False
        self._full_sent = 0
        self._node_owed = False
        self._node_sent = 0

    @property
    def owes(self) -> bool:
        """Whether a report would say more than a heartbeat."""
        return bool(self._dirty) or self._full_owed or self._node_owed

    @property
    def unconfirmed(self) -> frozenset[str]:
        """The uids whose current status control has not confirmed."""
        flying = {
            uid
            for number, (_, uids) in self._flying.items()
            for uid in uids
            if uid in self.pods and self.pods[uid].sent == number
        }
        return frozenset(flying | self._dirty.keys())

    def change(self, status: protocol.PodStatus) -> None:
        """A pod's newest status; its notes are added to those not confirmed yet."""
        pod = self.pods.get(status.uid)
        if pod is None:
            pod = self.pods[status.uid] = Pod(status)
        notes = pod.notes + status.notes
        excess = max(len(notes) - NOTES_MAX, 0)
        pod.notes = notes[excess:]
        pod.notes_sent = max(pod.notes_sent - excess, 0)
        pod.status = status
        self._dirty[status.uid] = None

    def repeat(self, uid: str) -> None:
        """The pod's status goes into the next report, changed or not."""
        self._dirty[uid] = None

    def forget(self, uid: str) -> None:
        """Nothing is owed about this pod any more."""
        self.pods.pop(uid, None)
        self._dirty.pop(uid, None)

    def owe_full(self) -> None:
        """The next report is a full one."""
        self._full_owed = True

    def owe_node(self, node: protocol.NodeInfo) -> None:
        """The node changed: the next report says so."""
        self.node = node
        self._node_owed = True

    def restart(self) -> None:
        """A new incarnation: what was said under the old one does not count."""
        self._flying.clear()
        self.due = NEVER

    def confirm(self, now: float, sequence: int) -> None:
        """Report `sequence` is safe (rule 4); an impossible number changes nothing."""
        flight = self._flying.pop(sequence, None)
        if flight is None:
            return
        if self._full_sent == sequence:
            self._full_sent = 0
        if self._node_sent == sequence:
            self._node_sent = 0
        for uid in flight[1]:
            self._confirm_pod(uid, sequence)
        # A control that answers after three seconds is not asked again after one.
        took = now - flight[0]
        self._delay = min(max(self._first, 2 * took), self._limit)
        self._plan(now)

    def look_back(self, now: float) -> None:
        """What has been in flight for too long is dirty again."""
        late = [
            number
            for number, (sent_at, _) in self._flying.items()
            if sent_at + self._delay <= now
        ]
        for number in late:
            for uid in self._flying.pop(number)[1]:
                if uid in self.pods and self.pods[uid].sent == number:
                    self._dirty[uid] = None
            self._full_owed = self._full_owed or number == self._full_sent
            self._node_owed = self._node_owed or number == self._node_sent
        if late:
            self.repeats += 1
            self._delay = min(self._delay * 2, self._limit)
        self._plan(now)

    def report(self, now: float, incarnation: int, position: int) -> protocol.Report:
        """The next report; what it carries is in flight from now on."""
        self.sequence += 1
        full, self._full_owed = self._full_owed, False
        if full:
            uids = list(self.pods)
            self._full_sent = self.sequence
        else:
            uids = list(itertools.islice(self._dirty, REPORT_PODS_MAX))
        statuses = []
        for uid in uids:
            self._dirty.pop(uid, None)
            pod = self.pods[uid]
            pod.sent = self.sequence
            pod.notes_sent = len(pod.notes)
            statuses.append(_with_notes(pod))
        node = self.node if self._node_owed else None
        if node is not None:
            self._node_owed, self._node_sent = False, self.sequence
        if uids or full or node is not None:
            self._flying[self.sequence] = (now, uids)
            self.due = min(self.due, now + self._delay)
        return protocol.Report(
            incarnation=incarnation,
            sequence=self.sequence,
            position=position,
            full=full,
            pods=tuple(statuses),
            node=node,
        )

    def _confirm_pod(self, uid: str, number: int) -> None:
        pod = self.pods.get(uid)
        if pod is None or pod.sent != number:
            return  # a later report carries it, and what is confirmed here as well
        pod.notes = pod.notes[pod.notes_sent :]
        pod.notes_sent = 0
        if pod.status.removed and uid not in self._dirty:
            self.forget(uid)

    def _plan(self, now: float) -> None:
        if self._flying:
            oldest = next(iter(self._flying.values()))[0]
            self.due = max(oldest + self._delay, now)
        else:
            self.due = NEVER


def _with_notes(pod: Pod) -> protocol.PodStatus:
    if pod.notes == pod.status.notes:
        return pod.status
    return msgspec.structs.replace(pod.status, notes=pod.notes)
