"""One sync: rolling steps, revisions, conditions, timers (spec 2.2 to 2.12)."""

import msgspec
import pytest

from domain.plans import rolling, rollout, scaling
from domain.plans.fenceposts import resolve
from domain.plans.rollout import Counts, DeploymentFacts, Progressing, ReplicaSetFacts

NOW = 10_000.0


def replica_set(
    name: str, replicas: int, available: int = 0, **facts: object
) -> ReplicaSetFacts:
    base = ReplicaSetFacts(
        key=f"replicaset/default/{name}",
        name=name,
        uid=name,
        created_at=1.0,
        template_matches=name == "new",
        replicas=replicas,
        status_replicas=replicas,
        running=replicas,
        ready=available,
        available=available,
    )
    return msgspec.structs.replace(base, **facts)


def deployment(replicas: int = 10, **wish: object) -> DeploymentFacts:
    base = DeploymentFacts(key="deployment/default/web", name="web", replicas=replicas)
    return msgspec.structs.replace(base, **wish)


def wish(surge: int, unavailable: int) -> scaling.Scaling:
    return scaling.Scaling(
        replicas=10,
        strategy="RollingUpdate",
        fenceposts=resolve(surge, unavailable, 10),
        status_replicas=0,
        old_running=False,
    )


# --- spec 2.7 ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("surge", "old", "new", "expected"),
    [(2, 10, 0, 2), (2, 5, 0, 7), (2, 10, 2, 2), (0, 10, 0, 0), (2, 0, 11, 10)],
)
def test_step_a_of_spec_2_7(surge: int, old: int, new: int, expected: int) -> None:
    """The new ReplicaSet grows into the surge, or shrinks to N."""
    found = rolling.new_size(
        wish(surge, 1), replica_set("new", new), [replica_set("old", old)]
    )

    assert found == expected


@pytest.mark.parametrize(
    ("unavailable", "old", "new", "expected"),
    [
        (2, (10, 10), (0, 0), 8),
        (2, (10, 8), (0, 0), 8),
        (2, (10, 9), (0, 0), 8),
        (2, (8, 8), (2, 0), 8),
        (0, (10, 10), (0, 0), 9),
    ],
)
def test_step_b_of_spec_2_7(
    unavailable: int, old: tuple[int, int], new: tuple[int, int], expected: int
) -> None:
    """Unavailable pods first, then available ones as far as they can be spared."""
    writes = rolling.shrink_old(
        wish(0, unavailable), replica_set("new", *new), [replica_set("old", *old)]
    )

    assert (writes[-1].after if writes else old[0]) == expected


def test_step_b_tells_unavailable_and_available_pods_apart() -> None:
    """One unavailable and one available pod are two writes of one ReplicaSet."""
    writes = rolling.shrink_old(
        wish(0, 2), replica_set("new", 0), [replica_set("old", 10, 9)]
    )

    assert [(each.before, each.after) for each in writes] == [(10, 9), (9, 8)]


@pytest.mark.parametrize(
    ("available", "spare", "expected"),
    [(8, 1, 9), (8, 3, 8), (8, 0, 10), (10, 3, 10)],
)
def test_step_b1_of_spec_2_7(available: int, spare: int, expected: int) -> None:
    """Only pods that are not available are removed, and at most as many as spare."""
    found = rolling.remove_unavailable(
        wish(0, 2), [replica_set("old", 10, available)], spare
    )

    assert found.sizes == (expected,)


@pytest.mark.parametrize(
    ("unavailable", "size", "available", "expected"),
    [(0, 10, 10, 9), (2, 10, 10, 8), (2, 10, 8, 10), (2, 0, 10, 0), (2, 10, 1, 10)],
)
def test_step_b2_of_spec_7_8(
    unavailable: int, size: int, available: int, expected: int
) -> None:
    """Available pods beyond the least are removed, oldest ReplicaSet first."""
    old = [replica_set("old", size, available)]
    writes = rolling.remove_available(wish(0, unavailable), old, [size], available)

    assert (writes[-1].after if writes else size) == expected


