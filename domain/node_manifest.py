"""A node's manifest, and what replacing a node by it means.

1. Users have a say in labels, annotations, taints and whether it is schedulable. What
   the kubelet says of its node, and what follows from its condition, is not theirs:
   sent back as it was seen, it changes nothing; left out, it stays.
2. The difference is told by the same events as `label`, `taint` and `cordon` make.
"""

from collections.abc import Mapping

import msgspec

from domain import manifest_decisions, node, objects, validation
from domain.errors import Rejected, conflict, invalid
from domain.events import Event
from domain.manifest_decisions import Asked
from domain.metadata import ObjectMeta, Value
from domain.podspec import Taint

RESOURCE = "nodes"


class NodeSpec(Value, frozen=True, kw_only=True):
    """What a node's manifest may say; Rollbook gives nodes no addresses for pods."""

    pod_cidr: str = msgspec.field(default="", name="podCIDR")
    pod_cidrs: tuple[str, ...] = msgspec.field(default=(), name="podCIDRs")
    provider_id: str = msgspec.field(default="", name="providerID")
    unschedulable: bool = False
    taints: tuple[Taint, ...] = ()


class NodeManifest(Value, frozen=True, kw_only=True):
    """A v1 Node without its status."""

    api_version: str = "v1"
    kind: str = "Node"
    metadata: ObjectMeta = msgspec.field(default_factory=ObjectMeta)
    spec: NodeSpec = msgspec.field(default_factory=NodeSpec)


def replace(state: node.Node, command: node.ReplaceNode, asked: Asked) -> list[Event]:
    """The events that make the node what the manifest says, as far as rule 1 lets it;
    `[]` when it is so already. Raises `Rejected`."""
    manifest = _decoded(command.manifest, asked)
    meta = manifest.metadata
    if meta.resource_version and meta.resource_version != str(state.position):
        raise conflict(RESOURCE, asked.name)
    errors = validation.metadata_errors(meta)
    errors += validation.no_finalizers(meta)
    if errors:
        raise invalid("Node", asked.name, errors)
    events: list[Event] = []
    labels = _own_labels(state, meta.labels)
    if labels != state.labels:
        events.append(node.NodeLabelled(labels=labels))
    wish = node.CordonNode() if manifest.spec.unschedulable else node.UncordonNode()
    events += node.decide(state, wish, asked.now)
    # The time of a taint is kept, not taken: whoever sends it back has only seen it.
    timeless = (
        msgspec.structs.replace(each, time_added=None) for each in manifest.spec.taints
    )
    taints = node.TaintNode(taints=tuple(timeless))
    events += node.decide(state, taints, asked.now)
    told = manifest_decisions.annotations_differ(state.annotations, meta.annotations)
    if meta.annotations != state.annotations and (events or told):
        events.append(node.NodeAnnotated(annotations=meta.annotations))
    return events


def _decoded(raw: Mapping[str, object], asked: Asked) -> NodeManifest:
    manifest = objects.decode_as(raw, NodeManifest)
    name = manifest.metadata.name
    if (name or asked.name) != asked.name:
        raise Rejected(
            "BadRequest",
            f"the name of the object ({name}) does not match the name on the "
            f"subject ({asked.name})",
        )
    meta = msgspec.structs.replace(manifest.metadata, name=asked.name, namespace="")
    return msgspec.structs.replace(manifest, metadata=meta)


def _own_labels(state: node.Node, wanted: Mapping[str, str]) -> dict[str, str]:
    """The labels that are the users' to give: not those that the kubelet gives."""
    others = state.kubelet_labels()
    return {
        key: value
        for key, value in wanted.items()
        if key in state.labels or others.get(key) != value
    }
