"""A HorizontalPodAutoscaler at work: what it decided, and how it says that it is.

1. The object itself is a plain one (domain/plain.py); its stream also has what became
   of it: each change of its target's size, and each change of its conditions.
2. An evaluation that changes nothing leaves no event. What it measured is live only
   (`protocol.Live`); what a decision rests on is in the decision (`Figure`), so that a
   replay needs no metrics.
3. A condition's time moves only when its status flips (spec 5.6).
"""

from typing import Final, Literal

import msgspec

from domain.events import Event, Recorded

KIND: Final = "horizontalpodautoscaler"

Status = Literal["True", "False", "Unknown"]
MetricType = Literal["Resource", "ContainerResource", "Pods", "Object", "External"]


class Value(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"
):
    """The base of what an event of an autoscaler holds."""


class Condition(Value, frozen=True, kw_only=True):
    """One line of its conditions; in an event `changed_at` is not filled in."""

    type: str
    status: Status
    reason: str
    message: str
    changed_at: float = 0.0


class Complaint(Value, frozen=True, kw_only=True):
    """A warning that goes with a change of the conditions (spec 5.2)."""

    reason: str
    message: str


class Figure(Value, frozen=True, kw_only=True):
    """One metric as a decision saw it.

    `value` and `target` are as people write them: `143%` or a quantity. `pods` is how
    many pods had a sample that counted, `at` the time of the newest one (seconds since
    the epoch, writer's clock) and `window` the seconds that it speaks for; `replicas`
    is what this metric alone asks for.
    """

    type: MetricType
    name: str
    value: str
    target: str
    pods: int = 0
    at: float = 0.0
    window: float = 0.0
    replicas: int = 0


# --- events -----------------------------------------------------------------------


class AutoscalerRescaled(Event, frozen=True, kw_only=True):
    """`target` (a key) shall run `after` pods instead of `before`, because of this."""

    TOPIC = "autoscaler.rescaled.v1"
    target: str
    before: int
    after: int
    reason: str
    figures: tuple[Figure, ...] = ()


class AutoscalerConditionsChanged(Event, frozen=True, kw_only=True):
    """Its conditions are these now."""

    TOPIC = "autoscaler.conditions-changed.v1"
    conditions: tuple[Condition, ...]
    complaints: tuple[Complaint, ...] = ()


# --- state ------------------------------------------------------------------------


class Progress(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of an autoscaler by now.

    `asked` is the position of the event that made its spec what it is: the cause of
    what it does. `rescaled_at` is when it last changed a size, 0 for never.
    """

    asked: int
    conditions: tuple[Condition, ...] = ()
    rescaled_at: float = 0.0


def evolve(progress: Progress, recorded: Recorded) -> Progress:
    """The progress after an event of this module."""
    event = recorded.event
    if isinstance(event, AutoscalerRescaled):
        return msgspec.structs.replace(progress, rescaled_at=recorded.timestamp)
    assert isinstance(event, AutoscalerConditionsChanged), "there is no other"
    known = {each.type: each for each in progress.conditions}
    conditions = tuple(
        msgspec.structs.replace(
            each, changed_at=_changed_at(known.get(each.type), each, recorded.timestamp)
        )
        for each in event.conditions
    )
    return msgspec.structs.replace(progress, conditions=conditions)


def _changed_at(before: Condition | None, after: Condition, now: float) -> float:
    """Rule 3."""
    if before is None or before.status != after.status:
        return now
    return before.changed_at


def same(before: tuple[Condition, ...], after: tuple[Condition, ...]) -> bool:
    """Nothing but times differs."""
    return [_said(each) for each in before] == [_said(each) for each in after]


def _said(held: Condition) -> tuple[str, str, str, str]:
    return held.type, held.status, held.reason, held.message