def test_the_oldest_goes_first() -> None:
    """By creation time, then by name (spec 2.7, B1 and B2)."""
    old = [
        replica_set("b", 4, 2, created_at=1.0),
        replica_set("a", 4, 2, created_at=2.0),
        replica_set("c", 2, 2, created_at=1.0),
    ]
    new = replica_set("new", 2, 2, created_at=3.0)
    facts = deployment(max_surge=2, max_unavailable=5)
    found = rollout.plan(facts, [*old, new], NOW)

    # 12 pods, 5 must stay: 4 unavailable ones go, then 3 of 8 available ones.
    assert [(each.key[-1], each.before, each.after) for each in found.scale] == [
        ("b", 4, 2),
        ("a", 4, 2),
        ("b", 2, 0),
        ("c", 2, 1),
    ]


def test_sums_that_cannot_be_trusted_remove_nothing_healthy() -> None:
    """More available pods than the size: pods are on their way out already."""
    old = [replica_set("old", 3, 5)]

    assert rolling.shrink_old(wish(3, 2), replica_set("new", 10, 10), old) == ()


def test_the_oldest_equal_template_is_the_new_one() -> None:
    """Creation time, then name (spec 2.3, TestFindNewReplicaSet)."""
    twins = [
        replica_set("z", 1, created_at=1.0, template_matches=True),
        replica_set("y", 1, created_at=1.0, template_matches=True),
        replica_set("x", 1, created_at=2.0, template_matches=True),
    ]
    new, old = rollout.split(twins)

    assert new is twins[1]
    assert [each.name for each in old] == ["z", "x"]


# --- spec 2.4 and 2.5 -------------------------------------------------------------


def test_a_new_replicaset_is_created_at_its_first_size() -> None:
    """Size, revision, annotations and minReadySeconds at once (spec 2.4)."""
    facts = deployment(
        annotations={
            "team": "a",
            "deployment.kubernetes.io/revision": "7",
            "kubectl.kubernetes.io/last-applied-configuration": "{}",
        },
        min_ready_seconds=5,
        revision=7,
    )
    found = rollout.plan(facts, [replica_set("old", 10, 10, revision=7)], NOW)

    assert found.create == rollout.CreateReplicaSet(
        replicas=3,
        revision=8,
        desired=10,
        maximum=13,
        min_ready_seconds=5,
        annotations={"team": "a"},
    )
    assert found.revision == 8
    assert found.progressing == Progressing(
        status="True", reason="NewReplicaSetCreated", last_update=NOW
    )


def test_recreate_creates_at_full_size_without_surge() -> None:
    """maxSurge is 0 for Recreate (spec 2.6), so the limit is N."""
    found = rollout.plan(deployment(3, strategy="Recreate"), [], NOW)

    assert found.create is not None
    assert (found.create.replicas, found.create.maximum) == (3, 3)


def test_adopting_a_large_revision_continues_from_it() -> None:
    """Revisions are 64 bits wide (spec 2.5)."""
    old = replica_set("old", 0, revision=3546343826724305832)
    found = rollout.plan(deployment(1), [old], NOW)

    assert found.revision == 3546343826724305833


def test_a_revision_is_never_given_again() -> None:
    """Not even when the ReplicaSet of the last one was deleted by hand (I4)."""
    found = rollout.plan(deployment(1, revision=4), [], NOW)

    assert found.revision == 5


@pytest.mark.parametrize(
    ("old", "new", "expected"), [(3, 2, 4), (3, 4, None), (3, 9, None), (0, 0, 1)]
)
def test_a_revision_is_raised_and_never_lowered(
    old: int, new: int, expected: int | None
) -> None:
    """max(old) + 1 where the new one has less (spec 2.5)."""
    sets = [replica_set("old", 0, revision=old), replica_set("new", 10, revision=new)]
    found = rollout.plan(deployment(), sets, NOW)

    assert (found.revise.revision if found.revise else None) == expected


