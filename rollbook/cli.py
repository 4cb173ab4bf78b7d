"""The command `rollbook`: which verbs there are, and where each of them is.

1. A verb's module is imported when the verb is called, so that `rollbook --help` and
   shell completion are fast. `VERBS` holds what `--help` prints about it.
2. Whatever goes wrong is told in one or a few lines on standard error (failures.py):
   exit status 1 for a refusal or a failure, 2 for wrong usage. A traceback is shown
   with `--debug` only.
3. A reader that goes away (`rollbook log | head`) ends the command without a word.
4. A verb that is none is answered with what to type instead: one that is like it, the
   one that does it here (`ELSEWHERE`), or kubectl (`KUBECTLS`).
"""

import importlib
from typing import Any, Final

import click

from rollbook import lean
from rollbook.commands import flags, options

VERBS: Final[dict[str, tuple[str, str]]] = {
    "up": ("rollbook.commands.daemons", "Run the whole system here"),
    "get": ("rollbook.commands.get", "List objects, or show some"),
    "describe": ("rollbook.commands.describe", "Show an object and what surrounds it"),
    "create": (
        "rollbook.commands.create",
        "Create objects from files, or a Deployment",
    ),
    "apply": ("rollbook.commands.apply", "Make objects what files say"),
    "edit": ("rollbook.commands.edit", "Change an object in an editor"),
    "replace": ("rollbook.commands.edit", "Put what files say in the objects' place"),
    "delete": ("rollbook.commands.delete", "Delete objects"),
    "scale": ("rollbook.commands.change", "Change how many pods run"),
    "autoscale": ("rollbook.commands.autoscale", "Let the number of pods follow use"),
    "set": ("rollbook.commands.change", "Change images or resources"),
    "annotate": ("rollbook.commands.metadata", "Change annotations"),
    "label": ("rollbook.commands.metadata", "Change labels"),
    "rollout": ("rollbook.commands.rollout", "Watch, pause, restart or undo a rollout"),
    "logs": ("rollbook.commands.logs", "Print what a container has written"),
    "exec": ("rollbook.commands.exec", "Run a command inside a container"),
    "attach": ("rollbook.commands.attach", "Show what a container says from now on"),
    "cp": ("rollbook.commands.cp", "Copy files into a container and out of it"),
    "top": ("rollbook.commands.top", "Show what pods and nodes use"),
    "wait": ("rollbook.commands.wait", "Wait until objects are as asked"),
    "cordon": ("rollbook.commands.nodes", "Let a node take no new pods"),
    "uncordon": ("rollbook.commands.nodes", "Let a node take pods again"),
    "taint": ("rollbook.commands.taint", "Change what a node does not want"),
    "drain": ("rollbook.commands.nodes", "Move all pods away from a node"),
    "events": ("rollbook.commands.events", "List what happened, in order of time"),
    "log": ("rollbook.commands.log", "Print the events of the log themselves"),
    "diff": ("rollbook.commands.diff", "Show what differs between two moments"),
    "why": ("rollbook.commands.why", "Tell why an object is as it is, or is gone"),
    "verify": ("rollbook.commands.verify", "Examine the log: is it what was written?"),
    "archive": ("rollbook.commands.archive", "Keep the log in compressed files"),
    "replay": ("rollbook.commands.replay", "Watch it happen again, or otherwise"),
    "status": ("rollbook.commands.status", "Show whether all is well"),
    "context": ("rollbook.commands.status", "Show which cluster this talks to"),
    "api-resources": ("rollbook.commands.status", "List the types of objects"),
    "version": ("rollbook.commands.status", "Print the version"),
    "help": ("rollbook.commands.help", "Explain a verb, with examples"),
    "completion": ("rollbook.commands.completion", "Print a shell's completion script"),
    "bench": ("rollbook.commands.bench", "Measure how fast it is here"),
    "control": ("rollbook.commands.daemons", "Run the one writer"),
    "api": ("rollbook.commands.daemons", "Run the readers' side"),
    "kubelet": ("rollbook.commands.daemons", "Run a node's agent"),
    "monitor": ("rollbook.commands.monitor", "Measure for autoscalers and analyses"),
    "setup": ("rollbook.commands.daemons", "Write the broker's configuration"),
}

