"""What makes the log tamper-evident: seals for steps, a hash tree for checkpoints.

1. A *seal* belongs to one step and is committed in the same transaction. Its digest
   is made of the digest before it and of every byte of the step's rows, so the seals
   are a chain: one link for each step, in order.
2. The *tree* is that of RFC 6962 (section 2.1): leaf i is the event at position i + 1,
   and its root speaks for the whole log up to a size. Checkpoints sign roots, and a
   path from a leaf to a root proves one event without the others.
3. Two commitments, because they are asked for at different times: a link of the chain
   is one hash a step and is paid before every answer; the tree is two hashes an event
   and is paid behind the commit.
4. A row is hashed as MessagePack in its shortest form: the array of position, stream,
   version, topic and state (binary). A value of another type has another encoding, so
   a number that became a text is found too.
5. The first byte says what is hashed, so that nothing can pass for something else: 0
   a leaf, 1 an inner node (both RFC 6962), 2 a step.
"""

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Final, NamedTuple

import msgspec

HASH_BYTES: Final = 32
BEGINNING: Final = bytes(HASH_BYTES)
"""The digest before the first seal of a log."""

_LEAF: Final = b"\0"
_NODE: Final = b"\1"
_STEP: Final = b"\2"
_encode: Final = msgspec.msgpack.Encoder().encode

Stored = tuple[int, str, int, str, bytes]
"""A row: position, stream, version, topic, state."""


class Seal(NamedTuple):
    """The link of one step. The order of the fields is the order of the columns."""

    last: int
    """The position of the step's last event."""
    first: int
    digest: bytes


# --- the chain --------------------------------------------------------------------


def seal(former: bytes, rows: Sequence[Stored]) -> Seal:
    """The seal of the step `rows`, at least one, behind the digest `former`."""
    return Seal(rows[-1][0], rows[0][0], digest(former, (rows,)))


def digest(former: bytes, pages: Iterable[Sequence[Stored]]) -> bytes:
    """The digest of a step whose rows come in `pages`; the cuts make no difference."""
    step = StepHash(former)
    for rows in pages:
        step.add(rows)
    return step.digest()


class StepHash:
    """The digest of one step, as its rows come."""

    __slots__ = ("_hash",)

    def __init__(self, former: bytes) -> None:
        self._hash = sha256(_STEP + former)

    def add(self, rows: Sequence[Stored]) -> None:
        """Afterwards these rows are part of the step."""
        # One call for all rows; what comes before the first one is the list's header.
        self._hash.update(memoryview(_encode(rows))[_header_bytes(len(rows)) :])

    def digest(self) -> bytes:
        """The digest of the rows so far."""
        return self._hash.digest()


def _header_bytes(length: int) -> int:
    return 1 if length < 16 else 3 if length < 65_536 else 5


# --- the tree ---------------------------------------------------------------------


def leaf_hashes(rows: Iterable[Stored]) -> list[bytes]:
    """The hash of each row's leaf."""
    return [sha256(_LEAF + data).digest() for data in map(_encode, rows)]


class Tree:
    """The tree over the first `size` events, as far as is needed to let it grow.

    Kept are the complete subtrees at its right edge, at most one of each height.
    """

    __slots__ = ("_edge", "size")

    def __init__(self) -> None:
        self.size = 0
        self._edge: list[bytes] = []
        """By height; empty where there is no complete subtree of that height."""

    def extend(self, leaves: Sequence[bytes]) -> None:
        """Afterwards the tree has these leaves behind those that it had."""
        edge = self._edge
        nodes = list(leaves)
        height = 0
        while nodes:
            if height == len(edge):
                edge.append(b"")
            if edge[height]:
                nodes.insert(0, edge[height])
            edge[height] = nodes[-1] if len(nodes) % 2 else b""
            nodes = _pairs(nodes)
            height += 1
        self.size += len(leaves)

    def root(self) -> bytes:
        """RFC 6962's tree hash of all leaves; that of nothing where there are none."""
        root = b""
        for node in self._edge:
            if node:
                root = sha256(_NODE + node + root).digest() if root else node
        return root or sha256().digest()

    def edge(self) -> tuple[bytes, ...]:
        """The subtrees at the right edge, the smallest first; `restored` takes them."""
        return tuple(node for node in self._edge if node)

    @classmethod
    def restored(cls, size: int, edge: Sequence[bytes]) -> "Tree":
        """The tree whose `size` and `edge` these are. Raises ValueError if none is."""
        heights = [height for height in range(size.bit_length()) if size >> height & 1]
        if len(heights) != len(edge) or any(len(node) != HASH_BYTES for node in edge):
            raise ValueError(f"this is not the right edge of a tree of {size} leaves")
        tree = cls()
        tree.size = size
        tree._edge = [b""] * size.bit_length()
        for height, node in zip(heights, edge, strict=True):
            tree._edge[height] = node
        return tree


def path_of(leaves: Sequence[bytes], index: int) -> tuple[bytes, ...]:
    """RFC 6962's audit path of leaf `index` in the tree of `leaves`: from the leaf's
    sibling up to the child of the root."""
    assert 0 <= index < len(leaves), "only a leaf has a path"
    path = []
    nodes = list(leaves)
    while len(nodes) > 1:
        sibling = index ^ 1
        if sibling < len(nodes):
            path.append(nodes[sibling])
        odd = [nodes[-1]] if len(nodes) % 2 else []
        nodes = _pairs(nodes) + odd
        index //= 2
    return tuple(path)


def root_by_path(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes:
    """The root that `path` leads to from a leaf (RFC 9162, section 2.1.3.2).

    Raises ValueError where no path of a tree of `size` leaves looks like this.
    """
    if not 0 <= index < size:
        raise ValueError(f"a tree of {size} leaves has no leaf {index}")
    root, rest = leaf, iter(path)
    last = size - 1
    while last:
        if index % 2 or index < last:
            node = next(rest, None)
            if node is None:
                raise ValueError("the path is too short")
            pair = node + root if index % 2 else root + node
            root = sha256(_NODE + pair).digest()
        index //= 2
        last //= 2
    if next(rest, None) is not None:
        raise ValueError("the path is too long")
    return root


def _pairs(nodes: Sequence[bytes]) -> list[bytes]:
    """The parents of the pairs; the last of an odd number has none yet."""
    halves = iter(nodes)
    return [
        sha256(_NODE + left + right).digest()
        for left, right in zip(halves, halves, strict=False)
    ]
