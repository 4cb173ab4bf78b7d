"""`help`: what `rollbook VERB --help` prints, for hands that type it the other way."""

from typing import TypeGuard

import click

from rollbook import printing
from rollbook.commands import flags


def _complete(
    ctx: click.Context, _param: click.Parameter, incomplete: str
) -> list[str]:
    command = ctx.find_root().command
    for word in ctx.params.get("words") or ():
        found = command.get_command(ctx, word) if _is_group(command) else None
        if found is None:
            return []
        command = found
    names = command.list_commands(ctx) if _is_group(command) else []
    return [name for name in names if name.startswith(incomplete)]


def _is_group(command: click.Command) -> TypeGuard[click.Group]:
    return isinstance(command, click.Group)


@click.command("help", cls=flags.Command)
@click.argument("words", nargs=-1, metavar="[VERB…]", shell_complete=_complete)
@click.pass_context
def help_(ctx: click.Context, words: tuple[str, ...]) -> None:
    """Explain a verb, with examples; without one, list them all.

    \b
    Examples:
      rollbook help get
      rollbook help rollout undo
    """
    context = ctx.find_root()
    for word in words:
        command = context.command
        if not isinstance(command, click.Group):
            raise click.UsageError(f"{context.command_path} has no verbs below it", ctx)
        name, found, _ = command.resolve_command(context, [word])
        assert found is not None
        context = click.Context(found, info_name=name, parent=context)
    printing.say(context.get_help())
