"""What a node is told later, and that it is told all of it."""

from domain.protocol import Assignment, PodStop
from workers.speaking import Held

STOP = PodStop(namespace="default", name="web-1", uid="u1")


def confirms(start: int, end: int, *numbers: int, incarnation: int = 1) -> Assignment:
    """An assignment that nobody waits for."""
    return Assignment(
        from_position=start,
        to_position=end,
        incarnation=incarnation,
        confirmed=numbers,
    )


def test_what_only_confirms_waits_for_the_next_message() -> None:
    """The node hears of everything once, and its chain has no gap."""
    held = Held()
    assert held.add("n1", confirms(0, 5, 1)) == []
    assert held.add("n1", confirms(5, 7, 2)) == []
    stop = Assignment(from_position=7, to_position=9, incarnation=1, stop=(STOP,))
    (said,) = held.add("n1", stop)
    assert (said.from_position, said.to_position) == (0, 9)
    assert (said.confirmed, said.stop) == ((1, 2), (STOP,))
    assert not held


def test_what_does_not_continue_it_does_not_take_it_along() -> None:
    """After a sync the chain begins anew, and so does an incarnation."""
    held = Held()
    first = confirms(0, 5, 1)
    held.add("n1", first)
    assert held.add("n1", confirms(8, 9, 1, incarnation=2)) == [first]
    assert held.pop() == ("n1", confirms(8, 9, 1, incarnation=2))


def test_what_was_held_back_is_said_once() -> None:
    """By node."""
    held = Held()
    held.add("n1", confirms(0, 5, 1))
    held.add("n2", confirms(0, 5, 4))
    assert dict([held.pop(), held.pop()]) == {
        "n1": confirms(0, 5, 1),
        "n2": confirms(0, 5, 4),
    }
    assert not held
