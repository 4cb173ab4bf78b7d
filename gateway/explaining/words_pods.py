"""The words for the events of a pod (see words.py).

A report is told by what is new in it; the first report, or one that is told without the
report before it, by what it says of the pod as it is.
"""

import re
from collections.abc import Iterator
from typing import Final

from domain import active_check, pod
from domain.events import Event, Recorded
from domain.protocol import ContainerStatus, PodObservation
from gateway.explaining import phrases
from gateway.explaining.words_deployments import (
    annotation_words,
    label_words,
    owner_words,
)

STARTING: Final = frozenset({"", "ContainerCreating", "PodInitializing"})
"""Reasons of waiting that every pod has for a moment."""
_FACTS_MAX: Final = 3
_HAS_MORE: Final = re.compile(r"has more than (\d+)$")


def created(recorded: Recorded, event: pod.PodCreated, _earlier: Event | None) -> str:
    name = phrases.thing(recorded.stream)
    if event.owner:
        return f"{name} was created by {phrases.thing(event.owner)}"
    return f"{name} was created, of {phrases.images(event.own)}"


def scheduled(
    recorded: Recorded, event: pod.PodScheduled, earlier: Event | None
) -> str:
    said = f"{phrases.thing(recorded.stream)} was bound to node {event.node}"
    if isinstance(earlier, pod.PodUnschedulable):
        return f"{said} after it had waited{phrases.behind(earlier.message)}"
    return said


def unschedulable(
    recorded: Recorded, event: pod.PodUnschedulable, _earlier: Event | None
) -> str:
    name = phrases.thing(recorded.stream)
    return f"{name} fits on no node{phrases.behind(event.message)}"


def reported(recorded: Recorded, event: pod.PodReported, earlier: Event | None) -> str:
    before = earlier.seen if isinstance(earlier, pod.PodReported) else None
    name = phrases.thing(recorded.stream)
    facts = [*dict.fromkeys(_news(event.seen, before, name))]
    if not facts:
        facts = [f"{name} is {_state(event.seen)}"]
    told = phrases.listed(facts, _FACTS_MAX)
    return f"{phrases.who(recorded.actor)} reported that {told}"


def available(
    recorded: Recorded, event: pod.PodBecameAvailable, _earlier: Event | None
) -> str:
    name = phrases.thing(recorded.stream)
    return f"{name} had been ready for its minReadySeconds of {event.seconds} s"


def checked(
    recorded: Recorded, event: active_check.PodChecked, _earlier: Event | None
) -> str:
    failing = "fails its active check, so it is not ready"
    said = "passes its active check again" if event.passing else failing
    return f"{phrases.thing(recorded.stream)} {said}{phrases.behind(event.detail)}"


def terminating(
    recorded: Recorded, event: pod.PodTerminationRequested, _earlier: Event | None
) -> str:
    why = event.why
    if (found := _HAS_MORE.search(why)) is not None:
        why += " pod" if found[1] == "1" else " pods"
    grace = f", with {event.grace:g} s for it" if event.grace else " at once"
    name = phrases.thing(recorded.stream)
    return f"{name} was told to end{grace}{phrases.behind(why)}"


def removed(recorded: Recorded, event: pod.PodRemoved, _earlier: Event | None) -> str:
    name = phrases.thing(recorded.stream)
    if recorded.actor.startswith("node/") and not recorded.cause:
        who = phrases.who(recorded.actor)
        return f"{who} reported that {name} is gone{phrases.behind(event.why)}"
    return f"{name} was removed{phrases.behind(event.why)}"


def failed(recorded: Recorded, event: pod.PodFailed, _earlier: Event | None) -> str:
    name = phrases.thing(recorded.stream)
    said = f"{event.reason}: {event.message}" if event.reason else event.message
    return f"{name} was given up as failed{phrases.behind(said)}"


def adopted(recorded: Recorded, event: pod.PodAdopted, _earlier: Event | None) -> str:
    name = phrases.thing(recorded.stream)
    owner = phrases.thing(event.owner)
    return f"{name} was adopted by {owner}, whose selector matches it"


