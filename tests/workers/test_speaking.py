"""What a node is told later, and that it is told all of it."""

import pytest

from domain import node
from domain.events import Recorded
from domain.protocol import Assignment, PodRun, PodStop
from workers import speaking
from workers.outbox import Step
from workers.speaking import Held

STOP = PodStop(namespace="default", name="web-1", uid="u1")
RUN = PodRun(namespace="default", name="web-2", uid="u2", template="7")
BOUND = 2_000
LATER = speaking.HOLD_SECONDS


def confirms(start: int, end: int, *numbers: int, incarnation: int = 1) -> Assignment:
    """An assignment that nobody waits for."""
    return Assignment(
        from_position=start,
        to_position=end,
        incarnation=incarnation,
        confirmed=numbers,
    )


def works(start: int, end: int, pods: int = 1) -> Assignment:
    """An assignment with pods to stop and one to run."""
    return Assignment(
        from_position=start, to_position=end, incarnation=1,
        run=(RUN,), stop=(STOP,) * (pods - 1),
    )  # fmt: skip


def test_what_only_confirms_waits_for_the_next_message() -> None:
    """The node hears of everything once, and its chain has no gap."""
    held = Held(BOUND)
    assert held.add("n1", confirms(0, 5, 1), 0.0) == []
    assert held.add("n1", confirms(5, 7, 2), 0.1) == []
    stop = Assignment(from_position=7, to_position=9, incarnation=1, stop=(STOP,))
    (said,) = held.add("n1", stop, 0.2)
    assert (said.from_position, said.to_position) == (0, 9)
    assert (said.confirmed, said.stop) == ((1, 2), (STOP,))
    assert not held


def test_what_does_not_continue_it_does_not_take_it_along() -> None:
    """After a sync the chain begins anew, and so does an incarnation."""
    held = Held(BOUND)
    first = confirms(0, 5, 1)
    held.add("n1", first, 0.0)
    assert held.add("n1", confirms(8, 9, 1, incarnation=2), 0.1) == [first]
    assert held.pop("n1") == confirms(8, 9, 1, incarnation=2)


def test_what_was_held_back_is_said_once() -> None:
    """By node, when it has waited long enough."""
    held = Held(BOUND)
    held.add("n1", confirms(0, 5, 1), 0.0)
    held.add("n2", confirms(0, 5, 4), LATER / 2)
    assert held.late(LATER / 2) == []
    assert held.late(LATER) == ["n1"]
    assert held.late(2 * LATER) == held.nodes() == ["n1", "n2"]
    assert held.pop("n1") == confirms(0, 5, 1)
    assert held.pop("n1") is None
    assert held.pop("n2") == confirms(0, 5, 4)
    assert not held


def test_a_writer_that_is_behind_gathers_what_a_node_is_told_of_pods() -> None:
    """The pods of several steps are one message, with all of their templates."""
    held = Held(BOUND)
    held.behind = True
    first, second = works(0, 5), works(6, 9, pods=2)
    assert held.add("n1", first, 0.0) == []
    assert held.add("n1", confirms(5, 6, 3), 0.1) == []
    assert held.add("n1", second, 0.2) == []
    assert held.late(0.3) == []
    assert held.late(LATER) == ["n1"]
    told = held.pop("n1")
    assert told is not None
    assert (told.from_position, told.to_position) == (0, 9)
    assert (told.confirmed, told.run, told.stop) == ((3,), (RUN, RUN), (STOP,))


def test_what_is_worth_a_message_or_cannot_wait_is_said_at_once() -> None:
    """Many pods of one node, and the word that it must sync."""
    held = Held(BOUND)
    held.behind = True
    many = works(0, 5, pods=speaking.WORTH)
    assert held.add("n1", many, 0.0) == [many]
    resync = Assignment(from_position=5, to_position=6, incarnation=1, resync=True)
    assert held.add("n1", resync, 0.0) == [resync]


@pytest.mark.parametrize("behind", [True, False])
def test_a_writer_that_has_caught_up_keeps_no_pods_back(behind: bool) -> None:
    """What was kept back is said as soon as it is not behind any more; what only
    confirms goes on waiting."""
    held = Held(BOUND)
    held.behind = True
    held.add("n1", works(0, 5), 0.0)
    held.add("n2", confirms(0, 5, 1), 0.0)
    held.behind = behind
    assert held.late(0.1) == ([] if behind else ["n1"])
    held.behind = False
    (said,) = held.add("n1", works(5, 6), 0.1)
    assert (said.from_position, said.run) == (0, (RUN, RUN))


@pytest.mark.parametrize(
    ("events", "more", "waits", "behind"),
    [
        (BOUND, True, False, True),
        (BOUND, False, False, False),
        (BOUND // speaking.LARGE, False, True, True),
        (BOUND // speaking.LARGE - 1, False, True, False),
    ],
)
def test_who_is_behind(events: int, more: bool, waits: bool, behind: bool) -> None:
    """A step that ended at its bound is followed at once; so is a large one, where
    inputs wait. A small one never keeps a pod from its node, and nor does the last."""
    fact = Recorded(1, "node/n1", 1, 1.0, "control", 0, "", node.NodeBecameReady())
    outcome = Step(
        events=[fact] * events, tracking={}, answers=[], assignments={}, syncs=[],
        position=1, wake_at=None, more=more,
    )  # fmt: skip
    held = Held(BOUND)
    held.look(outcome, waits)
    assert held.behind == behind
