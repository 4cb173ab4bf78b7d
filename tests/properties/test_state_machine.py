"""The shipped step under everything that can happen to it, in any order.

1. A rule is something that users, kubelets, wires, the clock or a kill do. After every
   event of every rule the safety checkers look on (checkers.py).
2. At the end faults stop, everything heals, and liveness is due.
3. A longer run is `EXAMPLES=5000 STEPS=60 pytest tests/properties`; a shorter one has
   fewer. What differs between two runs is the seed (tests/conftest.py).
4. What the core is known not to survive is left out here and stands in
   tests/workers/test_step_inputs.py as a test that is expected to fail.
"""

import os
from random import Random
from typing import Any, Final

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from domain import protocol
from tests.properties import checkers
from tests.support.cluster import SimCluster, manifest, rolling
from workers.decisions import Target
from workers.intake import CommandInput, ReportInput

EXAMPLES: Final = int(os.environ.get("EXAMPLES", "250"))
STEPS: Final = int(os.environ.get("STEPS", "30"))

NAMES: Final = ("web", "api", "job")
IMAGES: Final = ("app:1", "app:2", "app:3", "app:slow", "app:bad")
LIMITS: Final[tuple[int | str, ...]] = (0, 1, 2, 3, "0%", "25%", "34%", "50%", "100%")

names = st.sampled_from(NAMES)
images = st.sampled_from(IMAGES)
sizes = st.integers(0, 7)
limits = st.sampled_from(LIMITS)
seeds = st.integers(0, 2**16)
node_numbers = st.integers(1, 4)


@st.composite
def specs(draw: st.DrawFn) -> dict[str, Any]:
    """What a Deployment's manifest says besides its name, image and size."""
    spec: dict[str, Any] = {
        "revisionHistoryLimit": draw(st.sampled_from((0, 1, 2, 10))),
    }
    if draw(st.integers(0, 3)) == 0:
        return {**spec, "strategy": {"type": "Recreate"}}
    surge, unavailable = draw(limits), draw(limits)
    if surge in (0, "0%") and unavailable in (0, "0%"):
        surge = 1
    return {**spec, "strategy": rolling(surge, unavailable)}


INVALID: Final[tuple[tuple[str, object], ...]] = (
    ("scale", {"replicas": -1}),
    ("scale", {"replicas": "many"}),
    ("scale", {"replicas": 3, "currentReplicas": 99}),
    ("set-image", {"images": {"nobody": "app:1"}}),
    ("set-image", {"images": {"main": ""}}),
    ("undo", {"toRevision": 99}),
    ("undo", {"toRevision": -1}),
    ("apply", {"manifest": {"kind": "Deployment"}}),
    ("create", {"manifest": {"apiVersion": "apps/v1", "kind": "Pod"}}),
    ("fly", {}),
)


