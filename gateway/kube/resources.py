"""What the Kubernetes API serves: one table, from which all else follows.

Discovery, routes, the OpenAPI documents and permissions are derived from `RESOURCES`.
`own` is what Rollbook calls the kind: a token of its subjects and streams. A resource
without `own` keeps nothing; it is a question (a review).

A resource that is `empty` is known and read, and there is never one: clients that look
through all the kinds that they know (`kubectl apply --prune`) would give up at the
first one that is not there.
"""

from typing import Final

import msgspec

ALL_VERBS: Final = (
    "create",
    "delete",
    "deletecollection",
    "get",
    "list",
    "patch",
    "update",
    "watch",
)
_NO_COLLECTION: Final = tuple(verb for verb in ALL_VERBS if verb != "deletecollection")
_READ: Final = ("get", "list", "watch")
_STATUS: Final = ("get", "patch", "update")


class Subresource(msgspec.Struct, frozen=True, kw_only=True):
    """A part or an action of an object; `group` and `version` if it is another kind."""

    name: str
    kind: str
    verbs: tuple[str, ...]
    group: str = ""
    version: str = ""


class Resource(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of object under its plural name."""

    group: str
    version: str
    plural: str
    singular: str
    kind: str
    own: str
    namespaced: bool = True
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ALL_VERBS
    subresources: tuple[Subresource, ...] = ()
    empty: bool = False

    @property
    def api_version(self) -> str:
        """As objects of it say: `apps/v1`, or `v1` in the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def qualified(self) -> str:
        """As messages name it: `deployments.apps`, or `pods` in the core group."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def qualified_kind(self) -> str:
        """As messages name the kind: `Deployment.apps`, or `Pod`."""
        return f"{self.kind}.{self.group}" if self.group else self.kind

    def subresource(self, name: str) -> Subresource | None:
        """The part of that name, if there is one."""
        return next((each for each in self.subresources if each.name == name), None)


_SCALE: Final = Subresource(
    name="scale", kind="Scale", verbs=_STATUS, group="autoscaling", version="v1"
)
_REVIEW: Final = ("create",)
_SESSION: Final = ("create", "get")


def _empty(
    group: str, kind: str, *short: str, plural: str = "", namespaced: bool = True
) -> Resource:
    """A resource of which there is never an object."""
    return Resource(
        group=group,
        version="v1",
        plural=plural or f"{kind.lower()}s",
        singular=kind.lower(),
        kind=kind,
        own=kind.lower(),
        namespaced=namespaced,
        short_names=short,
        verbs=_READ,
        empty=True,
    )


RESOURCES: Final[tuple[Resource, ...]] = (
    Resource(
        group="",
        version="v1",
        plural="configmaps",
        singular="configmap",
        kind="ConfigMap",
        own="configmap",
        short_names=("cm",),
    ),
    Resource(
        group="",
        version="v1",
        plural="events",
        singular="event",
        kind="Event",
        own="event",
        short_names=("ev",),
        verbs=_READ,
    ),
    Resource(
        group="",
        version="v1",
        plural="namespaces",
        singular="namespace",
        kind="Namespace",
        own="namespace",
        namespaced=False,
        short_names=("ns",),
        verbs=_NO_COLLECTION,
        subresources=(Subresource(name="status", kind="Namespace", verbs=("get",)),),
    ),
    Resource(
        group="",
        version="v1",
        plural="nodes",
        singular="node",
        kind="Node",
        own="node",
        namespaced=False,
        short_names=("no",),
        verbs=tuple(verb for verb in ALL_VERBS if verb != "create"),
        subresources=(Subresource(name="status", kind="Node", verbs=("get",)),),
    ),
    Resource(
        group="",
        version="v1",
        plural="pods",
        singular="pod",
        kind="Pod",
        own="pod",
        short_names=("po",),
        categories=("all",),
        subresources=(
            Subresource(name="attach", kind="PodAttachOptions", verbs=_SESSION),
            Subresource(name="binding", kind="Binding", verbs=("create",)),
            Subresource(
                name="eviction",
                kind="Eviction",
                verbs=("create",),
                group="policy",
                version="v1",
            ),
            Subresource(name="exec", kind="PodExecOptions", verbs=_SESSION),
            Subresource(name="log", kind="Pod", verbs=("get",)),
            Subresource(
                name="portforward", kind="PodPortForwardOptions", verbs=_SESSION
            ),
            Subresource(name="status", kind="Pod", verbs=("get",)),
        ),
    ),
    Resource(
        group="",
        version="v1",
        plural="secrets",
        singular="secret",
        kind="Secret",
        own="secret",
    ),
    Resource(
        group="",
        version="v1",
        plural="serviceaccounts",
        singular="serviceaccount",
        kind="ServiceAccount",
        own="serviceaccount",
        short_names=("sa",),
    ),
    Resource(
        group="apps",
        version="v1",
        plural="deployments",
        singular="deployment",
        kind="Deployment",
        own="deployment",
        short_names=("deploy",),
        categories=("all",),
        subresources=(
            _SCALE,
            Subresource(name="status", kind="Deployment", verbs=("get",)),
        ),
    ),
    Resource(
        group="apps",
        version="v1",
        plural="replicasets",
        singular="replicaset",
        kind="ReplicaSet",
        own="replicaset",
        short_names=("rs",),
        categories=("all",),
        subresources=(
            _SCALE,
            Subresource(name="status", kind="ReplicaSet", verbs=("get",)),
        ),
    ),
    *(
        Resource(
            group="autoscaling",
            version=version,
            plural="horizontalpodautoscalers",
            singular="horizontalpodautoscaler",
            kind="HorizontalPodAutoscaler",
            own="horizontalpodautoscaler",
            short_names=("hpa",),
            categories=("all",),
            subresources=(
                Subresource(
                    name="status", kind="HorizontalPodAutoscaler", verbs=("get",)
                ),
            ),
        )
        for version in ("v2", "v1")
    ),
    Resource(
        group="coordination.k8s.io",
        version="v1",
        plural="leases",
        singular="lease",
        kind="Lease",
        own="lease",
    ),
    Resource(
        group="events.k8s.io",
        version="v1",
        plural="events",
        singular="event",
        kind="Event",
        own="event",
        short_names=("ev",),
        verbs=_READ,
    ),
    *(
        Resource(
            group="authentication.k8s.io",
            version=version,
            plural="selfsubjectreviews",
            singular="selfsubjectreview",
            kind="SelfSubjectReview",
            own="",
            namespaced=False,
            verbs=_REVIEW,
        )
        for version in ("v1", "v1beta1")
    ),
    _empty("", "Endpoints", "ep", plural="endpoints"),
    _empty("", "PersistentVolume", "pv", namespaced=False),
    _empty("", "PersistentVolumeClaim", "pvc"),
    _empty("", "ReplicationController", "rc"),
    _empty("", "Service", "svc"),
    _empty(
        "apiextensions.k8s.io",
        "CustomResourceDefinition",
        "crd",
        "crds",
        namespaced=False,
    ),
    _empty("apps", "DaemonSet", "ds"),
    _empty("apps", "StatefulSet", "sts"),
    _empty("batch", "CronJob", "cj"),
    _empty("batch", "Job"),
    _empty("networking.k8s.io", "Ingress", "ing", plural="ingresses"),
    *(
        Resource(
            group="metrics.k8s.io",
            version="v1beta1",
            plural=f"{name}s",
            singular=name,
            kind=f"{name.title()}Metrics",
            own="",
            namespaced=name == "pod",
            verbs=("get", "list"),
        )
        for name in ("node", "pod")
    ),
    Resource(
        group="authorization.k8s.io",
        version="v1",
        plural="selfsubjectaccessreviews",
        singular="selfsubjectaccessreview",
        kind="SelfSubjectAccessReview",
        own="",
        namespaced=False,
        verbs=_REVIEW,
    ),
    Resource(
        group="authorization.k8s.io",
        version="v1",
        plural="selfsubjectrulesreviews",
        singular="selfsubjectrulesreview",
        kind="SelfSubjectRulesReview",
        own="",
        namespaced=False,
        verbs=_REVIEW,
    ),
)

_BY_NAME: Final = {(r.group, r.version, r.plural): r for r in RESOURCES}


def find(group: str, version: str, plural: str) -> Resource | None:
    """The resource that a path names."""
    return _BY_NAME.get((group, version, plural))


def groups() -> dict[str, tuple[str, ...]]:
    """The groups but the core one, each with its versions, the preferred one first."""
    found: dict[str, list[str]] = {}
    for resource in RESOURCES:
        versions = found.setdefault(resource.group, [])
        if resource.version not in versions:
            versions.append(resource.version)
    return {group: tuple(held) for group, held in found.items() if group}


def of_version(group: str, version: str) -> tuple[Resource, ...]:
    """The resources of one version of a group, in order of their names."""
    return tuple(
        sorted(
            (r for r in RESOURCES if (r.group, r.version) == (group, version)),
            key=lambda resource: resource.plural,
        )
    )
