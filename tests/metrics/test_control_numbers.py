"""What the writer counts about itself."""

import time

import pytest

from tests.support.cluster import SimCluster, manifest
from workers import exposition, measuring
from workers.mailbox import Mailbox
from workers.measuring import Numbers


def samples(numbers: Numbers) -> dict[tuple[str, ...], float]:
    """Each sample: its name, its labels' values, its value."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in exposition.families(numbers)
        for sample in family.samples
    }


def looked(sim: SimCluster, mail: Mailbox | None = None) -> Numbers:
    """The numbers of a writer in this state."""
    numbers, held = Numbers(), mail or Mailbox()
    numbers.unready = ""
    numbers.look = lambda: measuring.look(sim.state, held, 40, 30, 1, True)
    return numbers


def test_commands_are_counted_by_verb_and_result() -> None:
    """Accepted, unchanged and rejected; dry runs too. A verb that there is not is
    counted as `unknown`: nobody can make series by inventing verbs."""
    sim = SimCluster(nodes=1)
    sim.ask("deployment", "web", "create", {"manifest": manifest(replicas=1)})
    sim.ask("deployment", "web", "scale", {"replicas": 2})
    sim.ask("deployment", "web", "scale", {"replicas": 2})
    sim.ask("deployment", "gone", "scale", {"replicas": 2})
    for verb in ("dance", "sing"):
        sim.ask("deployment", "web", verb, {})
    found = samples(looked(sim))
    counted = {
        key[1:]: found[key] for key in found if key[0] == "rollbook_command_total"
    }

    assert counted == {
        ("create", "accepted"): 1,
        ("scale", "accepted"): 1,
        ("scale", "unchanged"): 1,
        ("scale", "rejected"): 1,
        ("unknown", "rejected"): 2,
    }


def test_rollouts_are_measured_from_the_change_to_their_end() -> None:
    """In the cluster's own time, and each once."""
    sim = SimCluster(nodes=1)
    sim.ask("deployment", "web", "create", {"manifest": manifest(replicas=2)})
    sim.settle()
    begin = sim.events[0].timestamp
    numbers = Numbers()
    numbers.stepped(time.perf_counter(), 5, sim.state.completed)
    numbers.stepped(time.perf_counter(), 0, sim.state.completed)
    found = samples(numbers)

    assert found["rollbook_rollout_duration_seconds_count",] == 1
    assert 0 < found["rollbook_rollout_duration_seconds_sum",] < sim.now - begin
    assert found["rollbook_steps_total",] == 2
    assert found["rollbook_events_total",] == 5


def test_a_writer_that_works_shows_how_far_it_is() -> None:
    """What is decided and not on disk, and what is not published yet."""
    sim = SimCluster(nodes=1)
    found = samples(looked(sim))

    assert found["rollbook_control_working",] == 1
    assert found["rollbook_log_position",] == 40
    assert found["rollbook_relay_lag_events",] == 10
    assert found["rollbook_queue_length", "commits"] == 1


@pytest.mark.parametrize("why", [measuring.STANDING_BY, measuring.REPLAYING])
def test_one_that_does_not_work_yet_says_so(why: str) -> None:
    """It shows no queue and no position: it has none."""
    numbers = Numbers()
    numbers.unready = why
    found = samples(numbers)

    assert found["rollbook_control_working",] == 0
    assert not any(name[0] == "rollbook_log_position" for name in found)
    assert exposition.board(numbers).why_unready() == why
