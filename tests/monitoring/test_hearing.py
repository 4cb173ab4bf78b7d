"""Values that users publish at rollbook.metric.<user>.<namespace>.<metric>."""

import msgspec
import pytest

from gateway.monitoring import hearing
from gateway.monitoring.hearing import Hearing
from gateway.monitoring.measured import Numbers, Unmeasured
from gateway.monitoring.values import Values

NOW = 1_000.0
SUBJECT = "rollbook.metric.alice.shop.depth"


class Desk:
    """A monitor's ear, and what it has kept and counted."""

    def __init__(self) -> None:
        self.values = Values()
        self.numbers = Numbers()
        self.ear = Hearing(self.values, self.numbers, "monitor")

    def hear(self, said: object, subject: str = SUBJECT) -> None:
        """A message arrives now."""
        self.ear.hear(subject, msgspec.json.encode(said), NOW)

    def number(self, *pods: str) -> float:
        """What an analysis of these pods would measure."""
        return self.values.number("shop", "depth", pods, NOW)


@pytest.mark.parametrize(
    ("said", "number"),
    [
        ({"value": 50}, 50.0),
        ({"value": "1500m"}, 1.5),
        ({"value": "2Ki"}, 2048.0),
        ({"value": -3.5}, -3.5),
        ({"value": 7, "object": "ingress/main"}, 7.0),
        ({"value": 7, "labels": {"of": "web"}, "at": NOW - 59}, 7.0),
    ],
)
def test_what_a_user_publishes_is_measured(said: object, number: float) -> None:
    """A number or a quantity, of an object, with labels or without."""
    desk = Desk()
    desk.hear(said)

    assert desk.number("web-1") == number
    assert desk.numbers.done == {("heard", "ok"): 1}


def test_a_value_of_a_pod_counts_for_its_revision_alone() -> None:
    """The mean of the revision's pods, not of others."""
    desk = Desk()
    for pod, value in (("new-1", 2), ("new-2", 4), ("old-1", 100)):
        desk.hear({"value": value, "pod": pod})

    assert desk.number("new-1", "new-2") == 3.0
    with pytest.raises(Unmeasured):
        desk.number("new-3")


@pytest.mark.parametrize(
    ("said", "subject"),
    [
        ({"value": "lots"}, SUBJECT),
        ({"value": None}, SUBJECT),
        ({}, SUBJECT),
        ([], SUBJECT),
        ({"value": 1, "at": NOW - 61}, SUBJECT),
        ({"value": 1, "at": NOW + 61}, SUBJECT),
        ({"value": 1, "labels": {"a": "x" * hearing.BYTES_MAX}}, SUBJECT),
        ({"value": 1}, "rollbook.metric.alice.shop"),
    ],
)
def test_what_is_no_value_is_counted(said: object, subject: str) -> None:
    """It is refused, and what is known stays."""
    desk = Desk()
    desk.hear({"value": 1})
    desk.hear(said, subject)

    assert desk.number() == 1.0
    assert desk.numbers.done == {("heard", "ok"): 1, ("heard", "failed"): 1}


def test_its_own_words_are_not_heard_twice() -> None:
    """What the monitor publishes itself it knows already."""
    desk = Desk()
    desk.hear({"value": 1}, "rollbook.metric.monitor.shop.depth")

    assert desk.values.series == 0
    assert not desk.numbers.done


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the most series a new value is refused, until old ones are forgotten."""
    monkeypatch.setattr(hearing, "SERIES_MAX", 2)
    desk = Desk()
    for name in ("a", "b", "c"):
        desk.hear({"value": 1, "labels": {"of": name}})

    assert desk.values.series == 2
    assert desk.numbers.done == {("heard", "ok"): 2, ("heard", "failed"): 1}
