"""The options that many verbs share. Light: it is imported for `rollbook --help`.

`everywhere` options may stand before the verb and behind it. What they say is kept in
the context's `meta`, which a verb and the group above it share.
"""

import os
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

import click
from click.core import ParameterSource

from rollbook import settings

F = TypeVar("F", bound=Callable[..., object])

_KEY: Final = "rollbook."


def _keep(ctx: click.Context, param: click.Parameter, value: object) -> None:
    """Remember the value; one of the verb wins over one before the verb."""
    assert param.name is not None
    key = _KEY + param.name
    given = ctx.get_parameter_source(param.name) is not ParameterSource.DEFAULT
    if given or key not in ctx.meta:
        ctx.meta[key] = value


def _complete_namespaces(
    ctx: click.Context, _param: click.Parameter, incomplete: str
) -> list[str]:
    from rollbook.completion import namespaces

    return namespaces(ctx, incomplete)


def everywhere(function: F) -> F:
    """`--context`, `--no-color`, `--debug`: also before the verb."""
    for option in (
        click.option(
            "--debug", is_flag=True, expose_value=False, callback=_keep,
            help="Show a traceback where something goes wrong.",
        ),
        click.option(
            "--no-color", is_flag=True, expose_value=False, callback=_keep,
            help="No colours; NO_COLOR does the same.",
        ),
        click.option(
            "--context", metavar="FILE", expose_value=False, callback=_keep,
            help="The cluster: its context.toml.",
        ),
    ):  # fmt: skip
        function = option(function)
    return function


def namespaced(function: F) -> F:
    """`-n` and those of `everywhere`."""
    option = click.option(
        "-n", "--namespace", expose_value=False, callback=_keep, metavar="NAMESPACE",
        shell_complete=_complete_namespaces,
        help="The namespace of the objects; `default` otherwise.",
    )  # fmt: skip
    return everywhere(option(function))


def debug(ctx: click.Context) -> bool:
    """Whether tracebacks are wanted."""
    return bool(ctx.meta.get(_KEY + "debug")) or settings.flag(
        os.environ, settings.DEBUG
    )


def color(ctx: click.Context) -> bool:
    """Whether colours are allowed."""
    wanted = not ctx.meta.get(_KEY + "no_color")
    return wanted and not settings.text(os.environ, settings.NO_COLOR)


def context_file(ctx: click.Context) -> str | None:
    """What `--context` names; the environment is looked at where it is loaded."""
    value = ctx.meta.get(_KEY + "context")
    return str(value) if value else None


def namespace(ctx: click.Context) -> str:
    """The namespace that was asked for."""
    value = ctx.meta.get(_KEY + "namespace")
    return str(value or settings.text(os.environ, settings.NAMESPACE, "default"))


def command_line(ctx: click.Context) -> str:
    """What was typed, as it could be typed again."""
    import shlex

    words = ctx.find_root().obj
    return shlex.join(["rollbook", *words]) if isinstance(words, list) else "rollbook"


def recorded(ctx: click.Context) -> str:
    """The command line as `--record` writes it: options last, long and sorted."""
    words: list[str] = [ctx.command_path]
    flags: list[str] = []
    for param in ctx.command.params:
        name = param.name or ""
        value = ctx.params.get(name)
        if isinstance(param, click.Argument):
            words += _texts(value)
        elif ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            long = max(param.opts, key=len)
            flags += [f"{long}={text}" for text in _texts(value)]
    return " ".join([*words, *sorted(flags)])


def _texts(value: object) -> Sequence[str]:
    if value is None:
        return ()
    if isinstance(value, bool):
        return (str(value).lower(),)
    if isinstance(value, tuple):
        return tuple(str(each) for each in value)
    return (str(value),)
