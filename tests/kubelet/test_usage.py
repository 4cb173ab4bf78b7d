"""From samples to rates, and what processes and hollow pods use."""

import math
import subprocess
import sys
import time

import pytest

from domain import podspec, protocol
from kubelet import (
    agent,
    agent_effects,
    child,
    hollow_runtime,
    hollow_usage,
    process_usage,
    runtime,
)
from kubelet.usage import CORES_MAX, Meter


def sample(
    cpu: float, memory: int = 4096, *, uid: str = "u", container: str = "main"
) -> runtime.ContainerUsage:
    """What a container has used."""
    return runtime.ContainerUsage(
        uid=uid, container=container, cpu_seconds=cpu, memory_bytes=memory
    )


def named(uid: str) -> tuple[str, str] | None:
    """Every pod is `default/<uid>`, but for `strange`, which is not here."""
    return None if uid == "strange" else ("default", uid)


def read(meter: Meter, now: float, *samples: runtime.ContainerUsage) -> dict[str, int]:
    """The billionths of a core of each pod that is told."""
    found = meter.read(now, samples, named)
    if found is None:
        return {}
    return {
        pod.uid: sum(int(each.cpu or 0) for each in pod.containers)
        for pod in found.pods
    }


def test_a_rate_needs_two_samples() -> None:
    """Half a second of CPU in two seconds is a quarter of a core."""
    meter = Meter()
    assert read(meter, 100.0, sample(7.0)) == {}
    assert read(meter, 102.0, sample(7.5)) == {"u": 250_000_000}
    found = meter.read(104.0, [sample(7.5, 9)], named)
    assert found is not None
    assert found.window == 2.0
    assert found.pods[0].containers == (
        protocol.ContainerUsage(name="main", cpu=0, memory=9),
    )


def test_a_node_that_runs_nothing_says_so() -> None:
    """From the second sample on, and for as long as there is no container at all: one
    that waits for its second sample is not nothing."""
    meter = Meter()
    assert meter.read(100.0, [], named) is None
    assert meter.read(115.0, [], named) == protocol.Usage(window=15.0, pods=())
    assert meter.read(130.0, [sample(1.0)], named) is None
    assert meter.read(130.0, [], named) is None, "a window of no length"


def test_a_pod_is_told_as_a_whole_or_not_at_all() -> None:
    """A container that has just started makes its pod wait, and no other one."""
    meter = Meter()
    read(meter, 100.0, sample(1.0), sample(1.0, uid="other"))
    new = sample(0.1, container="late")
    other = sample(2.0, uid="other")
    assert read(meter, 101.0, sample(2.0), new, other) == {"other": 1_000_000_000}
    again = (sample(2.0), sample(0.2, container="late"), sample(2.0, uid="other"))
    assert read(meter, 102.0, *again) == {"u": 100_000_000, "other": 0}


@pytest.mark.parametrize(
    "bad",
    [
        sample(math.nan),
        sample(math.inf),
        sample(-1.0),
        sample(9.0, -1),
        sample(0.5),  # it went back: another run
        sample(1.0 + 2 * CORES_MAX),
        sample(9.0, uid="strange"),
    ],
)
def test_what_cannot_be_is_left_out(bad: runtime.ContainerUsage) -> None:
    """Not finite, negative, backwards, absurd, of nobody: no line is made of it, and
    what comes after it is told again."""
    meter = Meter()
    read(meter, 100.0, sample(1.0), sample(1.0, uid="strange"))
    assert read(meter, 101.0, bad) == {}
    read(meter, 102.0, sample(3.0))
    assert read(meter, 103.0, sample(3.5)) == {"u": 500_000_000}


@pytest.mark.parametrize(
    ("annotations", "expected"),
    [
        ({}, hollow_usage.Load()),
        ({hollow_usage.CPU: "250m"}, hollow_usage.Load(0.25, 2**20)),
        ({hollow_usage.MEMORY: "64Mi"}, hollow_usage.Load(0.001, 64 * 2**20)),
        ({hollow_usage.CPU: "much", hollow_usage.MEMORY: "-1"}, hollow_usage.Load()),
    ],
)
def test_a_hollow_load_is_an_annotation(
    annotations: dict[str, str], expected: hollow_usage.Load
) -> None:
    """A quantity on the pod template; what is none counts as absent."""
    assert hollow_usage.load(annotations) == expected


