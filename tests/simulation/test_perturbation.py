"""Perturbation in the suite: a share of all points, and proof that it can fail."""

from typing import Final

import pytest

from tests.simulation import decisions, perturbation, stories
from tests.simulation.stories import STORIES, Perturbed, Target, told
from workers import intake

EVERY: Final = 12
"""One point of so many; `make perturb` takes them all."""


@pytest.mark.parametrize("story", [each.__name__ for each in STORIES])
def test_a_perturbed_story_ends_as_the_undisturbed_one(story: str) -> None:
    """I14, S16: crashes, losses and repeats change neither end state nor decisions."""
    found = [*perturbation.all_cells(EVERY, workers=1, story=story)]

    assert [failure for cell in found for failure in cell.failures] == []
    assert sum(cell.compared for cell in found) > 0, "some points were looked at"


def test_every_event_and_every_message_is_a_point() -> None:
    """All points are enumerated: as many as there are events, steps and messages."""
    calm = told(stories.roll)

    assert calm.points["crash after event"] == len(calm.events)
    assert calm.points["crash before commit"] == len(calm.steps)
    sent = sum(len(node.sent) for node in calm.nodes.values())
    assert calm.points["report lost"] == calm.points["report repeated"] == sent
    received = sum(len(node.received) for node in calm.nodes.values())
    assert calm.points["assignment lost"] == received


def test_a_control_that_announces_nothing_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The comparison can fail: without its announcement, and without a look at how
    far nodes have followed, what a crash has kept from being said is never said."""
    monkeypatch.setattr(Perturbed, "_announce", lambda _self: None)
    monkeypatch.setattr(intake, "_is_behind", lambda *_: False)

    found = [*perturbation.all_cells(1, workers=1, story="create")]

    assert [failure for cell in found for failure in cell.failures]


def test_one_pod_more_is_another_decision() -> None:
    """Decisions are counted, not only named."""
    one, other = told(stories.create), told(stories.roll)

    assert decisions.difference(decisions.decisions(one), decisions.decisions(other))
    assert decisions.unlike(decisions.end_state(one), decisions.end_state(other))


def test_a_fault_that_does_not_happen_is_noticed() -> None:
    """A point beyond the last one strikes nothing."""
    assert told(stories.create, Target("report lost", 10_000)).struck == 0
