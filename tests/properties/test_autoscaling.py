"""Whatever is measured, an autoscaler stays within its bounds and comes to rest.

The planner is the shipped one; the load, the pods and the clock are drawn.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.plans.autoscale_view import Scale
from tests.domain.plans.test_autoscale import NOW, Scene

LOOKS = 90
"""Of 15 s each: four times the longest window of the defaults."""

windows = st.sampled_from((0, 15, 60, 300))
policies = st.lists(
    st.fixed_dictionaries(
        {
            "type": st.sampled_from(("Pods", "Percent")),
            "value": st.integers(1, 200),
            "periodSeconds": st.sampled_from((15, 60)),
        }
    ),
    min_size=1,
    max_size=2,
)
rules = st.fixed_dictionaries(
    {
        "stabilizationWindowSeconds": windows,
        "selectPolicy": st.sampled_from(("Max", "Min")),
        "policies": policies,
    }
)
behaviors = st.none() | st.fixed_dictionaries({"scaleUp": rules, "scaleDown": rules})
values = st.none() | st.integers(0, 10**7) | st.just(2**62)


def cpu(target: int) -> dict[str, object]:
    """A metric of the CPU."""
    return {
        "type": "Resource",
        "resource": {
            "name": "cpu",
            "target": {"type": "Utilization", "averageUtilization": target},
        },
    }


def scene(size: int, target: int, behavior: object, *, least: int, most: int) -> Scene:
    """An autoscaler that has not looked yet."""
    spec: dict[str, Any] = {} if behavior is None else {"behavior": behavior}
    found = Scene(
        size, (), metrics=(cpu(target),), minReplicas=least, maxReplicas=most, **spec
    )
    assert found.held is not None
    found.held = msgspec.structs.replace(found.held, memory=None)
    return found


def looked(at: Scene, size: int, used: Sequence[int | None], now: float) -> int:
    """The size after one look at so many pods that use this."""
    assert isinstance(at.found, Scale)
    at.found = msgspec.structs.replace(at.found, replicas=size, there=size)
    at.used = used
    found = at.plan(now)
    return found.rescale.after if found.rescale is not None else size


@settings(max_examples=200, deadline=None)
@given(
    load=st.integers(0, 20_000),
    size=st.integers(1, 20),
    target=st.integers(20, 100),
    behavior=behaviors,
)
def test_a_constant_load_never_turns_it_more_than_once(
    load: int, size: int, target: int, behavior: object
) -> None:
    """A load that the pods share and that does not change brings at most one change of
    direction, and in the end no change at all."""
    at = scene(size, target, behavior, least=1, most=20)
    sizes, now = [size], NOW
    for _ in range(LOOKS):
        size = looked(at, size, (load // size,) * size, now)
        sizes.append(size)
        now += 15.0
    steps = [after - before for before, after in pairwise(sizes) if after != before]
    turns = sum((one > 0) != (other > 0) for one, other in pairwise(steps))
    assert turns <= 1, sizes
    assert len(set(sizes[-10:])) == 1, sizes


@settings(max_examples=200, deadline=None)
@given(
    bounds=st.tuples(st.integers(1, 5), st.integers(5, 20)),
    target=st.integers(1, 200),
    behavior=behaviors,
    said=st.lists(st.lists(values, min_size=20, max_size=20), max_size=20),
)
def test_no_measurement_takes_it_out_of_its_bounds(
    bounds: tuple[int, int],
    target: int,
    behavior: object,
    said: list[list[int | None]],
) -> None:
    """Nothing, zero, absurd: never to zero, never below the fewest or above the most;
    and where nobody says anything at all, nothing is changed."""
    least, most = bounds
    size, now = least, NOW
    at = scene(size, target, behavior, least=least, most=most)
    for each in said:
        before, used = size, each[:size]
        size = looked(at, size, used, now)
        assert least <= size <= most
        if all(value is None for value in used):
            assert size == before
        now += 15.0
