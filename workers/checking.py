"""What active checks say of pods, and when that counts no longer (domain/active_check).

1. What the monitor says becomes an event only where it changes something: of a pod of
   that uid, whose Deployment asks for the check, and whose node is heard. All else is
   counted, or known already.
2. A failing check must be repeated. If it is not, if the Deployment does not ask for it
   any more, or if the pod is nobody's, it is lifted: a dead monitor holds nothing back.
3. While a node is not heard its pods are not ready anyhow, and what a check says of
   them waits until it is (projections/actual.py, rule 3). Nobody checks such a pod, or
   one whose node says that it is not ready: the time that a monitor has to repeat
   itself begins when it can be checked again.
"""

from typing import Final

import msgspec

from domain import active_check, events, names, pod
from domain.active_check import ActiveCheck, PodChecked
from domain.pod import Pod
from domain.protocol import PodCheck
from workers.state import State

LOOK_SECONDS: Final = 5.0
"""So often a pod that is held back is looked at."""
_CHECK: Final = msgspec.json.Decoder(PodCheck)
_UNASKED: Final = "the check is not asked for any more"


class CheckInput(msgspec.Struct, frozen=True, kw_only=True):
    """What a monitor says of a pod, as it came on the pod's subject."""

    namespace: str
    pod: str
    data: bytes


def take(state: State, item: CheckInput) -> None:
    """Afterwards it is an event, or known, or counted as refused (rule 1)."""
    try:
        said = _CHECK.decode(item.data)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        state.count("checks_unreadable")
        return
    key = names.pod_key(item.namespace, item.pod)
    held = state.cluster.actual.pods.get(key)
    if held is None or held.uid != said.uid or not _is_checked(state, held):
        state.count("checks_not_wanted")
        return
    if not said.passing:
        state.metrics.checked[key] = state.now
    if said.passing != bool(held.check_failed):
        return
    detail = " ".join(said.detail.split())[: active_check.DETAIL_CHARACTERS_MAX]
    checked = PodChecked(passing=said.passing, detail=detail or "no reason was given")
    state.emit(key, checked, actor=events.MONITOR, cause=0)
    if not said.passing:
        state.timers.set("checked", key, state.now + LOOK_SECONDS)


def look(state: State, key: str) -> None:
    """An alarm rang for the pod `key`; with "", after a start, for every pod."""
    if not key:
        for held in state.cluster.actual.pods.values():
            if held.check_failed:
                state.metrics.checked.setdefault(held.key, state.now)
                state.timers.set("checked", held.key, state.now + LOOK_SECONDS)
        return
    found = state.cluster.actual.pods.get(key)
    if found is None or not found.check_failed or not found.active:
        return
    why = _why_lifted(state, found)
    if not why:
        state.timers.set("checked", key, state.now + LOOK_SECONDS)
        return
    lifted = PodChecked(passing=True, detail=why)
    state.emit(key, lifted, actor=events.TIMER, cause=found.position)


def _why_lifted(state: State, held: Pod) -> str:
    """Rules 2 and 3; empty where it still counts."""
    if not _is_heard(state, held):
        state.metrics.checked[held.key] = state.now
        return ""
    check = _asked(state, held)
    if check is None:
        return _UNASKED
    if held.seen is None or not held.seen.ready:
        state.metrics.checked[held.key] = state.now
    heard = state.metrics.checked.setdefault(held.key, state.now)
    if state.now - heard < check.patience:
        return ""
    return f"no monitor has told of it for {check.patience:g} s"


def _asked(state: State, held: Pod) -> ActiveCheck | None:
    owner = state.cluster.desired.owner_of(held.owner)
    return active_check.asked(owner.annotations) if owner is not None else None


def _is_checked(state: State, held: Pod) -> bool:
    return (
        held.stage == pod.BOUND
        and held.active
        and _asked(state, held) is not None
        and _is_heard(state, held)
    )


def _is_heard(state: State, held: Pod) -> bool:
    use = state.cluster.actual.nodes.get(held.node)
    return use is not None and use.ready
