"""The fold of the log as bytes, so that a start need not fold everything again.

1. `decode(encode(cluster))` is the cluster bit for bit, order included, and goes on
   folding as the cluster would have. Only caches that fill themselves are left out.
2. A snapshot is cut between two steps, as shallow copies: the states are frozen, so
   nothing that is folded later can reach it, and it may be encoded in its own time.
3. A snapshot serves the code that made it and no other: `version` is a digest of all
   that folds and decides. Nothing is migrated; the log is the truth.
4. A checksum covers every byte. What is not whole is `Damaged`, and costs a longer
   replay (nearest.py).
"""

import hashlib
import itertools
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, NamedTuple

import msgspec

from domain.catalogue import Unreadable
from domain.deployment import Deployment
from domain.node import Node
from domain.plain import PlainObject
from domain.pod import Pod
from domain.replicaset import ReplicaSet
from projections import code_digest, snapshot_rows
from projections.cluster import Cluster
from projections.desired import TemplateFacts
from projections.happening import Happening
from projections.happenings import Happenings
from projections.managed import ManagedFields
from projections.rollouts import Rollout
from projections.tallies import NodeUse, Tally

NAME: Final = "cluster"
"""What these snapshots are called in a store."""

_MAGIC: Final = b"RBSNAP01"
_SUM_BYTES: Final = 32
_BODY: Final = len(_MAGIC) + _SUM_BYTES
"""Where the frames begin: each is a kind, a length and so many compressed bytes."""
_LENGTH_BYTES: Final = 4
_CHUNK: Final = 500
"""So many items are encoded at a time: a thread lets others run in between."""
_NODES: Final = 50
"""The same for nodes, each with its pods."""
_LEVEL: Final = 1
"""Of zlib: the fastest still makes a snapshot five to ten times smaller."""
_POD_SETS: Final = ("waiting", "loose", "stranded", "ended", "relabelled")


class Damaged(ValueError):
    """These bytes are no snapshot that this code may use; the text says why."""


class Header(msgspec.Struct, frozen=True, array_like=True):
    """What a snapshot is of; read without decoding the rest."""

    code: str
    uid: str
    position: int
    timestamp: float


class Rest(NamedTuple):
    """What readers keep beside the cluster."""

    happenings: Happenings
    set_aside: list[Unreadable]
    managed: ManagedFields


class Cut(NamedTuple):
    """A cluster at the end of a step, as copies that nobody changes (rule 2)."""

    header: Header
    deployments: list[Deployment]
    replicasets: list[ReplicaSet]
    templates: list[tuple[int, TemplateFacts]]
    pods: dict[str, Pod]
    nodes: list[tuple[Node, list[str], dict[str, int], tuple[int, int, int]]]
    rollouts: list[snapshot_rows.RolloutRow]
    wanted: snapshot_rows.Wanted
    plain: list[PlainObject]
    kept: snapshot_rows.Kept
    pod_sets: tuple[list[str], ...]
    owned: dict[str, list[str]]
    tallies: dict[str, tuple[int, ...]]
    former_incarnations: dict[str, int]
    set_aside: int
    happenings: list[Happening]
    unreadable: list[Unreadable]
    managed: list[tuple[str, bytes]]
    lines: snapshot_rows.Lines | None


def version() -> int:
    """The first 31 bits of the code's digest, which is what a store asks for."""
    return int(code_digest.code()[:8], 16) >> 1


# --- writing ----------------------------------------------------------------------


