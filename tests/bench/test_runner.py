"""Which systems are made for what was asked, and what is refused at once."""

import pytest
from click.testing import CliRunner

from adapters import nats_configuration
from rollbook import cli
from rollbook.bench import runner
from rollbook.bench.system import Failure, Shape


@pytest.mark.parametrize(
    ("asked", "stories"),
    [
        (("undo", "create"), [("create", "undo")]),
        (("mixed", "idle"), [("mixed",), ("idle",)]),
        (("restart",), [("restart",)]),
        (("restart", "create"), [("create", "restart")]),
        (("million", "restart"), [("million", "restart")]),
        (("restart", "latency"), [("latency",), ("restart",)]),
        (("verify", "replay"), [("replay", "verify")]),
        (("past", "million", "restart"), [("million", "restart", "past")]),
        (("replay", "create", "mixed"), [("create", "replay"), ("mixed",)]),
        (("history", "idle"), [("idle",), ("history",)]),
    ],
)
def test_scenarios_share_a_system_where_one_continues_the_other(
    asked: tuple[str, ...], stories: list[tuple[str, ...]]
) -> None:
    """Create, roll and undo are one story; restart starts on the log of another."""
    assert runner.stories(asked) == stories


@pytest.mark.parametrize(
    ("name", "pods", "nodes", "room"),
    [
        ("create", 1_000, 100, 110),
        ("latency", 50_000, 1_000, 110),
        ("million", 1_000_000, 5_000, 256),
        ("idle", 0, 10_000, 110),
    ],
)
def test_each_scenario_has_a_size_of_its_own(
    name: str, pods: int, nodes: int, room: int
) -> None:
    """Without further words a scenario is what the documents say."""
    job = runner.jobs(runner.Options(names=(name,)))[0]
    assert (job.pods, job.shape.nodes, job.shape.room) == (pods, nodes, room)


def test_runs_and_sizes_are_multiplied() -> None:
    """Each run of each size has a system of its own."""
    options = runner.Options(names=("create",), pods=(10, 20), runs=2)
    found = [(job.run, job.pods) for job in runner.jobs(options)]
    assert found == [(1, 10), (1, 20), (2, 10), (2, 20)]
    assert len({job.folder for job in runner.jobs(options)}) == 4


def test_nodes_are_spread_over_processes_of_a_bounded_size() -> None:
    """10,000 nodes are four processes; those that die have one of their own."""
    assert Shape(nodes=10_000).hosts() == {f"n{n}": 2_500 for n in range(4)}
    assert Shape(nodes=100, apart=20).hosts() == {"n0": 80, "apart": 20}


def test_pods_that_do_not_fit_are_refused() -> None:
    """A rolling update needs a quarter more; it would never end."""
    with pytest.raises(Failure, match="do not fit on 3 nodes"):
        runner.jobs(runner.Options(names=("roll",), pods=(300,), nodes=3))


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        (("creat",), 1, "there is no scenario 'creat'"),
        (("--pods", "many"), 2, "'many' is not a number of pods"),
        (("--pods", "1000", "--nodes", "3"), 1, "do not fit on 3 nodes"),
        (("--store", "memory:"), 1, "--store takes one story, one size and one run"),
        (("--store", "memory:", "--pods", "9"), 1, "not shared by processes"),
    ],
)
def test_what_cannot_be_measured_is_refused_at_once(
    arguments: tuple[str, ...], status: int, sentence: str
) -> None:
    """A wish that would end in a hang or in a wrong figure is told, with why."""
    done = CliRunner().invoke(cli.main, ["bench", *arguments])
    assert done.exit_code == status
    assert sentence in " ".join(done.output.split())


def test_a_host_of_nodes_may_do_what_they_may_and_nothing_else() -> None:
    """One connection for many nodes is no key to the others."""
    found = nats_configuration.host_permissions("node-n0", ("n0-0", "n0-1"))
    assert {"rollbook.report.n0-0", "rollbook.sync.n0-1"} <= set(found.publish)
    assert {"rollbook.assign.n0-0", "_INBOX.node.n0-1.>"} <= set(found.subscribe)
    every = found.publish + found.subscribe
    assert not [
        each
        for each in every
        if "n1" in each or ".*" in each.partition("INBOX.user")[0]
    ]
