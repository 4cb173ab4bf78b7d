"""The times and bounds of the writer, which an operator or a test may choose."""

import msgspec

from domain.plans import autoscale, garbage, node_health
from workers import metrics


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The times and bounds of the writer; the defaults are Kubernetes'."""

    health: node_health.Config = node_health.Config()
    count_reports_every: float = 300.0
    lag_max: float = 5.0
    """Seconds after which a node that has not followed is told to sync."""
    orphan_grace: float = garbage.QUARANTINE
    autoscale_every: float = autoscale.PERIOD
    measurements: metrics.Settings = metrics.Settings()
    events_per_step: int = 2_000
    placement_candidates: int = 16
    ordered_from: int = 200
    """From so many pods on the order in which a ReplicaSet ends them is kept up
    (projections/ranking.py); below, going through them is cheaper."""