def cut(
    cluster: Cluster,
    happenings: Happenings | None = None,
    set_aside: Iterable[Unreadable] = (),
    managed: ManagedFields | None = None,
    lines: snapshot_rows.Lines | None = None,
) -> Cut:
    """The cluster as it is now, to be encoded later; it costs some copies of indexes.

    The others are what a reader keeps beside it: see `decode_rest`, `decode_lines`.
    """
    desired, actual, rolled = cluster.desired, cluster.actual, cluster.rollouts
    return Cut(
        header=Header(
            code_digest.code(), cluster.uid, cluster.position, cluster.timestamp
        ),
        deployments=list(desired.deployments.values()),
        replicasets=list(desired.replicasets.values()),
        templates=list(desired.templates.items()),
        pods=actual.pods.copy(),
        nodes=[
            (
                use.node,
                list(use.pods),
                use.siblings.copy(),
                (use.free_cpu_milli, use.free_memory, use.free_pods),
            )
            for use in actual.node_list
        ],
        rollouts=[
            snapshot_rows.RolloutRow(
                key,
                held.uid,
                held.request,
                held.conditions,
                held.revisions.copy(),
                held.status,
                held.crashes,
            )
            for key, held in rolled.by_key.items()
        ],
        wanted=_wanted(cluster),
        plain=list(cluster.plain.objects.values()),
        kept=snapshot_rows.Kept(
            last_versions=cluster.plain.last_versions.copy(),
            terminating=list(cluster.plain.terminating),
            set_aside=cluster.plain.set_aside,
            index={kind: _lists(held) for kind, held in cluster.plain._index.items()},
        ),
        pod_sets=tuple(list(getattr(actual, name)) for name in _POD_SETS),
        owned=_lists(actual._owned),
        tallies={
            uid: tuple(getattr(held, slot) for slot in Tally.__slots__)
            for uid, held in actual._tallies.items()
        },
        former_incarnations=actual.former_incarnations.copy(),
        set_aside=actual.set_aside,
        happenings=list(happenings) if happenings is not None else [],
        unreadable=list(set_aside),
        managed=list(managed.items()) if managed is not None else [],
        lines=lines,
    )


def _wanted(cluster: Cluster) -> snapshot_rows.Wanted:
    desired = cluster.desired
    return snapshot_rows.Wanted(
        last_versions=desired.last_versions.copy(),
        orphaning=desired.orphaning.copy(),
        set_aside=desired.set_aside,
        owned=_lists(desired._owned),
        loose=list(desired._loose),
        named_pods=desired._named_pods.copy(),
        references=desired.references.by_object.copy(),
        dependents=_lists(desired.references.dependents),
        touched=list(cluster.rollouts.touched),
        unreadable=cluster.unreadable,
        skipped=cluster._skipped.copy(),
    )


def frames(made: Cut) -> Iterator[bytes]:
    """The parts of a snapshot, each after a moment's work; `whole` joins them."""
    yield _frame(b"C", made.header)
    for kind, items in (
        (b"D", made.deployments),
        (b"R", made.replicasets),
        (b"T", made.templates),
        (b"P", made.pods.values()),
        (b"A", made.plain),
    ):
        for chunk in _chunks(items):
            yield _frame(kind, chunk)
    number = {key: index for index, key in enumerate(made.pods)}.__getitem__
    owners: dict[str, int] = {}
    rows = (
        snapshot_rows.NodeRow(
            node,
            list(map(number, pods)),
            {owners.setdefault(key, len(owners)): n for key, n in siblings.items()},
            free,
        )
        for node, pods, siblings, free in made.nodes
    )
    # All rows come first, for it is they that number the owners.
    nodes = [_frame(b"N", chunk) for chunk in _chunks(rows, _NODES)]
    owned = [
        (owners.setdefault(key, len(owners)), list(map(number, pods)))
        for key, pods in made.owned.items()
    ]
    waiting, loose, stranded, ended, relabelled = (
        list(map(number, keys)) for keys in made.pod_sets
    )
    seen = snapshot_rows.Seen(
        waiting,
        loose,
        stranded,
        ended,
        relabelled,
        owned,
        made.tallies,
        made.former_incarnations,
        made.set_aside,
    )
    yield _frame(b"O", list(owners))
    yield from nodes
    yield _frame(b"S", seen)
    for chunk in _chunks(made.rollouts):
        yield _frame(b"L", chunk)
    yield _frame(b"W", made.wanted)
    yield _frame(b"K", made.kept)
    for chunk in _chunks(made.happenings):
        yield _frame(b"H", chunk)
    yield _frame(b"U", made.unreadable)
    for chunk in _chunks(made.managed):
        yield _frame(b"M", chunk)
    if made.lines is not None:
        yield _frame(b"V", made.lines)


def whole(parts: Iterable[bytes]) -> bytes:
    """The snapshot that consists of these frames, under its checksum."""
    digest = hashlib.sha256()
    found = []
    for part in parts:
        digest.update(part)
        found.append(part)
    return b"".join((_MAGIC, digest.digest(), *found))


def encode(
    cluster: Cluster,
    happenings: Happenings | None = None,
    set_aside: Iterable[Unreadable] = (),
) -> bytes:
    """The snapshot of `cluster`, at once; `frames` is for those who cannot wait."""
    return whole(frames(cut(cluster, happenings, set_aside)))


