"""`--at WHEN` and `diff`: what a person may write, and what is asked then."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import click
import msgspec
import pytest

from domain import queries
from rollbook import moments
from rollbook.commands import diff
from rollbook.failures import Failure
from tests.cli.service import Service
from tests.cli.world import with_nginx

NOW = 1_795_000_000.0


# --- WHEN -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1234", queries.Moment(position=1234)),
        ("0", queries.Moment(position=0)),
        ("-3", queries.Moment(position=-3)),
        ("9" * 40, queries.Moment(position=2**62)),
        ("now", queries.Moment(time=NOW)),
        ("5m", queries.Moment(time=NOW - 300)),
        ("1h30m", queries.Moment(time=NOW - 5400)),
        ("2d", queries.Moment(time=NOW - 172_800)),
        ("1.5s", queries.Moment(time=NOW - 1.5)),
        ("2026-11-23T06:18:47Z", queries.Moment(time=1_795_414_727.0)),
        ("2026-11-23t06:18:47z", queries.Moment(time=1_795_414_727.0)),
        ("2026-11-23T06:18:47.000123Z", queries.Moment(time=1_795_414_727.000123)),
        ("2026-11-23T06:18:47.000123999Z", queries.Moment(time=1_795_414_727.000123)),
        ("2026-11-23 08:18:47+02:00", queries.Moment(time=1_795_414_727.0)),
        ("2026-11-23T06:18Z", queries.Moment(time=1_795_414_680.0)),
    ],
)
def test_a_moment_is_a_position_a_time_or_an_age(
    text: str, expected: queries.Moment
) -> None:
    """Numbers are positions; whether the log has them is the log's to say."""
    assert moments.parse(text, NOW) == expected


@pytest.mark.parametrize(
    ("now", "text", "expected"),
    [
        ("2026-11-24T09:00:00+01:00", "03:12", "2026-11-24T03:12:00+01:00"),
        ("2026-11-24T09:00:00+01:00", "23:30", "2026-11-23T23:30:00+01:00"),
        ("2026-11-24T03:12:00+01:00", "03:12", "2026-11-24T03:12:00+01:00"),
        ("2026-11-24T03:12:00+01:00", "03:12:00.5", "2026-11-23T03:12:00.5+01:00"),
        ("2026-03-29T12:00:00+02:00", "01:30", "2026-03-29T01:30:00+01:00"),
    ],
)
@pytest.mark.usefixtures("berlin")
def test_a_time_of_day_is_the_last_one_that_has_been(
    now: str, text: str, expected: str
) -> None:
    """Today's, or yesterday's where today's is still to come; by the local clock."""
    found = moments.parse(text, datetime.fromisoformat(now).timestamp())

    assert found == queries.Moment(time=datetime.fromisoformat(expected).timestamp())