class Cluster(RuleBasedStateMachine):
    """See the docstring of this file."""

    def __init__(self) -> None:
        super().__init__()
        self.sim = SimCluster(0, healthy=False)
        self.past: list[CommandInput] = []

    @initialize(nodes=st.integers(2, 4))
    def begin(self, nodes: int) -> None:
        """A cluster of small nodes that are all well."""
        allocatable = {"cpu": "1", "memory": "2Gi", "pods": "12"}
        self.sim = SimCluster(nodes, allocatable=allocatable, watchers=checkers.suite())
        self.sim.broken.add("app:bad")

    def ask(self, name: str, verb: str, body: object, dry_run: bool = False) -> None:
        """A user's command; what is asked is kept, to be asked again."""
        target = Target(namespace="default", kind="deployment", name=name, verb=verb)
        item = self.sim.command_input(target, body, dry_run=dry_run)
        if not dry_run:
            self.past.append(item)
        self.sim.step(item)

    # --- users ----------------------------------------------------------------------

    @rule(name=names, image=images, size=sizes, spec=specs(), apply=st.booleans())
    def declare(
        self, name: str, image: str, size: int, spec: dict[str, Any], apply: bool
    ) -> None:
        """Create a Deployment, or make it what a manifest says."""
        spec = {**spec, "minReadySeconds": 5 if name == "job" else 0}
        body = {"manifest": manifest(name, image, size, **spec)}
        self.ask(name, "apply" if apply else "create", body)

    @rule(name=names, size=sizes)
    def scale(self, name: str, size: int) -> None:
        """Ask for another size."""
        self.ask(name, "scale", {"replicas": size})

    @rule(name=names, image=images)
    def set_image(self, name: str, image: str) -> None:
        """Ask for another image, perhaps one that does not work."""
        self.ask(name, "set-image", {"images": {"main": image}})

    @rule(name=names, revision=st.integers(0, 4))
    def undo(self, name: str, revision: int) -> None:
        """Go back to a revision, 0 being the one before."""
        self.ask(name, "undo", {"toRevision": revision})

    @rule(name=names, verb=st.sampled_from(("pause", "resume", "restart")))
    def control_rollout(self, name: str, verb: str) -> None:
        """Pause, resume or restart."""
        self.ask(name, verb, {})

    @rule(name=names, how=st.sampled_from(("background", "orphan")))
    def delete(self, name: str, how: str) -> None:
        """Delete a Deployment, with what it owns or without."""
        self.ask(name, "delete", {"propagation": how})

    @rule(name=names, asked=st.sampled_from(INVALID))
    def ask_nonsense(self, name: str, asked: tuple[str, object]) -> None:
        """A command that must be refused, or does nothing."""
        self.ask(name, *asked)

    @rule(name=names, size=sizes)
    def dry_run(self, name: str, size: int) -> None:
        """Leaves no trace."""
        position = len(self.sim.log)
        self.ask(name, "scale", {"replicas": size}, dry_run=True)
        kinds = {*self.sim.kinds(position)}
        assert "DeploymentScaled" not in kinds, "a dry run changes nothing"

    @precondition(lambda self: self.past)
    @rule(seed=seeds)
    def repeat_a_command(self, seed: int) -> None:
        """A command of any time in the past arrives again."""
        item = self.past[seed % len(self.past)]
        id_ = msgspec.json.decode(item.data, type=protocol.CommandMessage).id
        position = len(self.sim.log)
        known = id_ in self.sim.store_answers
        done = self.sim.step(self.sim.redelivered(item.target, item.data, id_))
        if known and done is not None:
            user = [e for e in self.sim.events[position:] if e.command_id]
            assert not user, "a repeated command has no second effect (S3)"

    @rule(number=node_numbers, verb=st.sampled_from(("cordon", "uncordon")))
    def cordon(self, number: int, verb: str) -> None:
        """Take a node out of scheduling, or back."""
        self.sim.ask("node", f"worker-{number}", verb)

    @rule(seed=seeds)
    def delete_a_pod(self, seed: int) -> None:
        """A user ends some pod."""
        pods = [*self.sim.cluster.actual.pods.values()]
        if pods:
            self.sim.ask("pod", pods[seed % len(pods)].name, "delete")

    # --- kubelets -------------------------------------------------------------------

    @rule(limit=st.integers(1, 4))
    def some_pods_move_on(self, limit: int) -> None:
        """A few pods become ready, or are gone; reports and assignments arrive."""
        self.sim.pump()
        self.sim.progress(limit)
        self.sim.run_for(0.3, progress=False)

    @rule(seed=seeds, said=st.sampled_from(("failed", "unready")))
    def a_pod_changes(self, seed: int, said: str) -> None:
        """A pod fails for good, or is not ready for a while."""
        running = [(node, uid) for node in self.sim.nodes.values() for uid in node.pods]
        if running:
            node, uid = running[seed % len(running)]
            node.say(self.sim.now, uid, said)
            self.sim.pump()

    @rule(number=node_numbers, how=st.sampled_from(("cut", "die", "reboot", "join")))
    def a_node_changes(self, number: int, how: str) -> None:
        """A node is cut off, loses power, starts anew or is back."""
        node = self.sim.nodes.get(f"worker-{number}")
        if node is None:
            return
        match how:
            case "cut":
                node.cut(self.sim.now)
            case "die":
                node.die()
            case "reboot":
                node.boot(self.sim.now)
            case _ if node.alive:
                node.connect(self.sim.now)
            case _:
                node.boot(self.sim.now)

    @rule(number=node_numbers, seed=seeds, down=st.booleans())
    def a_late_message(self, number: int, seed: int, down: bool) -> None:
        """A report or an assignment of any time in the past arrives again."""
        node = self.sim.nodes.get(f"worker-{number}")
        if node is None:
            return
        if down and node.received:
            node.assign(self.sim.now, node.received[seed % len(node.received)])
        elif node.sent:
            data = node.sent[seed % len(node.sent)]
            self.sim.step(ReportInput(node=node.name, data=data))

    @rule(seed=seeds, rounds=st.integers(1, 8))
    def bad_wires(self, seed: int, rounds: int) -> None:
        """For a while messages are lost, repeated, delayed and reordered."""
        self.sim.faults = Random(seed)
        for _ in range(rounds):
            self.sim.round(self.sim.now + 2.0)
        self.sim.calm()

    # --- control and the clock ------------------------------------------------------

    @rule(how=st.sampled_from(("now", "before commit", "before saying")))
    def control_crashes(self, how: str) -> None:
        """The process is killed, now or in its next step."""
        if how == "before commit":
            self.sim.crash_next = "before commit"
        elif how == "before saying":
            self.sim.crash_next = "before saying"
        else:
            self.sim.crash_control()

    @rule(seconds=st.sampled_from((0.5, 6.0, 70.0, 400.0)))
    def time_passes(self, seconds: float) -> None:
        """Everybody does what is due."""
        self.sim.run_for(seconds)

    @rule(seconds=st.sampled_from((5.0, 120.0, 86_400.0)))
    def the_clock_jumps(self, seconds: float) -> None:
        """Nobody did anything meanwhile."""
        self.sim.jump(seconds)
        self.sim.step()

    def teardown(self) -> None:
        """Faults stop: in the end actual is desired, and then nothing happens."""
        if self.sim.cluster.position != len(self.sim.log):
            return  # a step has failed half-way, and says why
        checkers.rest(self.sim)


