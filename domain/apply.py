"""Applying a manifest: a three-way merge, as `kubectl apply` does it.

1. What the last applied manifest had and the new one leaves out is removed.
2. What the new one says is set.
3. What only the live object has stays: a default, or what another command set.
4. Lists of objects that Kubernetes merges by a key are merged by that key (below);
   any other list is one value. The path, not the name alone, decides: it is the
   patchMergeKey of the API's types.
"""

from typing import Final

JSON = dict[str, object]

MERGE_KEYS: Final[dict[str, tuple[str, ...]]] = {
    "containers": ("name",),
    "initContainers": ("name",),
    "ephemeralContainers": ("name",),
    "volumes": ("name",),
    "env": ("name",),
    "ports": ("containerPort", "protocol"),
    "volumeMounts": ("mountPath",),
    "volumeDevices": ("devicePath",),
    "imagePullSecrets": ("name",),
    "hostAliases": ("ip",),
    "ownerReferences": ("uid",),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
}
KEY_DEFAULTS: Final[dict[str, str]] = {"protocol": "TCP"}
# A strategy of another type must not keep the parameters of the type before
# (`patchStrategy: retainKeys`, spec 1.1).
RETAIN_KEYS: Final = frozenset({"strategy"})


def merge(last: JSON | None, live: JSON, new: JSON) -> JSON:
    """The object that `new` makes of `live`, given what was applied `last`."""
    return _merge_maps(last or {}, live, new)


def _merge_maps(last: JSON, live: JSON, new: JSON) -> JSON:
    merged: JSON = {
        key: value for key, value in live.items() if key in new or key not in last
    }
    for key, wanted in new.items():
        if wanted is None:
            merged.pop(key, None)
            continue
        merged[key] = _merge_values(key, last.get(key), live.get(key), wanted)
    return merged


def _merge_values(key: str, last: object, live: object, new: object) -> object:
    if isinstance(new, dict):
        if key in RETAIN_KEYS and isinstance(live, dict):
            live = {name: value for name, value in live.items() if name in new}
        return _merge_maps(
            last if isinstance(last, dict) else {},
            live if isinstance(live, dict) else {},
            new,
        )
    keys = MERGE_KEYS.get(key)
    if keys and isinstance(new, list) and all(isinstance(item, dict) for item in new):
        return _merge_lists(keys, _objects(last), _objects(live), new)
    return new


def _merge_lists(
    keys: tuple[str, ...], last: list[JSON], live: list[JSON], new: list[JSON]
) -> list[JSON]:
    were = {_identity(keys, item): item for item in last}
    are = {_identity(keys, item): item for item in live}
    wanted = {_identity(keys, item) for item in new}
    merged = [
        _merge_maps(
            were.get(_identity(keys, item), {}),
            are.get(_identity(keys, item), {}),
            item,
        )
        for item in new
    ]
    kept = [
        item
        for identity, item in are.items()
        if identity not in wanted and identity not in were
    ]
    return merged + kept


def _objects(value: object) -> list[JSON]:
    if not isinstance(value, list):
        return []
    return [item for item in value if isinstance(item, dict)]


def _identity(keys: tuple[str, ...], item: JSON) -> tuple[object, ...]:
    return tuple(item.get(key, KEY_DEFAULTS.get(key)) for key in keys)
