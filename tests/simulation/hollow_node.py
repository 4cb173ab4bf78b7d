"""A simulated node with the shipped agent, lifecycle and hollow pods.

1. `kubelet.agent`, `kubelet.pods` (with `kubelet.lifecycle` and `kubelet.containers`)
   and `kubelet.hollow_runtime.HollowPods` run as they are shipped; this file puts them
   together as `kubelet/node.py` does, without its event loop.
2. The node has a clock of its own, which differs from the others' by `skew`. Every
   method takes the world's time.
3. A kubelet can be killed while its pods run on: `restart`. The next one finds them.
"""

import re
from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from domain import protocol
from kubelet import agent_effects, hollow_runtime, lifecycle, pods, runtime
from tests.support.simulated_node import SimNode, SimPod

NEVER: Final = float("inf")
BACKOFF_CAP: Final = 16.0
"""Seconds; shorter than shipped, so that a cluster is at rest sooner."""
USAGE_EVERY: Final = 15.0
"""Seconds between two samples of what pods use."""
IMAGES: Final = ("app:bad", "app:worse")
"""The images that may be broken."""


class _Ports:
    """The runtime port of `kubelet.pods`, answered by hollow pods."""

    def __init__(self, node: "HollowNode") -> None:
        self._node = node

    def start_sandbox(self, sandbox: runtime.Sandbox) -> None:
        self._node.hollow.start_sandbox(self._node.world, sandbox)

    def remove_sandbox(self, uid: str) -> None:
        self._node.hollow.remove_sandbox(self._node.world, uid)

    def pull_image(self, uid: str, container: str) -> None:
        self._node.hollow.pull_image(self._node.world, uid, container)

    def start_container(self, uid: str, container: str, attempt: int) -> None:
        self._node.hollow.start_container(self._node.world, uid, container, attempt)

    def stop_container(self, uid: str, container: str) -> None:
        self._node.hollow.stop_container(self._node.world, uid, container)

    def kill_container(self, uid: str, container: str) -> None:
        self._node.hollow.kill_container(self._node.world, uid, container)

    def probe(
        self, uid: str, container: str, attempt: int, kind: runtime.ProbeKind
    ) -> None:
        self._node.hollow.probe(self._node.world, uid, container, attempt, kind)


