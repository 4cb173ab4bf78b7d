"""What every Kubernetes object carries, and the base of every manifest struct.

1. A field that is a pointer in Kubernetes is `None` when absent; any other field has
   its zero value (`""`, `0`, `False`, `()`, `{}`). So absent and empty are the same
   exactly where Kubernetes treats them as the same (spec 2.3).
2. Every field has a default: what is required is said by validation, with Kubernetes'
   text, and not by the decoder.
3. Field names are snake_case here and Kubernetes' names in JSON.
"""

from typing import Annotated, Final

import msgspec

Int32 = Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)]
Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
Quantity = Annotated[str, msgspec.Meta(extra={"quantity": True})]
"""A quantity as text (`domain.quantities`); a bare number is accepted in a manifest."""
ResourceList = dict[str, Quantity]
IntOrString = Int32 | str

HASH_LABEL: Final = "pod-template-hash"
"""The label that tells the pods of one revision from another's (spec 2.4)."""
LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"
"""The annotation in which `apply` remembers what it said the last time."""


class Value(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    rename="camel",
    omit_defaults=True,
    forbid_unknown_fields=True,
):
    """The base of every struct that a manifest is made of."""


class OwnerReference(Value, frozen=True, kw_only=True):
    """Who made this object; at most one of them is its controller (spec 3.3)."""

    api_version: str = ""
    kind: str = ""
    name: str = ""
    uid: str = ""
    controller: bool | None = None
    block_owner_deletion: bool | None = None


class ObjectMeta(Value, frozen=True, kw_only=True):
    """Names, labels and bookkeeping; times are RFC 3339 text.

    `managedFields` and `selfLink` are accepted in a manifest and not kept.
    """

    name: str = ""
    generate_name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: Int64 = 0
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    deletion_grace_period_seconds: Int64 | None = None
    labels: dict[str, str] = msgspec.field(default_factory=dict)
    annotations: dict[str, str] = msgspec.field(default_factory=dict)
    owner_references: tuple[OwnerReference, ...] = ()
    finalizers: tuple[str, ...] = ()


class LocalObjectReference(Value, frozen=True, kw_only=True):
    """The name of something in the same namespace."""

    name: str = ""
