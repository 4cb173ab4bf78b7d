"""`exec`: a command inside a container."""

import click

from rollbook import printing, streaming, streaming_targets, streaming_terminal
from rollbook.client import Cluster
from rollbook.commands import common, flags, options
from rollbook.failures import Failure

NO_TERMINAL = "Unable to use a TTY - input is not a terminal or the right kind of file"


@click.command("exec", cls=flags.Command)
@click.argument(
    "words",
    nargs=-1,
    metavar="(POD | TYPE/NAME) -- COMMAND [ARG]...",
    shell_complete=common.complete_objects,
)
@click.option(
    "-c", "--container", default="", help="This container; the first otherwise."
)
@click.option("-i", "--stdin", is_flag=True, help="Pass standard input on.")
@click.option("-t", "--tty", is_flag=True, help="With a terminal.")
@click.option("-q", "--quiet", is_flag=True, help="Only what the command says.")
@options.namespaced
def exec_(
    words: tuple[str, ...], container: str, stdin: bool, tty: bool, quiet: bool
) -> None:
    """Run a command in a container of a pod; its exit status is this one's.

    What was run, where and by whom stands in the log.

    \b
    Examples:
      rollbook exec nginx-5d78c9869d-4xk2v -- ls -l
      rollbook exec -it deploy/nginx -- sh
      rollbook exec -i web-1 -c db -- psql < dump.sql
    """
    if not words:
        raise Failure("error: pod, type/name or --filename must be specified")
    name, command = words[0], words[1:]
    if not command:
        raise Failure("error: you must specify at least one command for the container")
    with_terminal = terminal_wanted(stdin=stdin, tty=tty)

    async def work(cluster: Cluster) -> int:
        found = await streaming_targets.pod_of(cluster, name)
        async with streaming.execute(
            cluster,
            streaming_targets.named(found),
            command,
            node=streaming.node_of(found),
            container=streaming_targets.container_of(found, container, quiet=quiet),
            stdin=stdin,
            tty=with_terminal,
            size=streaming_terminal.size(),
        ) as session:
            return await streaming_terminal.run(
                session, stdin=stdin, tty_=with_terminal and stdin
            )

    code = common.run(work)
    if code:
        printing.talk(f"command terminated with exit code {code}")
        click.get_current_context().exit(code)


def terminal_wanted(*, stdin: bool, tty: bool) -> bool:
    """Whether the session has a terminal; says so where it cannot have one."""
    if tty and stdin and not streaming_terminal.has_terminal():
        printing.talk(NO_TERMINAL)
        return False
    return tty