def test_annotations_are_added_and_overwritten_but_not_removed() -> None:
    """And only on the new ReplicaSet (spec 2.5)."""
    new = replica_set("new", 10, 10, annotations={"kept": "1", "changed": "1"})
    old = replica_set("old", 0, annotations={"changed": "1"})
    facts = deployment(annotations={"changed": "2", "added": "2"}, min_ready_seconds=3)
    found = rollout.plan(facts, [old, new], NOW)

    assert found.configure == rollout.ConfigureReplicaSet(
        key=new.key,
        min_ready_seconds=3,
        annotations={"kept": "1", "changed": "2", "added": "2"},
    )


def test_a_deployment_that_is_being_deleted_is_left_alone() -> None:
    """Only its status is still computed (spec 2.2, step 5)."""
    found = rollout.plan(deployment(deleting=True), [], NOW)

    assert rollout.is_empty(found)
    assert found.wake_at is None


# --- spec 2.10 --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status_replicas", "running", "waits"),
    [(0, 0, False), (0, 1, True), (1, 1, True), (1, 0, True)],
)
def test_old_pods_that_run_hold_recreate_back(
    status_replicas: int, running: int, waits: bool
) -> None:
    """Terminating ones do, failed and succeeded ones do not (spec 2.10)."""
    old = replica_set("old", 0, status_replicas=status_replicas, running=running)
    found = rollout.plan(deployment(3, strategy="Recreate"), [old], NOW)

    assert (found.direction == "waiting for old pods") is waits
    assert (found.create is None) is waits


# --- spec 2.12 --------------------------------------------------------------------


def counts(replicas: int, updated: int, ready: int, available: int) -> Counts:
    return Counts(replicas=replicas, updated=updated, ready=ready, available=available)


@pytest.mark.parametrize(
    ("status", "complete"),
    [
        ((10, 10, 10, 10), True),
        ((10, 10, 10, 9), False),
        ((11, 10, 11, 11), False),
        ((10, 9, 10, 10), False),
        ((10, 10, 9, 10), True),
    ],
)
def test_complete_is_updated_replicas_and_available(
    status: tuple[int, int, int, int], complete: bool
) -> None:
    """All three equal N; ready is not asked (spec 2.12)."""
    assert rollout.is_complete(counts(*status), 10) is complete


@pytest.mark.parametrize(
    ("before", "after", "progressed"),
    [
        ((10, 4, 6, 6), (10, 4, 6, 6), False),
        ((10, 4, 6, 6), (10, 5, 6, 6), True),
        ((10, 4, 6, 6), (9, 4, 6, 6), True),
        ((10, 4, 6, 6), (10, 4, 7, 6), True),
        ((10, 4, 6, 6), (10, 4, 6, 7), True),
        ((10, 4, 6, 6), (11, 4, 5, 5), False),
        ((10, 4, 6, 6), (9, 3, 6, 6), False),
    ],
)
def test_progress_is_any_of_four_signs(
    before: tuple[int, int, int, int],
    after: tuple[int, int, int, int],
    progressed: bool,
) -> None:
    """More updated, fewer old, more ready, more available (spec 2.12)."""
    assert rollout.has_progressed(counts(*before), counts(*after)) is progressed


def stuck(reason: str, last_update: float, deadline: int | None) -> DeploymentFacts:
    return deployment(
        revision=1,
        progress_deadline_seconds=deadline,
        progressing=Progressing(status="True", reason=reason, last_update=last_update),
        recorded=counts(10, 10, 0, 0),
    )


STUCK = replica_set("new", 10, 0, revision=1)


