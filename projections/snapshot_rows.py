"""The parts of a snapshot that are not objects themselves: see snapshots.py.

They are arrays on disk: a field is known by its place.
"""

import msgspec

from domain import owners
from domain.node import Node
from projections.rollout_requests import Request
from projections.rollouts import Revision
from projections.status import Condition, DeploymentStatus


class NodeRow(msgspec.Struct, frozen=True, array_like=True):
    """A node and what is left of it; its pods and their owners by number."""

    node: Node
    pods: list[int]
    siblings: dict[int, int]
    free: tuple[int, int, int]


class RolloutRow(msgspec.Struct, frozen=True, array_like=True):
    key: str
    uid: str
    request: Request
    conditions: tuple[Condition, ...]
    revisions: list[Revision]
    status: DeploymentStatus
    crashes: int


class Wanted(msgspec.Struct, frozen=True, array_like=True):
    """What `Desired` and `Rollouts` know beside their objects."""

    last_versions: dict[str, int]
    orphaning: dict[str, bool]
    set_aside: int
    owned: dict[str, list[str]]
    loose: list[str]
    named_pods: dict[str, int]
    references: dict[str, owners.References]
    dependents: dict[str, list[str]]
    touched: list[str]
    unreadable: int
    skipped: dict[str, int]


class Kept(msgspec.Struct, frozen=True, array_like=True):
    """What `Plain` knows beside its objects."""

    last_versions: dict[str, int]
    terminating: list[str]
    set_aside: int
    index: dict[str, dict[str, list[str]]]


class Seen(msgspec.Struct, frozen=True, array_like=True):
    """What `Actual` knows beside its objects; pods and owners by number."""

    waiting: list[int]
    loose: list[int]
    stranded: list[int]
    ended: list[int]
    relabelled: list[int]
    owned: list[tuple[int, list[int]]]
    tallies: dict[str, tuple[int, ...]]
    former_incarnations: dict[str, int]
    set_aside: int


class Line(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a reader has seen of one object, as the bytes of arrays."""

    key: str
    positions: bytes
    numbers: bytes
    ends: bytes = b""
    times: bytes = b""


class Lines(msgspec.Struct, frozen=True, array_like=True):
    """What a reader has seen of all Deployments and ReplicaSets since `begin`."""

    begin: int
    counts: list[Line]
    conditions: list[Line]
    words: list[tuple[tuple[str, str, str, str], ...]]
    members: dict[str, list[str]]
