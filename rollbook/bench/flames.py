"""Where the time goes: flame graphs of control and api while a scenario is measured.

py-spy looks from outside at processes that run as they always do. It is not among the
dependencies: `pip install py-spy`. Of what it saw a picture is drawn (SVG, no script:
point at a box for its name) and the functions that took most are listed.
"""

import asyncio
import contextlib
import shutil
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from html import escape
from pathlib import Path
from typing import Final

from rollbook.bench import system
from rollbook.bench.system import Failure

RATE: Final = 200
TOP: Final = 15
PACKAGES: Final = ("domain", "projections", "adapters", "workers", "gateway")
_EVERYTHING: Final = 0.9
"""What contains nearly everything says nothing."""
_WIDTH: Final = 1200.0
_ROW: Final = 17
_THIN: Final = 0.4
_STOP_SECONDS: Final = 20.0


class Recorder:
    """Records control and api of one system into a folder."""

    def __init__(self, running: system.System, folder: Path, pods: int) -> None:
        self._system = running
        self._folder = folder
        self._pods = pods
        self._program = program()

    @contextlib.asynccontextmanager
    async def around(self, scenario: str) -> AsyncIterator[None]:
        """Records while the block lasts; then the pictures and lists are there."""
        self._folder.mkdir(parents=True, exist_ok=True)
        stem = f"{scenario.replace(' ', '-')}-{self._pods}"
        raws: dict[str, Path] = {}
        spies = []
        for role in (system.CONTROL, system.API):
            raw = raws[role] = self._folder / f"{stem}-{role}.raw"
            spies.append(
                await asyncio.create_subprocess_exec(
                    *(self._program, "record", "--format", "raw", "--output", str(raw)),
                    *("--rate", str(RATE), "--duration", "100000", "--gil"),
                    *("--pid", str(self._system.children[role].pid)),
                    stdout=asyncio.subprocess.DEVNULL,
                    stderr=asyncio.subprocess.DEVNULL,
                    start_new_session=True,
                )
            )
        await asyncio.sleep(1.0)  # they look at the symbols first
        try:
            yield
        finally:
            for spy in spies:
                await _end(spy)
        for role, raw in raws.items():
            if raw.exists():
                stacks = read(raw.read_text())
                title = f"{role} during {scenario}, {self._pods:,} pods"
                raw.with_suffix(".svg").write_text(flame_graph(stacks, title))
                raw.with_suffix(".txt").write_text(listing(stacks, title))


def program() -> str:
    """Where py-spy is. Raises `Failure` with what to do."""
    beside = Path(sys.executable).with_name("py-spy")
    found = str(beside) if beside.exists() else shutil.which("py-spy")
    if found is None:
        raise Failure("--profile needs py-spy: pip install py-spy")
    return found


async def _end(spy: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        spy.send_signal(signal.SIGINT)  # it writes what it has
    try:
        async with asyncio.timeout(_STOP_SECONDS):
            await spy.wait()
    except TimeoutError:
        spy.kill()
        await spy.wait()


def read(text: str) -> Counter[tuple[str, ...]]:
    """Stacks, outermost function first, and how often each was seen."""
    found: Counter[tuple[str, ...]] = Counter()
    for line in text.splitlines():
        frames, _, count = line.rpartition(" ")
        if count.isdecimal():
            found[tuple(_function(frame) for frame in frames.split(";"))] += int(count)
    return found


def _function(frame: str) -> str:
    """`decode (msgspec/json.py:12)` without the line: one box for each function."""
    return frame.rpartition(":")[0] + ")" if frame.endswith(")") else frame


def listing(stacks: Counter[tuple[str, ...]], title: str) -> str:
    """The functions that took most, by themselves and with what they called."""
    total = sum(stacks.values()) or 1
    own: Counter[str] = Counter()
    whole: Counter[str] = Counter()
    for stack, count in stacks.items():
        own[stack[-1]] += count
        for name in set(stack):
            whole[name] += count
    lines = [f"{title}: {total:,} samples at {RATE}/s", "", "   own   with callees"]
    lines += [
        f"{count / total:6.1%}  {whole[name] / total:6.1%}  {name}"
        for name, count in own.most_common(TOP)
    ]
    ours = [
        (name, count)
        for name, count in whole.most_common()
        if any(f"({package}/" in name for package in PACKAGES)
        and count < total * _EVERYTHING
    ]
    lines += ["", "ours, with callees"]
    lines += [f"{count / total:6.1%}  {name}" for name, count in ours[: 2 * TOP]]
    return "\n".join(lines) + "\n"


def flame_graph(stacks: Counter[tuple[str, ...]], title: str) -> str:
    """An SVG: the wider a box, the more time; what it called stands on it."""
    total = sum(stacks.values()) or 1
    boxes: list[tuple[int, float, float, str, int]] = []

    def place(found: Counter[tuple[str, ...]], depth: int, left: float) -> None:
        groups: dict[str, Counter[tuple[str, ...]]] = {}
        for stack, count in found.items():
            if stack:
                groups.setdefault(stack[0], Counter())[stack[1:]] += count
        for name in sorted(groups):
            count = sum(groups[name].values())
            width = count / total * _WIDTH
            if width >= _THIN:
                boxes.append((depth, left, width, name, count))
                place(groups[name], depth + 1, left)
            left += width

    place(stacks, 0, 0.0)
    height = (max((box[0] for box in boxes), default=0) + 3) * _ROW
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH:.0f}" '
        f'height="{height}" font-family="monospace" font-size="11">',
        f'<rect width="100%" height="100%" fill="#fffdf7"/><text x="6" y="14">'
        f"{escape(title)}: {total:,} samples</text>",
    ]
    for depth, left, width, name, count in boxes:
        y = height - (depth + 1) * _ROW
        hue = 20 + sum(name.encode()) % 35
        shown = escape(name[: max(0, int(width / 6.8) - 1)])
        parts.append(
            f"<g><title>{escape(name)} {count / total:.1%}</title>"
            f'<rect x="{left:.1f}" y="{y}" width="{max(width - 0.4, 0.2):.1f}" '
            f'height="{_ROW - 1}" fill="hsl({hue},80%,70%)"/>'
            f'<text x="{left + 2:.1f}" y="{y + 12}">{shown}</text></g>'
        )
    return "\n".join([*parts, "</svg>"]) + "\n"
