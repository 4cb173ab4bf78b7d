"""The kubelet's state machine: what control wants, what runs, what was confirmed.

1. No I/O, no clock, no dice: `now` and messages come in, effects come out. The same
   code runs in production and in the simulator.
2. A pod (its uid) is started at most once in a life of the agent. One that was stopped
   or is gone is never started again, however late or often a message says so. Told
   again with another template it is changed in its place.
3. Level-triggered: a report carries the full status of each pod that changed, and what
   control has not confirmed is sent again, after 1 s, doubling to 10 s. So is a sync
   that is not answered, doubling to 60 s and each node at moments of its own: a control
   that is late must not be made later by all its nodes asking again at once.
4. Assignments chain by position. A gap, another incarnation or a `resync` makes the
   agent ask for the full list; until it comes the last known assignment is obeyed.
5. After each sync a full report is owed, and it stays owed until it is confirmed.
6. A bad or late message changes nothing and is counted in `counters`.

The other reader of these messages is workers/intake.py; the structs are in
domain/protocol.py.
"""

import zlib
from collections import Counter
from collections.abc import Iterable
from typing import Final

import msgspec

from domain import podspec, protocol
from kubelet import reporting
from kubelet.agent_effects import (
    Effect,
    KillPod,
    SendReport,
    SendSync,
    StartPod,
    StopPod,
    UpdatePod,
    WakeAt,
)

HEARTBEAT: Final = 10.0
REPORT_INTERVAL: Final = 0.1
RETRY_FIRST: Final = 1.0
RETRY_LIMIT: Final = 10.0
SYNC_RETRY_LIMIT: Final = 60.0
ABSENT_LIMIT: Final = 10.0
"""The longest wait while there is no control at all: that asks nothing of anybody."""
JITTER: Final = 0.25
"""Syncs are repeated up to so much later than the doubling says, by the boot id."""
NEVER: Final = float("inf")

GONE_MAX: Final = 20_000
"""Uids of pods that are gone; the chain of positions protects from older messages."""
TEMPLATES_MAX: Final = 512
USAGE_PODS_MAX: Final = 1_000
"""Pods whose usage one report carries: a message has a largest size."""
EARLY_MAX: Final = 256
"""Assignments kept while the full list that they continue is on its way."""


class AgentSettings(msgspec.Struct, frozen=True, kw_only=True):
    """All durations in seconds."""

    heartbeat: float = HEARTBEAT
    report_interval: float = REPORT_INTERVAL
    retry_first: float = RETRY_FIRST
    retry_limit: float = RETRY_LIMIT
    sync_retry_limit: float = SYNC_RETRY_LIMIT
    absent_limit: float = ABSENT_LIMIT
    orphan_grace: float = 30.0
    """For pods that run and that control no longer knows."""


