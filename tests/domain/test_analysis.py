"""The annotations of a watched rollout: how they are read, and what is refused."""

import pytest

from domain import analysis
from domain.analysis import ANALYSIS, AUTO_ROLLBACK, STEPS, Analyse, Wait, Weight

CHECK = '- {"name": "up", "prometheus": "up", "min": 1}'


def test_nothing_is_asked_for_without_annotations() -> None:
    """Rule 1: a Deployment without them is Kubernetes'."""
    assert analysis.policy({"team": "a"}) is analysis.NOTHING
    assert analysis.errors({"team": "a"}) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("deadline", (True, None, False)),
        ("crashes", (False, 3, False)),
        ("crashes=0", (False, 0, False)),
        (" deadline , crashes=5,analysis ", (True, 5, True)),
    ],
)
def test_triggers(text: str, found: tuple[bool, int | None, bool]) -> None:
    """Rule 2: a list of words, in any order."""
    assert analysis.parse_triggers(text) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("10%", (Weight(10), Weight(100))),
        ("100%", (Weight(100),)),
        (
            "10%, pause 5m, analyse, 50%, pause, 100%",
            (Weight(10), Wait(300), Analyse(), Weight(50), Wait(0), Weight(100)),
        ),
        ("pause  1h30m5s,analyze", (Wait(5405), Analyse(), Weight(100))),
    ],
)
def test_steps(text: str, found: tuple[analysis.Step, ...]) -> None:
    """Rule 3: whatever is written, it ends with all of it."""
    assert analysis.parse_steps(text) == found
    written = ", ".join(analysis.step_text(each) for each in found)
    assert analysis.parse_steps(written) == found, "what is shown can be written"


def test_checks_are_read_from_yaml_and_from_json() -> None:
    """Rule 4: a list, or the object around it; the defaults are filled in."""
    (one,) = analysis.parse_analysis(CHECK).checks
    assert (one.count, one.interval_seconds, one.failure_limit) == (3, 30.0, 0)
    text = """
    onFailure: rollback
    checks:
    - name: health
      check: {path: /healthz, port: 8080}
      min: 0.9
      initialDelay: 1m
    """
    held = analysis.parse_analysis(text)
    assert held.on_failure == "rollback"
    assert held.checks[0].delay_seconds == 60.0
    assert analysis.policy({ANALYSIS: text}).rolls_back


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        (AUTO_ROLLBACK, "", '"" is no trigger'),
        (AUTO_ROLLBACK, "crash", '"crash" is no trigger'),
        (AUTO_ROLLBACK, "crashes=-1", '"crashes=-1" is no trigger'),
        (AUTO_ROLLBACK, "crashes,crashes=2", '"crashes" stands there twice'),
        (AUTO_ROLLBACK, "analysis", "there are no checks that could fail"),
        (STEPS, "", '"" is no step'),
        (STEPS, "0%", '"0%" is not more than "0%"'),
        (STEPS, "50%, 10%", '"10%" is not more than "50%"'),
        (STEPS, "101%", "at most"),
        (STEPS, "100%, pause", "nothing can come after it"),
        (STEPS, "pause 0s", '"pause 0s" is no step'),
        (STEPS, "pause 5", '"pause 5" is no step'),
        (STEPS, "pause 721h", "up to 720h"),
        (STEPS, "10%, analyse", f"write them into {ANALYSIS}"),
        (STEPS, ",".join(["pause"] * 51), "there may be 50 steps"),
        (ANALYSIS, "", "it is not a list of checks"),
        (ANALYSIS, "[]", "1 to 20 checks"),
        (ANALYSIS, "[" * 9000, "it is not a list of checks"),
        (ANALYSIS, "x" * 20_000, "16384 bytes"),
        (ANALYSIS, "- {name: a, max: 1}", "checks[0].name: it needs one of"),
        (ANALYSIS, "- {name: a, metric: b}", "checks[0].min, max"),
        (ANALYSIS, "- {name: a, metric: b, min: 2, max: 1}", "checks[0].min, max"),
        (ANALYSIS, "- {name: a, metric: b, max: .nan}", "finite"),
        (ANALYSIS, "- {name: a, metric: b, max: 1, intervall: 1s}", "intervall"),
        (ANALYSIS, "- {name: a, metric: b, max: 1, interval: 0s}", "interval"),
        (ANALYSIS, "- {name: a, metric: b, max: 1, count: 0}", "count"),
        (ANALYSIS, "- {name: a, metric: b, max: 1, failureLimit: 3}", "failureLimit"),
        (ANALYSIS, "- {name: A_b, metric: b, max: 1}", "DNS label"),
        (ANALYSIS, '- {name: a, metric: "", max: 1}', "its source is empty"),
        (
            ANALYSIS,
            "- {name: a, check: {path: healthz, port: 80}, min: 1}",
            "path begins with /",
        ),
        (
            ANALYSIS,
            "- {name: a, metric: b, max: 1}\n- {name: a, metric: c, max: 1}",
            'two checks are called "a"',
        ),
    ],
)
def test_what_is_wrong_is_said_at_its_field(name: str, text: str, says: str) -> None:
    """Rule 5: one error, at the annotation, that says what to write; and until it is
    mended the annotation asks for nothing."""
    (error,) = analysis.errors({name: text})
    assert error.field == f"metadata.annotations[{name}]"
    assert says in error.message
    held = analysis.policy({name: text})
    assert not held.deadline
    assert held.crashes is None
    assert not held.checks


def test_all_that_is_wrong_is_said_at_once() -> None:
    """Kubernetes' way: nobody mends one error to be told of the next."""
    found = analysis.errors({STEPS: "0%", AUTO_ROLLBACK: "x", ANALYSIS: "1"})
    assert len(found) == 3


def test_steps_need_a_rolling_update() -> None:
    """Recreate has no fractions, and says what to do instead."""
    (error,) = analysis.errors({STEPS: "10%"}, strategy="Recreate")
    assert "use the strategy RollingUpdate, or leave the steps out" in error.message


def test_two_answers_to_a_failure_are_refused() -> None:
    """`onFailure: pause` and the trigger `analysis` contradict each other."""
    text = '{"onFailure": "pause", "checks": [{"name": "a", "metric": "b", "max": 1}]}'
    (error,) = analysis.errors({ANALYSIS: text, AUTO_ROLLBACK: "analysis"})
    assert "onFailure of rollbook/analysis is pause" in error.message


@pytest.mark.parametrize("length", [0, 1, 59, 60, 3600, 5405, 86_400])
def test_a_duration_is_written_as_it_is_read(length: int) -> None:
    """Seconds, minutes and hours, no others."""
    assert analysis.seconds(analysis.duration(length)) == length
