"""Whole rollouts, write by write: the traces of spec 2.7, 2.8, 2.10 and 2.11."""

import pytest

from tests.domain.plans.cluster import Cluster


def complete(replicas: int, **wish: object) -> Cluster:
    """A cluster that has rolled out template A."""
    cluster = Cluster(replicas)
    cluster.change(**wish)
    cluster.finish()
    cluster.log.clear()
    return cluster


def roll(cluster: Cluster, template: str) -> list[str]:
    """The sizes written while `template` is rolled out, `|` where pods are awaited."""
    cluster.template = template
    while True:
        cluster.settle()
        cluster.reap()
        if not cluster.become_available():
            return cluster.log
        cluster.log.append("|")


@pytest.mark.parametrize(
    ("replicas", "wish", "expected"),
    [
        (10, {}, "B 0→3, A 10→8, B 3→5, |, A 8→3, B 5→10, |, A 3→0"),
        (3, {}, "B 0→1, |, A 3→2, B 1→2, |, A 2→1, B 2→3, |, A 1→0"),
        (4, {}, "B 0→1, A 4→3, B 1→2, |, A 3→1, B 2→4, |, A 1→0"),
        (
            2,
            {"max_surge": 0, "max_unavailable": 1},
            "A 2→1, B 0→1, |, A 1→0, B 1→2, |",
        ),
        (1, {}, "B 0→1, |, A 1→0"),
        (0, {}, ""),
    ],
)
def test_a_rolling_update_takes_the_steps_of_spec_2_7(
    replicas: int, wish: dict[str, object], expected: str
) -> None:
    """Every size that is written, in order."""
    assert ", ".join(roll(complete(replicas, **wish), "B")) == expected


@pytest.mark.parametrize(
    ("replicas", "wish", "expected"),
    [
        (
            4,
            {},
            ["B 0→1", "A 4→3", "B 1→2", "A 3→2", "B 2→3", "A 2→1", "B 3→4", "A 1→0"],
        ),
        (3, {}, ["B 0→1", "A 3→2", "B 1→2", "A 2→1", "B 2→3", "A 1→0"]),
    ],
)
def test_with_one_pod_at_a_time_the_steps_are_single(
    replicas: int, wish: dict[str, object], expected: list[str]
) -> None:
    """Pods that become available one by one split the steps (spec 2.7)."""
    cluster = complete(replicas, **wish)
    cluster.template = "B"
    cluster.settle()
    while cluster.become_available(1):
        cluster.settle()

    assert cluster.log == expected


def half_rolled() -> Cluster:
    """N=10, 25%: A has 8 available pods, B has 5 that are not (spec 2.8)."""
    cluster = complete(10)
    cluster.template = "B"
    cluster.broken.add("B")
    cluster.settle()
    assert cluster.sizes() == {"A": 8, "B": 5}
    cluster.log.clear()
    return cluster


def test_a_third_template_takes_the_place_of_the_broken_one() -> None:
    """Rollover: C starts with 0, B goes at once, A only as C comes up (spec 2.8)."""
    cluster = half_rolled()
    cluster.template = "C"
    first = cluster.sync()
    cluster.settle()

    assert first.create is not None
    assert first.create.replicas == 0
    assert cluster.log == ["B 5→0", "C 0→5"]
    assert cluster.available() == 8


def test_undo_in_the_middle_goes_straight_back() -> None:
    """The broken B ends at once and A grows back (spec 2.8)."""
    cluster = half_rolled()
    cluster.template = "A"
    cluster.settle()

    assert cluster.log == ["B 5→0", "A 8→10"]


def test_undo_with_one_pod_down_takes_two_turns() -> None:
    """One pod of A that is not available leaves one of B for later, and A grows in
    between (spec 2.8), to 10: the formula of 2.6 has room for 13 - 9."""
    cluster = half_rolled()
    cluster.owners[0].active()[0].ready = False
    cluster.template = "A"
    cluster.settle()
    blocked = list(cluster.log)
    cluster.become_available(1)
    cluster.settle()

    assert blocked == ["B 5→1", "A 8→10"]
    assert cluster.log[2:] == ["B 1→0"]


