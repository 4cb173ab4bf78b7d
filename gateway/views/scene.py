"""What a view is made from: the state, the lines of what happened, and the time.

What is asked of a template again and again is worked out once for each template and
kept beside the state (`Templates`), because thousands of pods share one.
"""

from typing import Final

import msgspec

from domain import objects, owners, podspec, quantities, times
from domain.metadata import LAST_APPLIED
from domain.pod import Pod
from domain.replicaset import ReplicaSet
from gateway.live_readings import LiveReadings
from projections.cluster import Cluster
from projections.desired import TemplateFacts
from projections.happenings import Happenings

JSON = dict[str, object]
NONE: Final = "<none>"
UNKNOWN: Final = "<unknown>"
REVISION: Final = "deployment.kubernetes.io/revision"
TEMPLATES_KEPT: Final = 2_000


class TemplateView:
    """A template as views need it; `spec` is what its pods are given."""

    __slots__ = ("annotations", "document", "init", "labels", "qos", "sidecars", "spec")

    def __init__(self, facts: TemplateFacts | None) -> None:
        template = facts.template if facts is not None else podspec.PodTemplateSpec()
        self.labels = template.metadata.labels
        self.annotations = template.metadata.annotations
        self.spec = objects.default_pod_spec(template.spec)
        self.document: JSON = msgspec.to_builtins(self.spec)
        self.init = {each.name: each for each in self.spec.init_containers}
        self.sidecars = frozenset(
            each.name
            for each in self.spec.init_containers
            if each.restart_policy == "Always"
        )
        self.qos = _qos(self.spec)


class Templates:
    """The views of templates by the position of the event that holds them."""

    def __init__(self) -> None:
        self._views: dict[int, TemplateView] = {}

    def of(self, cluster: Cluster, position: int) -> TemplateView:
        """The view of a template; an empty one where it is not known."""
        found = self._views.get(position)
        if found is None:
            facts = cluster.desired.templates.get(position)
            found = TemplateView(facts)
            if facts is not None:
                self._views[position] = found
                if len(self._views) > TEMPLATES_KEPT:
                    del self._views[next(iter(self._views))]
        return found


class Scene(msgspec.Struct, frozen=True):
    """The state at `cluster.position`, seen at `now` (seconds since the epoch)."""

    cluster: Cluster
    happenings: Happenings
    templates: Templates
    now: float
    authority: str = ""
    """The certificate of the cluster's authority, PEM; "" where nobody needs it."""
    live: LiveReadings | None = None
    """What was measured; None in the past, of which nobody keeps that."""

    def template(self, position: int) -> TemplateView:
        """See `Templates.of`."""
        return self.templates.of(self.cluster, position)

    def pod_labels(self, held: Pod) -> dict[str, str]:
        """The pod's labels: its own, or those of its template."""
        if held.labels is not None:
            return held.labels
        return self.template(held.template).labels

    def pod_annotations(self, held: Pod) -> dict[str, str]:
        """The pod's annotations: its own, or those of its template."""
        if held.annotations is not None:
            return held.annotations
        return self.template(held.template).annotations


def metadata(
    *,
    name: str,
    namespace: str,
    uid: str,
    position: int,
    created_at: float,
    labels: dict[str, str],
    annotations: dict[str, str],
    generate_name: str = "",
) -> JSON:
    """An object's metadata; what is empty is left out, as Kubernetes does."""
    found: JSON = {"name": name}
    if generate_name:
        found["generateName"] = generate_name
    if namespace:
        found["namespace"] = namespace
    if uid:
        found["uid"] = uid
    found["resourceVersion"] = str(position)
    found["creationTimestamp"] = times.rfc3339_seconds(created_at)
    if labels:
        found["labels"] = labels
    if annotations:
        found["annotations"] = annotations
    return found


def owner_references(at: Scene, held: ReplicaSet | Pod) -> owners.References:
    """Whom the object belongs to: what its manifest named and its controller (3.3)."""
    kept = at.cluster.desired.references.of(held.key)
    return owners.shown(kept, held.owner, held.owner_uid)


def controlled_by(at: Scene, held: ReplicaSet | Pod) -> str:
    """`Kind/name` of the owner that controls the object; "" for an orphan."""
    for each in owner_references(at, held):
        if each.controller:
            return f"{each.kind}/{each.name}"
    return ""


def foreground_deletion(since: float) -> JSON:
    """The metadata of what goes when all that it owns has gone (spec 1.2)."""
    return {
        "deletionTimestamp": times.rfc3339_seconds(since),
        "deletionGracePeriodSeconds": 0,
        "finalizers": ["foregroundDeletion"],
    }


def template_document(template: podspec.PodTemplateSpec) -> JSON:
    """A pod template as JSON."""
    found: JSON = msgspec.to_builtins(template)
    found.setdefault("metadata", {})
    return found


def shown_annotations(annotations: dict[str, str]) -> dict[str, str]:
    """Those that people are shown: not what `apply` remembers for itself."""
    return {key: value for key, value in annotations.items() if key != LAST_APPLIED}


def containers_cells(spec: podspec.PodSpec) -> tuple[str, str]:
    """The cells CONTAINERS and IMAGES of a wide table (spec 6.2)."""
    containers = ",".join(each.name for each in spec.containers)
    return containers, ",".join(each.image for each in spec.containers)


def _qos(spec: podspec.PodSpec) -> str:
    """Guaranteed, Burstable or BestEffort, by what all containers ask for."""
    guaranteed, asks = bool(spec.containers), False
    for container in (*spec.containers, *spec.init_containers):
        limits, requests = container.resources.limits, container.resources.requests
        for resource in ("cpu", "memory"):
            limit, request = limits.get(resource), requests.get(resource)
            asks = asks or _positive(limit) or _positive(request)
            if not limit or not _equal(limit, request or limit):
                guaranteed = False
    if not asks:
        return "BestEffort"
    return "Guaranteed" if guaranteed else "Burstable"


def _positive(text: str | None) -> bool:
    try:
        return bool(text) and quantities.parse(text or "0") > 0
    except ValueError:
        return False


def _equal(one: str, other: str) -> bool:
    try:
        return quantities.parse(one) == quantities.parse(other)
    except ValueError:
        return False
