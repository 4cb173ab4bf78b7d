"""The command `rollbook`: which verbs there are, and where each of them is.

1. A verb's module is imported when the verb is called, so that `rollbook --help` and
   shell completion are fast. `VERBS` holds what `--help` prints about it.
2. Whatever goes wrong is told in one or a few lines on standard error (failures.py):
   exit status 1 for a refusal or a failure, 2 for wrong usage. A traceback is shown
   with `--debug` only.
3. A reader that goes away (`rollbook log | head`) ends the command without a word.
"""

import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any, Final, NoReturn

import click

from rollbook.commands import common

VERBS: Final[dict[str, tuple[str, str]]] = {
    "up": ("rollbook.commands.daemons", "Run the whole system here"),
    "get": ("rollbook.commands.get", "List objects, or show some"),
    "describe": ("rollbook.commands.describe", "Show an object and what surrounds it"),
    "create": ("rollbook.commands.create", "Create objects from files, or a Deployment"),
    "apply": ("rollbook.commands.apply", "Make objects what files say"),
    "delete": ("rollbook.commands.delete", "Delete objects"),
    "scale": ("rollbook.commands.change", "Change how many pods run"),
    "set": ("rollbook.commands.change", "Change images or resources"),
    "annotate": ("rollbook.commands.metadata", "Change annotations"),
    "label": ("rollbook.commands.metadata", "Change labels"),
    "rollout": ("rollbook.commands.rollout", "Watch, pause, restart or undo a rollout"),
    "logs": ("rollbook.commands.logs", "Print what a container has written"),
    "wait": ("rollbook.commands.wait", "Wait until objects are so"),
    "cordon": ("rollbook.commands.nodes", "Let a node take no new pods"),
    "uncordon": ("rollbook.commands.nodes", "Let a node take pods again"),
    "drain": ("rollbook.commands.nodes", "Move all pods away from a node"),
    "events": ("rollbook.commands.events", "List what happened, in order of time"),
    "log": ("rollbook.commands.log", "Print the events of the log themselves"),
    "status": ("rollbook.commands.status", "Show whether all is well"),
    "context": ("rollbook.commands.status", "Show which cluster this talks to"),
    "version": ("rollbook.commands.status", "Print the version"),
    "completion": ("rollbook.commands.completion", "Print a shell's completion script"),
    "control": ("rollbook.commands.daemons", "Run the one writer"),
    "api": ("rollbook.commands.daemons", "Run the readers' side"),
    "kubelet": ("rollbook.commands.daemons", "Run a node's agent"),
    "setup": ("rollbook.commands.daemons", "Write the broker's configuration"),
}

GROUPS: Final[dict[str, tuple[str, ...]]] = {
    "Objects": ("get", "describe", "create", "apply", "delete"),
    "Changes": ("scale", "set", "annotate", "label", "rollout"),
    "Pods and nodes": ("logs", "wait", "cordon", "uncordon", "drain"),
    "History": ("events", "log"),
    "The system": ("up", "status", "context", "version", "completion"),
    "Its processes": ("control", "api", "kubelet", "setup"),
}

_BROKEN_PIPE_EXIT: Final = 141  # what a shell reports for a program ended by SIGPIPE
_INTERRUPTED_EXIT: Final = 130


class LazyGroup(click.Group):
    """Imports a verb when it is called, and turns every error into words."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """All verbs, as the help lists them."""
        return list(VERBS)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The verb, from its module; an attribute of its name."""
        if cmd_name not in VERBS:
            return None
        module = importlib.import_module(VERBS[cmd_name][0])
        command = getattr(module, cmd_name.replace("set", "set_") if cmd_name == "set" else cmd_name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(
        self, _ctx: click.Context, formatter: click.HelpFormatter
    ) -> None:
        """The verbs in groups, without importing them."""
        for title, names in GROUPS.items():
            with formatter.section(title):
                formatter.write_dl([(name, VERBS[name][1]) for name in names])

    def main(  # type: ignore[override]  # it never returns in standalone mode
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,  # noqa: ANN401  # click's own signature
    ) -> Any:  # noqa: ANN401  # click's own signature
        """Run the command line, and exit with its status."""
        words = list(sys.argv[1:] if args is None else args)
        name = prog_name or "rollbook"
        extra.setdefault("obj", words)
        if not standalone_mode:
            return super().main(words, name, complete_var, False, **extra)
        _exit(lambda: super(LazyGroup, self).main(words, name, complete_var, False, **extra))


