"""What-if replay: the log forked in memory, and what two simulations say of it."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from domain import catalogue, deployment, errors
from domain.events import Recorded
from projections import digests, snapshots
from projections.cluster import Cluster
from rollbook import failures, what_if
from rollbook.commands import what_if as command
from tests.support.cluster import SimCluster, manifest, rolling

KEY = "deployment/default/web"
SLOW = 12.0
"""Seconds that each pod takes to get ready in the recorded log."""


def recorded(sim: SimCluster) -> list[Recorded]:
    """The log as a reader of the store has it."""
    return [catalogue.decode(*row) for row in sim.log]


def compare(
    log: Sequence[Recorded], key: str, patch: object, *, fork: int, until: int = 0
) -> what_if.Comparison:
    """As the command forks a log: behind `fork`, the end of a step."""
    base = Cluster()
    for each in log[:fork]:
        base.fold(each)
    base.settle()
    return what_if.compare(
        base, log[fork : until or _completion(log, fork)], key, patch
    )


def _completion(log: Sequence[Recorded], fork: int) -> int:
    for each in log[fork:]:
        if isinstance(each.event, deployment.RolloutCompleted) and each.stream == KEY:
            same = (e.position for e in log[fork:] if e.timestamp == each.timestamp)
            return max(same)
    return len(log)


def rollout(replicas: int = 6, **spec: Any) -> tuple[SimCluster, int]:
    """A rolling update one pod at a time, slowly; and the position before it."""
    sim = SimCluster(nodes=2)
    strategy = rolling(0, 1)
    body = {"manifest": manifest(replicas=replicas, strategy=strategy, **spec)}
    sim.ask("deployment", "web", "create", body)
    sim.settle()
    sim.jump(30.0)
    fork = len(sim.log)
    sim.ask("deployment", "web", "set-image", {"images": {"main": "app:2"}})
    for _ in range(40):
        sim.run_for(SLOW, progress=False)
        sim.progress()
    sim.settle()
    return sim, fork


def test_what_is_simulated_as_it_was_is_close_to_what_was_recorded() -> None:
    """The model's error can be seen: counts are the same, times nearly."""
    sim, fork = rollout()
    found = compare(recorded(sim), KEY, {"spec": {}}, fork=fork)
    was, same = found.recorded, found.simulated
    assert was.seconds is not None
    assert same.seconds is not None
    assert same.seconds == pytest.approx(was.seconds, rel=0.25)
    assert (same.surge, same.available) == (was.surge, was.available) == (0, 5)
    assert (same.pods_created, same.pods_ended) == (6, 6)
    assert (was.pods_created, was.pods_ended) == (6, 6)
    assert not same.stalled
    assert found.changed == same, "a patch that changes nothing changes nothing"


def test_a_larger_surge_is_quicker_and_keeps_more_available() -> None:
    """The change is felt: all new pods at once, and none is missing meanwhile."""
    sim, fork = rollout()
    patch = {
        "spec": {"strategy": {"rollingUpdate": {"maxSurge": 6, "maxUnavailable": 0}}}
    }
    before = list(sim.log)
    found = compare(recorded(sim), KEY, patch, fork=fork)
    assert found.simulated.seconds is not None
    assert found.changed.seconds is not None
    assert found.changed.seconds < found.simulated.seconds / 2
    assert (found.changed.surge, found.changed.available) == (6, 6)
    assert list(sim.log) == before, "nothing reaches the log"


def test_a_failure_that_was_recorded_happens_again() -> None:
    """An image that cannot be pulled cannot be pulled with another strategy either."""
    sim = SimCluster(nodes=2)
    sim.broken.add("app:bad")
    spec: dict[str, Any] = {"progressDeadlineSeconds": 60, "strategy": rolling(1, 0)}
    sim.ask("deployment", "web", "create", {"manifest": manifest(**spec)})
    sim.settle()
    fork = len(sim.log)
    sim.ask("deployment", "web", "set-image", {"images": {"main": "app:bad"}})
    sim.run_for(90.0)
    patch = {"spec": {"strategy": {"rollingUpdate": {"maxSurge": 3}}}}
    found = compare(recorded(sim), KEY, patch, fork=fork)
    for each in (found.recorded, found.simulated, found.changed):
        assert (each.seconds, each.stalled, each.available) == (None, True, 3)
    assert (found.simulated.surge, found.changed.surge) == (1, 3)


