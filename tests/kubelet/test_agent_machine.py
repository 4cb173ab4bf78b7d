"""The agent under a lossy, repeating and reordering wire, drawn by Hypothesis.

A small model of control hands out positions and remembers what it was told; between it
and the agent everything may be lost, repeated or late. Safety is checked after every
step, liveness by letting the wire work again at the end.
"""

from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from domain import protocol
from kubelet import agent, agent_effects
from tests.kubelet.builders import NODE, run, stop, template

TEMPLATES = {"t": template()}
REACHED: Counter[str] = Counter()


class Control:
    """What control knows of one node."""

    def __init__(self) -> None:
        self.position = 1
        self.sent_to = 1
        self.incarnation = 0
        self.wanted: dict[str, str] = {}  # uid → run or stop
        self.heard: dict[str, protocol.PodStatus] = {}
        self.highest = 0

    def sync(self) -> protocol.SyncReply:
        """The full list."""
        self.incarnation = self.incarnation or 1
        self.sent_to = self.position
        return protocol.SyncReply(
            position=self.position,
            incarnation=self.incarnation,
            templates=TEMPLATES,
            run=tuple(run(u) for u, w in self.wanted.items() if w == "run"),
            stop=tuple(stop(u, 1) for u, w in self.wanted.items() if w == "stop"),
        )

    def assignment(self, uid: str = "", want: str = "") -> protocol.Assignment:
        """The next link of the chain."""
        start, self.position = self.sent_to, self.position + bool(want)
        self.sent_to = self.position
        return protocol.Assignment(
            from_position=start,
            to_position=self.position,
            incarnation=self.incarnation,
            confirmed=(self.highest,),
            templates=TEMPLATES,
            run=(run(uid),) if want == "run" else (),
            stop=(stop(uid, 1),) if want == "stop" else (),
        )

    def hear(self, report: protocol.Report) -> None:
        """A report: old ones are dropped by sequence, as intake does it."""
        if report.incarnation != self.incarnation or report.sequence <= self.highest:
            return
        self.highest = report.sequence
        for status in report.pods:
            self.heard[status.uid] = status
            if status.removed:
                self.wanted.pop(status.uid, None)


