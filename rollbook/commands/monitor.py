"""`monitor`: measure what autoscalers and analyses want to know."""

from pathlib import Path

import click

from rollbook import settings
from rollbook.commands import flags
from rollbook.commands import options as shared
from rollbook.commands.daemons import METRICS_LISTEN, METRICS_PORT, PROMETHEUS
from rollbook.options import Metrics, MonitorOptions


@click.command(cls=flags.Command)
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    envvar=settings.MONITOR_CONFIG,
    default=None,
    metavar="FILE",
    help="What it measures beside what is asked of it: YAML, or TOML by its name.",
)
@PROMETHEUS
@METRICS_PORT
@METRICS_LISTEN
@shared.everywhere
@click.pass_context
def monitor(
    ctx: click.Context,
    config: Path | None,
    prometheus: str,
    metrics_port: int,
    metrics_listen: str,
) -> None:
    """Measure what the cluster wants to know: queries, pods' metrics, checks.

    It decides nothing: what a number means is the writer's business. Several may run.

    \b
    Examples:
      rollbook monitor --context data/monitor/context.toml
      rollbook monitor --prometheus http://127.0.0.1:9090 --config monitor.yaml
    """
    from rollbook import processes

    processes.run_monitor(
        MonitorOptions(
            context=shared.context_file(ctx),
            config=config,
            prometheus=prometheus,
            metrics=Metrics(listen=metrics_listen, port=metrics_port),
            debug=shared.debug(ctx),
        )
    )