def test_what_users_did_later_is_done_again_and_the_change_wins() -> None:
    """A recorded scale of another Deployment happens; one against the patch does
    nothing."""
    sim, fork = rollout(3)
    body = {"manifest": manifest("other", replicas=2)}
    sim.ask("deployment", "other", "create", body)
    sim.ask("deployment", "web", "scale", {"replicas": 5})
    sim.settle()
    log = recorded(sim)
    patch = {"spec": {"replicas": 2}}
    found = compare(log, KEY, patch, fork=fork, until=len(log))
    assert found.simulated.pods_created == found.recorded.pods_created == 3 + 2
    # One too many and both old ones; the scale has created none.
    assert (found.changed.pods_created, found.changed.pods_ended) == (2, 1 + 2)
    assert found.changed.seconds is not None


def test_equal_questions_have_equal_answers() -> None:
    """Nothing is left to chance: the dice have the fork as their seed."""
    sim, fork = rollout(4)
    log, patch = recorded(sim), {"spec": {"replicas": 9}}
    first = compare(log, KEY, patch, fork=fork)
    assert compare(log, KEY, patch, fork=fork) == first
    assert first.changed.pods_created > first.simulated.pods_created


BAD: tuple[tuple[str, dict[str, Any], str], ...] = (
    ("deployment/default/x", {}, 'deployments.apps "x" not found at position'),
    (
        KEY,
        {"spec": {"strategy": {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 0}}}},
        "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0",
    ),
    (KEY, {"spec": {"replicaz": 3}}, 'unknown field "spec.replicaz"'),
    (KEY, {"spec": {"selector": None}}, "spec.selector"),
)


@pytest.mark.parametrize(("key", "patch", "text"), BAD)
def test_bad_input_is_told_what_is_wrong(
    key: str, patch: dict[str, object], text: str
) -> None:
    """The object or the field, as a command would be told."""
    sim, fork = rollout(2)
    with pytest.raises(errors.Rejected) as raised:
        compare(recorded(sim), key, patch, fork=fork)
    assert text in str(raised.value)


def test_what_was_known_at_the_fork_is_left_alone() -> None:
    """Both simulations play on copies."""
    sim, fork = rollout(2)
    log = recorded(sim)
    base = Cluster()
    for each in log[:fork]:
        base.fold(each)
    base.settle()
    before = digests.digest(snapshots.cut(base))
    what_if.compare(base, log[fork:], KEY, {"spec": {"replicas": 4}})
    assert digests.digest(snapshots.cut(base)) == before


def test_the_figures_are_plain_json() -> None:
    """`-o json` is what programs are given."""
    sim, fork = rollout(2)
    found = compare(recorded(sim), KEY, {"spec": {}}, fork=fork)
    plain = msgspec.json.decode(msgspec.json.encode(found))
    assert plain["fork"] == fork
    assert set(plain["changed"]) == {
        "seconds", "surge", "available", "stalled", "podsCreated", "podsEnded",
        "events",
    }  # fmt: skip


# --- the command line


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("no-such-file.yaml", "is neither a patch nor a file that can be read"),
        ("{spec: [", "is neither JSON nor YAML"),
        ("- spec: 1", "must be a map"),
        ("{metadata: {name: x}, spec: {}}", "fields of spec, not metadata"),
        ("{spec: 3}", "must change fields of spec"),
    ],
)
def test_a_patch_that_is_none_is_refused(text: str, said: str) -> None:
    """One sentence, before anything is asked."""
    with pytest.raises(failures.Failure, match=re.escape(said)):
        command.parse_patch(text)


def test_a_patch_is_json_yaml_or_a_file(tmp_path: Path) -> None:
    """All of them say the same."""
    file = tmp_path / "patch.yaml"
    file.write_text("spec:\n  replicas: 3\n")
    wanted = {"spec": {"replicas": 3}}
    for text in ('{"spec":{"replicas":3}}', "spec:\n  replicas: 3", str(file)):
        assert command.parse_patch(text) == wanted


def test_the_table_says_what_is_simulated() -> None:
    """Three columns, and below them which are simulations and what they are made of."""
    sim, fork = rollout(2)
    found = compare(recorded(sim), KEY, {"spec": {}}, fork=fork)
    said = command.lines(found)
    assert said[0].split("  ")[0] == "default/web"
    assert said[0].endswith(
        "RECORDED   SIMULATED AS IT WAS   SIMULATED WITH THE CHANGE"
    )
    assert said[1].split() == ["until", "complete", "24.0s", "24.0s", "24.0s"]
    assert "simulations" in " ".join(said[-3:])
