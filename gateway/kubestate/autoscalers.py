"""The families of autoscalers (kube_horizontalpodautoscaler_*)."""

from collections.abc import Callable
from typing import Final, NamedTuple

from domain.plain import PlainObject
from domain.protocol import AutoscalerReading
from gateway.kubestate.rendering import Family

KIND: Final = "horizontalpodautoscaler"
PREFIX: Final = "kube_horizontalpodautoscaler_"
Reading = Callable[[PlainObject], AutoscalerReading | None]


class Row(NamedTuple):
    """An autoscaler; `spec` is what its manifest says, `reading` what it measured."""

    head: str
    spec: dict[str, object]
    reading: AutoscalerReading | None


def row(reading: Reading, held: PlainObject) -> Row:
    """The row of an autoscaler."""
    spec = held.content.get("spec")
    return Row(
        f'namespace="{held.namespace}",horizontalpodautoscaler="{held.name}"',
        spec if isinstance(spec, dict) else {},
        reading(held),
    )


def _number(name: str, told: str, value: Callable[[Row], object]) -> Family:
    def lines(at: Row, out: list[str]) -> None:
        found = value(at)
        if isinstance(found, int):
            out.append(f"{PREFIX}{name}{{{at.head}}} {found}")

    return Family(f"{PREFIX}{name}", told, lines)


FAMILIES: Final = (
    _number(
        "spec_min_replicas",
        "The smallest size that it may choose.",
        lambda at: at.spec.get("minReplicas", 1),
    ),
    _number(
        "spec_max_replicas",
        "The largest size that it may choose.",
        lambda at: at.spec.get("maxReplicas"),
    ),
    _number(
        "status_current_replicas",
        "How many pods its target had when it measured last.",
        lambda at: at.reading.current if at.reading is not None else None,
    ),
    _number(
        "status_desired_replicas",
        "How many pods it wanted when it measured last.",
        lambda at: at.reading.desired if at.reading is not None else None,
    ),
)
