"""Which ConfigMaps and Secrets a pod may read: those that its specification names.

The kubelet asks for these, and control answers for no other (workers/values.py): both
find them here.
"""

from collections.abc import Iterator
from typing import Literal

import msgspec

from domain import podspec

Kind = Literal["configmap", "secret"]


class Reference(msgspec.Struct, frozen=True, gc=False):
    """A ConfigMap or Secret of the pod's namespace."""

    kind: Kind
    name: str


def references(spec: podspec.PodSpec) -> tuple[Reference, ...]:
    """The ConfigMaps and Secrets that the pod may read, each once, in order."""
    found: dict[Reference, None] = {}
    for container in (*spec.init_containers, *spec.containers):
        for reference in _of_container(container):
            found[reference] = None
    for volume in spec.volumes:
        for reference in of_volume(volume):
            found[reference] = None
    return tuple(found)


def of_volume(volume: podspec.Volume) -> Iterator[Reference]:
    """The objects that a volume is made of."""
    if volume.config_map is not None:
        yield Reference("configmap", volume.config_map.name)
    if volume.secret is not None:
        yield Reference("secret", volume.secret.secret_name)
    if volume.projected is not None:
        for source in volume.projected.sources:
            if source.config_map is not None:
                yield Reference("configmap", source.config_map.name)
            if source.secret is not None:
                yield Reference("secret", source.secret.name)


def _of_container(container: podspec.Container) -> Iterator[Reference]:
    for each in container.env_from:
        if each.config_map_ref is not None:
            yield Reference("configmap", each.config_map_ref.name)
        if each.secret_ref is not None:
            yield Reference("secret", each.secret_ref.name)
    for variable in container.env:
        source = variable.value_from
        if source is not None and source.config_map_key_ref is not None:
            yield Reference("configmap", source.config_map_key_ref.name)
        if source is not None and source.secret_key_ref is not None:
            yield Reference("secret", source.secret_key_ref.name)