@pytest.mark.parametrize(
    ("reason", "deadline", "elapsed", "timed_out"),
    [
        ("ReplicaSetUpdated", 10, 11.0, True),
        ("ReplicaSetUpdated", 10, 2.0, False),
        ("ReplicaSetUpdated", 10, 10.0, False),
        ("ReplicaSetUpdated", 10, 10.000001, True),
        ("NewReplicaSetAvailable", 10, 11.0, False),
        ("ProgressDeadlineExceeded", 10, 2.0, True),
        ("ReplicaSetUpdated", None, 1e6, False),
        ("ReplicaSetUpdated", 2147483647, 1e9, False),
    ],
)
def test_a_deadline_is_exceeded_strictly_after_it(
    reason: str, deadline: int | None, elapsed: float, timed_out: bool
) -> None:
    """The vectors of spec 2.12, and the reasons that are exempt."""
    facts = stuck(reason, 0.0, deadline)

    assert rollout.has_timed_out(facts, facts.progressing, elapsed) is timed_out


@pytest.mark.parametrize(("elapsed", "after"), [(30.0, 30.0), (59.0, 1.0)])
def test_the_timer_of_spec_2_12(elapsed: float, after: float) -> None:
    """Deadline 60 s: asked again after what remains, and one second."""
    found = rollout.plan(stuck("ReplicaSetUpdated", 0.0, 60), [STUCK], elapsed)

    assert found.wake_at == elapsed + after + 1
    assert rollout.is_empty(found)


def test_the_timer_finds_the_deadline_exceeded_and_is_not_set_again() -> None:
    """At the instant that a plan names, the next plan stalls (spec 2.12)."""
    facts = stuck("ReplicaSetUpdated", 0.0, 60)
    wake_at = rollout.plan(facts, [STUCK], 30.0).wake_at
    assert wake_at is not None
    found = rollout.plan(facts, [STUCK], wake_at)

    assert found.stalled
    assert found.wake_at is None


def test_stalled_is_told_once() -> None:
    """The reason is not written again, nor is its time moved (spec 2.12)."""
    found = rollout.plan(stuck("ProgressDeadlineExceeded", 0.0, 60), [STUCK], 1e6)

    assert rollout.is_empty(found)
    assert found.wake_at is None


def test_progress_moves_the_time_each_time() -> None:
    """True/ReplicaSetUpdated is always replaced (spec 2.12)."""
    facts = stuck("ReplicaSetUpdated", 0.0, 60)
    found = rollout.plan(facts, [replica_set("new", 10, 3, revision=1)], 5.0)

    assert found.progressed
    assert found.progressing == Progressing(
        status="True", reason="ReplicaSetUpdated", last_update=5.0
    )


def test_complete_comes_before_progress_and_deadline() -> None:
    """First match wins in the table of spec 2.12."""
    facts = stuck("ProgressDeadlineExceeded", 0.0, 60)
    found = rollout.plan(facts, [replica_set("new", 10, 10, revision=1)], 1e6)

    assert (found.completed, found.progressed, found.stalled) == (True, False, False)


def test_a_replicaset_that_is_there_already_is_found() -> None:
    """With a deadline and no condition yet, Progressing begins (spec 2.4)."""
    found = rollout.plan(deployment(revision=1), [STUCK], NOW)

    assert found.found
    assert found.progressing == Progressing(
        status="True", reason="FoundNewReplicaSet", last_update=NOW
    )


def test_without_a_deadline_nothing_is_found_or_paused() -> None:
    """Conditions of progress need a deadline (spec 2.4, 2.11)."""
    for paused in (True, False):
        facts = deployment(revision=1, paused=paused, progress_deadline_seconds=None)
        found = rollout.plan(facts, [STUCK], NOW)

        assert rollout.is_empty(found)
        assert found.wake_at is None


def test_an_empty_plan_is_one_that_writes_nothing() -> None:
    """The direction and the timer are not writes."""
    assert rollout.is_empty(rollout.RolloutPlan(direction="paused", wake_at=1.0))
    assert not rollout.is_empty(rollout.RolloutPlan(completed=True))
    assert not rollout.is_empty(rollout.RolloutPlan(delete=("a",)))
