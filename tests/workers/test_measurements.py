"""Measurements in: what is taken, what is refused and counted, what it amounts to."""

import math
from typing import Any

import msgspec
import pytest

from domain import analysis_run, protocol
from tests.support.cluster import SimCluster
from tests.workers.scenes import owner
from tests.workers.watched import (
    give_raw,
    measure,
    measure_all,
    release,
    rollbacks,
    watched,
)
from workers.analysing import MeasurementInput

CHECKS = """
- {name: error-rate, prometheus: rate, max: 0.05, interval: 10s, count: 4,
   failureLimit: 1, inconclusiveLimit: 1}
- {name: up, metric: up, min: 1, interval: 10s, count: 1, initialDelay: 1m}
"""


@pytest.fixture
def sim() -> SimCluster:
    """A Deployment whose revision 2 is out and is being measured."""
    sim = SimCluster(3)
    watched(sim, back="analysis", checks=CHECKS, replicas=3)
    release(sim)
    return sim


def taken(sim: SimCluster) -> int:
    """How many measurements of revision 2 are in the log."""
    found = [each.event for each in sim.of(analysis_run.MeasurementTaken)]
    return sum(getattr(each, "revision", 0) == 2 for each in found)


def test_a_measurement_is_an_event_of_its_deployment(sim: SimCluster) -> None:
    """With the number, what it broke, and no cause: it is the monitor's own word."""
    measure(sim, 0.06, at=sim.now)
    last = sim.of(analysis_run.MeasurementTaken)[-1]
    event = last.event
    assert isinstance(event, analysis_run.MeasurementTaken)
    assert (last.actor, last.cause) == ("monitor", 0)
    assert (event.number, event.value, event.passed) == (1, 0.06, False)
    assert event.bound == "> 0.05"


@pytest.mark.parametrize(
    "wrong",
    [
        {"number": 2},
        {"number": 0},
        {"revision": 1},
        {"round": 2},
        {"uid": "another"},
        {"check": "unknown"},
    ],
)
def test_what_is_not_wanted_is_refused_and_counted(
    sim: SimCluster, wrong: dict[str, Any]
) -> None:
    """A wrong revision, another object's, one from the past or the future."""
    measure(sim, 0.01, **wrong)
    assert taken(sim) == 0
    assert sim.state.counters["measurements_not_wanted"] == 1


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b'{"uid": 1}',
        b"\xff\xfe",
        b'{"uid":"\xff","revision":2,"round":1,"check":"up","number":1,"value":1}',
        *(
            msgspec.json.encode(
                {
                    "uid": "u",
                    "revision": 2,
                    "round": 1,
                    "check": "error-rate",
                    "number": 1,
                    **rest,
                }
            )
            for rest in ({}, {"value": 1.0, "error": "both"}, {"value": math.nan})
        ),
        b'{"uid":"u","revision":2,"round":1,"check":"up","number":1,"value":1e999}',
    ],
)
def test_what_cannot_be_read_is_refused_and_counted(
    sim: SimCluster, data: bytes
) -> None:
    """No number and no error, both, NaN, or no message at all."""
    give_raw(sim, data)
    assert taken(sim) == 0
    assert sim.state.counters["measurements_unreadable"] == 1


def test_the_same_measurement_twice_is_one(sim: SimCluster) -> None:
    """From two monitors, or delivered again."""
    measure(sim, 0.01, number=1)
    sim.run_for(10)
    measure(sim, 0.01, number=1)
    assert taken(sim) == 1


def test_a_measurement_cannot_come_long_before_its_time(sim: SimCluster) -> None:
    """Nobody takes a whole round at once."""
    measure(sim, 0.01)
    measure(sim, 0.01)
    assert taken(sim) == 1
    sim.run_for(6)
    measure(sim, 0.01)
    assert taken(sim) == 2


def test_the_limit_of_failures(sim: SimCluster) -> None:
    """As many as the limit allows are forgiven; the next one fails the round."""
    measure_all(sim, 0.06, 0.01)
    assert not rollbacks(sim)
    measure_all(sim, 0.07)
    assert len(rollbacks(sim)) == 1
    assert owner(sim).run.rolled_back


def test_an_error_is_no_failure(sim: SimCluster) -> None:
    """It has a limit of its own, and beyond that the round is inconclusive: nothing is
    rolled back for it."""
    measure_all(sim, None, 0.01, None)
    (ended,) = sim.of(analysis_run.AnalysisEnded)
    event = ended.event
    assert isinstance(event, analysis_run.AnalysisEnded)
    assert event.verdict == "inconclusive"
    assert event.why == ("error-rate gave no number in 2 of 3 measurements: no answer")
    assert not rollbacks(sim)


def test_a_round_passes_when_every_check_has(sim: SimCluster) -> None:
    """Each with its count of numbers; errors do not count, and nothing comes after."""
    measure_all(sim, 0.01, None, 0.06, 0.02)
    sim.run_for(20)
    measure(sim, 1.0, check="up")
    assert not sim.of(analysis_run.AnalysisEnded)
    measure_all(sim, 0.03)
    (ended,) = sim.of(analysis_run.AnalysisEnded)
    assert getattr(ended.event, "verdict", "") == "pass"
    before = taken(sim)
    measure_all(sim, 0.9, 0.9)
    assert taken(sim) == before


def test_a_verdict_is_caused_by_what_decided_it() -> None:
    """Of two measurements that come in one step the one that failed is the cause of
    the verdict, though a good one of another check came after it."""
    sim = SimCluster(3)
    checks = "- {name: errors, metric: e, max: 0.05}\n- {name: load, metric: l, max: 9}"
    watched(sim, back="analysis", checks=checks, replicas=3)
    release(sim)
    run, said = owner(sim).run, []
    for check, value in (("errors", 0.2), ("load", 1.0)):
        told = protocol.Measurement(
            uid=owner(sim).uid,
            revision=run.revision,
            round=run.round,
            check=check,
            number=1,
            value=value,
            at=sim.now,
        )
        data = msgspec.json.encode(told)
        name = "web"
        said.append(MeasurementInput(namespace="default", deployment=name, data=data))
    sim.step(*said)

    (ended,) = [
        each
        for each in sim.of(analysis_run.AnalysisEnded)
        if isinstance(each.event, analysis_run.AnalysisEnded)
        and each.event.verdict == "fail"
    ]
    cause = sim.events[ended.cause - 1].event
    assert isinstance(cause, analysis_run.MeasurementTaken)
    assert (cause.check, cause.passed) == ("errors", False)
    assert len(rollbacks(sim)) == 1
