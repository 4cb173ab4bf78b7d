"""Figures: quantiles, tenths, targets, and the tables and files made of them."""

import json
import xml.etree.ElementTree as ElementTree
from collections import Counter

import msgspec
import pytest

from rollbook.bench import flames, plot, report, results, session
from rollbook.bench.results import Outcome, Point


@pytest.mark.parametrize(
    ("milliseconds", "p50", "p99"),
    [
        ([7], 7, 7),
        ([1, 2], 1, 2),
        (range(1, 101), 50, 99),
        (range(1, 201), 100, 198),
    ],
)
def test_quantiles_are_by_nearest_rank(
    milliseconds: list[int], p50: int, p99: int
) -> None:
    """A quantile is a value that was measured; nothing is interpolated."""
    found = results.quantiles([each / 1000 for each in milliseconds])
    assert found.p50 == pytest.approx(p50)
    assert found.p99 == pytest.approx(p99)


def test_every_target_names_a_figure_that_is_printed() -> None:
    """A target on a figure that nobody measures would never be missed."""
    assert {each.figure for each in results.TARGETS} <= results.FIGURES.keys()


@pytest.mark.parametrize(
    ("scenario", "pods", "figure", "value", "met"),
    [
        ("create", 5_000, "rate", 3_000.0, True),
        ("create", 5_000, "rate", 2_999.0, False),
        ("create", 1_000, "rate", 1.0, None),
        ("latency", 50_000, "ready_p99", 100.1, False),
        ("restart", 200, "control_ready", 20.0, True),
        ("roll", 5_000, "events_per_pod", 9.0, None),
    ],
)
def test_targets_hold_from_their_size_on(
    scenario: str, pods: int, figure: str, value: float, met: bool | None
) -> None:
    """At least or at most; at sizes below nothing is asked."""
    outcome = Outcome(scenario=scenario, pods=pods, nodes=1)
    wanted = results.target(outcome, figure)
    assert (results.met(wanted, value) if wanted else None) is met


def test_the_last_tenth_is_compared_with_the_first() -> None:
    """Ten pods a second at first, five at the end: 50 %."""
    points = [Point(second / 1.0, second * 10, second * 10) for second in range(10)]
    points.append(Point(11.0, 100, 100))
    outcome = Outcome(scenario="million", pods=100, nodes=1, points=tuple(points))
    found = session.tenths(outcome)
    assert found.tenths == pytest.approx([10.0] * 9 + [5.0])
    assert found.figures["tail"] == pytest.approx(50.0)


def test_tenths_that_were_not_reached_are_not_made_up() -> None:
    """A run that ended in its middle has the rates of what it reached."""
    points = (Point(1.0, 10, 10), Point(2.0, 25, 25))
    found = session.tenths(
        Outcome(scenario="million", pods=100, nodes=1, points=points)
    )
    assert len(found.tenths) == 2
    assert "tail" not in found.figures


def _report(*outcomes: Outcome) -> report.Report:
    return report.Report(machine={}, settings={}, seconds=1.0, outcomes=outcomes)


def _created(pods: int, rate: float, run: int = 1, *problems: str) -> Outcome:
    return Outcome(
        scenario="create", pods=pods, nodes=9, run=run, figures={"rate": rate},
        cpu={"control": 1.0}, memory={"control": 5_000_000}, problems=problems,
        points=(Point(0.0, 0, 0), Point(1.0, pods, pods)),
    )  # fmt: skip


def test_runs_become_a_median_with_its_spread() -> None:
    """Three runs are one row."""
    (row,) = report.rows([_created(1000, rate) for rate in (300.0, 100.0, 200.0)])
    assert (row.median, row.least, row.greatest) == (200.0, 100.0, 300.0)


@pytest.mark.parametrize(("rate", "met"), [(3_400.0, True), (3_300.0, False)])
def test_the_rate_at_scale_is_held_against_that_at_five_thousand(
    rate: float, met: bool
) -> None:
    """85 % or more of it shall be left at the largest size."""
    found = report.rows([_created(5_000, 4_000.0), _created(50_000, rate)])
    (share,) = (row for row in found if row.figure == "share")
    assert share.met is met


def test_a_failed_check_is_in_the_table_and_in_the_verdict() -> None:
    """A fast system that is wrong is no result."""
    good, bad = _created(100, 9.0), _created(200, 9.0, 1, "position 7: a gap")
    assert not report.wrong(_report(good))
    assert report.wrong(_report(good, bad))
    text = report.text(_report(good, bad))
    assert "log ok: create, 100 pods" in text
    assert "FAIL create, 200 pods: position 7: a gap" in text


def test_a_missed_target_is_told_but_is_no_failed_check() -> None:
    """Speed says as much about the machine as about us."""
    found = _report(_created(5_000, 10.0))
    assert "≥ 3,000 MISSED" in report.text(found)
    assert report.slow(found)
    assert not report.wrong(found)


def test_the_json_holds_every_run_and_the_medians() -> None:
    """Programs get all that was measured."""
    found = _report(_created(100, 1.0), _created(100, 3.0, 2))
    document = json.loads(report.json(found))
    assert [each["run"] for each in document["outcomes"]] == [1, 2]
    assert document["figures"][0]["median"] == 2.0
    again = msgspec.convert(document["outcomes"], type=tuple[Outcome, ...])
    assert again == found.outcomes


def test_the_plot_is_a_picture_with_every_line() -> None:
    """Well-formed SVG; a line for the time of a run and one for the rates."""
    picture = plot.svg([_created(100, 1.0), _created(200, 3.0)])
    root = ElementTree.fromstring(picture)
    lines = [each for each in root.iter() if each.tag.endswith("polyline")]
    assert len(lines) == 3
    assert "create, 200" in picture
    ElementTree.fromstring(plot.svg([]))


def test_a_flame_graph_shows_each_function_once_above_its_caller() -> None:
    """Lines of one function are one box; its width is its share."""
    stacks = flames.read(
        "main (a.py:1);fold (projections/actual.py:3) 6\n"
        "main (a.py:2);fold (projections/actual.py:9) 3\n"
        "main (a.py:2) 1\nnot a stack\n"
    )
    assert stacks == Counter(
        {("main (a.py)", "fold (projections/actual.py)"): 9, ("main (a.py)",): 1}
    )
    root = ElementTree.fromstring(flames.flame_graph(stacks, "<control>"))
    titles = [each.text for each in root.iter() if each.tag.endswith("title")]
    assert titles == ["main (a.py) 100.0%", "fold (projections/actual.py) 90.0%"]
    assert " 90.0%   90.0%  fold" in flames.listing(stacks, "control")
