"""The bar that `rollout status` draws on a terminal."""

from collections.abc import AsyncIterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from rollbook.rollouts import Stage


async def draw(name: str, stages: AsyncIterator[Stage], *, color: bool) -> None:
    """Draw the stages as they come; afterwards the last sentence stands there."""
    console = Console(no_color=not color)
    columns = (
        TextColumn("{task.fields[deployment]}", markup=False),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("{task.description}", markup=False),
    )
    last = ""
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=None, deployment=name)
        async for stage in stages:
            last = stage.text
            progress.update(task, completed=stage.available, total=stage.wanted)
            short = last.partition("rollout to finish: ")[2] or last
            progress.update(task, description=short)
    console.print(last, markup=False, highlight=False)
