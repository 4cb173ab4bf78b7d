"""Spec 4.4: how long a container waits before it is restarted."""

import pytest

from kubelet import backoff

WAITS = (0, 10, 20, 40, 80, 160, 300, 300, 300)


@pytest.mark.parametrize(("cap", "waits"), [
    (300.0, WAITS),
    (60.0, (0, 10, 20, 40, 60, 60)),
    (1.0, (0, 1, 1, 1)),
])  # fmt: skip
def test_waits_double_up_to_the_cap(cap: float, waits: tuple[int, ...]) -> None:
    """The first restart is at once, then 10 s, 20 s … up to the node's maximum."""
    delays, now = backoff.Backoff(cap), 1000.0
    for wait in waits:
        ready = delays.ready_at(now)
        assert ready - now == wait
        delays.advance(ready, failed_at=now)
        now = ready + 0.5  # it runs for half a second, then fails again


@pytest.mark.parametrize(("ran", "wait"), [(600.0, 40), (600.5, 0)])
def test_a_long_run_starts_afresh(ran: float, wait: int) -> None:
    """An exit more than 600 s after the last advance is met as if it were the first."""
    delays = backoff.Backoff()
    for moment in (0.0, 10.0, 30.0):
        delays.advance(moment, failed_at=moment)
    failed = 30.0 + ran
    assert delays.ready_at(failed) - failed == wait
    if not wait:
        delays.advance(failed, failed_at=failed)
        assert delays.ready_at(failed + 1) == failed + 11


def test_a_lower_cap_forgives_no_sooner() -> None:
    """600 s are 600 s, also where the node's maximum is below 300 s (spec 4.4)."""
    delays = backoff.Backoff(60.0)
    delays.advance(0.0, failed_at=0.0)

    assert delays.ready_at(500.0) == 510.0
    assert delays.ready_at(601.0) == 601.0


@pytest.mark.parametrize(("seconds", "text"), [
    (0, "0s"), (0.012, "12ms"), (10, "10s"), (20, "20s"), (40, "40s"), (80, "1m20s"),
    (160, "2m40s"), (300, "5m0s"), (3600, "1h0m0s"), (1.5, "1.5s"),
])  # fmt: skip
def test_durations_read_as_kubernetes_writes_them(seconds: float, text: str) -> None:
    """`5m0s`, not `300s`: the messages of spec 4.4 are read by scripts."""
    assert backoff.go_duration(seconds) == text
