"""What active checks say of pods, as events of Kubernetes (`kubectl get events`)."""

from domain.active_check import PodChecked
from domain.events import Recorded
from domain.pod import Pod
from projections import happening
from projections.cluster import Cluster
from projections.happening import Happening


def checked(
    recorded: Recorded, before: Pod | None, _cluster: Cluster
) -> list[Happening]:
    """A warning when it fails, as of a readiness probe; a word when it does so no
    longer."""
    event = recorded.event
    assert isinstance(event, PodChecked)
    if before is None:
        return []
    failed = "Active check failed"
    return [
        happening.about_pod(
            recorded,
            before,
            reason="ActiveCheckPassed" if event.passing else "ActiveCheckFailed",
            message=f"{'Ready again' if event.passing else failed}: {event.detail}",
            source="rollbook-monitor",
            type_="Normal" if event.passing else "Warning",
        )
    ]
