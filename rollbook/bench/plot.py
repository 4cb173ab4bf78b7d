"""The results as a picture: pods over time, rate against size. Plain SVG."""

from collections.abc import Sequence
from html import escape
from typing import Final

from rollbook.bench.results import Outcome, median

_WIDTH: Final = 900
_HEIGHT: Final = 320
_LEFT, _RIGHT, _TOP, _BOTTOM = 80, 230, 40, 45
_COLOURS: Final = ("#0b7285", "#c2255c", "#5f3dc4", "#e67700", "#2b8a3e", "#495057")
_LINES_MAX: Final = 12
_TICKS: Final = 5

Line = tuple[str, Sequence[tuple[float, float]]]


def svg(outcomes: Sequence[Outcome]) -> str:
    """Two charts, one above the other; of several runs the first is drawn over time."""
    time_lines: list[Line] = [
        (
            f"{each.scenario}, {each.pods:,}",
            [(point.at, float(point.available)) for point in each.points],
        )
        for each in outcomes
        if each.run == 1 and "rate" in each.figures and len(each.points) > 1
    ]
    rates: dict[str, dict[int, list[float]]] = {}
    for each in outcomes:
        if "rate" in each.figures:
            sizes = rates.setdefault(each.scenario, {})
            sizes.setdefault(each.pods, []).append(each.figures["rate"])
    rate_lines: list[Line] = [
        (name, [(float(size), median(found)) for size, found in sorted(sizes.items())])
        for name, sizes in rates.items()
    ]
    charts = [
        _chart("available pods over time", "s", "pods", time_lines[:_LINES_MAX], 0),
        _chart("rate against size", "pods", "pods/s", rate_lines, _HEIGHT),
    ]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" '
            f'height="{2 * _HEIGHT}" font-family="sans-serif" font-size="12">',
            '<rect width="100%" height="100%" fill="white"/>',
            *charts,
            "</svg>\n",
        ]
    )


def _chart(title: str, x: str, y: str, lines: Sequence[Line], top: int) -> str:
    points = [point for _, line in lines for point in line]
    most_x = max((point[0] for point in points), default=1.0) or 1.0
    most_y = max((point[1] for point in points), default=1.0) or 1.0
    wide, high = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM

    def at(point: tuple[float, float]) -> tuple[float, float]:
        return (
            _LEFT + point[0] / most_x * wide,
            top + _TOP + high - point[1] / most_y * high,
        )

    parts = [f'<text x="{_LEFT}" y="{top + 22}" font-size="14">{escape(title)}</text>']
    for tick in range(_TICKS + 1):
        share = tick / _TICKS
        across, down = at((share * most_x, share * most_y))
        base = top + _TOP + high
        parts += [
            f'<path d="M{_LEFT} {down:.1f}h{wide}" stroke="#ddd"/>',
            f'<text x="{_LEFT - 6}" y="{down + 4:.1f}" text-anchor="end">'
            f"{_number(share * most_y)}</text>",
            f'<text x="{across:.1f}" y="{base + 18}" text-anchor="middle">'
            f"{_number(share * most_x)}</text>",
        ]
    parts += [
        f'<text x="{_LEFT + wide}" y="{top + _HEIGHT - 8}" '
        f'text-anchor="end">{x}</text>',
        f'<text x="{_LEFT - 6}" y="{top + _TOP - 8}" text-anchor="end">{y}</text>',
    ]
    for number, (name, line) in enumerate(lines):
        colour = _COLOURS[number % len(_COLOURS)]
        drawn = " ".join("{:.1f},{:.1f}".format(*at(point)) for point in line)
        row = top + _TOP + 14 + number * 18
        parts += [
            f'<polyline points="{drawn}" fill="none" stroke="{colour}" '
            'stroke-width="2"/>',
            *(
                f'<circle cx="{across:.1f}" cy="{down:.1f}" r="3" fill="{colour}"/>'
                for across, down in map(at, line)
                if len(line) <= _LINES_MAX
            ),
            f'<path d="M{_WIDTH - _RIGHT + 16} {row - 4}h18" stroke="{colour}" '
            'stroke-width="2"/>',
            f'<text x="{_WIDTH - _RIGHT + 40}" y="{row}">{escape(name)}</text>',
        ]
    return "\n".join(parts)


def _number(value: float) -> str:
    return f"{value:,.1f}" if 0 < value < _TICKS * 2 else f"{value:,.0f}"