def test_undo_gives_the_old_template_the_next_revision() -> None:
    """1(A) 2(B) 3(C), back to B is 4, back to A is 5 (spec 2.5)."""
    cluster = complete(2)
    for template in ("B", "C", "B"):
        cluster.template = template
        cluster.finish()
    found = {
        owner.template: (owner.revision, owner.history) for owner in cluster.owners
    }
    cluster.template = "A"
    cluster.finish()

    assert found == {"A": (1, ()), "B": (4, (2,)), "C": (3, ())}
    assert sorted(owner.revision for owner in cluster.owners) == [3, 4, 5]
    assert cluster.completed == [1, 2, 3, 4, 5]


def test_recreate_ends_every_old_pod_before_the_first_new_one() -> None:
    """Terminating pods count until they are gone (spec 2.10)."""
    cluster = complete(6, strategy="Recreate")
    cluster.template = "B"
    cluster.settle()

    assert cluster.sizes() == {"A": 0}
    assert cluster.sync().direction == "waiting for old pods"

    cluster.reap()
    cluster.finish()

    assert cluster.log == ["A 6→0", "B 0→6"]


def test_recreate_scales_as_spec_2_10_says() -> None:
    """6 → 7 → 5: up and down without waiting for terminating pods of the new one."""
    cluster = complete(6, strategy="Recreate")
    cluster.change(replicas=7)
    cluster.settle()
    cluster.change(replicas=5)
    cluster.settle()

    assert cluster.log == ["A 6→7", "A 7→5"]


def test_scale_in_the_middle_of_a_rollout_gives_20_and_13() -> None:
    """10 replicas, surge 3, unavailable 2, broken image, scaled to 30 (spec 7.1)."""
    cluster = complete(10, max_surge=3, max_unavailable=2)
    cluster.template = "B"
    cluster.broken.add("B")
    cluster.settle()
    assert cluster.sizes() == {"A": 8, "B": 5}

    cluster.change(replicas=30)
    cluster.settle()

    assert cluster.sizes() == {"A": 20, "B": 13}


def test_scale_and_a_new_image_at_once_resizes_first() -> None:
    """A scaling comes before the template change of the same update (spec 2.9)."""
    cluster = complete(10, max_surge=3, max_unavailable=2)
    cluster.template = "B"
    cluster.broken.add("B")
    cluster.settle()
    cluster.log.clear()
    cluster.template = "C"
    cluster.change(replicas=20)
    first = cluster.sync()
    cluster.finish()

    assert first.direction == "scaling"
    assert cluster.sizes() == {"A": 0, "B": 0, "C": 20}
    assert {owner.desired for owner in cluster.owners} == {20}


def test_100_replicas_scaled_to_120_in_the_middle() -> None:
    """Surge 20, unavailable 0: 117 + 23, annotated 120 / 140 (spec 7.3)."""
    cluster = complete(100, max_surge=20, max_unavailable=0)
    cluster.template = "B"
    cluster.broken.add("B")
    cluster.settle()
    assert cluster.sizes() == {"A": 100, "B": 20}

    cluster.change(replicas=120)
    cluster.settle()

    assert cluster.sizes() == {"A": 117, "B": 23}
    assert {(each.desired, each.maximum) for each in cluster.owners} == {(120, 140)}


def test_created_paused_has_no_replicaset_at_all() -> None:
    """Resuming makes revision 1, however often the template was edited (spec 2.11)."""
    cluster = Cluster(3, paused=True)
    cluster.settle()
    cluster.template = "B"
    cluster.settle()
    assert cluster.owners == []
    assert cluster.reason() == "DeploymentPaused"

    cluster.change(paused=False)
    cluster.finish()

    assert [(owner.template, owner.revision) for owner in cluster.owners] == [("B", 1)]


