"""The kept order is that of the plan (spec 3.6), whatever happened to the pods."""

import msgspec
from hypothesis import event, given, settings
from hypothesis import strategies as st

from domain import pod
from domain.plans import replicas
from domain.pod import Pod
from projections.ranking import Ranking, Spread

NOW = 1_800_000_000.0

ages = st.sampled_from([-1.0, 0.0, 1e-6, 0.05, 0.9, 1.0, 1.05, 1.08, 3.0, 90.0, 1e6])
changes = st.fixed_dictionaries(
    {},
    optional={
        "node": st.sampled_from(["", "n1", "n2", "n3", "gone"]),
        "phase": st.sampled_from(["Pending", "Running", "Running"]),
        "ready": st.booleans(),
        "ready_at": ages.map(lambda age: NOW - age),
        "deletion_cost": st.sampled_from([0, 0, -1, 5]),
        "restarts": st.sampled_from([0, 0, 1]),
        "created_at": ages.map(lambda age: NOW - age),
    },
)
steps = st.lists(
    st.tuples(
        st.integers(0, 14), st.one_of(st.none(), changes), st.sampled_from([0, 0.04, 2])
    ),
    min_size=8,
    max_size=60,
)
related = st.fixed_dictionaries(
    {name: st.integers(0, 2) for name in ("n1", "n2", "n3")}
)


def new_pod(number: int) -> Pod:
    """A pod whose uid says nothing about when it came."""
    return Pod(
        namespace="default",
        name=f"web-{number}",
        uid=f"{number * 7 % 15:02d}",
        stage=pod.BOUND,
        created_at=NOW,
        version=1,
        position=number + 1,
        template=1,
        owner="replicaset/default/web",
        owner_uid="web",
    )


@settings(deadline=None, max_examples=400)
@given(story=steps, counts=related, data=st.data())
def test_the_kept_order_is_the_order_of_the_plan(
    story: list[tuple[int, dict[str, object] | None, float]],
    counts: dict[str, int],
    data: st.DataObject,
) -> None:
    """Pods come, change and go, time passes, and somebody asks in between: each time
    the first k are those that going through all pods would give."""
    spread = Spread(("replicaset/default/web",))
    for name, number in counts.items():
        for _ in range(number):
            spread.add(name, 1)
    ranking, pods, now = Ranking(()), dict[int, Pod](), NOW
    asked = 0
    for number, change, passes in story:
        before = pods.pop(number, None)
        if change is None:
            if before is not None:
                ranking.remove(before)
        elif before is None:
            pods[number] = msgspec.structs.replace(new_pod(number), **change)
            ranking.add(pods[number])
        else:
            born = before.created_at  # the one thing that never changes
            changed = {**change, "created_at": born}
            pods[number] = msgspec.structs.replace(before, **changed)
            ranking.replace(before, pods[number])
        now += passes
        if passes and len(pods) > 1:
            count = data.draw(st.integers(1, len(pods) - 1))
            first = replicas.victims(
                [*pods.values()],
                count,
                related=lambda name: counts.get(name, 0),
                now=now,
            )
            assert ranking.first(count, spread, now) == [held.key for held in first]
            asked += 1
    event(f"asked {min(asked, 3)} times")


def test_a_spread_has_its_nodes_by_how_many_they_have() -> None:
    """Most first, and none that have nothing."""
    spread = Spread(("replicaset/default/web",))
    for name, number in (("a", 1), ("b", 1), ("b", 1), ("c", 1), ("c", -1), ("d", 1)):
        spread.add(name, number)
    assert [set(nodes) for nodes in spread.ranks()] == [{"b"}, {"a", "d"}]
    assert spread.counts == {"a": 1, "b": 2, "d": 1}
