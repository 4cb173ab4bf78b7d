"""The text of `describe node`: the machine, and what its pods have taken of it."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from domain import podspec, quantities
from domain.ages import age
from domain.node import Node
from domain.pod import Pod
from gateway.views import described, nodes, podtemplates
from gateway.views.podtemplates import Lines, annotation_lines, label_lines
from gateway.views.scene import NONE, Scene


class Taken(NamedTuple):
    """What a pod may take, as `describe node` counts it: milli-CPU and bytes."""

    cpu_requests: int
    cpu_limits: int
    memory_requests: int
    memory_limits: int


def of_node(at: Scene, held: Node) -> str:
    """A node with the pods that have not ended, and what happened to it."""
    happened = at.happenings.of("Node", "", held.name)
    return described.text(_node(at, held), at, happened, held.uid)


def _node(at: Scene, held: Node) -> Lines:
    yield f"Name:\t{held.name}"
    yield f"Roles:\t{nodes.roles(held) or NONE}"
    yield from label_lines("Labels", held.all_labels())
    yield from annotation_lines("Annotations", held.annotations)
    yield f"CreationTimestamp:\t{podtemplates.moment(held.created_at)}"
    first, *rest = [_taint(each) for each in held.all_taints()] or [NONE]
    yield f"Taints:\t{first}"
    yield from (f"\t{each}" for each in rest)
    yield f"Unschedulable:\t{'true' if held.cordoned else 'false'}"
    since = podtemplates.moment(held.changed_at)
    yield from (
        "Conditions:",
        "  Type\tStatus\tLastHeartbeatTime\tLastTransitionTime\tReason\tMessage",
        "  ----\t------\t-----------------\t------------------\t------\t-------",
        f"  Ready \t{held.status} \t{since} \t{since} \t{held.reason} \t{held.message}",
    )
    yield "Addresses:"
    yield from (f"  {type_}:\t{address}" for type_, address in nodes.addresses(held))
    for title, found in (
        ("Capacity", held.info.capacity),
        ("Allocatable", held.info.allocatable),
    ):
        if found:
            yield f"{title}:"
            yield from (f"  {name}:\t{found[name]}" for name in sorted(found))
    yield from _system(held)
    yield from _pods(at, held)


def _taint(held: podspec.Taint) -> str:
    value = f"={held.value}" if held.value else ""
    return f"{held.key}{value}:{held.effect}"


def _system(held: Node) -> Lines:
    info = held.info
    yield "System Info:"
    for title, value in (
        ("Machine ID", ""),
        ("System UUID", ""),
        ("Boot ID", held.boot_id),
        ("Kernel Version", info.kernel_version),
        ("OS Image", info.os_image),
        ("Operating System", info.operating_system),
        ("Architecture", info.architecture),
        ("Container Runtime Version", info.runtime),
        ("Kubelet Version", info.kubelet_version),
    ):
        yield f"  {title}:\t{value}"


def _pods(at: Scene, held: Node) -> Lines:
    use = at.cluster.actual.nodes.get(held.name)
    keys = use.pods if use is not None else ()
    found = [at.cluster.actual.pods[key] for key in keys]
    running = [each for each in found if not each.terminal]
    running.sort(key=lambda each: (each.namespace, each.name))
    room = held.info.allocatable
    cpu = _amount(room, "cpu", quantities.cpu_milli)
    memory = _amount(room, "memory", quantities.whole)
    yield f"Non-terminated Pods:\t({len(running)} in total)"
    yield (
        "  Namespace\tName\t\tCPU Requests\tCPU Limits\tMemory Requests\t"
        "Memory Limits\tAge"
    )
    yield (
        "  ---------\t----\t\t------------\t----------\t---------------\t"
        "-------------\t---"
    )
    total = Taken(0, 0, 0, 0)
    for each in running:
        taken = _taken(at, each)
        total = Taken(*map(sum, zip(total, taken, strict=True)))
        cells = "\t".join(_shares(taken, cpu, memory))
        old = age(each.created_at, at.now)
        yield f"  {each.namespace}\t{each.name}\t\t{cells}\t{old}"
    cpu_requests, cpu_limits, memory_requests, memory_limits = _shares(
        total, cpu, memory
    )
    yield "Allocated resources:"
    yield "  (Total limits may be over 100 percent, i.e., overcommitted.)"
    yield "  Resource\tRequests\tLimits"
    yield "  --------\t--------\t------"
    yield f"  cpu\t{cpu_requests}\t{cpu_limits}"
    yield f"  memory\t{memory_requests}\t{memory_limits}"


def _shares(taken: Taken, cpu: int, memory: int) -> tuple[str, str, str, str]:
    return (
        _share(_milli(taken.cpu_requests), taken.cpu_requests, cpu),
        _share(_milli(taken.cpu_limits), taken.cpu_limits, cpu),
        _share(_bytes(taken.memory_requests), taken.memory_requests, memory),
        _share(_bytes(taken.memory_limits), taken.memory_limits, memory),
    )


def _share(shown: str, part: int, whole: int) -> str:
    return f"{shown} ({part * 100 // whole if whole else 0}%)"


def _milli(value: int) -> str:
    return quantities.canonical(f"{value}m")


def _bytes(value: int) -> str:
    return quantities.shortest(str(value))


def _taken(at: Scene, held: Pod) -> Taken:
    """Requests as the scheduler counts them; limits of the containers together."""
    facts = at.cluster.desired.templates.get(held.template)
    if facts is None:
        return Taken(0, 0, 0, 0)
    spec = facts.template.spec
    return Taken(
        cpu_requests=facts.cpu_milli,
        cpu_limits=_limits(spec, "cpu", quantities.cpu_milli),
        memory_requests=facts.memory,
        memory_limits=_limits(spec, "memory", quantities.whole),
    )


def _limits(spec: podspec.PodSpec, resource: str, measure: Callable[[str], int]) -> int:
    return sum(
        _amount(each.resources.limits, resource, measure) for each in spec.containers
    )


def _amount(
    found: Mapping[str, str], resource: str, measure: Callable[[str], int]
) -> int:
    """The quantity as a number; nothing where it is none."""
    try:
        return measure(found.get(resource, "0"))
    except ValueError:
        return 0
