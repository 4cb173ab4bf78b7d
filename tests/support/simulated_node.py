"""A node of the simulated cluster: the shipped kubelet agent over pods that only count.

1. The agent is `kubelet.agent.Agent`, as it is shipped. What it asks to be carried out
   is carried out here; what runs is a table of pods.
2. A pod does nothing by itself. `progress` moves pods on; tests choose which and when.
3. Every message is encoded and decoded on its way, and kept in `sent` and `received`,
   so that any of them can come again, however late.
"""

from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from domain import protocol
from kubelet import agent, agent_effects

HEARTBEAT: Final = 20.0
"""Seconds; half as often as shipped, and still often enough not to seem silent."""

_encode = msgspec.json.Encoder().encode
_assignment = msgspec.json.Decoder(protocol.Assignment)
_sync_reply = msgspec.json.Decoder(protocol.SyncReply)


class SimPod:
    """A pod that a node runs."""

    def __init__(self, run: protocol.PodRun, images: tuple[str, ...]) -> None:
        self.run = run
        self.images = images
        self.stopping = False
        self.said = ""
        """What was last told to the agent: `""`, `waiting`, `ready`, …"""

    def status(self, said: str) -> protocol.PodStatus:
        """The pod as the runtime sees it when it is `said`."""
        self.said = said
        name = self.images[0] if self.images else "none"
        state: protocol.ContainerPhase = "running" if said != "waiting" else "waiting"
        container = protocol.ContainerStatus(
            name="main", state=state, ready=said == "ready", container_id=name
        )
        phase: protocol.PodPhase = "Running"
        if said == "failed":
            phase = "Failed"
        elif said == "waiting":
            phase = "Pending"
        return protocol.PodStatus(
            namespace=self.run.namespace,
            name=self.run.name,
            uid=self.run.uid,
            phase=phase,
            ready=said == "ready",
            containers=(container,),
            removed=said == "removed",
        )