def _lists(index: dict[str, dict[str, None]]) -> dict[str, list[str]]:
    return {key: list(held) for key, held in index.items()}


def _chunks(items: Iterable[Any], size: int = _CHUNK) -> Iterator[list[Any]]:
    rest = iter(items)
    while chunk := list(itertools.islice(rest, size)):
        yield chunk


def _frame(kind: bytes, value: object) -> bytes:
    data = zlib.compress(_ENCODER.encode(value), _LEVEL)
    return kind + len(data).to_bytes(_LENGTH_BYTES, "big") + data


# --- reading ----------------------------------------------------------------------


def header(data: bytes) -> Header:
    """What the snapshot is of. Raises `Damaged` unless it is whole, and this code's."""
    if not data.startswith(_MAGIC):
        raise Damaged("it does not begin as a snapshot does")
    begin = len(_MAGIC)
    if hashlib.sha256(memoryview(data)[_BODY:]).digest() != data[begin:_BODY]:
        raise Damaged(f"the checksum is not that of these {len(data)} bytes")
    found: Header = next(_parts(data, b"C"))[1]
    if found.code != code_digest.code():
        raise Damaged("another version of Rollbook has made it")
    return found


def decode(data: bytes) -> Cluster:
    """The cluster that was encoded; raises `Damaged` where that cannot be had."""
    found = header(data)
    work = _Work()
    work.cluster.position = found.position
    work.cluster.timestamp = found.timestamp
    work.cluster.uid = found.uid
    for kind, value in _parts(data, b"DRTPAONSLWK"):
        _PUT[kind](work, value)
    return work.cluster


def decode_rest(data: bytes) -> Rest:
    """What a reader kept beside the cluster; raises `Damaged` like `decode`."""
    header(data)
    happenings = Happenings()
    unreadable: list[Unreadable] = []
    managed: list[tuple[str, bytes]] = []
    for kind, value in _parts(data, b"HUM"):
        if kind == b"H":
            for line in value:
                happenings._add(line)
        elif kind == b"U":
            unreadable += value
        else:
            managed += value
    return Rest(happenings, unreadable, ManagedFields(managed))


def decode_lines(data: bytes) -> snapshot_rows.Lines | None:
    """The timelines that a reader kept, if they were not too many; see `decode`."""
    header(data)
    return next((value for _, value in _parts(data, b"V")), None)


class _Work:
    """A cluster that is being put together."""

    def __init__(self) -> None:
        self.cluster = Cluster()
        self.keys: list[str] = []
        """The keys of the pods, by their numbers."""
        self.owners: list[str] = []

    def pods_at(self, numbers: list[int]) -> dict[str, None]:
        """An index of pods, in order."""
        return dict.fromkeys(map(self.keys.__getitem__, numbers))


def _parts(data: bytes, kinds: bytes) -> Iterator[tuple[bytes, Any]]:
    """The parts of these kinds, in order; raises `Damaged`."""
    at = _BODY
    view = memoryview(data)
    try:
        while at < len(data):
            kind = data[at : at + 1]
            begin = at + 1 + _LENGTH_BYTES
            at = begin + int.from_bytes(view[at + 1 : begin], "big")
            if kind in kinds:
                part = zlib.decompress(view[begin:at])
                yield kind, _DECODERS[kind].decode(part)
    except (msgspec.MsgspecError, zlib.error, LookupError) as error:
        raise Damaged(f"it cannot be decoded: {error!r}") from error


def _put_deployments(work: _Work, found: list[Deployment]) -> None:
    work.cluster.desired.deployments.update((held.key, held) for held in found)


def _put_replicasets(work: _Work, found: list[ReplicaSet]) -> None:
    work.cluster.desired.replicasets.update((held.key, held) for held in found)


def _put_templates(work: _Work, found: list[tuple[int, TemplateFacts]]) -> None:
    work.cluster.desired.templates.update(found)


def _put_pods(work: _Work, found: list[Pod]) -> None:
    """What many pods have in common is kept once, as the fold keeps it."""
    intern, put = sys.intern, msgspec.structs.force_setattr
    pods, keys = work.cluster.actual.pods, work.keys
    for held in found:
        put(held, "namespace", intern(held.namespace))
        put(held, "stage", intern(held.stage))
        put(held, "owner", intern(held.owner))
        put(held, "owner_uid", intern(held.owner_uid))
        put(held, "node", intern(held.node))
        key = held.key
        keys.append(key)
        pods[key] = held


