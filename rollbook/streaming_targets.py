"""Which pod and which container a verb means that works inside of one.

`POD`, `pod/NAME`, or what owns pods: then the first that is ready, else the first.
"""

from rollbook import conditions, printing
from rollbook.client import Cluster, Object
from rollbook.failures import Failure
from rollbook.references import POD, Reference, at, parse_reference

DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container"


async def pod_of(cluster: Cluster, name: str) -> Object:
    """The pod that `name` means. Raises `Rejected` or `Failure` where there is none."""
    reference = reference_of(cluster, name)
    if reference.kind == POD:
        return await cluster.get(reference)
    owner = await cluster.get(reference)
    found = await cluster.list(
        POD, selector=selector_of(owner), namespace=reference.namespace
    )
    running = [
        each
        for each in found
        if not conditions.text_at(each, "metadata", "deletionTimestamp")
    ]
    if not running:
        raise Failure(f"error: no pods of {reference} were found")
    return min(running, key=lambda each: not is_ready(each))


def reference_of(cluster: Cluster, name: str) -> Reference:
    """The object that `name` means: a pod, unless it says of what kind it is."""
    if "/" in name:
        return parse_reference(name, cluster.namespace)
    return at(POD, name, cluster.namespace)


def named(found: Object) -> Reference:
    """The pod's reference."""
    metadata = conditions.map_at(found, "metadata")
    return at(POD, str(metadata["name"]), str(metadata["namespace"]))


def container_of(found: Object, wanted: str, *, quiet: bool = False) -> str:
    """The container that is meant; of several the first, which is said.

    One that is not the pod's is refused by the server.
    """
    if wanted:
        return wanted
    names = containers_of(found)
    annotations = conditions.map_at(found, "metadata", "annotations")
    default = str(annotations.get(DEFAULT_CONTAINER, ""))
    if default in names:
        return default
    if len(names) > 1 and not quiet:
        printing.talk(f'Defaulted container "{names[0]}" out of: {", ".join(names)}')
    return names[0] if names else ""


def containers_of(found: Object, *, init: bool = False) -> list[str]:
    """The names of a pod's containers, after those of its init containers."""
    lists = ("initContainers", "containers") if init else ("containers",)
    return [
        conditions.text_at(each, "name")
        for kind in lists
        for each in conditions.items_at(found, "spec", kind)
    ]


def is_ready(found: Object) -> bool:
    """Whether the pod's condition Ready is true."""
    return any(
        conditions.text_at(each, "type") == "Ready"
        and conditions.text_at(each, "status") == "True"
        for each in conditions.items_at(found, "status", "conditions")
    )


def selector_of(owner: Object) -> str:
    """The selector of a Deployment or ReplicaSet, as `-l` takes it."""
    labels = conditions.map_at(owner, "spec", "selector", "matchLabels")
    parts = [f"{key}={value}" for key, value in sorted(labels.items())]
    for each in conditions.items_at(owner, "spec", "selector", "matchExpressions"):
        key = conditions.text_at(each, "key")
        values = ",".join(str(v) for v in conditions.items_at(each, "values"))
        match conditions.text_at(each, "operator"):
            case "In":
                parts.append(f"{key} in ({values})")
            case "NotIn":
                parts.append(f"{key} notin ({values})")
            case "Exists":
                parts.append(key)
            case "DoesNotExist":
                parts.append(f"!{key}")
    if not parts:
        raise Failure("error: this object selects no pods")
    return ",".join(parts)
