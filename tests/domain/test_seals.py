"""Seals and the tree (domain/seals.py): RFC 6962, its own definition as the oracle."""

import itertools
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import seals
from domain.seals import Stored

ROWS: list[Stored] = [
    (position, f"pod/default/web-{position % 7}", 1 + position // 7, "pod.v1", b"{}")
    for position in range(1, 140)
]
LEAVES = seals.leaf_hashes(ROWS)


def tree_hash(leaves: list[bytes]) -> bytes:
    """RFC 6962, section 2.1, as it is written there."""
    if not leaves:
        return sha256().digest()
    if len(leaves) == 1:
        return leaves[0]
    split = _split(len(leaves))
    both = tree_hash(leaves[:split]) + tree_hash(leaves[split:])
    return sha256(b"\1" + both).digest()


def audit_path(index: int, leaves: list[bytes]) -> list[bytes]:
    """RFC 6962, section 2.1.1, as it is written there."""
    if len(leaves) == 1:
        return []
    split = _split(len(leaves))
    if index < split:
        return [*audit_path(index, leaves[:split]), tree_hash(leaves[split:])]
    return [*audit_path(index - split, leaves[split:]), tree_hash(leaves[:split])]


def _split(count: int) -> int:
    return 1 << (count - 1).bit_length() - 1


@pytest.mark.parametrize(
    ("leaves", "root"),
    [
        ([], "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        ([b""], "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"),
        (
            [b"", b"\0"],
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        ),
    ],
)
def test_the_root_is_that_of_known_trees(leaves: list[bytes], root: str) -> None:
    """The vectors that implementations of Certificate Transparency share."""
    tree = seals.Tree()
    tree.extend([sha256(b"\0" + each).digest() for each in leaves])

    assert tree.root().hex() == root


@given(st.lists(st.integers(0, 9), max_size=30))
def test_a_tree_grows_as_rfc_6962_says(parts: list[int]) -> None:
    """However the leaves come, the root is the tree hash of all; and a tree that is
    put away and taken out again goes on."""
    tree = seals.Tree()
    for part in parts:
        tree.extend(LEAVES[tree.size : tree.size + part])
        tree = seals.Tree.restored(tree.size, tree.edge())
        assert tree.root() == tree_hash(LEAVES[: tree.size])


@given(st.integers(1, len(ROWS)), st.data())
def test_a_path_proves_its_own_leaf_and_no_other(
    size: int, data: st.DataObject
) -> None:
    """The path is RFC 6962's; another leaf, index or size leads to another root."""
    index = data.draw(st.integers(0, size - 1))
    leaves = LEAVES[:size]
    root = tree_hash(leaves)
    path = seals.path_of(leaves, index)

    assert list(path) == audit_path(index, leaves)
    assert seals.root_by_path(leaves[index], index, size, path) == root
    assert seals.root_by_path(bytes(32), index, size, path) != root
    for wrong in ([*path, bytes(32)], path[:-1]):
        if wrong != path:
            with pytest.raises(ValueError, match=r"path"):
                seals.root_by_path(leaves[index], index, size, wrong)


def test_no_leaf_no_path() -> None:
    """An index outside of the tree is refused."""
    with pytest.raises(ValueError, match="has no leaf 5"):
        seals.root_by_path(LEAVES[0], 5, 5, ())


@pytest.mark.parametrize(
    ("size", "edge"),
    [(1, ()), (2, (bytes(32), bytes(32))), (1, (b"short",)), (0, (bytes(32),))],
)
def test_what_is_no_edge_is_refused(size: int, edge: tuple[bytes, ...]) -> None:
    """A tree is restored from as many hashes as its size has ones, and no others."""
    with pytest.raises(ValueError, match="not the right edge"):
        seals.Tree.restored(size, edge)


@given(st.lists(st.integers(1, len(ROWS) - 1), max_size=5))
def test_pages_make_no_difference_to_a_seal(cuts: list[int]) -> None:
    """A step is hashed as the sequence of its rows, wherever it was cut."""
    bounds = [0, *sorted(set(cuts)), len(ROWS)]
    pages = [ROWS[a:b] for a, b in itertools.pairwise(bounds)]

    sealed = seals.seal(seals.BEGINNING, ROWS)

    assert sealed == (len(ROWS), 1, seals.digest(seals.BEGINNING, pages))


def test_a_seal_speaks_for_every_byte_and_for_all_before() -> None:
    """Another value in any column, another order or another past: another digest."""
    known = {seals.seal(bytes(32), ROWS).digest, seals.seal(b"\1" * 32, ROWS).digest}
    position, stream, version, topic, state = ROWS[5]
    changed: list[tuple[object, ...]] = [
        (position + 1000, stream, version, topic, state),
        (position, stream + "x", version, topic, state),
        (position, stream, version + 1, topic, state),
        (position, stream, version, topic + "x", state),
        (position, stream, version, topic, state + b" "),
        (position, stream, version, topic, state.decode()),
        (str(position), stream, version, topic, state),
    ]
    for row in changed:
        rows = [*ROWS[:5], row, *ROWS[6:]]
        known.add(seals.seal(bytes(32), rows).digest)  # type: ignore[arg-type]  # damaged
    known.add(seals.seal(bytes(32), ROWS[::-1]).digest)

    assert len(known) == 2 + len(changed) + 1


def test_a_seal_is_what_the_documents_say() -> None:
    """docs/guarantees.md: a byte 2, the digest before, and each row as MessagePack."""
    row: Stored = (1, "a", 1, "b", b"c")
    packed = b"\x95" + b"\x01" + b"\xa1a" + b"\x01" + b"\xa1b" + b"\xc4\x01c"

    assert seals.seal(seals.BEGINNING, [row]).digest == (
        sha256(b"\x02" + bytes(32) + packed).digest()
    )
    assert seals.leaf_hashes([row]) == [sha256(b"\x00" + packed).digest()]