TestCluster = Cluster.TestCase
TestCluster.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=STEPS,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


desired_states = st.lists(
    st.tuples(images.filter(lambda image: image != "app:bad"), sizes, specs()),
    min_size=2,
    max_size=5,
)


@settings(max_examples=max(10, EXAMPLES // 4), deadline=None)
@given(path=desired_states, patience=st.lists(st.integers(0, 3), min_size=5))
def test_any_path_of_desired_states_ends_where_the_last_alone_would(
    path: list[tuple[str, int, dict[str, Any]]], patience: list[int]
) -> None:
    """L7: D1 → D2 → … → Dn ends in the state that Dn alone would have reached."""
    walked = SimCluster(3, watchers=checkers.suite())
    for (image, size, spec), pods in zip(path, patience, strict=False):
        body = {"manifest": manifest("web", image, size, **spec)}
        answer = walked.ask("deployment", "web", "apply", body)
        assert answer.result != "rejected", answer.message
        walked.run_for(1.0, progress=False)
        walked.progress(pods)
    image, size, spec = path[min(len(path), len(patience)) - 1]
    direct = SimCluster(3, watchers=checkers.suite())
    body = {"manifest": manifest("web", image, size, **spec)}
    direct.ask("deployment", "web", "apply", body)

    checkers.rest(walked)
    checkers.rest(direct)

    wanted = {image: count for image, count in direct.sizes("web").items() if count}
    assert wanted == {image: n for image, n in walked.sizes("web").items() if n}
    assert wanted == ({image: size} if size else {})
