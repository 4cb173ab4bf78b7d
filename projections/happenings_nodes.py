"""The lines of `get events` about nodes (see projections/happenings.py)."""

from domain import node
from domain.events import Recorded
from domain.plans import node_health
from domain.plans import tolerations as pod_tolerations
from domain.pod import Pod
from projections import happening
from projections.cluster import Cluster
from projections.happening import Happening, Type


def registered(
    recorded: Recorded, _before: Pod | None, cluster: Cluster
) -> list[Happening]:
    """Its kubelet is known."""
    name = recorded.stream.partition("/")[2]
    message = f"Node {name} event: Registered Node {name} in Controller"
    return [_about_node(recorded, cluster, "RegisteredNode", message)]


def ready(recorded: Recorded, _before: Pod | None, cluster: Cluster) -> list[Happening]:
    """The node, and every pod on it that may stay after all."""
    name = recorded.stream.partition("/")[2]
    message = f"Node {name} status is now: NodeReady"
    line = _about_node(recorded, cluster, "NodeReady", message, source="kubelet")
    return [line, *_evictions_cancelled(recorded, cluster, 1)]


def changed(
    recorded: Recorded, _before: Pod | None, cluster: Cluster
) -> list[Happening]:
    """Its container engine fails, or works again: the node itself stays ready."""
    use = cluster.actual.nodes.get(recorded.stream.partition("/")[2])
    if use is None:
        return []
    for each in use.node.info.taints:
        if each.key == node.ENGINE_TAINT:
            how = f"its engine is {each.value.replace('-', ' ')}"
            text = f"container runtime is down: {how}; what runs goes on"
            return [
                _about_node(
                    recorded,
                    cluster,
                    "ContainerRuntimeNotReady",
                    text,
                    source="kubelet",
                    type_="Warning",
                )
            ]
    back = any(each.key == node.ENGINE_TAINT for each in use.node.shed)
    if not back or use.node.position != recorded.position:
        return []
    reason, text = "ContainerRuntimeReady", "container runtime is up again"
    return [_about_node(recorded, cluster, reason, text, source="kubelet")]


def relieved(
    recorded: Recorded, _before: Pod | None, cluster: Cluster
) -> list[Happening]:
    """Every pod on it that may stay after all."""
    return _evictions_cancelled(recorded, cluster, 0)


def _evictions_cancelled(
    recorded: Recorded, cluster: Cluster, first: int
) -> list[Happening]:
    """The pods that were to go after a while, and may stay: the taints that they
    tolerated for that long are gone (spec 4.6, 4.7)."""
    use = cluster.actual.nodes.get(recorded.stream.partition("/")[2])
    if use is None or use.node.position != recorded.position or not use.node.shed:
        return []
    left = use.node.no_execute_taints()
    shed = [each for each in use.node.shed if each.effect == "NoExecute"]
    found: list[Happening] = []
    for key in use.pods:
        held = cluster.actual.pods[key]
        facts = cluster.desired.templates.get(held.template)
        if facts is None or not held.active:
            continue
        tolerated = pod_tolerations.with_default_tolerations(
            facts.template.spec.tolerations
        )
        was_due = node_health.eviction_time(tolerated, (*shed, *left), 0.0)
        if was_due is not None and (
            node_health.eviction_time(tolerated, left, 0.0) is None
        ):
            index = first + len(found)
            found.append(
                about_eviction(recorded, held, "Cancelling deletion of", index)
            )
    return found


def unready(
    recorded: Recorded, _before: Pod | None, cluster: Cluster
) -> list[Happening]:
    """The node, and every pod on it that has been heard of (spec 4.6)."""
    name = recorded.stream.partition("/")[2]
    message = f"Node {name} status is now: NodeNotReady"
    found = [_about_node(recorded, cluster, "NodeNotReady", message)]
    use = cluster.actual.nodes.get(name)
    for key in use.pods if use is not None else ():
        held = cluster.actual.pods[key]
        if held.seen is not None and not held.terminal:
            found.append(
                happening.about_pod(
                    recorded,
                    held,
                    reason="NodeNotReady",
                    message="Node is not ready",
                    source="node-controller",
                    type_="Warning",
                    index=len(found),
                )
            )
    return found


def removed(
    recorded: Recorded, _before: Pod | None, cluster: Cluster
) -> list[Happening]:
    """It is forgotten."""
    name = recorded.stream.partition("/")[2]
    message = f"Node {name} event: Removing Node {name} from Controller"
    return [_about_node(recorded, cluster, "RemovingNode", message)]


def about_eviction(
    recorded: Recorded, held: Pod, doing: str, index: int = 0
) -> Happening:
    """What becomes of a pod because of a taint (spec 4.6)."""
    return happening.about_pod(
        recorded,
        held,
        reason="TaintManagerEviction",
        message=f"{doing} Pod {held.namespace}/{held.name}",
        source="taint-eviction-controller",
        index=index,
    )


def _about_node(
    recorded: Recorded,
    cluster: Cluster,
    reason: str,
    message: str,
    source: str = "node-controller",
    type_: Type = "Normal",
) -> Happening:
    name = recorded.stream.partition("/")[2]
    use = cluster.actual.nodes.get(name)
    uid = use.node.uid if use is not None else ""
    about = ("Node", "", name, uid)
    return happening.line(
        recorded,
        reason=reason,
        message=message,
        about=about,
        source=source,
        type_=type_,
    )
