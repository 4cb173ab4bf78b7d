"""The words for commands and for the founding of the cluster (see words.py)."""

from typing import Final

from domain import command, names
from domain.events import Event, Recorded
from gateway.explaining import phrases

_TYPED: Final = "rollbook "
"""What a command line starts with; other sources are the names of programs."""


def founded(
    _recorded: Recorded, event: command.ClusterFounded, _earlier: Event | None
) -> str:
    return f"the cluster {event.uid} was founded by Rollbook {event.version}"


def accepted(
    recorded: Recorded, event: command.CommandAccepted, _earlier: Event | None
) -> str:
    said = _asked(recorded, event.subject, event.source)
    if event.change_cause and event.change_cause != event.source:
        said += f' ("{phrases.short(event.change_cause)}")'
    if event.answer.result == "unchanged":
        said += ", and it was so already"
    return said


def rejected(
    recorded: Recorded, event: command.CommandRejected, _earlier: Event | None
) -> str:
    said = _asked(recorded, event.subject, event.source)
    return f"{said}, which was refused{phrases.behind(event.answer.message)}"


def _asked(recorded: Recorded, subject: str, source: str) -> str:
    """`alice typed: rollbook …`; the verb, where no command line came along."""
    user = phrases.who(recorded.actor)
    if source.startswith(_TYPED):
        return f"{user} typed: {phrases.short(source)}"
    through = f" through {phrases.short(source, 80)}" if source else ""
    return f"{user} asked{through} for: {_verb(subject)}"


def _verb(subject: str) -> str:
    """`set-image of Deployment web`, from the command's subject."""
    tokens = subject.split(".")
    if len(tokens) != len(("rollbook", "cmd", "user", "namespace", "kind", "name", "")):
        return subject
    try:
        namespace, kind, name, verb = map(names.unescape, tokens[3:])
    except ValueError:
        return subject
    stream = f"node/{name}" if kind == "node" else f"{kind}/{namespace}/{name}"
    return f"{verb} of {phrases.thing(stream)}"
