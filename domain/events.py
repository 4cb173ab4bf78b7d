"""What an event is, and the envelope that the log keeps around it.

1. An event is a fact: past tense, never changed, never rejected. Its struct holds
   the fact alone; who, when, why and where it stands is the envelope's business, so
   that `decide` need not invent what only the writer can know.
2. Every event class names its own TOPIC, `<object>.<fact>.v<version>`. The topic is
   what the store keeps; a class may move or be renamed, a topic never (the list is
   domain/catalogue.py).
3. `cause` is the position of the event that made this one necessary; 0 ends a chain,
   and the actor then says what began it: a user's command, a node's report, a timer.
"""

from typing import ClassVar, Final

import msgspec


class Event(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    gc=False,
    omit_defaults=True,
    rename="camel",
):
    """A fact about one object."""

    TOPIC: ClassVar[str]


class Recorded(msgspec.Struct, frozen=True, gc=False):
    """An event at its place in the log.

    `timestamp` is seconds since the epoch on the writer's clock: all events of one
    step share it, and it strictly grows from step to step.
    """

    position: int
    stream: str
    version: int
    timestamp: float
    actor: str
    cause: int
    command_id: str
    event: Event


# Actors that are not people or nodes: the reconcilers and the clock.
AUTOSCALER: Final = "controller/autoscaler"
DEPLOYMENT_CONTROLLER: Final = "controller/deployment"
REPLICASET_CONTROLLER: Final = "controller/replicaset"
NAMESPACE_CONTROLLER: Final = "controller/namespace"
NODE_CONTROLLER: Final = "controller/node"
POD_COLLECTOR: Final = "controller/pod-garbage"
SCHEDULER: Final = "scheduler"
MONITOR: Final = "monitor"
TIMER: Final = "timer"
SYSTEM: Final = "system"


def user_actor(user: str) -> str:
    """The actor of what `user` asked for."""
    return f"user/{user}"


def node_actor(node: str) -> str:
    """The actor of what the kubelet of `node` reported."""
    return f"node/{node}"


class IllegalTransition(AssertionError):
    """An event met a state that its table does not allow: a bug of the writer.

    The state is untouched. A projection sets such an event aside instead.
    """

    def __init__(self, stage: str, event: type[Event]) -> None:
        super().__init__(f"{event.__name__} cannot happen to an object that is {stage}")


def next_stage(
    table: dict[str, dict[type[Event], str]], stage: str, event: type[Event]
) -> str:
    """The stage after `event`; raises `IllegalTransition` where the row has none."""
    try:
        return table[stage][event]
    except KeyError:
        raise IllegalTransition(stage, event) from None
