"""A session's frames arrive once, in order and without end of memory, over any wire."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters import session_link
from adapters.session_link import CHUNK, WINDOW, Frame, Link


def arrive(at: Link, data: bytes) -> Frame | None:
    """The frame, if it is the next one in order."""
    frame = session_link.decode(data)
    return frame if at.arrive(frame) else None


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), count=st.integers(1, 3 * WINDOW))
def test_whatever_the_wire_loses_repeats_or_swaps_all_comes_in_order(
    seed: int, count: int
) -> None:
    """Rules 2 and 3: with frames lost, repeated and out of order the other side reads
    exactly what was sent, and never more than a window is on its way."""
    dice = random.Random(seed)
    one, other = Link(), Link()
    read: list[bytes] = []
    sent = 0
    wire: list[bytes] = []
    while len(read) < count:
        while sent < count and one.has_room:
            wire.append(one.send(session_link.STDIN, b"%d" % sent))
            sent += 1
        wire += one.again()
        assert len(one.again()) <= WINDOW
        dice.shuffle(wire)
        for data in wire[: dice.randint(0, len(wire))]:
            if (frame := arrive(other, data)) is not None:
                read.append(frame.payload)
                other.consume()
        wire = wire[dice.randint(0, len(wire)) :][:WINDOW]
        if dice.random() < 0.7:
            one.arrive(session_link.decode(other.idle()))
    one.arrive(session_link.decode(other.idle()))

    assert read == [b"%d" % number for number in range(count)]
    assert one.is_acknowledged


def test_what_is_not_consumed_stops_the_sender() -> None:
    """Rule 3: a window, and not one frame more, until the other side has used one."""
    one, other = Link(), Link()
    for _ in range(WINDOW):
        assert arrive(other, one.send(session_link.STDOUT, b"x")) is not None
    one.arrive(session_link.decode(other.idle()))
    assert one.is_acknowledged
    assert not one.has_room

    other.consume()
    one.arrive(session_link.decode(other.idle()))
    assert one.has_room


def test_a_side_that_lies_gains_nothing() -> None:
    """An acknowledgement of what was never sent is not believed, a limit beyond a
    window neither, and frames beyond the limit are not taken."""
    one, liar = Link(), Link()
    one.arrive(Frame(session_link.IDLE, 0, 10**9, 10**12, b""))
    for _ in range(WINDOW):
        one.send(session_link.STDOUT, b"x")
    assert not one.has_room
    assert len(one.again()) == WINDOW

    taken = [
        liar.arrive(Frame(session_link.STDIN, number, 0, 0, b""))
        for number in range(1, WINDOW + 10)
    ]
    assert sum(taken) == WINDOW


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00" * 24,
        session_link.encode(Frame(99, 1, 0, 0, b"")),
        session_link.encode(Frame(session_link.IDLE, 1, 0, 0, b"")),
        session_link.encode(Frame(session_link.STDIN, 0, 0, 0, b"")),
        session_link.encode(Frame(session_link.STDIN, 1, 0, 0, b"x" * (CHUNK + 1))),
    ],
)
def test_what_is_no_frame_is_refused(data: bytes) -> None:
    """Rule 1: too short, too long, an unknown kind, a sequence where none may be."""
    with pytest.raises(ValueError, match="frame"):
        session_link.decode(data)
