"""Tables as the API server makes them: Kubernetes' own columns (spec 6.2).

`rollbook get` has columns of its own; these are kubectl's. A column is wide when its
priority is 1. Cells have types: a count is a number.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Literal, NamedTuple

import msgspec

from domain import labels
from domain.ages import age
from domain.deployment import Deployment
from domain.replicaset import ReplicaSet
from gateway.views import (
    deployments,
    happenings,
    nodes,
    plain,
    pods,
    replicasets,
    scene,
)
from gateway.views.scene import JSON, NONE, Scene

Include = Literal["Metadata", "Object", "None"]
INTEGER: Final = "integer"


class Column(NamedTuple):
    """A column; `description` is what `kubectl explain` would say of its field."""

    name: str
    wide: bool = False
    type: str = "string"
    format: str = ""

    def definition(self) -> JSON:
        """The column as a table carries it."""
        return {
            "name": self.name,
            "type": self.type,
            "format": self.format,
            "description": "",
            "priority": int(self.wide),
        }


class Table(NamedTuple):
    """How objects of a kind are shown: `cells` are in the order of the columns."""

    columns: tuple[Column, ...]
    cells: Callable[[Scene, Any], Iterable[object]]


_NAME: Final = Column("Name", format="name")
_AGE: Final = Column("Age")
_WORKLOAD: Final = (
    Column("Containers", wide=True),
    Column("Images", wide=True),
    Column("Selector", wide=True),
)


def _deployment(at: Scene, held: Deployment) -> Iterable[object]:
    counted = deployments.counts(at, held)
    return (
        held.name,
        f"{counted.ready}/{held.replicas}",
        counted.updated,
        counted.available,
        age(held.created_at, at.now),
        *scene.containers_cells(held.template.spec),
        labels.format_selector(held.spec.selector) or NONE,
    )


def _replicaset(at: Scene, held: ReplicaSet) -> Iterable[object]:
    shown = replicasets.cells(at, held)
    return (shown[0], *(int(each) for each in shown[1:4]), *shown[4:])


def _event(at: Scene, held: Any) -> Iterable[object]:
    *shown, count, name = happenings.cells(at, held)
    return (*shown, int(count), name)


TABLES: Final[Mapping[str, Table]] = {
    "deployment": Table(
        (
            _NAME,
            Column("Ready"),
            Column("Up-to-date"),
            Column("Available"),
            _AGE,
            *_WORKLOAD,
        ),
        _deployment,
    ),
    "replicaset": Table(
        (
            _NAME,
            Column("Desired", type=INTEGER),
            Column("Current", type=INTEGER),
            Column("Ready", type=INTEGER),
            _AGE,
            *_WORKLOAD,
        ),
        _replicaset,
    ),
    "pod": Table(
        (
            _NAME,
            Column("Ready"),
            Column("Status"),
            Column("Restarts"),
            _AGE,
            Column("IP", wide=True),
            Column("Node", wide=True),
            Column("Nominated Node", wide=True),
            Column("Readiness Gates", wide=True),
        ),
        pods.cells,
    ),
    "node": Table(
        (
            _NAME,
            Column("Status"),
            Column("Roles"),
            _AGE,
            Column("Version"),
            Column("Internal-IP", wide=True),
            Column("External-IP", wide=True),
            Column("OS-Image", wide=True),
            Column("Kernel-Version", wide=True),
            Column("Container-Runtime", wide=True),
        ),
        nodes.cells,
    ),
    "event": Table(
        (
            Column("Last Seen"),
            Column("Type"),
            Column("Reason"),
            Column("Object"),
            Column("Subobject", wide=True),
            Column("Source", wide=True),
            Column("Message"),
            Column("First Seen", wide=True),
            Column("Count", wide=True),
            Column("Name", wide=True, format="name"),
        ),
        _event,
    ),
}


_SPELT: Final = {"MINPODS": "MinPods", "MAXPODS": "MaxPods"}
_PLAIN: Final[Mapping[str, Table]] = {
    own: Table(
        tuple(
            _NAME if name == "NAME" else Column(_SPELT.get(name, name.title()), wide)
            for name, wide in columns
        ),
        plain.cells,
    )
    for own, columns in plain.COLUMNS.items()
}


SCALE: Final = Table(
    (
        _NAME,
        Column("Desired", type=INTEGER),
        Column("Available", type=INTEGER),
        _AGE,
    ),
    lambda _at, _held: (),
)
"""The part `scale` of an object; its cells are made with it, in handlers.py."""
_ROWLESS: Final = Table((_NAME, _AGE), lambda _at, _held: ())


def of(own: str) -> Table:
    """How objects of a kind are shown; `own` is Rollbook's word for it.

    A kind of which there is never an object has a table without rows.
    """
    return TABLES.get(own) or _PLAIN.get(own, _ROWLESS)


def document(
    rows: list[JSON],
    metadata: JSON,
    version: str = "meta.k8s.io/v1",
    table: Table | None = None,
) -> JSON:
    """The table; later pieces of a watch leave `table`, its columns, out."""
    columns = table.columns if table is not None else ()
    return {
        "kind": "Table",
        "apiVersion": version,
        "metadata": metadata,
        "columnDefinitions": [column.definition() for column in columns],
        "rows": rows,
    }


def partial(metadata: JSON | msgspec.Raw, version: str) -> JSON:
    """An object's metadata alone, which may be encoded already."""
    return {
        "kind": "PartialObjectMetadata",
        "apiVersion": version,
        "metadata": metadata,
    }
