"""What can happen in a simulated world, as data, and how each of it is carried out.

1. An action names nothing that must be there: `pick` numbers choose among what there
   is when its time comes. So any part of a plan is a plan, and can be replayed.
2. `ACTIONS` is the whole vocabulary; `describe` makes a line of a story of an action.
"""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from domain import (
    deployment,
    owners,
    pod_decisions,
    protocol,
    replicaset_decisions,
)
from domain.pod import Pod
from domain.replicaset import ReplicaSet
from tests.simulation import actions_measured
from tests.simulation.hollow_node import HollowNode
from tests.simulation.world import Weather, World
from tests.support.cluster import manifest
from workers import decisions
from workers.decisions import Target
from workers.intake import CommandInput, ReportInput, SyncInput

OWNERS: Final = (
    "none",
    "foreign",
    "foreign controller",
    "gone",
    "own",
    "own controller",
    "own of another life",
    "own beside a foreign one",
)
"""Whom the manifest of an object names as its owners. `own` is an object of the kind
that controls it; without the word controller it is named with `controller: false`."""


class Action(msgspec.Struct, frozen=True):
    """After `wait` seconds `kind` happens, with these arguments."""

    kind: str
    wait: float
    args: dict[str, Any] = {}


def carry_out(world: World, action: Action) -> None:
    """Afterwards it has happened, if there was something that it could happen to."""
    world.run_for(action.wait)
    ACTIONS[action.kind](world, **action.args)


def describe(action: Action) -> str:
    """One line for people."""
    args = ", ".join(f"{key}={_short(value)}" for key, value in action.args.items())
    return f"+{action.wait:g} s  {action.kind}({args})"


def _short(value: Any) -> str:
    return msgspec.json.encode(value).decode()


# --- users ------------------------------------------------------------------------


def _declare(
    world: World, name: str, image: str, size: int, verb: str, spec: dict[str, Any]
) -> None:
    spec = dict(spec)
    pod: dict[str, Any] = spec.pop("pod", {})
    asked: Any = manifest(name, image, size, **spec)
    asked["spec"]["template"]["spec"].update(pod)
    world.submit("deployment", name, verb, {"manifest": asked})


def _scale(world: World, name: str, size: int) -> None:
    world.submit("deployment", name, "scale", {"replicas": size})


def _set_image(world: World, name: str, image: str) -> None:
    world.submit("deployment", name, "set-image", {"images": {"main": image}})


def _burst(world: World, name: str, images: list[str]) -> None:
    """Template changes within a second, one step or several."""
    for number, image in enumerate(images):
        _set_image(world, name, f"{image}-{number}")
        if number % 3 == 2:
            world.run_for(1.0 / len(images))


def _undo(world: World, name: str, revision: int) -> None:
    world.submit("deployment", name, "undo", {"toRevision": revision})


def _rollout(world: World, name: str, verb: str) -> None:
    world.submit("deployment", name, verb)


def _delete(world: World, name: str, how: str) -> None:
    world.submit("deployment", name, "delete", {"propagation": how})


def _label(world: World, pick: int, value: str) -> None:
    """A pod is released by its ReplicaSet, or adopted (again)."""
    pods = [*world.cluster.actual.pods.values()]
    if pods:
        body = {"changes": {"app": value}, "overwrite": True}
        world.submit("pod", pods[pick % len(pods)].name, "label", body)


def _end_pod(world: World, pick: int, verb: str, grace: int | None) -> None:
    pods = [*world.cluster.actual.pods.values()]
    if pods:
        body = {} if grace is None else {"grace": grace}
        world.submit("pod", pods[pick % len(pods)].name, verb, body)


def _replicaset(world: World, pick: int, verb: str, body: dict[str, Any]) -> None:
    held = [*world.cluster.desired.replicasets.values()]
    if held:
        world.submit("replicaset", held[pick % len(held)].name, verb, body)


