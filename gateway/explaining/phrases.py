"""The small parts that sentences are made of: names, lists, numbers, actors.

An object of the namespace `default` goes by its name, one of another by `other/name`.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from domain import events, plain
from domain.podspec import PodTemplateSpec

TITLES: Final = {
    "deployment": "Deployment",
    "replicaset": "ReplicaSet",
    "pod": "pod",
    "node": "node",
    "command": "command",
    "cluster": "cluster",
    **{kind: title.partition(".")[0] for kind, (_, title) in plain.KINDS.items()},
    plain.NAMESPACE: "namespace",
}
LISTED_MAX: Final = 5
SENTENCE_MAX: Final = 400
"""A container's message may be a page; a clause is not."""

_ACTORS: Final = {
    events.AUTOSCALER: "the autoscaler",
    events.DEPLOYMENT_CONTROLLER: "the Deployment controller",
    events.REPLICASET_CONTROLLER: "the ReplicaSet controller",
    events.NODE_CONTROLLER: "the node controller",
    events.POD_COLLECTOR: "the pod garbage collector",
    events.SCHEDULER: "the scheduler",
    events.MONITOR: "the monitor",
    events.TIMER: "the clock",
    events.SYSTEM: "the system",
}


def thing(stream: str) -> str:
    """`pod web-1`, `Deployment other/web`, `node worker-1`: the object of a stream."""
    kind, _, rest = stream.partition("/")
    return f"{TITLES.get(kind, kind)} {rest.removeprefix('default/')}"


def who(actor: str) -> str:
    """`alice`, `node worker-1`, `the scheduler`: an actor in words."""
    kind, _, name = actor.partition("/")
    if kind == "user":
        return name
    return _ACTORS.get(actor) or (f"node {name}" if kind == "node" else actor)


def listed(items: Sequence[str], most: int = LISTED_MAX) -> str:
    """`a, b and c`; what is more than `most` is counted."""
    shown = [*items[:most]]
    if len(items) > most:
        shown.append(f"{len(items) - most} more")
    if len(shown) < 2:
        return "".join(shown)
    return f"{', '.join(shown[:-1])} and {shown[-1]}"


def counted(number: int, noun: str) -> str:
    """`1 pod`, `3 pods`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def short(text: str, most: int = SENTENCE_MAX) -> str:
    """The text on one line, cut where it is longer than `most` characters."""
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[: most - 1]}…"


def behind(text: str) -> str:
    """The text behind a colon; nothing for an empty one."""
    return f": {short(text)}" if text.strip() else ""


def images(template: PodTemplateSpec | None) -> str:
    """`nginx=nginx:1.9.1`: the images of a template's containers."""
    containers = template.spec.containers if template is not None else ()
    return listed([f"{each.name}={each.image}" for each in containers])


def changes(
    before: Mapping[str, str] | None, after: Mapping[str, str], hidden: Iterable[str]
) -> str:
    """`tier=web, team removed`: what differs; all that there is, where nothing is known
    of before. Of the keys `hidden` only the names are told."""
    quiet = frozenset(hidden)

    def entry(key: str) -> str:
        return key if key in quiet else f"{key}={short(after[key], 60)}"

    if before is None:
        return listed([entry(key) for key in after]) or "none"
    parts = [entry(key) for key in after if before.get(key) != after[key]]
    parts += [f"{key} removed" for key in before if key not in after]
    return listed(parts) or "nothing"
