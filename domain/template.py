"""Pod templates: defaults, equality, hash, and what may be changed in them.

1. `normalise` fills in Kubernetes' defaults (spec 1.1) and leaves one way to write each
   thing. Between normalised templates `==` is the semantic equality of spec 2.3, and
   doing it twice changes nothing.
2. Everything in a template counts for equality, annotations too, except the label
   `pod-template-hash`.
3. The hash only makes names; it never decides whether two templates are the same.
4. Quantities are written as `quantities.shortest` writes them, because two texts for
   one number would not be `==`. A text that is no quantity stays as it is: validation
   says so with its path.
5. An `imagePullPolicy` that is there stays, whatever the image becomes (spec 1.1).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import msgspec
from msgspec.structs import replace

from domain import quantities
from domain.errors import Rejected
from domain.metadata import HASH_LABEL, ObjectMeta
from domain.podspec import (
    Container,
    PodSpec,
    PodTemplateSpec,
    ResourceRequirements,
)
from domain.template_changes import describe_change as describe_change
from domain.template_defaults import canonical_resources
from domain.template_defaults import normalise as normalise
from domain.template_defaults import normalise_spec as normalise_spec

ALL_CONTAINERS: Final = "*"
_DIGITS: Final = str.maketrans("0123456789", "456789bcdf")
_FNV_OFFSET: Final = 2166136261
_FNV_PRIME: Final = 16777619
_ENCODER: Final = msgspec.json.Encoder(order="deterministic")


class Requests(msgspec.Struct, frozen=True, kw_only=True):
    """What one pod reserves on its node."""

    cpu_milli: int = 0
    memory_bytes: int = 0


def equal_ignoring_hash(a: PodTemplateSpec, b: PodTemplateSpec) -> bool:
    """Whether two normalised templates are the same revision (spec 2.3)."""
    return a == b or without_hash(a) == without_hash(b)


def with_hash(template: PodTemplateSpec, template_hash: str) -> PodTemplateSpec:
    """The template with the label that its ReplicaSet's pods carry (spec 2.4)."""
    return _labelled(template, {**template.metadata.labels, HASH_LABEL: template_hash})


def without_hash(template: PodTemplateSpec) -> PodTemplateSpec:
    """The template as its Deployment has it."""
    labels = template.metadata.labels
    if HASH_LABEL not in labels:
        return template
    kept = {key: value for key, value in labels.items() if key != HASH_LABEL}
    return _labelled(template, kept)


def template_hash(template: PodTemplateSpec, collision_count: int | None) -> str:
    """1 to 10 characters of `456789bcdf` (spec 2.4).

    The same for semantically equal templates, whether or not they carry the hash
    label; (almost always) another one for another `collision_count`.
    """
    dump = _ENCODER.encode(normalise(without_hash(template)))
    if collision_count is not None:
        dump += collision_count.to_bytes(8, "little")
    return str(fnv1a(dump)).translate(_DIGITS)


def requests(spec: PodSpec) -> Requests:
    """What one pod reserves, as the scheduler of Kubernetes counts it.

    The containers together, or the most that its init containers need at any moment,
    whichever is more; sidecars (init containers that restart) count throughout. What
    is not requested counts as its limit. Requests of the pod itself take precedence,
    and the overhead comes on top.
    """
    return Requests(
        cpu_milli=_needed(spec, "cpu", quantities.cpu_milli),
        memory_bytes=_needed(spec, "memory", quantities.whole),
    )


def images(template: PodTemplateSpec) -> dict[str, str]:
    """The image of each container by its name, in order, init containers not."""
    return {each.name: each.image for each in template.spec.containers}