def _annotate(world: World, name: str, value: str) -> None:
    body = {"changes": {"note": value}, "overwrite": True}
    world.submit("deployment", name, "annotate", body)


def _watch(world: World, name: str, steps: str | None) -> None:
    """Its rollouts go in steps from now on, or no longer."""
    body = {"changes": {"rollbook/steps": steps}, "overwrite": True}
    world.submit("deployment", name, "annotate", body)


def _crash_loop(world: World, pick: int, times: int) -> None:
    """A container crashes again and again."""
    for _ in range(times):
        _pod_fault(world, pick, "unready")
        world.run_for(1.0)


def _invalid(world: World, kind: str, name: str, verb: str, body: Any) -> None:
    world.submit(kind, name, verb, body)


def _dry_run(world: World, name: str, size: int) -> None:
    world.submit("deployment", name, "scale", {"replicas": size}, dry_run=True)


def _again(world: World, pick: int) -> None:
    """A command of any time in the past arrives again."""
    known = [*world.submitted.values()]
    if known:
        world.injected["old command repeated"] += 1
        world.unanswered[known[pick % len(known)].id] = known[pick % len(known)]


def _garbage(world: World, pick: int) -> None:
    """Bytes that nobody can read, from a user and from a node."""
    world.injected["unreadable message"] += 1
    data = (b"", b"{", b"[]", b'{"id":"x y"}', b"\xff\xfe", b'{"sequence":1e9}')[
        pick % 6
    ]
    at = Target(namespace="default", kind="deployment", name="web", verb="scale")
    node = f"worker-{pick % 6}"
    world.step(
        CommandInput(user="admin", target=at, subject="x", data=data, reply="inbox"),
        ReportInput(node=node, data=data),
        SyncInput(node=node, data=data, reply="worker-1|0"),
    )


# --- owners -----------------------------------------------------------------------


def _make(
    world: World,
    pick: int,
    name: str,
    kind: str,
    image: str,
    size: int,
    owners: str,
    twin: bool,
) -> None:
    """A user creates a pod or a ReplicaSet; a twin has another name, and is created in
    the same step if the wires are good."""
    whole: Any = manifest(name, image, size)
    meta: dict[str, Any] = {"ownerReferences": _owners(world, kind, pick, owners)}
    meta["labels"] = {"app": name}
    raw: dict[str, Any] = {"kind": "Pod", "apiVersion": "v1"}
    raw["spec"] = whole["spec"]["template"]["spec"]
    if kind == "replicaset":
        raw = {"kind": "ReplicaSet", "apiVersion": "apps/v1", "spec": whole["spec"]}
    world.injected[f"{kind} by hand, owners: {owners}"] += 1
    # Of two of one age the name decides: the later letter comes first half the time.
    letters = ("b", "a") if pick % 2 else ("a", "b")
    for letter in letters[: 1 + twin]:
        called = f"{name}-by-hand-{letter}"
        asked = raw | {"metadata": {"name": called, **meta}}
        world.submit(kind, called, "create", {"manifest": asked})


def _give_owners(world: World, pick: int, kind: str, owners: str, verb: str) -> None:
    """A user changes the owners of an object; a `replace` takes all others away."""
    cluster = world.cluster
    held: list[Pod] | list[ReplicaSet] = [*cluster.actual.pods.values()]
    if kind == "replicaset":
        held = [*cluster.desired.replicasets.values()]
    if not held:
        return
    found = held[pick % len(held)]
    raw = _manifest_of(world, found)
    if verb == "apply":
        raw["metadata"] = {"name": found.name}
    raw["metadata"]["ownerReferences"] = _owners(world, kind, pick, owners)
    world.injected[f"{kind} given owners: {owners}"] += 1
    world.submit(kind, found.name, verb, {"manifest": raw})