GROUPS: Final[dict[str, tuple[str, ...]]] = {
    "Objects": ("get", "describe", "create", "apply", "edit", "replace", "delete"),
    "Changes": ("scale", "autoscale", "set", "annotate", "label", "rollout"),
    "Pods and nodes": (
        "logs",
        "exec",
        "attach",
        "cp",
        "top",
        "wait",
        "cordon",
        "uncordon",
        "taint",
        "drain",
    ),
    "History": ("events", "log", "diff", "why", "replay", "verify", "archive"),
    "The system": (
        "up",
        "status",
        "bench",
        "context",
        "api-resources",
        "version",
        "completion",
        "help",
    ),
    "Its processes": ("control", "api", "kubelet", "monitor", "setup"),
}

ELSEWHERE: Final[dict[str, str]] = {
    "abort": "rollout abort",
    "config": "context",
    "history": "rollout history",
    "image": "set image",
    "pause": "rollout pause",
    "promote": "rollout promote",
    "ps": "get pods",
    "restart": "rollout restart",
    "resume": "rollout resume",
    "rollback": "rollout undo",
    "run": "create deployment",
    "start": "up",
    "tag": "rollout tag",
    "undo": "rollout undo",
}
"""Verbs of others, and what they are here."""

KUBECTLS: Final = frozenset(
    {"api-versions", "auth", "cluster-info", "explain", "patch"}
)
"""Verbs of kubectl that it has to itself, and that work on a cluster of Rollbook."""

_INTERRUPTED_EXIT: Final = 130
_ATTRIBUTES: Final = {
    "set": "set_",
    "exec": "exec_",
    "help": "help_",
    "api-resources": "api_resources",
}


class Told(click.ClickException):
    """What is printed on standard error as it is; exit status 1."""

    def show(self, file: object = None) -> None:  # noqa: ARG002  # click's signature
        """Print the message."""
        click.echo(self.message, err=True)


class LazyGroup(flags.Group):
    """Imports a verb when it is called, and turns every error into words."""

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,  # click's own signature
    ) -> click.Context:
        """The context; its `obj` is the command line, which commands carry along."""
        extra.setdefault("obj", list(args))
        return super().make_context(info_name, args, parent, **extra)

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """All verbs, as the help lists them."""
        return list(VERBS)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The verb, from its module: what has its name there."""
        if cmd_name not in VERBS:
            return None
        with lean.imports():
            module = importlib.import_module(VERBS[cmd_name][0])
        command = getattr(module, _ATTRIBUTES.get(cmd_name, cmd_name))
        assert isinstance(command, click.Command)
        return command

    def hint(self, ctx: click.Context, word: str) -> str:
        """As `flags.Group`, for words of other tools too (rule 4)."""
        if word in ELSEWHERE:
            return f" Did you mean '{ELSEWHERE[word]}'?"
        if word in KUBECTLS:
            return (
                " kubectl has it, and works here: "
                f"kubectl --kubeconfig .rollbook/kubeconfig {word} …"
            )
        return super().hint(ctx, word)

    def format_commands(
        self, _ctx: click.Context, formatter: click.HelpFormatter
    ) -> None:
        """The verbs in groups, without importing them."""
        for title, names in GROUPS.items():
            with formatter.section(title):
                formatter.write_dl([(name, VERBS[name][1]) for name in names])

    def invoke(self, ctx: click.Context) -> object:
        """Run the verb. Every error but click's own becomes `Told`."""
        from domain.errors import RollbookError
        from rollbook import failures

        try:
            return super().invoke(ctx)
        except (click.ClickException, click.Abort, click.exceptions.Exit):
            raise
        except KeyboardInterrupt:
            ctx.exit(_INTERRUPTED_EXIT)
        except RollbookError as error:
            if options.debug(ctx):
                raise
            raise Told(failures.describe(error)) from error
        except BrokenPipeError:
            raise  # click ends without a word
        except Exception as error:
            if options.debug(ctx):
                raise
            text = f"{type(error).__name__}: {error}"
            raise Told(f"error: {text}. --debug shows where it comes from") from error


def _print_version(ctx: click.Context, _param: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from rollbook.commands import status

        click.echo(status.version_text())
        ctx.exit()


@click.group(
    cls=LazyGroup,
    name="rollbook",
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="`rollbook VERB --help` explains a verb, with examples.",
)
@options.namespaced
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False,
    callback=_print_version, help="Print the version.",
)  # fmt: skip
def main() -> None:
    """An orchestrator that remembers: Deployments whose every change is an event.

    Start a cluster in this folder with `rollbook up`, and talk to it from a second
    terminal: verbs, flags and kinds are those of kubectl.

    \b
    Examples:
      rollbook apply -f nginx-deployment.yaml
      rollbook get deployments
      rollbook set image deployment/nginx nginx=nginx:1.9.1
      rollbook rollout history deployment/nginx -o wide
      rollbook rollout undo deployment/nginx
    """
