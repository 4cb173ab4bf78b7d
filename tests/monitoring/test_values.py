"""The newest values of custom metrics, for analyses."""

import pytest

from gateway.monitoring.measured import Unmeasured
from gateway.monitoring.values import FRESH_SECONDS, Values

NOW = 1_000.0


def values() -> Values:
    """Two pods with values, one of them an old one; and one of no pod."""
    found = Values()
    found.set("shop", "load", "a", 1.0, NOW)
    found.set("shop", "load", "b", 3.0, NOW - 1)
    found.set("shop", "load", "old", 100.0, NOW - FRESH_SECONDS - 1)
    found.set("shop", "queue", "", 7.0, NOW)
    return found


@pytest.mark.parametrize(
    ("metric", "pods", "number"),
    [
        ("load", ["a", "b"], 2.0),
        ("load", ["b", "old", "unknown"], 3.0),
        ("queue", ["a"], 7.0),
    ],
)
def test_the_mean_over_the_pods_of_a_revision(
    metric: str, pods: list[str], number: float
) -> None:
    """Of those that have a fresh value; one that is of no pod counts where none has."""
    assert values().number("shop", metric, pods, NOW) == number


@pytest.mark.parametrize(
    ("namespace", "metric", "pods"),
    [("shop", "load", ["old"]), ("other", "load", ["a"]), ("shop", "none", ["a"])],
)
def test_without_a_fresh_value_there_is_none(
    namespace: str, metric: str, pods: list[str]
) -> None:
    """An old number says nothing, nor does that of another namespace."""
    with pytest.raises(Unmeasured, match=f"no value of {metric} in {namespace}"):
        values().number(namespace, metric, pods, NOW)


def test_values_of_no_pod_are_added_up() -> None:
    """As an autoscaler adds them up: of each set of labels the newest one, whatever
    comes late."""
    found = Values()
    found.set("shop", "jobs", "", 3.0, NOW, "a")
    found.set("shop", "jobs", "", 4.0, NOW, "b")
    found.set("shop", "jobs", "", 5.0, NOW + 1, "b")
    found.set("shop", "jobs", "", 9.0, NOW - 1, "b")

    assert found.number("shop", "jobs", ["web"], NOW + 1) == 8.0
    assert found.series == 2
    found.tidy(NOW + FRESH_SECONDS + 1)
    assert found.number("shop", "jobs", ["web"], NOW + FRESH_SECONDS + 1) == 5.0
    assert found.series == 1


def test_old_values_are_forgotten() -> None:
    """Memory is that of the values that may still be asked for."""
    held = values()
    held.tidy(NOW + FRESH_SECONDS)

    assert held.number("shop", "load", ["a"], NOW + FRESH_SECONDS) == 1.0
    held.tidy(NOW + FRESH_SECONDS + 1)
    assert len(held) == 0