def set_images(template: PodTemplateSpec, pairs: Mapping[str, str]) -> PodTemplateSpec:
    """The template with new images by container name; `*` means all (spec 6.7).

    Raises `Rejected("BadRequest")` when there is no pair, a name is unknown, or `*` is
    not alone.
    """
    if not pairs:
        raise Rejected("BadRequest", "at least one image update is required")
    if ALL_CONTAINERS in pairs and len(pairs) > 1:
        raise Rejected(
            "BadRequest",
            "all containers are already specified by *, but saw more than one "
            "container_name=container_image pairs",
        )
    _refuse_unknown(template, pairs)

    def changed(container: Container) -> Container:
        image = pairs.get(container.name, pairs.get(ALL_CONTAINERS))
        return container if image is None else replace(container, image=image)

    spec = template.spec
    containers = tuple(changed(each) for each in spec.containers)
    inits = tuple(changed(each) for each in spec.init_containers)
    return replace(
        template, spec=replace(spec, containers=containers, init_containers=inits)
    )


def set_resources(
    template: PodTemplateSpec,
    containers: Sequence[str],
    limits: Mapping[str, str],
    requests: Mapping[str, str],
) -> PodTemplateSpec:
    """The template with these limits and requests merged into the named containers.

    No names, or `*`, means all containers. Raises `Rejected("BadRequest")` when a name
    is unknown, a text is no quantity, or nothing is given.
    """
    if not limits and not requests:
        raise Rejected(
            "BadRequest",
            "you must specify an update to requests or limits (in the form of "
            "--requests/--limits)",
        )
    for name, text in (*limits.items(), *requests.items()):
        try:
            quantities.parse(text)
        except ValueError as error:
            raise Rejected("BadRequest", f"{name}: {error}") from None
    _refuse_unknown(template, containers)
    chosen = set(containers) or {ALL_CONTAINERS}

    def changed(container: Container) -> Container:
        if not chosen & {container.name, ALL_CONTAINERS}:
            return container
        old = container.resources
        merged = replace(
            old,
            limits=canonical_resources({**old.limits, **limits}),
            requests=canonical_resources({**old.requests, **requests}),
        )
        return replace(container, resources=merged)

    new = tuple(changed(each) for each in template.spec.containers)
    inits = tuple(
        changed(each) if each.name in chosen else each
        for each in template.spec.init_containers
    )
    return replace(
        template, spec=replace(template.spec, containers=new, init_containers=inits)
    )


def _refuse_unknown(
    template: PodTemplateSpec, names: Mapping[str, str] | Sequence[str]
) -> None:
    spec = template.spec
    known = {each.name for each in (*spec.containers, *spec.init_containers)}
    for name in names:
        if name != ALL_CONTAINERS and name not in known:
            raise Rejected("BadRequest", f'unable to find container named "{name}"')


def _labelled(template: PodTemplateSpec, labels: dict[str, str]) -> PodTemplateSpec:
    metadata: ObjectMeta = replace(template.metadata, labels=labels)
    return replace(template, metadata=metadata)


def fnv1a(data: bytes) -> int:
    """The FNV-1a hash of 32 bits."""
    value = _FNV_OFFSET
    for byte in data:
        value = ((value ^ byte) * _FNV_PRIME) & 0xFFFFFFFF
    return value


def _needed(spec: PodSpec, resource: str, measure: Callable[[str], int]) -> int:
    """One resource of one pod; `measure` turns its quantity into a number."""
    own = _amount(spec.resources, resource, measure)
    overhead = spec.overhead.get(resource)
    extra = measure(overhead) if overhead else 0
    if own is not None:
        return own + extra
    running = _sum(spec.containers, resource, measure)
    sidecars, starting = 0, 0
    for each in spec.init_containers:
        need = _amount(each.resources, resource, measure) or 0
        if each.restart_policy == "Always":
            sidecars += need
            need = 0
        starting = max(starting, sidecars + need)
    return max(running + sidecars, starting) + extra


def _sum(
    containers: Iterable[Container], resource: str, measure: Callable[[str], int]
) -> int:
    return sum(_amount(each.resources, resource, measure) or 0 for each in containers)


def _amount(
    resources: ResourceRequirements | None,
    resource: str,
    measure: Callable[[str], int],
) -> int | None:
    """What is requested, or else the limit, or None when nothing is said."""
    if resources is None:
        return None
    text = resources.requests.get(resource) or resources.limits.get(resource)
    return measure(text) if text else None
