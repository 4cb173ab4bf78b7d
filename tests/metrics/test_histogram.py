"""Durations in buckets, as Prometheus counts them."""

from prometheus_client import CollectorRegistry
from prometheus_client import Histogram as Reference

from adapters.histogram import FAST, Histogram

SECONDS = (0.0, 0.0001, 0.00011, 0.003, 0.005, 0.7, 10.0, 10.1, 1e9)


def test_it_counts_as_prometheus_own_client_does() -> None:
    """The same observations make the same buckets, count and sum, bounds included."""
    ours = Histogram()
    theirs = Reference(
        "a_seconds", "x", buckets=FAST, registry=CollectorRegistry(auto_describe=False)
    )
    for each in SECONDS:
        ours.observe(each)
        theirs.observe(each)
    samples = {
        (sample.name, sample.labels.get("le", "")): sample.value
        for family in theirs.collect()
        for sample in family.samples
    }

    for bound, count in ours.buckets():
        assert samples["a_seconds_bucket", bound] == count
    assert samples["a_seconds_count", ""] == ours.count == len(SECONDS)
    assert samples["a_seconds_sum", ""] == ours.total


def test_an_empty_one_has_all_its_buckets() -> None:
    """A series is there from the start: a rate can be taken of its first change."""
    assert [count for _, count in Histogram().buckets()] == [0] * (len(FAST) + 1)
