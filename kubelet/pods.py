"""The pods of one node: each one's lifecycle, driven against a runtime.

1. Nothing here waits: lifecycles say what they want, the runtime is asked, and what
   comes of it is handed in by `observe`.
2. One heap of due times for all pods of the node; a pod costs no task and no timer.
"""

import heapq
from collections.abc import Iterable
from typing import Final, Protocol

from domain import podspec, protocol
from kubelet import effects, lifecycle, runtime

NEVER: Final = float("inf")


class Chores(Protocol):
    """Whoever runs hooks and fetches values; what comes of it goes to `observe`."""

    def run_hook(self, pod: runtime.Sandbox, ip: str, hook: effects.RunHook) -> None:
        """Answered by `HookEnded`."""

    def fetch_values(self, pod: runtime.Sandbox, wanted: effects.FetchValues) -> None:
        """Answered by `ValuesFetched`."""

    def forget(self, uid: str) -> None:
        """The pod is gone: what is still done for it ends."""

    async def close(self) -> None:
        """Afterwards nothing is done any more."""


class Pods:
    """Every pod that was started on this node and is not gone."""

    def __init__(
        self,
        node: str,
        ports: runtime.Runtime,
        settings: lifecycle.LifecycleSettings | None = None,
    ) -> None:
        self.chores: Chores | None = None  # needed if the settings say `chores`
        self._node = node
        self._runtime = ports
        self._settings = settings or lifecycle.LifecycleSettings()
        self._pods: dict[str, lifecycle.PodLifecycle] = {}
        self._heap: list[tuple[float, str]] = []
        self._due: dict[str, float] = {}
        self._touched: dict[str, None] = {}

    def __len__(self) -> int:
        return len(self._pods)

    @property
    def wake(self) -> float:
        """When `tick` is due next; infinite when nothing is."""
        return self._heap[0][0] if self._heap else NEVER

    @property
    def touched(self) -> bool:
        """Whether `changes` may have something."""
        return bool(self._touched)

    def start(
        self, now: float, pod: protocol.PodRun, template: podspec.PodTemplateSpec
    ) -> None:
        """Starts a pod; a second start of the same uid is nothing."""
        if pod.uid in self._pods:
            return
        metadata = template.metadata
        sandbox = runtime.Sandbox(
            uid=pod.uid,
            namespace=pod.namespace,
            name=pod.name,
            node=self._node,
            spec=template.spec,
            labels=metadata.labels if pod.labels is None else pod.labels,
            annotations=metadata.annotations,
        )
        machine = lifecycle.PodLifecycle(sandbox, self._settings)
        self._pods[pod.uid] = machine
        self._carry_out(pod.uid, machine, machine.start(now))

    def adopt(
        self, now: float, held: runtime.HeldPod, told: protocol.PodStatus | None
    ) -> None:
        """Takes over a pod that runs since a former life of the kubelet, which `told`
        that of it."""
        machine = lifecycle.PodLifecycle(held.sandbox, self._settings)
        uid = held.sandbox.uid
        self._pods[uid] = machine
        self._carry_out(uid, machine, machine.restore(now, held, told))

    def update(self, now: float, uid: str, template: podspec.PodTemplateSpec) -> None:
        """The pod is of `template` now: what changed in it is run anew."""
        machine = self._pods.get(uid)
        if machine is not None:
            self._carry_out(uid, machine, machine.update(now, template.spec))

    def stop(self, now: float, uid: str, grace: float) -> None:
        """Stops a pod within `grace` seconds; at 0 it is killed."""
        machine = self._pods.get(uid)
        if machine is not None:
            self._carry_out(uid, machine, machine.stop(now, grace))

    def stop_all(self, now: float) -> float:
        """Stops every pod with its own grace; returns the longest of these."""
        longest = 0.0
        for uid, machine in list(self._pods.items()):
            grace = machine.pod.spec.termination_grace_period_seconds
            seconds = 30.0 if grace is None else float(grace)
            longest = max(longest, seconds)
            self._carry_out(uid, machine, machine.stop(now, seconds))
        return longest

    def observe(self, now: float, facts: Iterable[effects.Fact]) -> None:
        """Hands what the runtime saw to the pods that it is about."""
        for fact in facts:
            machine = self._pods.get(fact.uid)
            if machine is not None:
                self._carry_out(fact.uid, machine, machine.observe(now, fact))

    def tick(self, now: float) -> None:
        """Carries out what is due by `now`."""
        while self._heap and self._heap[0][0] <= now:
            due, uid = heapq.heappop(self._heap)
            machine = self._pods.get(uid)
            if machine is None or self._due.get(uid) != due:
                continue  # gone, or planned anew since
            del self._due[uid]
            self._carry_out(uid, machine, machine.tick(now))

    def changes(self) -> list[protocol.PodStatus]:
        """The statuses that changed since the last call, with their notes."""
        statuses = []
        for uid in self._touched:
            machine = self._pods[uid]
            status = machine.changed()
            if status is not None:
                statuses.append(status)
            if machine.removed:
                del self._pods[uid]
                if self.chores is not None:
                    self.chores.forget(uid)
                self._due.pop(uid, None)
        self._touched.clear()
        return statuses

    def _carry_out(
        self,
        uid: str,
        machine: lifecycle.PodLifecycle,
        wanted: list[lifecycle.Effect],
    ) -> None:
        ports, chores = self._runtime, self.chores
        for effect in wanted:
            match effect:
                case lifecycle.StartSandbox():
                    ports.start_sandbox(machine.pod)
                case lifecycle.RemoveSandbox():
                    ports.remove_sandbox(uid)
                case lifecycle.PullImage():
                    ports.pull_image(uid, effect.container)
                case lifecycle.StartContainer():
                    ports.start_container(uid, effect.container, effect.attempt)
                case lifecycle.StopContainer():
                    ports.stop_container(uid, effect.container)
                case lifecycle.KillContainer():
                    ports.kill_container(uid, effect.container)
                case lifecycle.RunProbe():
                    ports.probe(uid, effect.container, effect.attempt, effect.kind)
                case lifecycle.RunHook() if chores is not None:
                    chores.run_hook(machine.pod, machine.ip, effect)
                case lifecycle.FetchValues() if chores is not None:
                    chores.fetch_values(machine.pod, effect)
        self._touched[uid] = None
        due = machine.wake
        if due < self._due.get(uid, NEVER):
            self._due[uid] = due
            heapq.heappush(self._heap, (due, uid))