def _manifest_of(world: World, held: Pod | ReplicaSet) -> dict[str, Any]:
    state = world.state
    shown = owners.shown(
        state.cluster.desired.references.of(held.key), held.owner, held.owner_uid
    )
    if isinstance(held, Pod):
        live = decisions._live(state, held)
        found: Any = pod_decisions.manifest_of(held, live, shown)
    else:
        live = state.cluster.desired.templates[held.template].template
        found = replicaset_decisions.manifest_of(held, live, shown)
    raw: dict[str, Any] = msgspec.to_builtins(found)
    return raw


def _owners(world: World, kind: str, pick: int, named: str) -> list[dict[str, Any]]:
    """The ownerReferences of `OWNERS`."""
    desired = world.cluster.desired
    foreign: dict[str, Any] = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "name": "j",
        "uid": "j-1",
    }
    word, held = "ReplicaSet", [(each.name, each.uid) for each in
                                desired.replicasets.values()]  # fmt: skip
    if kind == "replicaset":
        word = "Deployment"
        held = [(each.name, each.uid) for each in desired.deployments.values()]
    name, uid = held[pick % len(held)] if held else ("nobody", "never")
    own = {"apiVersion": "apps/v1", "kind": word, "name": name, "uid": uid}
    known: dict[str, list[dict[str, Any]]] = {
        "none": [],
        "foreign": [foreign],
        "foreign controller": [foreign | {"controller": True}],
        "gone": [own | {"name": "gone", "uid": "gone"}],
        "own": [own | {"controller": False}],
        "own controller": [own | {"controller": True}],
        "own of another life": [own | {"uid": "former", "controller": True}],
        "own beside a foreign one": [foreign, own | {"controller": False}],
    }
    return known[named]


def _ask_for_rollback(world: World, name: str, revision: str) -> None:
    """The legacy annotation, which the controller carries out (spec 2.5)."""
    changes = {deployment.ROLLBACK_TO: revision}
    world.injected["rollback by annotation"] += 1
    body = {"changes": changes, "overwrite": True}
    world.submit("deployment", name, "annotate", body)


# --- nodes ------------------------------------------------------------------------


def _node(world: World, pick: int) -> HollowNode | None:
    nodes = [each for each in world.nodes.values() if isinstance(each, HollowNode)]
    return nodes[pick % len(nodes)] if nodes else None


def _node_command(world: World, pick: int, verb: str) -> None:
    node = _node(world, pick)
    if node is not None:
        world.submit("node", node.name, verb)


def _taint(world: World, pick: int, effect: str) -> None:
    node = _node(world, pick)
    if node is not None:
        taints = [{"key": "maintenance", "effect": effect}] if effect else []
        world.submit("node", node.name, "taint", {"taints": taints})


def _drain(world: World, pick: int) -> None:
    """Cordon, then evict every pod, as the command line does."""
    node = _node(world, pick)
    if node is None:
        return
    world.submit("node", node.name, "cordon")
    for held in [*world.cluster.actual.pods.values()]:
        if held.node == node.name:
            world.submit("pod", held.name, "evict")


def _node_fault(world: World, pick: int, how: str, skew: float) -> None:
    node = _node(world, pick)
    if node is None:
        return
    world.injected[f"node: {how}"] += 1
    match how:
        case "partition":
            node.cut(world.now)
        case "power loss":
            node.die()
        case "reboot":
            node.skew += skew
            node.boot(world.now)
        case "kubelet crash":
            node.skew += skew
            node.restart(world.now)
        case _ if node.alive:
            node.connect(world.now)
        case _:
            node.boot(world.now)


def _pod_fault(world: World, pick: int, said: str) -> None:
    """A container crashes, or a node evicts a pod for good."""
    running = [(node, uid) for node in world.nodes.values() for uid in node.pods]
    if running:
        word = "pod evicted by its node" if said == "failed" else "container crash"
        world.injected[word] += 1
        node, uid = running[pick % len(running)]
        node.say(world.now, uid, said)


