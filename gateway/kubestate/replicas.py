"""The families of Deployments, ReplicaSets and autoscalers."""

import string
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from domain import owners
from domain.deployment import Deployment
from domain.metadata import OwnerReference
from domain.replicaset import ReplicaSet
from gateway.kubestate.rendering import Family, number, quoted, statuses
from projections import status
from projections.cluster import Cluster
from projections.status import Condition, DeploymentStatus

_LABEL: Final = frozenset(string.ascii_letters + string.digits + "_")


class DeploymentRow(NamedTuple):
    """A Deployment, counted; `head` is the labels that all its lines share."""

    head: str
    held: Deployment
    counts: DeploymentStatus
    conditions: tuple[Condition, ...]
    surge: int
    unavailable: int


class ReplicaSetRow(NamedTuple):
    """A ReplicaSet with its pods' counts."""

    head: str
    held: ReplicaSet
    active: int
    labelled: int
    ready: int
    owner: OwnerReference | None


def deployment_row(cluster: Cluster, held: Deployment) -> DeploymentRow:
    """The row of a Deployment."""
    rollout = cluster.rollouts.by_key.get(held.key)
    room = status.room(held)
    return DeploymentRow(
        f'namespace="{held.namespace}",deployment="{held.name}"',
        held,
        status.deployment_status(cluster.desired, cluster.actual, held),
        rollout.conditions if rollout is not None else (),
        room.surge,
        room.unavailable,
    )


def replicaset_row(cluster: Cluster, held: ReplicaSet) -> ReplicaSetRow:
    """The row of a ReplicaSet."""
    counts = cluster.actual.tally(held.key)
    kept = cluster.desired.references.of(held.key)
    shown = owners.shown(kept, held.owner, held.owner_uid)
    return ReplicaSetRow(
        f'namespace="{held.namespace}",replicaset="{held.name}"',
        held,
        counts.active,
        counts.labelled,
        counts.ready,
        next((each for each in shown if each.controller), None),
    )


def labels(found: dict[str, str]) -> str:
    """An object's labels as labels of a line, each behind a comma; of two that get
    the same name here the first one stays."""
    shown: dict[str, str] = {}
    for key in sorted(found):
        name = "label_" + "".join(each if each in _LABEL else "_" for each in key)
        shown.setdefault(name, quoted(found[key]))
    return "".join(f',{name}="{value}"' for name, value in shown.items())


# --- lines ------------------------------------------------------------------------


def _labels(at: DeploymentRow, out: list[str]) -> None:
    out.append(f"kube_deployment_labels{{{at.head}{labels(at.held.labels)}}} 1")


def _condition(at: DeploymentRow, out: list[str]) -> None:
    name = "kube_deployment_status_condition"
    for each in at.conditions:
        extra = f',reason="{quoted(each.reason)}",condition="{each.type}"'
        statuses(name, at.head, extra, each.status.lower(), out)


def _owner(at: ReplicaSetRow, out: list[str]) -> None:
    owner = at.owner
    kind, name = ("", "") if owner is None else (quoted(owner.kind), quoted(owner.name))
    controls = "true" if owner is not None else ""
    out.append(
        f'kube_replicaset_owner{{{at.head},owner_kind="{kind}",owner_name="{name}",'
        f'owner_is_controller="{controls}"}} 1'
    )


# A row of any of the kinds: each family is used with its own.
def _number(name: str, told: str, value: Callable[[Any], float]) -> Family:
    def lines(at: Any, out: list[str]) -> None:
        out.append(f"{name}{{{at.head}}} {number(value(at))}")

    return Family(name, told, lines)


DEPLOYMENTS: Final = (
    _number(
        "kube_deployment_created",
        "When it was created, Unix time.",
        lambda at: at.held.created_at,
    ),
    Family("kube_deployment_labels", "The Deployment's labels.", _labels),
    _number(
        "kube_deployment_metadata_generation",
        "How often what is wanted has changed.",
        lambda at: at.held.generation,
    ),
    _number(
        "kube_deployment_spec_replicas",
        "How many pods are wanted.",
        lambda at: at.held.replicas,
    ),
    _number(
        "kube_deployment_spec_paused",
        "Whether its rollout is paused.",
        lambda at: bool(at.held.spec.paused),
    ),
    _number(
        "kube_deployment_spec_strategy_rollingupdate_max_surge",
        "How many pods a rollout may add.",
        lambda at: at.surge,
    ),
    _number(
        "kube_deployment_spec_strategy_rollingupdate_max_unavailable",
        "How many pods may be missing in a rollout.",
        lambda at: at.unavailable,
    ),
    _number(
        "kube_deployment_status_observed_generation",
        "The generation that is decided.",
        lambda at: at.held.generation,
    ),
    _number(
        "kube_deployment_status_replicas",
        "How many pods it has.",
        lambda at: at.counts.replicas,
    ),
    _number(
        "kube_deployment_status_replicas_ready",
        "How many of them are ready.",
        lambda at: at.counts.ready,
    ),
    _number(
        "kube_deployment_status_replicas_available",
        "How many of them have been ready for long enough.",
        lambda at: at.counts.available,
    ),
    _number(
        "kube_deployment_status_replicas_unavailable",
        "How many are missing or not available.",
        lambda at: at.counts.unavailable,
    ),
    _number(
        "kube_deployment_status_replicas_updated",
        "How many are of the newest template.",
        lambda at: at.counts.updated,
    ),
    Family("kube_deployment_status_condition", "Its conditions.", _condition),
)

REPLICASETS: Final = (
    _number(
        "kube_replicaset_created",
        "When it was created, Unix time.",
        lambda at: at.held.created_at,
    ),
    _number(
        "kube_replicaset_metadata_generation",
        "How often what is wanted has changed.",
        lambda at: at.held.generation,
    ),
    _number(
        "kube_replicaset_spec_replicas",
        "How many pods are wanted.",
        lambda at: at.held.replicas,
    ),
    _number(
        "kube_replicaset_status_observed_generation",
        "The generation that is decided.",
        lambda at: at.held.generation,
    ),
    _number(
        "kube_replicaset_status_replicas",
        "How many pods it has.",
        lambda at: at.active,
    ),
    _number(
        "kube_replicaset_status_fully_labeled_replicas",
        "How many of them have the labels of its template.",
        lambda at: at.labelled,
    ),
    _number(
        "kube_replicaset_status_ready_replicas",
        "How many of them are ready.",
        lambda at: at.ready,
    ),
    Family("kube_replicaset_owner", "Who controls the ReplicaSet.", _owner),
)
