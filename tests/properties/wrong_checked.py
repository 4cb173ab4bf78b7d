"""Wrong variants of active checks that availability counts on.

Each function gives what is replaced, as in wrong_plans.py.
"""

from typing import Any

import msgspec

from domain import events, names, pod
from domain.active_check import PodChecked
from tests.properties.wrong_plans import Change
from workers import checking


def anybodys_check_believed() -> Change:
    """A word on a pod counts, whether or not its Deployment asks for checks."""
    return checking, "_is_checked", lambda _state, _held: True


def failing_is_for_ever() -> Change:
    """A monitor that says nothing any more holds its pods back all the same."""
    return checking, "_why_lifted", lambda _state, _held: ""


def report_lifts_the_check() -> Change:
    """The next report of its node makes a pod ready again."""
    right = pod.evolve

    def wrong(held: Any, recorded: Any) -> Any:
        if held is not None and isinstance(recorded.event, pod.PodReported):
            held = msgspec.structs.replace(held, check_failed="")
        return right(held, recorded)

    return pod, "evolve", wrong


def back_is_available_at_once() -> Change:
    """A pod that passes again has not lost its minReadySeconds."""
    right = pod._change

    def wrong(held: Any, recorded: Any) -> Any:
        found = right(held, recorded)
        if isinstance(recorded.event, PodChecked):
            found.pop("ready_seconds", None)
        return found

    return pod, "_change", wrong


def said_again_is_an_event() -> Change:
    """Each word becomes an event, not only a change."""
    right = checking.take

    def wrong(state: Any, item: Any) -> None:
        right(state, item)
        said = msgspec.json.decode(item.data)
        if not said["passing"]:
            fact = PodChecked(passing=False, detail=said["detail"])
            key = names.pod_key(item.namespace, item.pod)
            state.emit(key, fact, actor=events.MONITOR, cause=0)

    return checking, "take", wrong
