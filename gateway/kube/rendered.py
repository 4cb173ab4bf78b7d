"""Objects as they were rendered last, so that a list joins bytes.

1. What an object looks like follows from its version and its managed fields; a
   ReplicaSet shows its revision's cause, which changes with its Deployment. What is
   kept is used while all of these are what they were.
2. An object that changes is forgotten at once (changes.py), so that nothing is kept of
   what is gone.
3. It is bounded: where there is no room for another object, that one is rendered each
   time. What is kept stays, so that a list of more than fits does not push out all of
   itself.
4. The cells of a table tell ages, and are made for each answer.
"""

from typing import Final

import msgspec

from domain.replicaset import ReplicaSet
from gateway.kube import forms
from gateway.kube.forms import Form, Shown
from gateway.kube.kinds import Held, Kind
from gateway.views.scene import Scene

BYTES_MAX: Final = 64 * 1024 * 1024
_SEVERAL: Final = frozenset({"event", "horizontalpodautoscaler"})
"""Kinds that several resources show, each in its way: they are not kept."""
_encode = msgspec.json.Encoder().encode

_Stamp = tuple[int, int, bytes | None]


class _Kept:
    """An object's JSON, and that of its metadata once somebody has wanted it."""

    __slots__ = ("about", "raw", "stamp")

    def __init__(self, stamp: _Stamp, raw: bytes, about: bytes) -> None:
        self.stamp = stamp
        self.raw = raw
        self.about = about

    @property
    def size(self) -> int:
        """The bytes that are kept."""
        return len(self.raw) + len(self.about)


class Rendered:
    """The newest rendering of each object; all methods run in one loop."""

    def __init__(self, bytes_max: int = BYTES_MAX) -> None:
        self.size = 0
        """The bytes that are kept."""
        self.hits = 0
        self.misses = 0
        self._bytes_max = bytes_max
        self._by_key: dict[str, _Kept] = {}

    def shown(
        self,
        kind: Kind,
        at: Scene,
        key: str,
        held: Held,
        version: int,
        form: Form,
        managed: bytes | None,
    ) -> Shown:
        """See `Kind.shown`; `at` is the present state, `version` the object's in it."""
        if kind.own in _SEVERAL:
            return kind.shown(at, held, version, form, managed)
        stamp = (version, _beside(at, held), managed)
        kept = self._by_key.get(key)
        whole = form.shape == "object"
        if kept is None or kept.stamp != stamp or not (whole or kept.about):
            self.misses += 1
            fresh = kind.shown(at, held, version, forms.WHOLE, managed)
            about = b"" if whole else _encode(fresh.metadata)
            kept = _Kept(stamp, fresh.raw, about)
            self.forget(key)
            if kind.find(at, *kind.key(held)) is held:  # a long list may be behind
                self._keep(key, kept)
        else:
            self.hits += 1
        cells = tuple(kind.table.cells(at, held)) if form.shape == "table" else ()
        return Shown(kept.raw, msgspec.Raw(kept.about), version, cells)

    def forget(self, key: str) -> None:
        """The object has changed, or is gone (rule 2)."""
        kept = self._by_key.pop(key, None)
        if kept is not None:
            self.size -= kept.size

    def clear(self) -> None:
        """Another log: nothing is known."""
        self._by_key.clear()
        self.size = 0

    def _keep(self, key: str, kept: _Kept) -> None:
        if self.size + kept.size <= self._bytes_max:
            self._by_key[key] = kept
            self.size += kept.size


def _beside(at: Scene, held: Held) -> int:
    """The position of what the object shows beside itself (rule 1); 0 for nothing."""
    if not isinstance(held, ReplicaSet) or not held.owner:
        return 0
    owner = at.cluster.desired.deployments.get(held.owner)
    return owner.position if owner is not None else 0