class Agent:
    """One node's agent. Each `on_…` returns the effects to carry out, in order."""

    def __init__(
        self,
        node: protocol.NodeInfo,
        boot_id: str,
        settings: AgentSettings | None = None,
    ) -> None:
        self.settings = settings or AgentSettings()
        self.boot_id = boot_id
        self.incarnation = 0
        self.position = 0
        self.connected = False
        self.counters: Counter[str] = Counter()
        self._reporter = reporting.Reporter(
            node, self.settings.retry_first, self.settings.retry_limit
        )
        self._pods = self._reporter.pods
        self._gone: dict[str, None] = {}
        self._templates: dict[str, podspec.PodTemplateSpec] = {}
        self._reported_at = -NEVER
        self._usage: list[protocol.Usage] = []
        self._early: list[protocol.Assignment] = []
        self._sync_wanted = False
        self._sync_attempt = 0
        self._sync_position = 0
        self._sync_due = NEVER
        self._sync_delay = self.settings.retry_first
        self._sync_sent_at = -NEVER
        self._spread = 1 + JITTER * (zlib.crc32(boot_id.encode()) % 1024) / 1024
        self._woken_for = NEVER

    # --- what others may ask -------------------------------------------------------

    @property
    def synced(self) -> bool:
        """Whether control has granted an incarnation and no sync is outstanding."""
        return bool(self.incarnation) and not self._sync_wanted

    @property
    def report_at(self) -> float:
        """Before that no report may be sent."""
        return self._reported_at + self.settings.report_interval

    @property
    def unconfirmed(self) -> frozenset[str]:
        """The uids whose current status control has not confirmed."""
        return self._reporter.unconfirmed

    @property
    def sequence(self) -> int:
        """The sequence of the last report."""
        return self._reporter.sequence

    def statuses(self) -> tuple[protocol.PodStatus, ...]:
        """Every pod that this node knows of, those just removed too."""
        return tuple(pod.status for pod in self._pods.values())

    def identify(self, uid: str) -> tuple[str, str] | None:
        """The namespace and the name of a pod of this node; None for any other."""
        pod = self._pods.get(uid)
        if pod is None or pod.status.removed:
            return None
        return pod.status.namespace, pod.status.name

    def running(self) -> frozenset[str]:
        """The uids that were started and are not gone."""
        return frozenset(u for u, p in self._pods.items() if not p.status.removed)

    def is_ending(self, uid: str) -> bool:
        """Whether the pod was told to stop, or is none of this node."""
        return uid not in self._pods or self._pods[uid].grace != NEVER

    # --- inputs --------------------------------------------------------------------

    def adopt(self, statuses: Iterable[protocol.PodStatus]) -> None:
        """Before anything else: pods that run since a former life of the kubelet. They
        count as started; the first list says which of them go on."""
        for status in statuses:
            self._reporter.change(status)

    def on_connected(self, now: float) -> list[Effect]:
        """The wire is there (again): assignments may have been missed, so sync."""
        self.connected = True
        self._want_sync(now, at_once=True)
        return self._finish(now, [])

    def on_connection_lost(self, now: float) -> list[Effect]:
        """Cut off: the last assignment is obeyed, nothing is sent."""
        self.connected = False
        return self._finish(now, [])

    def on_sync_failed(self, now: float, attempt: int, error: str = "") -> list[Effect]:
        """No answer, or an answer that names an error: ask again a little later.

        That it fails at once says that there is nobody to ask, or somebody who is not
        late: then the next try is never far away.
        """
        if attempt == self._sync_attempt and self._sync_wanted:
            self.counters["sync refused" if error else "sync unanswered"] += 1
            if now - self._sync_sent_at < self.settings.retry_first:
                soon = self._sync_sent_at + self.settings.absent_limit * self._spread
                self._sync_due = min(self._sync_due, max(soon, now))
        return self._finish(now, [])

    def on_sync_reply(
        self, now: float, attempt: int, reply: protocol.SyncReply
    ) -> list[Effect]:
        """The full list: what is in neither list is stopped; a full report is owed.

        An answer to an older request, or one that an assignment has overtaken, is
        dropped: it would take the chain backwards.
        """
        if reply.error:
            return self.on_sync_failed(now, attempt, reply.error)
        overtaken = (
            reply.incarnation == self.incarnation
            and reply.position < self.position
            and self.position != self._sync_position
        )
        if not self._sync_wanted or attempt != self._sync_attempt or overtaken:
            self.counters["stale sync reply"] += 1
            return self._finish(now, [])
        if reply.incarnation < max(self.incarnation, 1):
            self.counters["sync reply of another life"] += 1
            return self._finish(now, [])
        if reply.incarnation != self.incarnation:
            self.incarnation = reply.incarnation
            self._reporter.restart()
        self.position = reply.position
        self._sync_wanted = False
        self._sync_due = NEVER
        self._sync_delay = self.settings.retry_first
        effects: list[Effect] = []
        self._obey(now, reply.templates, reply.run, reply.stop, effects)
        self._stop_unlisted(reply, effects)
        self._reporter.owe_full()
        early, self._early = self._early, []
        for assignment in early:
            if assignment.incarnation == self.incarnation:
                self._follow(now, assignment, effects)
        return self._finish(now, effects)

    def on_assignment(
        self, now: float, assignment: protocol.Assignment
    ) -> list[Effect]:
        """A change of what this node should run, if it continues the chain."""
        effects: list[Effect] = []
        other = assignment.incarnation != self.incarnation
        if assignment.resync:
            self.counters["resync"] += 1
            if assignment.to_position < 0:
                # Control has just come: what it did not answer before is no sign.
                self._sync_delay = self.settings.retry_first
                self._sync_due = self._sync_soonest(now)
            self._want_sync(now)
        elif not self._sync_wanted or not (other or self._is_gap(assignment)):
            self._follow(now, assignment, effects)
        elif len(self._early) < EARLY_MAX:
            self._early.append(assignment)  # it may continue the list that is coming
        return self._finish(now, effects)

    def on_runtime(
        self, now: float, statuses: Iterable[protocol.PodStatus]
    ) -> list[Effect]:
        """Pods' statuses as the runtime sees them; `notes` are those since the last."""
        for status in statuses:
            pod = self._pods.get(status.uid)
            if pod is None or pod.status.removed:
                self.counters["status of a pod that is gone"] += 1
                continue
            self._change(status)
        return self._finish(now, [])

    def on_node_changed(self, now: float, node: protocol.NodeInfo) -> list[Effect]:
        """The node itself changed; the next report says so."""
        if node != self._reporter.node:
            self._reporter.owe_node(node)
        return self._finish(now, [])

    def on_usage(self, now: float, usage: protocol.Usage) -> list[Effect]:
        """What the pods used: the next report says so, once. What was not sent of the
        usage before is void."""
        self._usage = []
        if self.connected and self.incarnation:
            pods, size = usage.pods, USAGE_PODS_MAX
            self._usage = [
                msgspec.structs.replace(usage, pods=pods[start : start + size])
                for start in range(0, len(pods) or 1, size)
            ]
        return self._finish(now, [])

    def on_tick(self, now: float) -> list[Effect]:
        """Time has passed: heartbeats, batches, repeats and sync retries fall due."""
        self._woken_for = NEVER
        return self._finish(now, [])

    # --- obeying -------------------------------------------------------------------

    def _is_gap(self, assignment: protocol.Assignment) -> bool:
        return (
            assignment.from_position != self.position
            and assignment.to_position > self.position
        )

    def _follow(
        self, now: float, assignment: protocol.Assignment, effects: list[Effect]
    ) -> None:
        if assignment.incarnation != self.incarnation:
            self.counters["other incarnation"] += 1
            self._want_sync(now)
            return
        for sequence in assignment.confirmed:
            self._reporter.confirm(now, sequence)
        if self._is_gap(assignment):
            self.counters["gap in assignments"] += 1
            self._want_sync(now)
        elif assignment.from_position != self.position:
            self.counters["repeated assignment"] += 1
        elif self._missing_template(assignment):
            self.counters["unknown template"] += 1
            self._want_sync(now)
        elif assignment.to_position < self.position:
            self.counters["assignment that goes back"] += 1
        else:
            self.position = assignment.to_position
            self._obey(
                now, assignment.templates, assignment.run, assignment.stop, effects
            )

    def _obey(
        self,
        now: float,
        templates: dict[str, podspec.PodTemplateSpec],
        run: tuple[protocol.PodRun, ...],
        stop: tuple[protocol.PodStop, ...],
        effects: list[Effect],
    ) -> None:
        self._templates.update(templates)
        while len(self._templates) > TEMPLATES_MAX:
            self._templates.pop(next(iter(self._templates)))
        for wanted in run:
            template = templates.get(wanted.template)
            template = template or self._templates.get(wanted.template)
            if template is None:
                self.counters["unknown template"] += 1
                self._want_sync(now)
            else:
                self._start(wanted, template, effects)
        for unwanted in stop:
            self._stop(unwanted, effects)

    def _start(
        self,
        wanted: protocol.PodRun,
        template: podspec.PodTemplateSpec,
        effects: list[Effect],
    ) -> None:
        known = self._pods.get(wanted.uid)
        if known is not None:
            if known.status.removed:  # control has not read the last word: repeat it
                self._reporter.repeat(wanted.uid)
            elif known.template != wanted.template:
                known.template = wanted.template
                effects.append(UpdatePod(wanted.uid, template))
            return
        if wanted.uid in self._gone:
            self._report_gone(wanted.namespace, wanted.name, wanted.uid)
            return
        self._pods[wanted.uid] = reporting.Pod(
            protocol.PodStatus(
                namespace=wanted.namespace, name=wanted.name, uid=wanted.uid
            ),
            wanted.template,
        )
        effects.append(StartPod(wanted, template))

    def _stop(self, unwanted: protocol.PodStop, effects: list[Effect]) -> None:
        pod = self._pods.get(unwanted.uid)
        if pod is None:
            self._report_gone(unwanted.namespace, unwanted.name, unwanted.uid)
        elif pod.status.removed:
            self._reporter.repeat(unwanted.uid)
        elif unwanted.grace < pod.grace:
            self._end(unwanted.uid, pod, unwanted.grace, effects)

    def _stop_unlisted(self, reply: protocol.SyncReply, effects: list[Effect]) -> None:
        listed = {pod.uid for pod in reply.run} | {pod.uid for pod in reply.stop}
        for uid in [uid for uid in self._pods if uid not in listed]:
            pod = self._pods[uid]
            if pod.status.removed:  # control has let go of it: nothing is owed
                self._reporter.forget(uid)
            elif pod.status.phase in ("Succeeded", "Failed"):
                # It has ended and is still listed: it goes when control says so.
                continue
            elif pod.grace == NEVER:
                self.counters["pod that control does not know"] += 1
                self._end(uid, pod, self.settings.orphan_grace, effects)

    def _end(
        self, uid: str, pod: reporting.Pod, grace: float, effects: list[Effect]
    ) -> None:
        pod.grace = max(grace, 0.0)
        effects.append(StopPod(uid, pod.grace) if pod.grace > 0 else KillPod(uid))

    def _missing_template(self, assignment: protocol.Assignment) -> bool:
        return any(
            pod.template not in assignment.templates
            and pod.template not in self._templates
            for pod in assignment.run
        )

    # --- reporting -----------------------------------------------------------------

    def _report_gone(self, namespace: str, name: str, uid: str) -> None:
        self._change(
            protocol.PodStatus(
                namespace=namespace, name=name, uid=uid, phase="Failed", removed=True
            )
        )

    def _change(self, status: protocol.PodStatus) -> None:
        if status.removed:
            self._gone[status.uid] = None
            if len(self._gone) > GONE_MAX:
                self._gone.pop(next(iter(self._gone)))
        self._reporter.change(status)

    # --- time ----------------------------------------------------------------------

    def _want_sync(self, now: float, *, at_once: bool = False) -> None:
        """Asks for the full list; unless `at_once` not sooner than `retry_first`
        after the last time, so that a control that always says no is not flooded."""
        if at_once:
            self._sync_delay = self.settings.retry_first
            self._sync_due = now
        elif not self._sync_wanted:
            self._sync_due = self._sync_soonest(now)
        self._sync_wanted = True

    def _sync_soonest(self, now: float) -> float:
        return max(now, self._sync_sent_at + self.settings.retry_first)

    def _finish(self, now: float, effects: list[Effect]) -> list[Effect]:
        """Adds what is due `now` and, if it changed, when to wake next."""
        if self.connected:
            if self._sync_wanted and now >= self._sync_due:
                effects.append(self._sync(now))
            if now >= self._reporter.due:
                self._reporter.look_back(now)
            if now >= self._report_due():
                self._reported_at = now
                report = self._reporter.report(now, self.incarnation, self.position)
                if self._usage:
                    usage = self._usage.pop(0)
                    report = msgspec.structs.replace(report, usage=usage)
                effects.append(SendReport(report))
        wake = self._wake()
        if wake != self._woken_for:
            self._woken_for = wake
            if wake != NEVER:
                effects.append(WakeAt(wake))
        return effects

    def _sync(self, now: float) -> SendSync:
        self._sync_attempt += 1
        self._sync_position = self.position
        self._sync_sent_at = now
        self._sync_due = now + self._sync_delay * self._spread
        self._sync_delay = min(self._sync_delay * 2, self.settings.sync_retry_limit)
        request = protocol.SyncRequest(boot_id=self.boot_id, node=self._reporter.node)
        return SendSync(self._sync_attempt, request)

    def _report_due(self) -> float:
        """Reports wait for the first sync: without an incarnation they say nothing."""
        if not self.incarnation:
            return NEVER
        if self._reporter.owes or self._usage:
            return self.report_at
        return self._reported_at + self.settings.heartbeat

    def _wake(self) -> float:
        if not self.connected:
            return NEVER
        sync = self._sync_due if self._sync_wanted else NEVER
        return min(sync, self._reporter.due, self._report_due())
