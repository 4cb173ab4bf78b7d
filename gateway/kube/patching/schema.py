"""How the lists and maps of Kubernetes' types are merged, by the name of the field.

The same facts as `x-kubernetes-patch-merge-key`, `x-kubernetes-list-map-keys` and
`x-kubernetes-map-type` in the API's schemas. Among the types that are served here a
field's name says which list it is, so one table serves all of them.
"""

from typing import Final

PATCH_KEYS: Final[dict[str, str]] = {
    "addresses": "type",
    "conditions": "type",
    "containers": "name",
    "env": "name",
    "ephemeralContainers": "name",
    "hostAliases": "ip",
    "hostIPs": "ip",
    "imagePullSecrets": "name",
    "initContainers": "name",
    "ownerReferences": "uid",
    "podIPs": "ip",
    "ports": "containerPort",
    "resourceClaims": "name",
    "schedulingGates": "name",
    "secrets": "name",
    "topologySpreadConstraints": "topologyKey",
    "volumeDevices": "devicePath",
    "volumeMounts": "mountPath",
    "volumes": "name",
}
"""Lists of objects that a strategic merge patch merges, and by which field."""

PATCH_SETS: Final = frozenset({"finalizers", "podCIDRs"})
"""Lists of values that a strategic merge patch adds to."""

RETAINED: Final = frozenset({"strategy"})
"""Unions: setting one member clears the others (`patchStrategy: retainKeys`)."""

LIST_KEYS: Final[dict[str, tuple[str, ...]]] = {
    **{name: (key,) for name, key in PATCH_KEYS.items()},
    "claims": ("name",),
    "ports": ("containerPort", "protocol"),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
}
"""Lists of objects whose items have owners of their own (server-side apply)."""

KEY_DEFAULTS: Final[dict[str, str]] = {"protocol": "TCP"}

LIST_SETS: Final = frozenset({"finalizers", "podCIDRs"})
"""Lists of values each of which has owners of its own (server-side apply)."""

ATOMIC: Final = frozenset(
    {
        "configMapKeyRef",
        "fieldRef",
        "nodeSelector",
        "resourceFieldRef",
        "scaleTargetRef",
        "secretKeyRef",
        "selector",
        "labelSelector",
        "namespaceSelector",
        "objectRef",
    }
)
"""Maps that are one value: whoever sets a part owns, and replaces, all of it."""
