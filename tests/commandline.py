"""Does a command line that a document or a container uses still parse?

Parsing only: no command runs, nothing is connected to. Used by the tests of the
compose file and of the documents.
"""

from collections.abc import Sequence

import click

from rollbook import cli


def group() -> click.Group:
    """The command line of Rollbook."""
    return cli.main


def parse(main: click.Group, arguments: Sequence[str]) -> None:
    """Afterwards every sub-command of `arguments` was found and accepted its words.

    Raises click.UsageError, with the reason, where that is not so. `--help` and
    `--version` end parsing early and are accepted.
    """
    command: click.Command = main
    context: click.Context | None = None
    name, words = "rollbook", list(arguments)
    try:
        while True:
            context = command.make_context(name, words, parent=context)
            if not isinstance(command, click.Group):
                return
            words = [*context._protected_args, *context.args]
            if not words:
                return  # a group that may be called by itself
            found, sub_command, words = command.resolve_command(context, words)
            assert found is not None
            assert sub_command is not None
            name, command = found, sub_command
    except click.exceptions.Exit as early:
        if early.exit_code:
            raise click.UsageError(f"exits with {early.exit_code}") from early
