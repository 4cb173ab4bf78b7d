"""`bench`: how fast it is on this machine, what it costs, and whether it was right."""

from pathlib import Path
from typing import Final

import click

from rollbook.commands import flags
from rollbook.commands import options as shared

_PATH: Final = click.Path(path_type=Path)
_INTERRUPTED: Final = 130


def _sizes(_ctx: click.Context, _param: click.Parameter, value: str) -> tuple[int, ...]:
    found = []
    for each in value.replace(" ", "").split(",") if value else ():
        if not each.isdecimal():
            raise click.BadParameter(f"{each!r} is not a number of pods, as 1000,5000")
        found.append(int(each))
    return tuple(sorted(set(found)))


@click.command(cls=flags.Command)
@click.argument("scenarios", nargs=-1, metavar="[SCENARIO]…")
@click.option(
    "--scenario",
    "more",
    multiple=True,
    metavar="NAME",
    help="One more scenario; the same as naming it.",
)
@click.option(
    "--pods", default="", callback=_sizes, metavar="1000,5000", help="The sizes."
)
@click.option(
    "--nodes", type=click.IntRange(0), default=0, help="How many hollow nodes."
)
@click.option(
    "--runs",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Repeats everything; the table shows medians.",
)
@click.option("--quick", is_flag=True, help="Sizes that take seconds, for CI.")
@click.option(
    "--data",
    type=_PATH,
    default=None,
    metavar="DIR",
    help="Where the clusters lie; a temporary folder otherwise.",
)
@click.option("--keep", is_flag=True, help="Leave the clusters' folders behind.")
@click.option(
    "--store",
    default="",
    metavar="URL",
    help="An empty database instead of fresh SQLite files.",
)
@click.option(
    "--deadline",
    type=click.FloatRange(0),
    default=0.0,
    metavar="SECONDS",
    help="For each phase; by the number of pods otherwise.",
)
@click.option(
    "--json",
    "json_file",
    type=_PATH,
    default=None,
    metavar="FILE",
    help="Write everything that was measured.",
)
@click.option(
    "--svg",
    "svg_file",
    type=_PATH,
    default=None,
    metavar="FILE",
    help="Draw pods over time and rate against size.",
)
@click.option(
    "--profile",
    type=_PATH,
    default=None,
    metavar="DIR",
    help="Flame graphs of control and api; needs py-spy.",
)
@click.option(
    "--require", is_flag=True, help="Status 1 when a target on speed is missed."
)
@shared.everywhere
@click.pass_context
def bench(
    ctx: click.Context,
    scenarios: tuple[str, ...],
    more: tuple[str, ...],
    pods: tuple[int, ...],
    nodes: int,
    runs: int,
    quick: bool,
    data: Path | None,
    keep: bool,
    store: str,
    deadline: float,
    json_file: Path | None,
    svg_file: Path | None,
    profile: Path | None,
    require: bool,
) -> None:
    """Measure Rollbook on this machine, and check the logs that it leaves.

    Real broker, real store, real processes; nodes are hollow. Status 1 when a check of
    a log failed.

    \b
    Scenarios:
      create roll undo   one Deployment; the default
      mixed              large and small ones: created, scaled, deleted
      latency            on a full cluster: command to Ready, command to answer
      api                the Kubernetes API: requests a second, watches
      reaction           pod death to its replacement
      node-loss          the nodes of 1,000 pods die at once
      million            1,000 Deployments of 1,000 pods on 5,000 nodes
      idle               10,000 nodes with heartbeats
      autoscale          usage of 10,000 pods, and 1,000 autoscalers
      containers         pods of Docker or Podman, beside the engine alone
      restart            control and api start on a log that is there
      kill               control is killed in the middle of a create
      replay past verify a log of a million events: folded, asked of the past, examined
      history sealing    10,000 revisions; what seals add to an append
      all                each of them but million and containers

    \b
    Examples:
      rollbook bench
      rollbook bench create roll undo --pods 5000 --runs 3 --json figures.json
      rollbook bench million restart --svg million.svg
      rollbook bench all --quick
    """
    from rollbook.bench import main

    ctx.exit(
        main.run(
            main.Wish(
                names=(*scenarios, *more), pods=pods, nodes=nodes, runs=runs,
                quick=quick, data=data, keep=keep, store=store, deadline=deadline,
                profile=profile, json=json_file, svg=svg_file, require=require,
                color=shared.color(ctx),
            )
        )
    )  # fmt: skip