def _put_owners(work: _Work, found: list[str]) -> None:
    work.owners = [sys.intern(key) for key in found]


def _put_nodes(work: _Work, found: list[snapshot_rows.NodeRow]) -> None:
    actual = work.cluster.actual
    for row in found:
        use = NodeUse(row.node)
        use.pods = work.pods_at(row.pods)
        use.siblings = {work.owners[key]: n for key, n in row.siblings.items()}
        use.free_cpu_milli, use.free_memory, use.free_pods = row.free
        actual.nodes[use.name] = use
        actual.node_list.append(use)


def _put_seen(work: _Work, found: snapshot_rows.Seen) -> None:
    actual = work.cluster.actual
    actual.waiting = work.pods_at(found.waiting)
    actual.loose = work.pods_at(found.loose)
    actual.stranded = work.pods_at(found.stranded)
    actual.ended = work.pods_at(found.ended)
    actual.relabelled = work.pods_at(found.relabelled)
    actual.former_incarnations = found.former_incarnations
    actual.set_aside = found.set_aside
    actual._owned = {
        work.owners[owner]: work.pods_at(numbers) for owner, numbers in found.owned
    }
    for uid, numbers in found.tallies.items():
        counts = actual._tallies[sys.intern(uid)] = Tally()
        for slot, number in zip(Tally.__slots__, numbers, strict=True):
            setattr(counts, slot, number)


def _put_rollouts(work: _Work, found: list[snapshot_rows.RolloutRow]) -> None:
    for row in found:
        held = Rollout(row.uid, row.request)
        held.conditions, held.revisions = row.conditions, row.revisions
        held.status, held.crashes = row.status, row.crashes
        work.cluster.rollouts.by_key[row.key] = held


def _put_wanted(work: _Work, found: snapshot_rows.Wanted) -> None:
    cluster = work.cluster
    desired = cluster.desired
    desired.last_versions = found.last_versions
    desired.orphaning = found.orphaning
    desired.set_aside = found.set_aside
    desired._owned = _index(found.owned)
    desired.references.by_object = found.references
    desired.references.dependents = _index(found.dependents)
    desired._loose = dict.fromkeys(found.loose)
    desired._named_pods = found.named_pods
    cluster.rollouts.touched = dict.fromkeys(found.touched)
    cluster.unreadable = found.unreadable
    cluster._skipped = found.skipped


def _put_plain(work: _Work, found: list[PlainObject]) -> None:
    work.cluster.plain.objects.update((held.key, held) for held in found)


def _put_kept(work: _Work, found: snapshot_rows.Kept) -> None:
    plain = work.cluster.plain
    plain.last_versions = found.last_versions
    plain.terminating = dict.fromkeys(found.terminating)
    plain.set_aside = found.set_aside
    plain._index = {kind: _index(held) for kind, held in found.index.items()}


def _index(found: dict[str, list[str]]) -> dict[str, dict[str, None]]:
    return {key: dict.fromkeys(held) for key, held in found.items()}


_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODERS: Final[dict[bytes, msgspec.msgpack.Decoder[Any]]] = {
    kind: msgspec.msgpack.Decoder(held)
    for kind, held in (
        (b"C", Header),
        (b"D", list[Deployment]),
        (b"R", list[ReplicaSet]),
        (b"T", list[tuple[int, TemplateFacts]]),
        (b"P", list[Pod]),
        (b"O", list[str]),
        (b"N", list[snapshot_rows.NodeRow]),
        (b"S", snapshot_rows.Seen),
        (b"L", list[snapshot_rows.RolloutRow]),
        (b"W", snapshot_rows.Wanted),
        (b"A", list[PlainObject]),
        (b"K", snapshot_rows.Kept),
        (b"H", list[Happening]),
        (b"U", list[Unreadable]),
        (b"M", list[tuple[str, bytes]]),
        (b"V", snapshot_rows.Lines),
    )
}
_PUT: Final[dict[bytes, Callable[[_Work, Any], None]]] = {
    b"D": _put_deployments,
    b"R": _put_replicasets,
    b"T": _put_templates,
    b"P": _put_pods,
    b"O": _put_owners,
    b"N": _put_nodes,
    b"S": _put_seen,
    b"L": _put_rollouts,
    b"W": _put_wanted,
    b"A": _put_plain,
    b"K": _put_kept,
}