class SimNode:
    """One node: its agent, its pods, and the messages on both wires."""

    def __init__(self, name: str, allocatable: dict[str, str]) -> None:
        self.name = name
        self.info = protocol.NodeInfo(capacity=allocatable, allocatable=allocatable)
        self.boots = 0
        self.alive = True
        self.connected = False
        self.pods: dict[str, SimPod] = {}
        self.started: set[str] = set()
        """Every uid that was ever started here."""
        self.up: list[bytes] = []
        self.syncs: list[tuple[int, bytes]] = []
        self.down: list[bytes] = []
        self.replies: list[tuple[int, bytes]] = []
        self.sent: list[bytes] = []
        self.received: list[bytes] = []
        """An assignment was lost on the way."""
        self.wake = agent.NEVER
        self.agent = self._new_agent()

    @property
    def next_at(self) -> float:
        """When something is due here."""
        return self.wake

    # --- life -----------------------------------------------------------------------

    def boot(self, now: float) -> None:
        """The kubelet starts without any memory, and nothing runs on the node."""
        self.alive = True
        self.pods.clear()
        self._silence()
        self.agent = self._new_agent()
        self.connect(now)

    def die(self) -> None:
        """The node loses power: nothing runs, nothing is said."""
        self.alive = False
        self.connected = False
        self.pods.clear()
        self._silence()
        self.wake = agent.NEVER

    def connect(self, now: float) -> None:
        """The wire is there (again)."""
        if self.alive:
            self.connected = True
            self._carry_out(self.agent.on_connected(now))

    def cut(self, now: float) -> None:
        """The wire is gone, and what was on it; the pods run on."""
        if self.alive:
            self.connected = False
            self._silence()
            self._carry_out(self.agent.on_connection_lost(now))

    def _new_agent(self) -> agent.Agent:
        self.boots += 1
        self.wake = agent.NEVER
        settings = agent.AgentSettings(heartbeat=HEARTBEAT)
        return agent.Agent(self.info, f"{self.name}-boot-{self.boots}", settings)

    def _silence(self) -> None:
        for wire in (self.up, self.down):
            wire.clear()
        self.syncs.clear()
        self.replies.clear()

    # --- what arrives ---------------------------------------------------------------

    def assign(self, now: float, data: bytes) -> None:
        """An assignment arrives, for the first time or again."""
        if self.connected:
            self._carry_out(self.agent.on_assignment(now, _assignment.decode(data)))

    def answer_sync(self, now: float, attempt: int, data: bytes) -> None:
        """The answer to a sync arrives."""
        if self.connected:
            reply = _sync_reply.decode(data)
            self._carry_out(self.agent.on_sync_reply(now, attempt, reply))

    def tick(self, now: float) -> None:
        """Time has passed."""
        if self.alive and self.wake <= now:
            self.wake = agent.NEVER
            self._carry_out(self.agent.on_tick(now))

    # --- what happens to pods -------------------------------------------------------

    def pending(self, broken: Callable[[str], bool]) -> list[str]:
        """The uids of pods that `progress` would move on."""
        return [uid for uid, pod in self.pods.items() if self._next(pod, broken)]

    def progress(
        self, now: float, uids: Iterable[str], broken: Callable[[str], bool]
    ) -> None:
        """These pods move on: those that end are gone, others are ready or wait."""
        statuses = []
        for uid in uids:
            pod = self.pods.get(uid)
            said = self._next(pod, broken) if pod is not None else ""
            if pod is None or not said:
                continue
            statuses.append(pod.status(said))
            if said == "removed":
                del self.pods[uid]
        if statuses:
            self._carry_out(self.agent.on_runtime(now, statuses))

    def measure(self, now: float, cpu_nano: float | None, window: float = 15.0) -> None:
        """The kubelet has sampled its pods: each uses this much of the CPU."""
        used = tuple(
            protocol.PodUsage(
                namespace=pod.run.namespace,
                name=pod.run.name,
                uid=uid,
                containers=(
                    protocol.ContainerUsage(name="main", cpu=cpu_nano, memory=2**20),
                ),
            )
            for uid, pod in self.pods.items()
        )
        if used and self.alive:
            said = protocol.Usage(window=window, pods=used)
            self._carry_out(self.agent.on_usage(now, said))

    def describe(self, now: float, info: protocol.NodeInfo) -> None:
        """The node is this now."""
        self.info = info
        self._carry_out(self.agent.on_node_changed(now, info))

    def say(self, now: float, uid: str, said: str) -> None:
        """The pod changes by itself: `failed` for good, or `unready` for a while."""
        pod = self.pods.get(uid)
        if pod is not None and not pod.stopping and pod.said != "failed":
            self._carry_out(self.agent.on_runtime(now, [pod.status(said)]))

    @staticmethod
    def _next(pod: SimPod, broken: Callable[[str], bool]) -> str:
        if pod.stopping:
            return "removed"
        if pod.said == "failed":
            return ""
        said = "waiting" if any(broken(image) for image in pod.images) else "ready"
        return said if said != pod.said else ""

    def _carry_out(self, effects: list[agent_effects.Effect]) -> None:
        for effect in effects:
            match effect:
                case agent_effects.SendReport():
                    data = _encode(effect.report)
                    self.sent.append(data)
                    self.up.append(data)
                case agent_effects.SendSync():
                    self.syncs.append((effect.attempt, _encode(effect.request)))
                case agent_effects.StartPod():
                    self.started.add(effect.pod.uid)
                    images = tuple(c.image for c in effect.template.spec.containers)
                    self.pods[effect.pod.uid] = SimPod(effect.pod, images)
                case agent_effects.StopPod() | agent_effects.KillPod():
                    if effect.uid in self.pods:
                        self.pods[effect.uid].stopping = True
                case agent_effects.WakeAt():
                    self.wake = effect.time
