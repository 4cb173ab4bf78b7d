"""What the tests of the catalogue start from: manifests, and short questions."""

from typing import Any

import msgspec

from domain import deployment, names, owners, pod, protocol, replicaset
from projections import status
from projections.tallies import Tally
from tests.support.cluster import SimCluster, manifest
from workers.intake import ReportInput

JSON = dict[str, object]


def template(
    image: str = "app:1", labels: dict[str, str] | None = None, **spec: Any
) -> dict[str, Any]:
    """A pod template with one container, `main`."""
    container = {"name": "main", "image": image}
    return {
        "metadata": {"labels": labels or {"app": "web"}},
        "spec": {"containers": [container], **spec},
    }


def replicaset_manifest(
    name: str = "rs",
    replicas: int = 2,
    *,
    pods: dict[str, Any] | None = None,
    metadata: dict[str, Any] | None = None,
    **spec: Any,
) -> dict[str, Any]:
    """A ReplicaSet that selects `app=web`."""
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {"name": name, **(metadata or {})},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "web"}},
            "template": pods or template(),
            **spec,
        },
    }


def pod_manifest(
    name: str = "solo", labels: dict[str, str] | None = None, **spec: Any
) -> dict[str, Any]:
    """A pod with one container, `main`."""
    container = {"name": "main", "image": "app:1"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": labels or {}},
        "spec": {"containers": [container], **spec},
    }


def reference(
    held: Any = None, *, controller: bool | None = None, **changes: Any
) -> dict[str, Any]:
    """A reference to an object that is there, or else to a foreign one."""
    found: dict[str, Any] = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "name": "nightly",
        "uid": "7d0f",
    }
    if held is not None:
        kinds = {"deployment": "Deployment", "replicaset": "ReplicaSet"}
        kind, _, _ = names.split_key(held.key)
        version = "apps/v1" if kind in kinds else "v1"
        word = kinds.get(kind, kind.title())
        found |= {"apiVersion": version, "kind": word}
        found |= {"name": held.name, "uid": held.uid}
    if controller is not None:
        found["controller"] = controller
    return found | changes


def controlling(held: Any) -> dict[str, Any]:
    """The reference that adopting adds (spec 3.3)."""
    return reference(held, controller=True, blockOwnerDeletion=True)


def shown(sim: SimCluster, held: Any) -> list[dict[str, Any]]:
    """The object's references, as `get -o json` shows them."""
    kept = sim.cluster.desired.references.of(held.key)
    found = owners.shown(kept, held.owner, held.owner_uid)
    return list(msgspec.to_builtins(found))


def pod_with(
    references: list[dict[str, Any]], name: str = "solo", app: str = "web"
) -> dict[str, Any]:
    """A pod `app=web` whose manifest names these owners."""
    raw = pod_manifest(name, {"app": app})
    raw["metadata"]["ownerReferences"] = references
    return raw


def give(sim: SimCluster, verb: str, raw: dict[str, Any]) -> protocol.Answer:
    """`create`, `apply` or `replace` of a manifest."""
    kind, name = str(raw["kind"]).lower(), raw["metadata"]["name"]
    return sim.ask(kind, name, verb, {"manifest": raw})


def make(sim: SimCluster, raw: dict[str, Any]) -> None:
    """The object of the manifest is created and has come to rest."""
    answer = give(sim, "create", raw)
    assert answer.result == "accepted", answer.message
    sim.settle()


def deploy(
    sim: SimCluster, name: str = "web", image: str = "app:1", **spec: Any
) -> None:
    """A Deployment that selects `app=web`, whatever its name, at rest."""
    raw: dict[str, Any] = manifest(name, image, **spec)
    raw["spec"]["selector"] = {"matchLabels": {"app": "web"}}
    raw["spec"]["template"]["metadata"]["labels"] = {"app": "web"}
    make(sim, raw)


def owner(sim: SimCluster, name: str = "web") -> deployment.Deployment:
    """The Deployment."""
    return sim.cluster.desired.deployments[f"deployment/default/{name}"]


def owned(sim: SimCluster, name: str = "web") -> list[replicaset.ReplicaSet]:
    """Its ReplicaSets, oldest first."""
    return sim.cluster.desired.replicasets_of(owner(sim, name))


def newest(sim: SimCluster, name: str = "web") -> replicaset.ReplicaSet:
    """Its new ReplicaSet."""
    found = sim.cluster.desired.new_replicaset(owner(sim, name))
    assert found is not None
    return found


def rs(sim: SimCluster, name: str = "rs") -> replicaset.ReplicaSet:
    """The ReplicaSet."""
    return sim.cluster.desired.replicasets[f"replicaset/default/{name}"]


def tally(sim: SimCluster, name: str = "rs") -> Tally:
    """What the ReplicaSet's pods amount to."""
    return sim.cluster.actual.tally(f"replicaset/default/{name}")


def members(sim: SimCluster, name: str = "rs") -> list[pod.Pod]:
    """The ReplicaSet's pods, in order of creation."""
    return sim.cluster.actual.pods_of(f"replicaset/default/{name}")


def solo(sim: SimCluster, name: str = "solo") -> pod.Pod:
    """The pod of that name."""
    return sim.cluster.actual.pods[f"pod/default/{name}"]


def counted(sim: SimCluster, name: str = "web") -> tuple[int, int, int, int, int]:
    """replicas, updated, ready, available, unavailable (spec 2.13)."""
    found = status.deployment_status(
        sim.cluster.desired, sim.cluster.actual, owner(sim, name)
    )
    return (
        found.replicas,
        found.updated,
        found.ready,
        found.available,
        found.unavailable,
    )


def condition(sim: SimCluster, type_: str, name: str = "web") -> str:
    """The reason of a condition of the Deployment; empty where it has none."""
    held = sim.cluster.rollouts.by_key[f"deployment/default/{name}"].condition(type_)
    return held.reason if held is not None else ""


def set_image(sim: SimCluster, image: str, name: str = "web") -> None:
    """Another image; nothing is awaited."""
    answer = sim.ask("deployment", name, "set-image", {"images": {"main": image}})
    assert answer.result == "accepted", answer.message


def scale(sim: SimCluster, replicas: int, name: str = "web") -> None:
    """Another size of the Deployment; nothing is awaited."""
    sim.ask("deployment", name, "scale", {"replicas": replicas})


def relabel(
    sim: SimCluster, kind: str, name: str, changes: dict[str, str | None]
) -> None:
    """Other labels; everything comes to rest."""
    body = {"changes": changes, "overwrite": True}
    answer = sim.ask(kind, name, "label", body)
    assert answer.result == "accepted", answer.message
    sim.settle()


def frozen(sim: SimCluster, seconds: float = 2.0) -> None:
    """Time passes in which no pod starts and none ends."""
    sim.run_for(seconds, progress=False)


def report(sim: SimCluster, held: pod.Pod, **seen: Any) -> None:
    """The pod's node says this of it."""
    said = protocol.PodStatus(
        namespace=held.namespace, name=held.name, uid=held.uid, **seen
    )
    incarnation = sim.cluster.actual.nodes[held.node].node.incarnation
    told = protocol.Report(
        incarnation=incarnation, sequence=len(sim.log) + 10**6, pods=(said,)
    )
    sim.step(ReportInput(node=held.node, data=msgspec.json.encode(told)))