def test_paused_in_the_middle_scales_in_proportion_and_goes_no_further() -> None:
    """Neither ReplicaSet moves but by scaling while paused (spec 2.11)."""
    cluster = half_rolled()
    cluster.change(paused=True)
    cluster.broken.clear()
    cluster.become_available()
    cluster.settle()
    assert cluster.sizes() == {"A": 8, "B": 5}

    cluster.change(replicas=20)
    cluster.settle()

    assert cluster.sizes() == {"A": 15, "B": 10}


def test_resume_starts_the_deadline_anew() -> None:
    """Paused time does not count against the deadline (spec 2.11)."""
    cluster = half_rolled()
    cluster.change(paused=True)
    cluster.settle()
    cluster.now += 10_000
    cluster.settle()
    assert cluster.reason() == "DeploymentPaused"

    cluster.change(paused=False)
    cluster.settle()

    assert cluster.reason() == "DeploymentResumed"
    assert cluster.sync().wake_at == pytest.approx(cluster.now + 601, abs=1)


def test_an_exceeded_deadline_outlives_a_pause() -> None:
    """Already exceeded stays exceeded across pause and resume (spec 8.2, 15)."""
    cluster = half_rolled()
    cluster.now += 601
    cluster.settle()
    for paused in (True, False):
        cluster.change(paused=paused)
        cluster.settle()
        assert cluster.reason() == "ProgressDeadlineExceeded"


def test_a_stalled_rollout_goes_on_and_can_complete() -> None:
    """The deadline changes the condition only (spec 2.12)."""
    cluster = half_rolled()
    cluster.now += 601
    stalled = [plan.stalled for plan in cluster.settle()]
    cluster.broken.clear()
    cluster.become_available(1)
    cluster.settle()
    after_one = cluster.reason()
    cluster.finish()

    assert stalled == [True]
    assert after_one == "ReplicaSetUpdated"
    assert cluster.reason() == "NewReplicaSetAvailable"
    assert cluster.sizes() == {"A": 0, "B": 10}


def test_scaling_a_finished_deployment_is_no_rollout() -> None:
    """It never touches Progressing and never times out (spec 2.12)."""
    cluster = complete(3)
    before = cluster.wish.progressing
    cluster.change(replicas=5)
    cluster.settle()
    cluster.now += 10_000
    plan = cluster.sync()

    assert cluster.wish.progressing == before
    assert plan.wake_at is None


def test_history_beyond_the_limit_is_deleted_when_the_rollout_is_complete() -> None:
    """Not before, and never the new one (spec 2.14)."""
    cluster = complete(2, revision_history_limit=1)
    for template in ("B", "C", "D"):
        cluster.template = template
        cluster.settle()
        during = set(cluster.sizes())
        cluster.finish()

    assert during == {"B", "C", "D"}
    assert set(cluster.sizes()) == {"C", "D"}


@pytest.mark.parametrize("watches", [True, False])
def test_completion_is_told_once_for_each_revision(watches: bool) -> None:
    """With or without recorded counts, with or without a deadline (I11)."""
    for deadline in (600, None):
        cluster = Cluster(3, watches=watches, progress_deadline_seconds=deadline)
        cluster.finish()
        for template in ("B", "A"):
            cluster.template = template
            cluster.finish()

        assert cluster.completed == [1, 2, 3]


def test_one_stuck_annotation_does_not_stop_a_rollout() -> None:
    """A stale desired-replicas on an otherwise right size ends no sync (L7).

    Kubernetes treats it as a scaling for ever (the quirk of spec 2.9).
    """
    cluster = complete(3)
    cluster.owners[0].desired = 2
    cluster.template = "B"
    cluster.finish()

    assert cluster.sizes() == {"A": 0, "B": 3}


def test_recreate_after_a_half_rolled_scaling_is_not_stuck() -> None:
    """Several active ones with stale sizes end in the wish all the same (L7)."""
    cluster = half_rolled()
    cluster.change(strategy="Recreate", replicas=12)
    cluster.broken.clear()
    cluster.finish()

    assert cluster.sizes() == {"A": 0, "B": 12}
