"""What differs between two pod templates, in words for a person.

1. The most telling changes come first: restarts, images, then the rest of each
   container, then the pod, then labels and annotations.
2. A field without words of its own is named by its path.
3. The label `pod-template-hash` is no change.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, TypeVar

import msgspec

from domain.metadata import HASH_LABEL
from domain.podspec import Container, PodTemplateSpec

T = TypeVar("T")

RESTARTED_AT: Final = "kubectl.kubernetes.io/restartedAt"
PARTS_MAX: Final = 8


def describe_change(old: PodTemplateSpec, new: PodTemplateSpec) -> str:
    """What was changed from `old` to `new`, parts joined by a comma; empty if nothing.

    For example `image nginx=nginx:1.7.9 → nginx:1.9.1`, `restarted`, `env FOO of nginx
    changed`. After `PARTS_MAX` parts the rest is counted.
    """
    parts = list(_parts(old, new))
    if not parts and old.spec != new.spec:
        parts = ["containers changed"]  # Two of one name hide each other.
    if len(parts) > PARTS_MAX:
        parts[PARTS_MAX:] = [f"{len(parts) - PARTS_MAX} more changes"]
    return ", ".join(parts)


def _parts(old: PodTemplateSpec, new: PodTemplateSpec) -> Iterator[str]:
    before, after = old.metadata.annotations, new.metadata.annotations
    if RESTARTED_AT in after and before.get(RESTARTED_AT) != after[RESTARTED_AT]:
        yield "restarted"
    yield from _containers(old.spec.containers, new.spec.containers, "")
    yield from _containers(old.spec.init_containers, new.spec.init_containers, "init ")
    named = frozenset({"containers", "init_containers"})
    yield from (f"{path} changed" for path in _fields(old.spec, new.spec, named))
    labels = (old.metadata.labels, new.metadata.labels)
    yield from _entries("label", *labels, frozenset({HASH_LABEL}))
    restart = frozenset({RESTARTED_AT}) if RESTARTED_AT in after else frozenset()
    yield from _entries("annotation", before, after, restart)
    named = frozenset({"labels", "annotations"})
    for path in _fields(old.metadata, new.metadata, named):
        yield f"metadata.{path} changed"


def _containers(
    old: Sequence[Container], new: Sequence[Container], kind: str
) -> Iterator[str]:
    before = _by(old, lambda each: each.name)
    after = _by(new, lambda each: each.name)
    for name, container in after.items():
        if name not in before:
            yield f"{kind}container {name} added ({container.image})"
        elif before[name].image != container.image:
            yield f"image {name}={before[name].image} → {container.image}"
    for name in before:
        if name not in after:
            yield f"{kind}container {name} removed"
    for name, container in after.items():
        if name in before:
            yield from _container(before[name], container)
    kept = [name for name in before if name in after]
    if kept != [name for name in after if name in before]:
        yield f"order of {kind}containers changed"


def _container(old: Container, new: Container) -> Iterator[str]:
    before = _by(old.env, lambda each: each.name)
    after = _by(new.env, lambda each: each.name)
    found = list(_entries("env", before, after, frozenset(), f" of {new.name}"))
    if old.env != new.env and not found:
        found = [f"order of env of {new.name} changed"]
    yield from found
    for path in _fields(old, new, frozenset({"image", "env"})):
        yield f"{path} of {new.name} changed"


def _entries(
    kind: str,
    old: Mapping[str, T],
    new: Mapping[str, T],
    ignored: frozenset[str],
    suffix: str = "",
) -> Iterator[str]:
    for key in dict.fromkeys((*old, *new)):
        if key in ignored or (key in old and key in new and old[key] == new[key]):
            continue
        verb = "added" if key not in old else "changed" if key in new else "removed"
        yield f"{kind} {key}{suffix} {verb}"


def _fields(
    old: msgspec.Struct, new: msgspec.Struct, ignored: frozenset[str]
) -> Iterator[str]:
    """Kubernetes' names of the fields that differ, but those in `ignored`."""
    pairs = zip(new.__struct_fields__, new.__struct_encode_fields__, strict=True)
    for field, name in pairs:
        if field not in ignored and getattr(old, field) != getattr(new, field):
            yield name


def _by(items: Sequence[T], key: Callable[[T], str]) -> dict[str, T]:
    return {key(each): each for each in items}