def _old_message(world: World, pick: int, down: bool) -> None:
    """A report or an assignment of any time in the past arrives again."""
    node = _node(world, pick)
    if node is None:
        return
    world.injected[f"old {'assignment' if down else 'report'} repeated"] += 1
    if down and node.received:
        node.assign(world.now, node.received[pick % len(node.received)])
    elif node.sent:
        data = node.sent[pick % len(node.sent)]
        world.step(ReportInput(node=node.name, data=data))


def _liar(world: World, pick: int) -> None:
    """A node speaks of a pod that is bound to another one."""
    node = _node(world, pick)
    pods = [*world.cluster.actual.pods.values()]
    use = world.cluster.actual.nodes.get(node.name) if node is not None else None
    if node is None or use is None or not pods:
        return
    held = pods[pick % len(pods)]
    if held.node == node.name:
        return
    world.injected["node lies"] += 1
    status = protocol.PodStatus(
        namespace="default", name=held.name, uid=held.uid, phase="Failed"
    )
    node.agent._reporter.sequence += 1
    report = protocol.Report(
        incarnation=use.node.incarnation,
        sequence=node.agent.sequence,
        pods=(status,),
    )
    world.step(ReportInput(node=node.name, data=msgspec.json.encode(report)))


def _image(world: World, name: str, broken: bool) -> None:
    """An image cannot be pulled from now on, or can again."""
    (world.broken.add if broken else world.broken.discard)(name)


# --- control, store, wires, clocks ------------------------------------------------


def _crash(world: World, how: str) -> None:
    match how:
        case "now":
            world.injected["control crashes at rest"] += 1
            world.crash_control()
        case "power":
            world.cut_power()
        case "before commit" | "before saying" | "half said":
            world.crash_next = how
        case "pipelined":
            world.injected["steps lost in the pipeline"] += 1
            world.doomed = 3
        case "lost" | "torn" | "kept":
            world.unsynced = how
            world.crash_next = "in commit" if how != "kept" else "before saying"
        case _:
            world.doubt(how == "written")


def _replace(world: World) -> None:
    world.replace_control()


def _broker(world: World, how: str, number: int) -> None:
    """The stream of events is harmed, or nobody reaches the broker for a while."""
    world.harm.append((how, number))


def _weather(world: World, seed: int, seconds: float, bad: dict[str, float]) -> None:
    world.bad_weather(seed, seconds, msgspec.convert(bad, Weather))


def _pause(world: World, seconds: float) -> None:
    """Everything stands still, and goes on later."""
    world.injected["clock jumps for everybody"] += 1
    world.jump(seconds)
    world.step()


def _wall(world: World, seconds: float) -> None:
    world.jump_wall(seconds)


def _time(world: World, seconds: float) -> None:
    world.run_for(seconds)


ACTIONS: Final[dict[str, Callable[..., None]]] = {
    "declare": _declare,
    "scale": _scale,
    "set image": _set_image,
    "burst": _burst,
    "undo": _undo,
    "rollout": _rollout,
    "delete": _delete,
    "label pod": _label,
    "end pod": _end_pod,
    "replicaset": _replicaset,
    "annotate": _annotate,
    "watch": _watch,
    "make": _make,
    "give owners": _give_owners,
    "ask for a rollback": _ask_for_rollback,
    "crash loop": _crash_loop,
    "invalid": _invalid,
    "dry run": _dry_run,
    "command again": _again,
    "garbage": _garbage,
    "node command": _node_command,
    "taint": _taint,
    "drain": _drain,
    "node fault": _node_fault,
    "pod fault": _pod_fault,
    "old message": _old_message,
    "liar": _liar,
    "image": _image,
    "crash": _crash,
    "replace control": _replace,
    "broker": _broker,
    "weather": _weather,
    "pause": _pause,
    "wall": _wall,
    "time": _time,
    **actions_measured.ACTIONS,
}
