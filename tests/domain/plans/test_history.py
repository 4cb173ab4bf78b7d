"""Revisions, their history, cleaning up and the target of undo (2.5, 2.14, 6.8)."""

import msgspec
import pytest

from domain.errors import Rejected
from domain.plans import history
from domain.plans.rollout import ReplicaSetFacts


def old(name: str, revision: int, **facts: object) -> ReplicaSetFacts:
    base = ReplicaSetFacts(
        key=f"replicaset/default/{name}",
        name=name,
        uid=name,
        created_at=1.0,
        template_matches=False,
        replicas=0,
        revision=revision,
    )
    return msgspec.structs.replace(base, **facts)


def names(keys: tuple[str, ...]) -> list[str]:
    return [key.rpartition("/")[2] for key in keys]


@pytest.mark.parametrize(
    ("revisions", "expected"),
    [([], 1), ([1], 2), ([3, 0, 1], 4), ([3546343826724305832], 3546343826724305833)],
)
def test_the_next_revision_is_one_more_than_the_highest(
    revisions: list[int], expected: int
) -> None:
    """A missing revision counts as 0; revisions are 64 bits wide (spec 2.5)."""
    assert history.next_revision(revisions) == expected


@pytest.mark.parametrize(
    ("former", "previous", "expected"),
    [((), 2, (2,)), ((1,), 3, (1, 3)), ((1,), 0, (1,)), ((), 0, ())],
)
def test_a_former_revision_is_appended(
    former: tuple[int, ...], previous: int, expected: tuple[int, ...]
) -> None:
    """Oldest first; without a previous revision there is nothing to append."""
    assert history.extended(former, previous) == expected


def test_the_history_has_at_most_2000_characters() -> None:
    """The oldest numbers make room for the new one (spec 2.5)."""
    former = tuple(range(1000, 1400))  # 400 × 4 digits and 399 commas: 1999 characters

    found = history.extended(former, 1400)

    assert found == (*former[1:], 1400)
    assert len(history.format_history(former)) == 1999
    assert len(history.format_history(found)) == 1999


def test_a_shorter_number_needs_less_room() -> None:
    """What is dropped is exactly what does not fit."""
    former = (1, *range(1000, 1399))  # 1 + 399 × 5 characters: 1996

    assert history.extended(former, 999) == (*former, 999)
    assert history.extended(former, 10000) == (*former[1:], 10000)


def test_cleaning_up_takes_the_lowest_revisions() -> None:
    """Revision decides, then age, then name (spec 2.14)."""
    sets = [
        old("c", 3),
        old("b", 1, created_at=2.0),
        old("a", 1, created_at=2.0),
        old("d", 1, created_at=1.0),
    ]

    assert names(history.expired(sets, 1)) == ["d", "a", "b"]
    assert names(history.expired(sets, 0)) == ["d", "a", "b", "c"]
    assert history.expired(sets, 4) == ()
    assert history.expired(sets, history.KEEP_ALL) == ()


@pytest.mark.parametrize(
    "facts",
    [{"replicas": 1}, {"status_replicas": 1}, {"observed": False}],
    ids=["has a size", "has pods", "not observed yet"],
)
def test_what_is_not_spent_is_passed_over_and_not_replaced(
    facts: dict[str, object],
) -> None:
    """No younger one is deleted in its place (spec 2.14, I12)."""
    sets = [old("a", 1, **facts), old("b", 2), old("c", 3)]

    assert names(history.expired(sets, 1)) == ["b"]


def test_what_is_being_deleted_does_not_count() -> None:
    """It is no candidate, and it does not use up the limit."""
    sets = [old("a", 1, deleting=True), old("b", 2)]

    assert history.expired(sets, 1) == ()


@pytest.mark.parametrize(
    ("revisions", "to_revision", "expected"),
    [([1, 2], 0, 1), ([4, 1, 3], 0, 3), ([1, 3, 4], 1, 1), ([1, 3, 4], 4, 4)],
)
def test_undo_goes_to_the_second_highest_or_the_named_one(
    revisions: list[int], to_revision: int, expected: int
) -> None:
    """The default is by number, not by time (spec 6.8)."""
    found = history.rollback_target(revisions, to_revision, deployment="web")

    assert found == expected


@pytest.mark.parametrize(
    ("revisions", "to_revision", "message"),
    [
        ([1, 2], -1, "unable to find specified revision -1 in history"),
        ([1, 2], 7, "unable to find specified revision 7 in history"),
        ([1], 0, 'no rollout history found for deployment "web"'),
        ([], 0, 'no rollout history found for deployment "web"'),
    ],
)
def test_undo_without_a_target_is_refused_in_kubectls_words(
    revisions: list[int], to_revision: int, message: str
) -> None:
    """Rows 1 to 3 of spec 6.8."""
    with pytest.raises(Rejected) as caught:
        history.rollback_target(revisions, to_revision, deployment="web")

    assert caught.value.message == message
