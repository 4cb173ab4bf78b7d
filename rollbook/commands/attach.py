"""`attach`: what a container says, as it says it."""

import click

from rollbook import printing, streaming, streaming_targets, streaming_terminal
from rollbook.client import Cluster
from rollbook.commands import common, flags, options
from rollbook.commands.exec import terminal_wanted


@click.command(cls=flags.Command)
@click.argument(
    "name", metavar="POD | TYPE/NAME", shell_complete=common.complete_objects
)
@click.option(
    "-c", "--container", default="", help="This container; the first otherwise."
)
@click.option("-i", "--stdin", is_flag=True, help="Pass standard input on.")
@click.option("-t", "--tty", is_flag=True, help="With a terminal.")
@click.option("-q", "--quiet", is_flag=True, help="Only what the container says.")
@options.namespaced
def attach(name: str, container: str, stdin: bool, tty: bool, quiet: bool) -> None:
    """Show what a container writes from now on, until it ends or Ctrl-C.

    \b
    Examples:
      rollbook attach nginx-5d78c9869d-4xk2v
      rollbook attach deploy/nginx -c web
    """
    with_terminal = terminal_wanted(stdin=stdin, tty=tty)

    async def work(cluster: Cluster) -> int:
        found = await streaming_targets.pod_of(cluster, name)
        async with streaming.attach(
            cluster,
            streaming_targets.named(found),
            node=streaming.node_of(found),
            container=streaming_targets.container_of(found, container, quiet=quiet),
            stdin=stdin,
            tty=with_terminal,
            size=streaming_terminal.size(),
        ) as session:
            if not quiet and stdin:
                printing.talk("If you don't see a command prompt, try pressing enter.")
            return await streaming_terminal.run(
                session, stdin=stdin, tty_=with_terminal and stdin
            )

    code = common.run(work)
    if code:
        click.get_current_context().exit(code)
