"""How long requests to the Kubernetes API take, as plain numbers; no imports to pay.

How many series they can make is bounded: from `SERIES_MAX` on all others are one.
"""

from collections.abc import Callable
from typing import Final

from adapters.histogram import Histogram
from gateway.reader import Reader

SERIES_MAX: Final = 1_000
OTHERS: Final = ("OTHER", "other", "")
_VERBS: Final = {
    "create": "POST",
    "update": "PUT",
    "deletecollection": "DELETECOLLECTION",
}
"""The API server tells the verb of a change by the method, others by their name."""


class Requests:
    """Durations by (verb, resource, code), since the start."""

    def __init__(self) -> None:
        self.by_labels: dict[tuple[str, ...], Histogram] = {}

    def observe(self, verb: str, resource: str, code: int, seconds: float) -> None:
        """Afterwards the request is counted."""
        key: tuple[str, ...] = (_VERBS.get(verb, verb.upper()), resource, str(code))
        held = self.by_labels.get(key)
        if held is None:
            if len(self.by_labels) >= SERIES_MAX:
                key = OTHERS
            held = self.by_labels.setdefault(key, Histogram())
        held.observe(seconds)


class Numbers:
    """What a reader's metrics are made of; `requests` where the API is served."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.requests: Requests | None = None
        self.streams: Callable[[], int] = int
        self.unready = "the log is being folded"
        """Why nothing is answered (yet); empty when it is."""

    def watch(self, requests: Requests, streams: Callable[[], int]) -> None:
        """The Kubernetes API is served: its requests and open streams."""
        self.requests, self.streams = requests, streams
