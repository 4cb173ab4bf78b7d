"""The words for the events of a node (see words.py)."""

from domain import node, podspec
from domain.events import Event, Recorded
from gateway.explaining import phrases
from gateway.explaining.words_deployments import annotation_words, label_words


def registered(
    recorded: Recorded, event: node.NodeRegistered, _earlier: Event | None
) -> str:
    room = [
        f"{event.info.allocatable[resource]} {resource}"
        for resource in ("cpu", "memory", "pods")
        if resource in event.info.allocatable
    ]
    with_room = f" with {phrases.listed(room)}" if room else ""
    return f"the kubelet of {phrases.thing(recorded.stream)} registered it{with_room}"


def changed(recorded: Recorded, event: node.NodeChanged, earlier: Event | None) -> str:
    """A new boot is the news; otherwise what the kubelet says of its node."""
    name = phrases.thing(recorded.stream)
    known = (
        earlier if isinstance(earlier, node.NodeRegistered | node.NodeChanged) else None
    )
    if known is not None and known.boot_id != event.boot_id:
        return f"the kubelet of {name} started anew (incarnation {event.incarnation})"
    if known is None:
        return f"the kubelet of {name} started anew, or describes it otherwise"
    return f"the kubelet of {name} describes it otherwise{_difference(known, event)}"


def ready(
    recorded: Recorded, _event: node.NodeBecameReady, _earlier: Event | None
) -> str:
    return f"the kubelet of {phrases.thing(recorded.stream)} is heard and well"


def unready(
    recorded: Recorded, event: node.NodeBecameUnready, _earlier: Event | None
) -> str:
    """Unknown is silence, False is the kubelet's own word."""
    name = phrases.thing(recorded.stream)
    if event.status == "Unknown":
        return f"{name} was not heard any more{phrases.behind(event.message)}"
    return f"{name} said that it is not well{phrases.behind(event.message)}"


def lost(recorded: Recorded, _event: node.NodeLost, _earlier: Event | None) -> str:
    return (
        f"{phrases.thing(recorded.stream)} was given up: its pods are replaced once "
        "what they tolerate has run out"
    )


def spared(recorded: Recorded, _event: node.NodeSpared, _earlier: Event | None) -> str:
    return (
        f"{phrases.thing(recorded.stream)} was not given up after all: no node is "
        "heard, so the fault is not the nodes'"
    )


def cordoned(
    recorded: Recorded, _event: node.NodeCordoned, _earlier: Event | None
) -> str:
    return f"{phrases.thing(recorded.stream)} was cordoned: it takes no new pods"


def uncordoned(
    recorded: Recorded, _event: node.NodeUncordoned, _earlier: Event | None
) -> str:
    return f"{phrases.thing(recorded.stream)} was uncordoned: it takes pods again"


def labelled(
    recorded: Recorded, event: node.NodeLabelled, earlier: Event | None
) -> str:
    return label_words(recorded, event.labels, earlier)


def annotated(
    recorded: Recorded, event: node.NodeAnnotated, earlier: Event | None
) -> str:
    return annotation_words(recorded, event.annotations, earlier)


def tainted(recorded: Recorded, event: node.NodeTainted, earlier: Event | None) -> str:
    name = phrases.thing(recorded.stream)
    known = earlier.taints if isinstance(earlier, node.NodeTainted) else ()
    gone = [_taint(each) for each in known if each not in event.taints]
    new = [_taint(each) for each in event.taints if each not in known]
    parts = []
    if new:
        parts.append(f"was tainted with {phrases.listed(new)}")
    if gone:
        parts.append(f"is not tainted with {phrases.listed(gone)} any more")
    return f"{name} {' and '.join(parts) or 'has the taints that it had'}"


def removed(
    recorded: Recorded, _event: node.NodeRemoved, _earlier: Event | None
) -> str:
    return f"{phrases.thing(recorded.stream)} was forgotten, and its pods given up"


def counted(
    recorded: Recorded, event: node.ReportsCounted, _earlier: Event | None
) -> str:
    reports = phrases.counted(event.count, "report")
    name = phrases.thing(recorded.stream)
    return f"{name} sent {reports} with nothing new"


def _taint(taint: podspec.Taint) -> str:
    value = f"={taint.value}" if taint.value else ""
    return f"{taint.key}{value}:{taint.effect}"


def _taints(held: tuple[podspec.Taint, ...]) -> str:
    if not held:
        return "it has no taints of its own any more"
    return f"its taints are {phrases.listed([*map(_taint, held)])}"


def _difference(
    known: node.NodeRegistered | node.NodeChanged, event: node.NodeChanged
) -> str:
    named = {
        "its capacity": known.info.capacity != event.info.capacity,
        "its room": known.info.allocatable != event.info.allocatable,
        "its labels": known.info.labels != event.info.labels,
        _taints(event.info.taints): known.info.taints != event.info.taints,
        "its images": known.info.images != event.info.images,
        "its address": known.info.address != event.info.address,
        "its version": known.info.kubelet_version != event.info.kubelet_version,
    }
    return phrases.behind(phrases.listed([each for each in named if named[each]]))
