"""The results for people (an aligned table) and for programs (JSON).

Of several runs each figure is the median, beside it the smallest and the greatest; the
JSON holds all of them.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from rollbook.bench import results
from rollbook.bench.results import FIGURES, Outcome, Struct
from rollbook.bench.system import ROLES


class Report(Struct, frozen=True, kw_only=True):
    """All outcomes, and what they were measured on."""

    machine: dict[str, str]
    settings: dict[str, str]
    seconds: float
    outcomes: tuple[Outcome, ...]


class Row(Struct, frozen=True, kw_only=True):
    """One figure of one scenario at one size, over all runs."""

    scenario: str
    pods: int
    nodes: int
    figure: str
    median: float
    least: float
    greatest: float
    target: str = ""
    met: bool | None = None
    """None where nothing is asked."""


Key = tuple[str, int, int]


def rows(outcomes: Sequence[Outcome]) -> list[Row]:
    """The figures over all runs, in the order of the scenarios."""
    found = []
    for key, group in _groups(outcomes).items():
        for figure in FIGURES:
            values = [o.figures[figure] for o in group if figure in o.figures]
            if not values:
                continue
            middle = results.median(values)
            wanted = results.target(group[0], figure)
            scenario, pods, nodes = key
            found.append(
                Row(
                    scenario=scenario,
                    pods=pods,
                    nodes=nodes,
                    figure=figure,
                    median=middle,
                    least=min(values),
                    greatest=max(values),
                    target=_wanted(wanted),
                    met=results.met(wanted, middle) if wanted else None,
                )
            )
    return found + scaling(found)


def scaling(found: Sequence[Row]) -> list[Row]:
    """The rate at the largest size as a share of that at `SCALE_BASE` pods."""
    rates = {(r.scenario, r.pods): r for r in found if r.figure == "rate"}
    extra = []
    for scenario in dict.fromkeys(name for name, _ in rates):
        most = max(pods for name, pods in rates if name == scenario)
        base = rates.get((scenario, results.SCALE_BASE))
        if base is None or most <= results.SCALE_BASE:
            continue
        large = rates[scenario, most]
        share = large.median / base.median
        extra.append(
            Row(
                scenario=scenario,
                pods=most,
                nodes=large.nodes,
                figure="share",
                median=share * 100,
                least=large.least / base.greatest * 100,
                greatest=large.greatest / base.least * 100,
                target=f"≥ {results.SHARE_AT_SCALE * 100:.0f}",
                met=share >= results.SHARE_AT_SCALE,
            )
        )
    return extra


def wrong(report: Report) -> bool:
    """Whether any check failed."""
    return any(outcome.problems for outcome in report.outcomes)


def slow(report: Report) -> bool:
    """Whether a target was missed."""
    return any(row.met is False for row in rows(report.outcomes))


def json(report: Report) -> bytes:
    """Everything that was measured, and the medians."""
    document = {
        **msgspec.to_builtins(report),
        "figures": msgspec.to_builtins(rows(report.outcomes)),
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def text(report: Report) -> str:
    """The machine, the table of figures, what each process cost, and the verdicts."""
    now = datetime.now(UTC)
    head = [f"Rollbook bench, {now:%Y-%m-%d %H:%M} UTC, {report.seconds:,.0f} s"]
    head += [
        f"  {name:<12} {value}"
        for name, value in (report.machine | report.settings).items()
    ]
    blocks = ["\n".join(head), _figures(report), _processes(report), _verdicts(report)]
    return "\n\n".join(block for block in blocks if block)


# --- blocks -----------------------------------------------------------------------


def _figures(report: Report) -> str:
    table = [["scenario", "pods", "nodes", "figure", "", "median", "min–max", "target"]]
    before: Key | None = None
    for row in rows(report.outcomes):
        figure = FIGURES.get(row.figure) or results.Figure(
            f"rate, of that at {results.SCALE_BASE:,} pods", "%", ",.0f"
        )
        scale = 1e6 if row.figure in results.MEGA else 1.0
        key = (row.scenario, row.pods, row.nodes)
        first = (row.scenario, f"{row.pods:,}", f"{row.nodes:,}")
        spread = (
            f"{row.least / scale:{figure.form}}–{row.greatest / scale:{figure.form}}"
        )
        table.append(
            [
                *(first if key != before else ("", "", "")),
                figure.label,
                figure.unit,
                f"{row.median / scale:{figure.form}}",
                spread if row.least != row.greatest else "",
                f"{row.target} {'ok' if row.met else 'MISSED'}" if row.target else "",
            ]
        )
        before = key
    tails = [
        f"{o.scenario}, {o.pods:,} pods, each tenth (pods/s): "
        + " ".join(f"{rate:,.0f}" for rate in o.tenths)
        for o in report.outcomes
        if o.tenths
    ]
    return "\n".join([_aligned(table, left={0, 3, 4, 7}), *tails])


def _processes(report: Report) -> str:
    table = [
        ["CPU seconds, peak MB", *(each for role in ROLES for each in (role, "MB"))]
    ]
    for (scenario, pods, _), group in _groups(report.outcomes).items():
        if not any(outcome.cpu for outcome in group):
            continue
        line = [f"{scenario}, {pods:,}" + (" (cores)" * (scenario == "idle"))]
        for role in ROLES:
            seconds = results.median([o.cpu.get(role, 0.0) for o in group])
            size = results.median([o.memory.get(role, 0) for o in group])
            line += [f"{seconds:,.2f}", f"{size / 1e6:,.0f}"]
        table.append(line)
    return _aligned(table, left={0}) if len(table) > 1 else ""


def _verdicts(report: Report) -> str:
    lines = []
    for (scenario, pods, _), group in _groups(report.outcomes).items():
        problems = [problem for outcome in group for problem in outcome.problems]
        events = sum(outcome.events for outcome in group)
        if problems:
            lines.append(f"FAIL {scenario}, {pods:,} pods: {problems[0]}")
            lines += [f"     {problem}" for problem in problems[1:10]]
        else:
            lines.append(f"log ok: {scenario}, {pods:,} pods, {events:,} events")
    return "\n".join(lines)


def _groups(outcomes: Sequence[Outcome]) -> dict[Key, list[Outcome]]:
    found: dict[Key, list[Outcome]] = {}
    for each in outcomes:
        found.setdefault((each.scenario, each.pods, each.nodes), []).append(each)
    return found


def _wanted(wanted: results.Target | None) -> str:
    if wanted is None:
        return ""
    scale = 1e6 if wanted.figure in results.MEGA else 1.0
    return f"{'≥' if wanted.least else '≤'} {wanted.bound / scale:,.10g}"


def _aligned(table: Sequence[Sequence[str]], left: set[int]) -> str:
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
    lines = []
    for row in table:
        cells = [
            cell.ljust(width) if index in left else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
