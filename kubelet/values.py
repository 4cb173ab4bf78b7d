"""What ConfigMaps and Secrets give to a pod: values of variables, files of volumes.

1. They are in `Sandbox.values` before a container is started, and they are never
   written into the pod's record.
2. What is missing is told in the words of Kubernetes, unless it is optional.
3. `environment.py` makes variables of them, `value_files.py` files.
"""

import base64
import binascii

import msgspec

from domain.pod_values import Reference


class ConfigError(Exception):
    """The container's configuration names something that is not there."""


class Values(msgspec.Struct, frozen=True, kw_only=True):
    """The data of those of a pod's references that are there."""

    objects: dict[Reference, dict[str, bytes]] = {}

    def __repr__(self) -> str:
        return f"Values({len(self.objects)} objects)"  # secrets are not for logs

    def key(
        self, reference: Reference, key: str, namespace: str, *, optional: bool
    ) -> bytes | None:
        """One value; None if it is optional and not there. Raises `ConfigError`."""
        found = self.all(reference, optional=optional)
        if found is None or (key not in found and optional):
            return None
        if key not in found:
            kind = "ConfigMap" if reference.kind == "configmap" else "Secret"
            where = f"{kind} {namespace}/{reference.name}"
            raise ConfigError(f"couldn't find key {key} in {where}")
        return found[key]

    def all(self, reference: Reference, *, optional: bool) -> dict[str, bytes] | None:
        """All values; None if the object is optional and not there.

        Raises `ConfigError`.
        """
        found = self.objects.get(reference)
        if found is None and not optional:
            raise ConfigError(f'{reference.kind} "{reference.name}" not found')
        return found


NONE = Values()


def decoded(data: dict[str, str], binary: dict[str, str]) -> dict[str, bytes]:
    """An object's data: text as it is, and what is base64 decoded; what cannot be
    decoded is left out."""
    found = {key: text.encode() for key, text in data.items()}
    for key, text in binary.items():
        try:
            found[key] = base64.b64decode("".join(text.split()), validate=True)
        except (binascii.Error, ValueError):
            continue
    return found
