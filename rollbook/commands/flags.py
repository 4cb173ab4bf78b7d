"""Flags as kubectl reads them: the classes of every command here.

kubectl's flags that need no value take one behind `=` only, never as the next word:

1. A switch is on as `--watch`, and `--watch=true`; it is off as `--watch=false`. What
   stands for true and false is Go's: 1, t, T, TRUE, true, True, and 0, f, F, FALSE,
   false, False. Of several the last one counts. `--no-watch` is the same as
   `--watch=false`, and `--headers` the same as `--no-headers=false`.
2. A flag with a value of its own for nothing (`--dry-run` is `--dry-run=client`) leaves
   the next word alone.

Both are brought about by spelling such words in click's way before click parses them.

A group lists its commands with whole sentences, and answers a word that is none
of them with those that are like it.
Light: it is imported for `rollbook --help`.
"""

import inspect
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from itertools import islice
from typing import TYPE_CHECKING, Final, TypeGuard

import click

if TYPE_CHECKING:
    from click.parser import _OptionParser

_TRUE: Final = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE: Final = frozenset({"0", "f", "F", "FALSE", "false", "False"})


class Command(click.Command):
    """A command with the flags of kubectl."""

    def make_parser(self, ctx: click.Context) -> "_OptionParser":
        """Click's parser, which knows the opposite of each switch too."""
        return _with_opposites(super().make_parser(ctx), self.get_params(ctx))

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """What is left of the words after the options."""
        return super().parse_args(ctx, list(_spelled(self, ctx, args)))


class Group(click.Group):
    """A group of such commands; its own options are read in the same way."""

    command_class = Command

    def make_parser(self, ctx: click.Context) -> "_OptionParser":
        """See `Command`."""
        return _with_opposites(super().make_parser(ctx), self.get_params(ctx))

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """See `Command`."""
        return super().parse_args(ctx, list(_spelled(self, ctx, args)))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command of the first word. Raises `UsageError` with what is like it."""
        word = args[0]
        unknown = self.get_command(ctx, word) is None and not word.startswith("-")
        if unknown and not ctx.resilient_parsing:
            text = f"No such command '{word}'.{self.hint(ctx, word)}"
            raise click.UsageError(text, ctx)
        return super().resolve_command(ctx, args)

    def hint(self, ctx: click.Context, word: str) -> str:
        """What to type instead of `word`, as one more sentence; nothing if unknown."""
        alike = get_close_matches(word, self.list_commands(ctx), n=2)
        return f" Did you mean {' or '.join(map(repr, alike))}?" if alike else ""

    def format_commands(
        self, ctx: click.Context, formatter: click.HelpFormatter
    ) -> None:
        """Each command once, with all of its first paragraph; other names beside it."""
        names: dict[int, list[str]] = {}
        said: dict[int, str] = {}
        for name in self.list_commands(ctx):
            if (command := self.get_command(ctx, name)) is not None:
                names.setdefault(id(command), []).append(name)
                said[id(command)] = _first_paragraph(command.help or "")
        rows = [
            (", ".join(sorted(names[key], key=len, reverse=True)), said[key])
            for key in names
        ]
        with formatter.section("Commands"):
            formatter.write_dl(sorted(rows))


def is_switch(param: click.Parameter) -> TypeGuard[click.Option]:
    """Whether it is an option that is on or off; `--help` is not one."""
    return isinstance(param, click.Option) and param.is_bool_flag and not param.is_eager


def opposite(switch: click.Parameter) -> str:
    """The option that turns it off."""
    if switch.secondary_opts:
        return switch.secondary_opts[0]
    name = max(switch.opts, key=len).removeprefix("--")
    return f"--{name.removeprefix('no-') if name.startswith('no-') else f'no-{name}'}"


def _first_paragraph(text: str) -> str:
    paragraph, _, _ = inspect.cleandoc(text).partition("\n\n")
    return " ".join(paragraph.split())


def _with_opposites(
    parser: "_OptionParser", params: Sequence[click.Parameter]
) -> "_OptionParser":
    for param in params:
        if is_switch(param) and not param.secondary_opts:
            parser.add_option(
                param, [opposite(param)], param.name, action="store_const", const=False
            )
    return parser


def _spelled(
    command: click.Command, ctx: click.Context, words: Sequence[str]
) -> Iterator[str]:
    """The words, those with the flags above in click's spelling."""
    options = {
        name: param
        for param in command.get_params(ctx)
        if isinstance(param, click.Option)
        for name in param.opts
    }
    rest = iter(words)
    for word in rest:
        if word == "--" or not (ctx.allow_interspersed_args or word.startswith("-")):
            yield word  # behind it are no options, or those of another command
            yield from rest
            return
        name, given, value = word.partition("=")
        option = options.get(name)
        if option is None:
            yield word
        elif is_switch(option) and given and not ctx.resilient_parsing:
            yield name if _is_true(option, value, ctx) else opposite(option)
        elif isinstance(option.flag_value, str) and not given:
            yield f"{name}={option.flag_value}"
        else:
            yield word
            if not (given or option.is_flag or option.count):
                yield from islice(rest, option.nargs)  # its value, whatever it is


def _is_true(switch: click.Option, value: str, ctx: click.Context) -> bool:
    if value in _TRUE or value in _FALSE:
        return value in _TRUE
    raise click.BadOptionUsage(
        max(switch.opts, key=len),
        f'invalid argument "{value}" for "{", ".join(switch.opts)}" flag: '
        f'strconv.ParseBool: parsing "{value}": invalid syntax',
        ctx,
    )
