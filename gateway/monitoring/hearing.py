"""Values that users publish themselves, kept for the analyses that name them.

1. What is heard is judged as the writer judges it for autoscalers: a finite number or a
   quantity, not older than a minute, and not from the future.
2. Bad values are counted, and change nothing. The monitor's own are known already.
"""

import math
from decimal import Decimal
from typing import Final

import msgspec

from adapters import nats_subjects
from domain import errors, quantities
from domain.protocol import MetricMessage
from gateway.monitoring.measured import Numbers
from gateway.monitoring.values import FRESH_SECONDS, Values

BYTES_MAX: Final = 4_096
"""Of one message, as in workers/metric_intake.py."""
SERIES_MAX: Final = 50_000
"""So many values are kept; what comes beyond them is refused until some are old."""
_METRIC: Final = msgspec.json.Decoder(MetricMessage)


class Hearing:
    """Puts what it hears into `values`; `user` is the monitor's own login."""

    def __init__(self, values: Values, numbers: Numbers, user: str) -> None:
        self._values = values
        self._numbers = numbers
        self._user = user

    def hear(self, subject: str, data: bytes, now: float) -> None:
        """Afterwards the value is the newest of its pod, its object or its labels, or
        it was refused and counted."""
        try:
            user, namespace, metric = nats_subjects.parse_metric_subject(subject)
        except errors.Rejected:
            self._numbers.done["heard", "failed"] += 1
            return
        if user != self._user:
            kept = self._kept(namespace, metric, data, now)
            self._numbers.done["heard", "ok" if kept else "failed"] += 1

    def _kept(self, namespace: str, metric: str, data: bytes, now: float) -> bool:
        if len(data) > BYTES_MAX or self._values.series >= SERIES_MAX:
            return False
        try:
            said = _METRIC.decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return False
        value, at = _number(said.value), said.at or now
        if value is None or not now - FRESH_SECONDS <= at <= now + FRESH_SECONDS:
            return False
        labels = "" if said.pod else said.object or str(sorted(said.labels.items()))
        self._values.set(namespace, metric, said.pod, value, at, labels)
        return True


def _number(value: str | int | float) -> float | None:
    try:
        exact = quantities.parse(value) if isinstance(value, str) else Decimal(value)
        found = float(exact)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None
