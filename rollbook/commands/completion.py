"""`completion`: a shell's script, which asks `rollbook` for verbs, kinds and names."""

import click

from rollbook import completion as scripts
from rollbook import printing
from rollbook.commands import flags


@click.command(cls=flags.Command)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the completion script of a shell: verbs, kinds, and names of objects.

    \b
    Examples:
      source <(rollbook completion bash)
      rollbook completion zsh > "${fpath[1]}/_rollbook"
      rollbook completion fish > ~/.config/fish/completions/rollbook.fish
    """
    printing.say(scripts.script(ctx.find_root().command, shell))