def released(recorded: Recorded, _event: pod.PodReleased, earlier: Event | None) -> str:
    owner = getattr(earlier, "owner", "")
    by = phrases.thing(owner) if owner else "its ReplicaSet"
    return f"{phrases.thing(recorded.stream)} was let go of by {by}"


def owners(
    recorded: Recorded, event: pod.PodOwnersChanged, _earlier: Event | None
) -> str:
    return owner_words(recorded, event.references)


def labelled(recorded: Recorded, event: pod.PodLabelled, earlier: Event | None) -> str:
    return label_words(recorded, event.labels, earlier)


def annotated(
    recorded: Recorded, event: pod.PodAnnotated, earlier: Event | None
) -> str:
    return annotation_words(recorded, event.annotations, earlier)


def configured(
    recorded: Recorded, event: pod.PodConfigured, _earlier: Event | None
) -> str:
    name = phrases.thing(recorded.stream)
    return f"{name} was changed in its place: {phrases.images(event.own)}"


# --- what a report says -----------------------------------------------------------


def trouble(status: ContainerStatus) -> str:
    """What is wrong with a container, as a clause; empty where nothing is."""
    who = f"container {status.name}"
    if status.state == "waiting" and status.reason not in STARTING:
        said = f"{who} waits: {status.reason}{phrases.behind(status.message)}"
        return f"{said}, after it {_last(status)}" if _last(status) else said
    if status.state == "terminated" and (status.exit_code or status.signal):
        return f"{who} {_exit(status.exit_code, status.signal, status.reason)}"
    if not status.ready and _last(status):
        return f"{who} {_last(status)} and was restarted {times(status.restarts)}"
    return ""


def _news(
    seen: PodObservation, before: PodObservation | None, name: str
) -> Iterator[str]:
    """Clauses about what is new, the most telling first."""
    if seen.reason and (before is None or before.reason != seen.reason):
        yield f"{name} is {seen.phase}: {seen.reason}{phrases.behind(seen.message)}"
    known = {each.name: each for each in _containers(before)}
    for each in _containers(seen):
        told = _container_news(each, known.get(each.name))
        if told:
            who = f"container {each.name}"
            yield f"{who} of {name}{told.removeprefix(who)}"
    if before is not None:
        if seen.ready and not before.ready:
            yield f"{name} became ready"
        elif before.ready and not seen.ready:
            yield f"{name} is not ready any more"
        if seen.phase != before.phase and not (seen.ready and seen.phase == "Running"):
            yield f"{name} is {seen.phase}"
    for note in seen.notes:
        if note.warning:
            yield f"{note.reason}{phrases.behind(note.message)}"


def _container_news(now: ContainerStatus, before: ContainerStatus | None) -> str:
    if before is not None and now.restarts > before.restarts and _last(now):
        told = f"container {now.name} {_last(now)}"
        if now.state == "waiting" and now.reason not in STARTING:
            return f"{told}, and waits: {now.reason}"
        return f"{told} and was restarted {times(now.restarts)}"
    if before is not None and (now.state, now.reason, now.exit_code) == (
        before.state,
        before.reason,
        before.exit_code,
    ):
        return ""
    return trouble(now)


def _containers(seen: PodObservation | None) -> tuple[ContainerStatus, ...]:
    return (*seen.init_containers, *seen.containers) if seen is not None else ()


def _state(seen: PodObservation) -> str:
    if seen.phase == "Running":
        return "running and ready" if seen.ready else "running and not ready"
    return {
        "Pending": "being started",
        "Succeeded": "through: its containers have ended well",
        "Failed": "failed",
    }[seen.phase]


def _last(status: ContainerStatus) -> str:
    last = status.last
    return _exit(last.exit_code, last.signal, last.reason) if last is not None else ""


def _exit(code: int, signal: int, reason: str) -> str:
    told = f"exited with code {code}"
    details = [reason] if reason not in ("", "Error", "Completed") else []
    if signal:
        details.append(f"signal {signal}")
    return f"{told} ({', '.join(details)})" if details else told


def times(number: int) -> str:
    """`once`, `3 times`."""
    return "once" if number == 1 else f"{number} times"
