"""The lines of `get events` about autoscalers (see projections/happenings.py)."""

from typing import Final

from domain import autoscaler
from domain.events import Recorded
from domain.pod import Pod
from projections import happening
from projections.cluster import Cluster
from projections.happening import Happening, Type

KIND: Final = "HorizontalPodAutoscaler"
SOURCE: Final = "horizontal-pod-autoscaler"


def rescaled(
    recorded: Recorded, _before: Pod | None, cluster: Cluster
) -> list[Happening]:
    """Spec 5.2, step 4."""
    event = recorded.event
    assert isinstance(event, autoscaler.AutoscalerRescaled)
    message = f"New size: {event.after}; reason: {event.reason}"
    return _lines(recorded, cluster, [("SuccessfulRescale", message)], "Normal")


def changed(
    recorded: Recorded, _before: Pod | None, cluster: Cluster
) -> list[Happening]:
    """The warnings that go with its conditions."""
    event = recorded.event
    assert isinstance(event, autoscaler.AutoscalerConditionsChanged)
    said = [(each.reason, each.message) for each in event.complaints]
    return _lines(recorded, cluster, said, "Warning")


def _lines(
    recorded: Recorded, cluster: Cluster, said: list[tuple[str, str]], type_: Type
) -> list[Happening]:
    held = cluster.plain.objects.get(recorded.stream)
    if held is None:
        return []
    return [
        happening.line(
            recorded,
            reason=reason,
            message=message,
            about=(KIND, held.namespace, held.name, held.uid),
            source=SOURCE,
            type_=type_,
            index=index,
        )
        for index, (reason, message) in enumerate(said)
    ]
