"""An agent whose clock and wire are moved by hand: given, when, then."""

from domain import protocol
from kubelet import agent, agent_effects
from tests.kubelet.builders import NODE, run, template

TEMPLATES = {"t": template()}


class Scene:
    """An agent, the clock of the scene, and what it has sent."""

    def __init__(self) -> None:
        self.now = 100.0
        self.agent = agent.Agent(NODE, "boot-1")
        self.sent: list[agent_effects.Effect] = []

    def connect(self) -> "Scene":
        """Given: connected, and the first sync request is sent."""
        self.did(self.agent.on_connected(self.now))
        return self

    def sync(
        self,
        position: int = 10,
        run: tuple[protocol.PodRun, ...] = (),
        stop: tuple[protocol.PodStop, ...] = (),
        incarnation: int = 1,
    ) -> "Scene":
        """Given: the outstanding sync is answered."""
        asked = [e for e in self.sent if isinstance(e, agent_effects.SendSync)]
        reply = protocol.SyncReply(
            position=position, incarnation=incarnation, templates=TEMPLATES,
            run=run, stop=stop,
        )  # fmt: skip
        self.did(self.agent.on_sync_reply(self.now, asked[-1].attempt, reply))
        return self

    def assign(
        self,
        start: int,
        end: int,
        *,
        run: tuple[protocol.PodRun, ...] = (),
        stop: tuple[protocol.PodStop, ...] = (),
        incarnation: int = 1,
        confirmed: int = 0,
        resync: bool = False,
        templates: bool = True,
    ) -> list[agent_effects.Effect]:
        """When: an assignment comes."""
        message = protocol.Assignment(
            from_position=start, to_position=end, incarnation=incarnation,
            confirmed=(confirmed,) if confirmed else (),
            templates=TEMPLATES if templates else {},
            run=run, stop=stop, resync=resync,
        )  # fmt: skip
        return self.did(self.agent.on_assignment(self.now, message))

    def saw(self, *statuses: protocol.PodStatus) -> list[agent_effects.Effect]:
        """When: the runtime saw something."""
        return self.did(self.agent.on_runtime(self.now, statuses))

    def after(self, seconds: float) -> list[agent_effects.Effect]:
        """When: time passes and the agent is woken whenever it asked for it."""
        end = self.now + seconds
        effects: list[agent_effects.Effect] = []
        while True:
            wakes = [e.time for e in self.sent if isinstance(e, agent_effects.WakeAt)]
            if not wakes or wakes[-1] > end:
                break
            self.now = max(self.now, wakes[-1])
            self.sent = [
                e for e in self.sent if not isinstance(e, agent_effects.WakeAt)
            ]
            effects += self.did(self.agent.on_tick(self.now))
        self.now = end
        return effects

    def did(self, effects: list[agent_effects.Effect]) -> list[agent_effects.Effect]:
        """Remembers effects; returns them without the wake-ups."""
        self.sent += effects
        return [e for e in effects if not isinstance(e, agent_effects.WakeAt)]


def status(uid: str, **fields: object) -> protocol.PodStatus:
    """A running pod's status unless told otherwise."""
    return protocol.PodStatus(
        namespace="default", name=f"pod-{uid}", uid=uid,
        **{"phase": "Running", "ready": True, **fields},  # type: ignore[arg-type]  # test data
    )  # fmt: skip


def reports(effects: list[agent_effects.Effect]) -> list[protocol.Report]:
    """The reports among the effects."""
    return [e.report for e in effects if isinstance(e, agent_effects.SendReport)]


def started(effects: list[agent_effects.Effect]) -> list[str]:
    """The uids that were started."""
    return [e.pod.uid for e in effects if isinstance(e, agent_effects.StartPod)]


def syncs(effects: list[agent_effects.Effect]) -> int:
    """How many times the full list was asked for."""
    return sum(isinstance(e, agent_effects.SendSync) for e in effects)


def synced(*pods: str) -> Scene:
    """Given: synced at position 10 with these pods running and all confirmed."""
    scene = Scene().connect().sync(run=tuple(run(uid) for uid in pods))
    scene.saw(*(status(uid) for uid in pods))
    scene.after(0.2)
    for sequence in range(1, scene.agent.sequence + 1):
        scene.assign(10, 10, confirmed=sequence)
    assert scene.agent.unconfirmed == frozenset()
    return scene
