"""Manifests of the plain kinds: objects that are kept and shown, and run nothing.

1. The rules of domain/objects.py hold: what was written is kept, an absent pointer is
   `None`, and unknown fields are refused by the decoder.
2. A HorizontalPodAutoscaler is autoscaling/v2; domain/plans/autoscale.py carries it
   out.
"""

from typing import Final

import msgspec

from domain.labels import LabelSelector
from domain.metadata import Int32, LocalObjectReference, ObjectMeta, Quantity, Value

# --- configuration ----------------------------------------------------------------


class ConfigMapManifest(Value, frozen=True, kw_only=True):
    """A v1 ConfigMap; the values of `binary_data` are base64."""

    api_version: str = "v1"
    kind: str = "ConfigMap"
    metadata: ObjectMeta = msgspec.field(default_factory=ObjectMeta)
    data: dict[str, str] = msgspec.field(default_factory=dict)
    binary_data: dict[str, str] = msgspec.field(default_factory=dict)
    immutable: bool | None = None


class SecretManifest(Value, frozen=True, kw_only=True):
    """A v1 Secret; the values of `data` are base64, those of `string_data` are not."""

    api_version: str = "v1"
    kind: str = "Secret"
    metadata: ObjectMeta = msgspec.field(default_factory=ObjectMeta)
    type: str = ""
    data: dict[str, str] = msgspec.field(default_factory=dict)
    string_data: dict[str, str] = msgspec.field(default_factory=dict)
    immutable: bool | None = None


class ObjectReference(Value, frozen=True, kw_only=True):
    """Any object, or a part of one."""

    api_version: str = ""
    kind: str = ""
    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    field_path: str = ""


class ServiceAccountManifest(Value, frozen=True, kw_only=True):
    """A v1 ServiceAccount."""

    api_version: str = "v1"
    kind: str = "ServiceAccount"
    metadata: ObjectMeta = msgspec.field(default_factory=ObjectMeta)
    secrets: tuple[ObjectReference, ...] = ()
    image_pull_secrets: tuple[LocalObjectReference, ...] = ()
    automount_service_account_token: bool | None = None


class NamespaceSpec(Value, frozen=True, kw_only=True):
    """What must let go of a namespace before it is gone."""

    finalizers: tuple[str, ...] = ()


class NamespaceManifest(Value, frozen=True, kw_only=True):
    """A v1 Namespace."""

    api_version: str = "v1"
    kind: str = "Namespace"
    metadata: ObjectMeta = msgspec.field(default_factory=ObjectMeta)
    spec: NamespaceSpec = msgspec.field(default_factory=NamespaceSpec)


class LeaseSpec(Value, frozen=True, kw_only=True):
    """Who holds a lease, since when and for how long; times are RFC 3339."""

    holder_identity: str | None = None
    lease_duration_seconds: Int32 | None = None
    acquire_time: str | None = None
    renew_time: str | None = None
    lease_transitions: Int32 | None = None
    strategy: str | None = None
    preferred_holder: str | None = None


class LeaseManifest(Value, frozen=True, kw_only=True):
    """A coordination.k8s.io/v1 Lease."""

    api_version: str = "coordination.k8s.io/v1"
    kind: str = "Lease"
    metadata: ObjectMeta = msgspec.field(default_factory=ObjectMeta)
    spec: LeaseSpec = msgspec.field(default_factory=LeaseSpec)


# --- HorizontalPodAutoscaler (spec 5.1) -------------------------------------------


class CrossVersionObjectReference(Value, frozen=True, kw_only=True):
    """An object whose scale is meant."""

    api_version: str = ""
    kind: str = ""
    name: str = ""


class MetricIdentifier(Value, frozen=True, kw_only=True):
    """A metric by its name, and by labels of it."""

    name: str = ""
    selector: LabelSelector | None = None