class LossyWire(RuleBasedStateMachine):
    """The agent, its runtime and control, with everything on the wire in two bags."""

    @initialize(synced=st.booleans())
    def begin(self, synced: bool) -> None:
        """Connected; the sync is on its way, or answered with two pods."""
        self.now = 0.0
        self.agent = agent.Agent(NODE, "boot")
        self.control = Control()
        self.down: list[tuple[int, protocol.SyncReply] | protocol.Assignment] = []
        self.up: list[protocol.Report] = []
        self.syncs: list[int] = []
        self.running: set[str] = set()
        self.runs: Counter[str] = Counter()
        self.finished: set[str] = set()
        self.current: dict[str, protocol.PodStatus] = {}
        self.wake = float("inf")
        self.last_report = -1.0
        self.last_sequence = 0
        self.uids = 0
        self.do(self.agent.on_connected(self.now))
        if synced:
            self.create()
            self.create()
            self.answer_sync()
            self.deliver_in_order()

    def do(self, effects: list[agent_effects.Effect]) -> None:
        """Carries effects out, checking what must hold of each."""
        for effect in effects:
            match effect:
                case agent_effects.StartPod():
                    uid = effect.pod.uid
                    self.runs[uid] += 1
                    assert self.runs[uid] == 1, f"safety: {uid} was started twice"
                    assert uid not in self.finished, f"safety: {uid} came back"
                    self.running.add(uid)
                case agent_effects.StopPod() | agent_effects.KillPod():
                    assert effect.uid in self.running, (
                        "safety: only what runs is stopped"
                    )
                case agent_effects.SendReport():
                    report = effect.report
                    assert report.sequence == self.last_sequence + 1, "safety: dense"
                    self.last_sequence = report.sequence
                    gap = self.now - self.last_report
                    assert gap >= 0.1 - 1e-9, "safety: at most one in 100 ms"
                    self.last_report = self.now
                    self.up.append(report)
                case agent_effects.SendSync():
                    self.syncs.append(effect.attempt)
                case agent_effects.WakeAt():
                    self.wake = effect.time

    def report_status(self, uid: str, **fields: object) -> None:
        """The runtime sees a change of a pod."""
        before = self.current.get(uid)
        restarts = len(before.reason) + 1 if before else 1
        status = protocol.PodStatus(
            namespace="default", name=f"pod-{uid}", uid=uid, phase="Running",
            reason="x" * restarts, **fields,  # type: ignore[arg-type]  # test data
        )  # fmt: skip
        self.current[uid] = status
        self.do(self.agent.on_runtime(self.now, [status]))

    # --- control -------------------------------------------------------------------

    @precondition(lambda self: len(self.running) < 4)
    @rule()
    def create(self) -> None:
        """Control binds a new pod to the node."""
        self.uids += 1
        uid = f"u{self.uids}"
        self.control.wanted[uid] = "run"
        self.down.append(self.control.assignment(uid, "run"))

    @precondition(lambda self: self.control.wanted)
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        """Control wants a pod to stop."""
        uid = data.draw(st.sampled_from(sorted(self.control.wanted)))
        self.control.wanted[uid] = "stop"
        self.down.append(self.control.assignment(uid, "stop"))

    @rule()
    def confirm(self) -> None:
        """Control says what is safely in the store."""
        self.down.append(self.control.assignment())

    @precondition(lambda self: self.syncs)
    @rule()
    def answer_sync(self) -> None:
        """Control answers the newest request; older ones are lost."""
        self.down.append((self.syncs.pop(), self.control.sync()))

    # --- the wire ------------------------------------------------------------------

    @precondition(lambda self: self.down)
    @rule(data=st.data(), keep=st.booleans())
    def deliver_down(self, data: st.DataObject, keep: bool) -> None:
        """Any message for the node arrives, perhaps not for the last time."""
        index = data.draw(st.integers(0, len(self.down) - 1))
        REACHED["reordered"] += index > 0
        REACHED["repeated"] += keep
        message = self.down[index] if keep else self.down.pop(index)
        self.arrive(message)

    @precondition(lambda self: self.down)
    @rule()
    def deliver_in_order(self) -> None:
        """As it is on a good day."""
        messages, self.down = self.down, []
        for message in messages:
            self.arrive(message)

    def arrive(
        self, message: tuple[int, protocol.SyncReply] | protocol.Assignment
    ) -> None:
        """One message at the node."""
        if isinstance(message, tuple):
            self.do(self.agent.on_sync_reply(self.now, *message))
        else:
            self.do(self.agent.on_assignment(self.now, message))

    @precondition(lambda self: self.down or self.up)
    @rule(which=st.sampled_from(["down", "up"]))
    def lose(self, which: str) -> None:
        """The oldest message of one direction is lost."""
        bag: list[object] = getattr(self, which)
        if bag:
            REACHED["lost"] += 1
            bag.pop(0)

    @precondition(lambda self: self.up)
    @rule(data=st.data(), keep=st.booleans())
    def deliver_up(self, data: st.DataObject, keep: bool) -> None:
        """Any report arrives at control."""
        index = data.draw(st.integers(0, len(self.up) - 1))
        self.control.hear(self.up[index] if keep else self.up.pop(index))

    @rule()
    def cut(self) -> None:
        """The connection is lost and comes back; what was on the wire is gone."""
        self.do(self.agent.on_connection_lost(self.now))
        self.down.clear()
        self.up.clear()
        self.now += 1.0
        self.do(self.agent.on_connected(self.now))

    # --- the node ------------------------------------------------------------------

    @precondition(lambda self: self.running)
    @rule(data=st.data(), removed=st.booleans())
    def see(self, data: st.DataObject, removed: bool) -> None:
        """The runtime sees a pod change, or end."""
        uid = data.draw(st.sampled_from(sorted(self.running)))
        if removed:
            REACHED["removed"] += 1
            self.running.discard(uid)
            self.finished.add(uid)
        self.report_status(uid, removed=removed)

    @rule(seconds=st.sampled_from([0.01, 0.1, 1.0, 10.0]))
    def wait(self, seconds: float) -> None:
        """Time passes; the agent is woken when it asked for it."""
        end = self.now + seconds
        while self.wake <= end:
            self.now, self.wake = max(self.now, self.wake), float("inf")
            self.do(self.agent.on_tick(self.now))
        self.now = end

    # --- properties ----------------------------------------------------------------

    @invariant()
    def what_runs_is_known(self) -> None:
        """Safety: the agent and the runtime agree about what runs."""
        if hasattr(self, "agent"):
            assert self.agent.running() == self.running

    def teardown(self) -> None:
        """Liveness: once the wire works, control hears the newest of everything."""
        if not hasattr(self, "agent"):
            return
        for _ in range(60):
            self.wait(1.0)
            while self.syncs:
                self.arrive((self.syncs.pop(), self.control.sync()))
            for message in self.down:
                self.arrive(message)
            self.down.clear()
            for report in self.up:
                self.control.hear(report)
            self.up.clear()
            self.arrive(self.control.assignment())
            for uid in [u for u, w in self.control.wanted.items() if w == "stop"]:
                if uid in self.running:
                    self.running.discard(uid)
                    self.finished.add(uid)
                    self.report_status(uid, removed=True)
        wanted = {u for u, w in self.control.wanted.items() if w == "run"}
        assert self.control.wanted.keys() == wanted, "liveness: what ends is reported"
        assert wanted <= self.running, "liveness: what is wanted runs"
        assert self.agent.unconfirmed == frozenset(), "liveness: all is confirmed"
        for uid in wanted & self.current.keys():
            assert self.control.heard[uid] == self.current[uid], "liveness: the newest"
        REACHED["finished"] += 1


def test_a_lossy_wire() -> None:
    """Never two runs of one uid, none comes back, everything is heard in the end.

    The faults must have been reached: a property that was never put to the test
    proves nothing.
    """
    REACHED.clear()
    run_state_machine_as_test(
        LossyWire, settings=settings(max_examples=150, stateful_step_count=40)
    )
    for fault in ("reordered", "repeated", "lost", "removed", "finished"):
        assert REACHED[fault] > 5, f"{fault} was reached {REACHED[fault]} times"