class HollowNode(SimNode):
    """See the docstring of this file."""

    def __init__(
        self,
        name: str,
        allocatable: dict[str, str],
        settings: hollow_runtime.HollowSettings,
        is_broken: Callable[[str], bool],
    ) -> None:
        self.time = 0.0
        self.world = 0.0
        self.skew = 0.0
        self._settings = settings
        self._is_broken = is_broken
        self.sample: Callable[[HollowNode], protocol.Usage | None] | None = None
        """What the kubelet measures; None while nobody wants to know."""
        self.sample_at = 0.0
        self._statuses: dict[str, protocol.PodStatus] = {}
        self._restart_pods(name)
        super().__init__(name, allocatable)

    def _restart_pods(self, name: str) -> None:
        self.hollow = hollow_runtime.HollowPods(name, self._settings)
        self._new_lifecycles(name)

    def _new_lifecycles(self, name: str) -> None:
        settings = lifecycle.LifecycleSettings(backoff_cap=BACKOFF_CAP)
        ports: runtime.Runtime = _Ports(self)  # type: ignore[assignment]  # its calls
        self.life = pods.Pods(name, ports, settings)
        self._statuses.clear()

    # --- time -----------------------------------------------------------------------

    def _look(self, now: float) -> None:
        """What time it is: the world's, which processes live by, and the kubelet's."""
        self.world = now
        self.time = now + self.skew

    @property
    def next_at(self) -> float:
        """When something is due here, in the world's time."""
        if not self.alive:
            return NEVER
        due = min(self.hollow.wake, min(self.wake, self.life.wake) - self.skew)
        return due if self.sample is None else min(due, self.sample_at)

    def tick(self, now: float) -> None:
        """Everything that is due by now is done."""
        if not self.alive:
            return
        self._look(now)
        self._see_images()
        for _ in range(1000):
            facts = self.hollow.observe(self.world)
            due = self.life.wake <= self.time
            if not facts and not due:
                break
            self.life.observe(self.time, facts)
            self.life.tick(self.time)
        self._hand_on()
        if self.sample is not None and self.sample_at <= self.world:
            self.sample_at = self.world + USAGE_EVERY
            if (found := self.sample(self)) is not None:
                self._carry_out(self.agent.on_usage(self.time, found))
        super().tick(self.time)

    def _see_images(self) -> None:
        """Which images cannot be pulled is the world's business, and changes."""
        names = [name for name in IMAGES if self._is_broken(name)]
        self.hollow._broken = [re.compile(re.escape(name)) for name in names]

    def _hand_on(self) -> None:
        if not self.life.touched:
            return
        changed = self.life.changes()
        for status in changed:
            self._statuses[status.uid] = status
            held = self.pods.get(status.uid)
            if held is not None and status.removed:
                del self.pods[status.uid]
        if changed:
            self._carry_out(self.agent.on_runtime(self.time, changed))

    # --- life -----------------------------------------------------------------------

    def boot(self, now: float) -> None:
        """The machine starts anew: nothing runs on it."""
        self._look(now)
        self._restart_pods(self.name)
        self._start()

    def restart(self, now: float) -> None:
        """The kubelet was killed and starts again, while its pods run on."""
        if not self.alive:
            return
        self._look(now)
        self._new_lifecycles(self.name)
        self._start()

    def _start(self) -> None:
        self.alive = True
        self.pods.clear()
        self._silence()
        self.agent = self._new_agent()
        super().connect(self.time)

    def connect(self, now: float) -> None:
        """The wire is there (again)."""
        self._look(now)
        super().connect(self.time)

    def cut(self, now: float) -> None:
        """The wire is gone; the pods run on."""
        self._look(now)
        super().cut(self.time)

    # --- what arrives ---------------------------------------------------------------

    def assign(self, now: float, data: bytes) -> None:
        """An assignment arrives, for the first time or again."""
        self._look(now)
        super().assign(self.time, data)
        self._hand_on()

    def answer_sync(self, now: float, attempt: int, data: bytes) -> None:
        """The answer to a sync; what a former life left and nobody wants, goes."""
        self._look(now)
        super().answer_sync(self.time, attempt, data)
        if self.agent.synced:
            wanted = self.agent.running()
            for found in self.hollow.list():
                if found.uid not in wanted and found.uid not in self.life._pods:
                    self.hollow.remove_sandbox(self.world, found.uid)
        self._hand_on()

    # --- pods -----------------------------------------------------------------------

    def is_serving(self, uid: str) -> bool:
        """The pod is ready, as far as its kubelet knows, and does its share."""
        status = self._statuses.get(uid)
        held = self.pods.get(uid)
        return status is not None and held is not None and status.ready

    def serving(self, name: str) -> int:
        """How many pods of the Deployment `name` share its load here."""
        if not self.alive:
            return 0
        return sum(
            self.is_serving(uid) and held.run.name.startswith(f"{name}-")
            for uid, held in self.pods.items()
        )

    def pending(self, broken: Callable[[str], bool]) -> list[str]:
        """Pods here move by themselves."""
        del broken
        return []

    def say(self, now: float, uid: str, said: str) -> None:
        """`failed`: the node evicts the pod; `unready`: its container crashes."""
        self._look(now)
        status = self._statuses.get(uid)
        held = self.pods.get(uid)
        if held is None or status is None or held.stopping or held.said == "failed":
            return
        if said == "failed":
            held.said = "failed"
            self.life._pods.pop(uid, None)
            self.life._touched.pop(uid, None)
            self.hollow.remove_sandbox(self.world, uid)
            ended = msgspec.structs.replace(
                status, phase="Failed", ready=False, reason="Evicted", notes=()
            )
            self._statuses[uid] = ended
            self._carry_out(self.agent.on_runtime(self.time, [ended]))
            return
        for name, container in self.hollow._pods[uid].containers.items():
            if container.running:
                exited = runtime.ContainerExited(
                    uid=uid, container=name, attempt=container.attempt, exit_code=1
                )
                container.running = False
                self.life.observe(self.time, [exited])
        self._hand_on()

    def progress(
        self, now: float, uids: Iterable[str], broken: Callable[[str], bool]
    ) -> None:
        """Pods here move by themselves."""

    def _carry_out(self, effects: list[agent_effects.Effect]) -> None:
        for effect in effects:
            match effect:
                case agent_effects.StartPod():
                    self.started.add(effect.pod.uid)
                    images = tuple(c.image for c in effect.template.spec.containers)
                    self.pods[effect.pod.uid] = SimPod(effect.pod, images)
                    self.life.start(self.time, effect.pod, effect.template)
                case agent_effects.StopPod():
                    self._stop(effect.uid, effect.grace)
                case agent_effects.KillPod():
                    self._stop(effect.uid, 0.0)
                case _:
                    super()._carry_out([effect])

    def _stop(self, uid: str, grace: float) -> None:
        held = self.pods.get(uid)
        if held is None:
            return
        held.stopping = True
        if held.said != "failed":
            self.life.stop(self.time, uid, grace)
            return
        del self.pods[uid]
        gone = msgspec.structs.replace(self._statuses[uid], removed=True)
        self._carry_out(self.agent.on_runtime(self.time, [gone]))