class MetricTarget(Value, frozen=True, kw_only=True):
    """What a metric shall be: `type` is Utilization, Value or AverageValue."""

    type: str = ""
    value: Quantity | None = None
    average_value: Quantity | None = None
    average_utilization: Int32 | None = None


class ObjectMetric(Value, frozen=True, kw_only=True):
    """A metric of one object."""

    described_object: CrossVersionObjectReference = msgspec.field(
        default_factory=CrossVersionObjectReference
    )
    target: MetricTarget = msgspec.field(default_factory=MetricTarget)
    metric: MetricIdentifier = msgspec.field(default_factory=MetricIdentifier)


class NamedMetric(Value, frozen=True, kw_only=True):
    """A metric of the pods, or one from outside the cluster."""

    metric: MetricIdentifier = msgspec.field(default_factory=MetricIdentifier)
    target: MetricTarget = msgspec.field(default_factory=MetricTarget)


class ResourceMetric(Value, frozen=True, kw_only=True):
    """What the pods use of a resource."""

    name: str = ""
    target: MetricTarget = msgspec.field(default_factory=MetricTarget)


class ContainerResourceMetric(Value, frozen=True, kw_only=True):
    """What one container of the pods uses of a resource."""

    name: str = ""
    target: MetricTarget = msgspec.field(default_factory=MetricTarget)
    container: str = ""


class MetricSpec(Value, frozen=True, kw_only=True):
    """One metric: the source that `type` names, and no other."""

    type: str = ""
    of_object: ObjectMetric | None = msgspec.field(default=None, name="object")
    pods: NamedMetric | None = None
    resource: ResourceMetric | None = None
    container_resource: ContainerResourceMetric | None = None
    external: NamedMetric | None = None


class ScalingPolicy(Value, frozen=True, kw_only=True):
    """So many pods, or percent of them, in so many seconds."""

    type: str = ""
    value: Int32 = 0
    period_seconds: Int32 = 0


class ScalingRules(Value, frozen=True, kw_only=True):
    """How fast it goes in one direction."""

    stabilization_window_seconds: Int32 | None = None
    select_policy: str | None = None
    policies: tuple[ScalingPolicy, ...] | None = None
    tolerance: Quantity | None = None


class ScalingBehavior(Value, frozen=True, kw_only=True):
    """How fast it goes up and down."""

    scale_up: ScalingRules | None = None
    scale_down: ScalingRules | None = None


class AutoscalerSpec(Value, frozen=True, kw_only=True):
    """What is scaled, between which sizes and by what."""

    scale_target_ref: CrossVersionObjectReference = msgspec.field(
        default_factory=CrossVersionObjectReference
    )
    min_replicas: Int32 | None = None
    max_replicas: Int32 = 0
    metrics: tuple[MetricSpec, ...] = ()
    behavior: ScalingBehavior | None = None


class HorizontalPodAutoscalerManifest(Value, frozen=True, kw_only=True):
    """An autoscaling/v2 HorizontalPodAutoscaler without its status."""

    api_version: str = "autoscaling/v2"
    kind: str = "HorizontalPodAutoscaler"
    metadata: ObjectMeta = msgspec.field(default_factory=ObjectMeta)
    spec: AutoscalerSpec = msgspec.field(default_factory=AutoscalerSpec)


PlainManifest = (
    ConfigMapManifest
    | SecretManifest
    | ServiceAccountManifest
    | NamespaceManifest
    | LeaseManifest
    | HorizontalPodAutoscalerManifest
)

BY_KIND: Final[dict[str, type[PlainManifest]]] = {
    "configmap": ConfigMapManifest,
    "secret": SecretManifest,
    "serviceaccount": ServiceAccountManifest,
    "namespace": NamespaceManifest,
    "lease": LeaseManifest,
    "horizontalpodautoscaler": HorizontalPodAutoscalerManifest,
}
"""The manifest of each plain kind, by the kind's token in keys and subjects."""