def test_a_hollow_pod_uses_its_load() -> None:
    """From its start on, and nothing while it does not run."""
    pods = hollow_runtime.HollowPods("n", hollow_runtime.HollowSettings())
    spec = podspec.PodSpec(containers=(podspec.Container(name="main", image="a:1"),))
    sandbox = runtime.Sandbox(
        uid="u", namespace="default", name="p", node="n", spec=spec,
        annotations={hollow_usage.CPU: "500m"},
    )  # fmt: skip
    pods.start_sandbox(10.0, sandbox)
    pods.start_container(10.0, "u", "main", 0)
    assert pods.usage(10.0) == ()
    pods.observe(10.0)
    pods.usage(12.0)
    assert pods.usage(14.0) == (sample(2.0, 2**20),)
    pods.kill_container(15.0, "u", "main")
    pods.observe(15.0)
    assert pods.usage(16.0) == ()


def test_a_process_is_measured_with_its_children() -> None:
    """The CPU and the memory of a container are those of its whole tree, the dead that
    were waited for included."""
    burn = (
        "import subprocess, sys, time\n"
        "code = 'import time\\nwhile time.process_time() < 0.4: pass'\n"
        "subprocess.run([sys.executable, '-c', code])\n"
        "child = subprocess.Popen([sys.executable, '-c', 'input()'], stdin=-1)\n"
        "print('done', flush=True)\n"
        "sys.stdin.read()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", burn],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "done\n"
        created = child.created(process.pid)
        mine = process_usage.Started("u", "main", process.pid, created)
        other = process_usage.Started("v", "main", process.pid, created - 100.0)
        (found,) = process_usage.sample([mine, other])
        assert found.uid == "u"
        # The kernel tells user and system time in hundredths, each rounded down.
        assert found.cpu_seconds >= 0.3
        assert found.memory_bytes > 8 * 2**20  # two interpreters, one cannot have it
    finally:
        process.communicate(timeout=60)
    assert process_usage.sample([mine]) == ()


def test_the_next_report_carries_usage_once() -> None:
    """Usage is never repeated or confirmed, comes in parts that fit into a message, and
    what is too old to be sent is void."""
    info = protocol.NodeInfo(capacity={}, allocatable={})
    machine = agent.Agent(info, "boot")
    pods = tuple(
        protocol.PodUsage(
            namespace="default", name=f"p{i}", uid=f"u{i}",
            containers=(protocol.ContainerUsage(name="main", cpu=1, memory=1),),
        )
        for i in range(agent.USAGE_PODS_MAX + 5)
    )  # fmt: skip
    usage = protocol.Usage(window=15.0, pods=pods)
    assert machine.on_usage(1.0, usage) == []  # nobody would hear it
    machine.on_connected(2.0)
    machine.on_sync_reply(2.0, 1, protocol.SyncReply(position=1, incarnation=1))
    sent = [*machine.on_usage(20.0, usage), *machine.on_tick(20.2)]
    sent += machine.on_tick(20.4)
    reports = [
        each.report for each in sent if isinstance(each, agent_effects.SendReport)
    ]
    sizes = [len(each.usage.pods) for each in reports if each.usage is not None]
    assert sizes == [agent.USAGE_PODS_MAX, 5]
    idle = protocol.Usage(window=15.0, pods=())
    told = [*machine.on_usage(40.0, idle), *machine.on_tick(40.2)]
    reports = [
        each.report for each in told if isinstance(each, agent_effects.SendReport)
    ]
    assert [each.usage for each in reports if each.usage is not None] == [idle]


def test_time_of_process_does_not_matter() -> None:
    """A window of no length, as two samples in one moment have, makes no rate."""
    meter, now = Meter(), time.time()
    read(meter, now, sample(1.0))
    assert read(meter, now, sample(2.0)) == {}