@pytest.mark.parametrize("text", ["24:00", "3:12", "03:60", "03:12Z"])
def test_what_is_no_time_of_day_is_refused(text: str) -> None:
    """With what may be written instead."""
    with pytest.raises(Failure, match="06:18 in local time"):
        moments.parse(text, NOW)


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A place whose clocks are changed twice a year."""
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("berlin")
@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2026-11-23 07:18", "2026-11-23T06:18:00+00:00"),
        ("2026-11-23T07:18:47.5", "2026-11-23T06:18:47.500000+00:00"),
        ("2026-07-01 08:00", "2026-07-01T06:00:00+00:00"),
        ("2026-07-01", "2026-06-30T22:00:00+00:00"),
    ],
)
def test_a_time_without_a_zone_is_local(text: str, utc: str) -> None:
    """A date alone is the midnight with which it begins."""
    found = moments.parse(text, NOW).time
    assert found == datetime.fromisoformat(utc).timestamp()


@pytest.mark.usefixtures("berlin")
@pytest.mark.parametrize("text", ["2026-10-25 02:30", "2026-03-29 02:30"])
def test_a_local_time_that_is_twice_or_never_is_refused(text: str) -> None:
    """It says what to write; with its zone it is a time."""
    with pytest.raises(Failure, match="the local clock is changed"):
        moments.parse(text, NOW)
    assert moments.parse(f"{text}+01:00", NOW).time


@pytest.mark.parametrize(
    "text",
    ["", "yesterday", "12.30", "2026-13-01", "2026-02-30 10:00", "5 m", "-5m",
     "1234.5", "2026-11-23T25:00Z", "0001-01-01", "१२", "１２３４"],
)  # fmt: skip
def test_what_is_no_moment_is_refused_with_the_forms(text: str) -> None:
    """The message says what is accepted."""
    with pytest.raises(Failure, match="1h30m"):
        moments.parse(text, NOW)


def test_the_client_takes_positions_times_and_moments_too() -> None:
    """What a program has at hand."""
    at = datetime(2026, 11, 23, 6, 18, 47, tzinfo=UTC)
    assert moments.parse(at, NOW) == queries.Moment(time=1_795_414_727.0)
    assert moments.parse(12, NOW) == queries.Moment(position=12)
    moment = queries.Moment(time=1.0)
    assert moments.parse(moment, NOW) is moment


# --- the verbs --------------------------------------------------------------------


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    "words",
    [
        ("get", "deployments"),
        ("get", "deployment", "nginx", "-o", "json"),
        ("get", "pods", "--sort-by", "{.metadata.name}", "--show-labels"),
        ("rollout", "status", "deployment/nginx"),
        ("events", "-o", "json"),
    ],
)
async def test_every_question_of_a_command_carries_the_moment(
    service: Service, words: tuple[str, ...]
) -> None:
    """A position as it is; an age as one time, whatever is asked besides."""
    with_nginx(service)
    ran = await service.run(*words, "--at", "12")
    assert ran.status == 0, ran.err
    assert service.questions
    assert all(asked["at"] == {"position": 12} for _, asked in service.questions)
    service.questions.clear()
    before = time.time()
    assert (await service.run(*words, "--at", "5m")).status == 0
    asked = {json.dumps(question["at"]) for _, question in service.questions}
    assert len(asked) == 1
    assert before - 301 < json.loads(asked.pop())["time"] < time.time() - 299


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    "words",
    [
        ("get", "pods", "-w"),
        ("events", "--watch"),
        ("log", "-f"),
        ("rollout", "status", "deployment/nginx", "--watch"),
    ],
)
async def test_what_is_to_come_has_no_past(
    service: Service, words: tuple[str, ...]
) -> None:
    """Wrong usage, said before anything is asked."""
    ran = await service.run(*words, "--at", "5m")
    assert ran.status == 2
    assert "--at shows one moment of the past" in ran.err
    assert not service.questions


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    "words",
    [
        ("get", "pods", "--at", "yesterday"),
        ("describe", "pod", "x", "--at", "25:30"),
        ("diff", "5m", "later"),
    ],
)
async def test_rubbish_is_wrong_usage(service: Service, words: tuple[str, ...]) -> None:
    """Exit status 2, with the forms that there are."""
    ran = await service.run(*words)
    assert (ran.status, ran.out) == (2, "")
    assert "is not a moment" in ran.err
    assert "1h30m" in ran.err


@pytest.mark.asyncio(loop_scope="module")
async def test_a_moment_that_the_log_has_not_fails(service: Service) -> None:
    """Exit status 1, with the words of who knows the log."""
    text = "at.position: 99 is outside the log"
    error = queries.QueryError(reason="BadRequest", message=text)
    service.answers["get"] = lambda _: queries.GetAnswer(error=error)
    ran = await service.run("get", "pods", "--at", "99")
    assert (ran.status, ran.out) == (1, "")
    assert ran.err == f"Error from server (BadRequest): {text}\n"


# --- diff -------------------------------------------------------------------------


def _raw(value: object) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


CHANGES = (
    queries.ObjectDifference(
        kind="deployment",
        namespace="default",
        name="nginx",
        change="changed",
        fields=(
            queries.FieldDifference(
                path="spec.replicas", before=_raw(3), after=_raw(5)
            ),
            queries.FieldDifference(path="spec.paused", after=_raw(True)),
            queries.FieldDifference(path="metadata.labels['a/b']", before=_raw("x y")),
        ),
    ),
    queries.ObjectDifference(
        kind="pod", namespace="default", name="web-1", change="deleted"
    ),
)
LINES = """\
deployment.apps/nginx changed
  ~ spec.replicas: 3 → 5
  + spec.paused: true
  - metadata.labels['a/b']: x y
pod/web-1 deleted
"""


@pytest.mark.asyncio(loop_scope="module")
async def test_diff_prints_objects_and_fields(service: Service) -> None:
    """Without colours where nobody watches, page after page; the exit status says
    whether there is a difference only if it is asked to."""

    def answer(data: bytes) -> queries.DiffAnswer:
        asked = msgspec.json.decode(data, type=queries.DiffQuery)
        if not asked.continue_:
            return queries.DiffAnswer(changes=CHANGES[:1], continue_="more")
        return queries.DiffAnswer(changes=CHANGES[1:])

    service.answers["diff"] = answer
    ran = await service.run("diff", "10", "20")
    assert (ran.status, ran.out, ran.err) == (0, LINES, "")
    assert service.questions[0][1] == {
        "before": {"position": 10}, "after": {"position": 20}, "namespace": "default",
    }  # fmt: skip
    ran = await service.run("diff", "10", "20", "--exit-code", "-o", "json")
    assert ran.status == 1
    assert [each["name"] for each in json.loads(ran.out)] == ["nginx", "web-1"]


@pytest.mark.asyncio(loop_scope="module")
async def test_diff_of_one_object_without_a_difference(service: Service) -> None:
    """It says so on standard error; exit status 0 with `--exit-code` too."""
    service.answers["diff"] = lambda _: queries.DiffAnswer()
    ran = await service.run("diff", "1", "2", "deployment/nginx", "--exit-code")
    assert (ran.status, ran.out, ran.err) == (0, "", "No differences found.\n")
    asked = service.questions[0][1]
    assert (asked["kind"], asked["name"]) == ("deployment", "nginx")


def test_colours_follow_the_marks() -> None:
    """Green for what has come, red for what has gone."""
    plain = list(diff.lines(CHANGES))
    for line, color in zip(plain, (None, "yellow", "green", "red", "red"), strict=True):
        expected = (
            click.style(line, fg=color) if color else click.style(line, bold=True)
        )
        assert diff.colored(line) == expected
