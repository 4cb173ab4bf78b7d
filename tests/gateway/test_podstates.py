"""STATUS, READY and RESTARTS of a pod: the rules of spec 6.2 as a table."""

from typing import NamedTuple

import msgspec
import pytest

from domain import pod, podspec
from domain.pod import Pod
from domain.protocol import ContainerStatus, PodObservation, Termination
from gateway.views import podstates
from gateway.views.scene import TemplateView
from projections.desired import TemplateFacts

NOW = 1_000.0

RUNNING = ContainerStatus(name="a", state="running", ready=True, started=True)
STARTING = ContainerStatus(name="a", state="waiting", reason="ContainerCreating")
CRASHING = ContainerStatus(
    name="a",
    state="waiting",
    reason="CrashLoopBackOff",
    restarts=3,
    last=Termination(exit_code=1, reason="Error", finished_at=NOW - 21),
)
COMPLETED = ContainerStatus(name="a", state="terminated", reason="Completed")
FAILED = ContainerStatus(name="a", state="terminated", reason="Error", exit_code=1)
KILLED = ContainerStatus(name="a", state="terminated", exit_code=137, signal=9)
EXITED = ContainerStatus(name="a", state="terminated", exit_code=3)
UNREADY = ContainerStatus(name="a", state="running", started=True)
DONE = ContainerStatus(name="i", state="terminated", reason="Completed")
SIDECAR = ContainerStatus(name="i", state="running", ready=True, started=True)
INITIALISING = ContainerStatus(name="a", state="waiting", reason="PodInitializing")


def view(containers: int, inits: int = 0, *, sidecar: bool = False) -> TemplateView:
    """A template of so many containers, init containers or one sidecar."""
    policy = "Always" if sidecar else None
    spec = podspec.PodSpec(
        containers=tuple(podspec.Container(name=f"c{n}") for n in range(containers)),
        init_containers=tuple(
            podspec.Container(name=f"i{n}", restart_policy=policy) for n in range(inits)
        ),
    )
    facts = TemplateFacts(
        template=podspec.PodTemplateSpec(spec=spec),
        cpu_milli=0,
        memory=0,
        grace=30.0,
        labels={},
        annotations={},
        refusal="",
    )
    return TemplateView(facts)


def held(seen: PodObservation | None, **fields: object) -> Pod:
    """A pod that its node sees like this."""
    basic = Pod(
        namespace="default",
        name="p",
        uid="u",
        stage=pod.BOUND,
        created_at=0.0,
        version=1,
        position=1,
        template=1,
        node="n1",
    )
    if seen is not None:
        ready = seen.ready and seen.phase == "Running"
        fields = {"seen": seen, "phase": seen.phase, "ready": ready, **fields}
    return msgspec.structs.replace(basic, **fields)


def named(
    statuses: tuple[ContainerStatus, ...], letter: str
) -> tuple[ContainerStatus, ...]:
    """The statuses with the names that `view` gives."""
    return tuple(
        msgspec.structs.replace(each, name=f"{letter}{n}")
        for n, each in enumerate(statuses)
    )


class Case(NamedTuple):
    """What the node says, and the three cells."""

    title: str
    containers: tuple[ContainerStatus, ...]
    cells: tuple[str, str, str]
    inits: tuple[ContainerStatus, ...] = ()
    seen: PodObservation = PodObservation(phase="Running", ready=True)
    sidecar: bool = False
    terminating: bool = False


PENDING = PodObservation(phase="Pending")
NOT_READY = PodObservation(phase="Running")
EVICTED = PodObservation(phase="Failed", reason="Evicted")
LOST = PodObservation(phase="Running", reason="NodeLost")

CASES = (
    Case("running", (RUNNING,), ("Running", "1/1", "0")),
    Case("creating", (STARTING,), ("ContainerCreating", "0/1", "0"), seen=PENDING),
    Case(
        "crash", (CRASHING,), ("CrashLoopBackOff", "0/1", "3 (21s ago)"), seen=NOT_READY
    ),
    Case(
        "first wins", (CRASHING, STARTING), ("CrashLoopBackOff", "0/2", "3 (21s ago)")
    ),
    Case("one of two", (RUNNING, UNREADY), ("Running", "1/2", "0"), seen=NOT_READY),
    Case("error", (FAILED,), ("Error", "0/1", "0"), seen=NOT_READY),
    Case("signal", (KILLED,), ("Signal:9", "0/1", "0"), seen=NOT_READY),
    Case("exit code", (EXITED,), ("ExitCode:3", "0/1", "0"), seen=NOT_READY),
    Case("done beside ready", (COMPLETED, RUNNING), ("Running", "1/2", "0")),
    Case(
        "done beside running",
        (COMPLETED, RUNNING),
        ("NotReady", "1/2", "0"),
        seen=NOT_READY,
    ),
    Case(
        "done beside failed",
        (COMPLETED, FAILED, RUNNING),
        ("Error", "1/3", "0"),
        seen=NOT_READY,
    ),
    Case("evicted", (), ("Evicted", "0/1", "0"), seen=EVICTED),
    Case("terminating", (RUNNING,), ("Terminating", "1/1", "0"), terminating=True),
    Case("ended", (), ("Evicted", "0/1", "0"), seen=EVICTED, terminating=True),
    Case("lost", (RUNNING,), ("Unknown", "1/1", "0"), seen=LOST, terminating=True),
    Case(
        "init 1 of 2",
        (INITIALISING,),
        ("Init:1/2", "0/1", "0"),
        inits=(DONE, UNREADY),
        seen=PENDING,
    ),
    Case(
        "init crashes",
        (INITIALISING,),
        ("Init:CrashLoopBackOff", "0/1", "3 (21s ago)"),
        inits=(CRASHING,),
        seen=PENDING,
    ),
    Case("init fails", (), ("Init:Error", "0/1", "0"), inits=(FAILED,), seen=PENDING),
    Case(
        "init killed", (), ("Init:Signal:9", "0/1", "0"), inits=(KILLED,), seen=PENDING
    ),
    Case(
        "init exits", (), ("Init:ExitCode:3", "0/1", "0"), inits=(EXITED,), seen=PENDING
    ),
    Case("init done", (RUNNING,), ("Running", "1/1", "0"), inits=(DONE,)),
    Case(
        "sidecar", (RUNNING,), ("Running", "2/2", "0"), inits=(SIDECAR,), sidecar=True
    ),
)


@pytest.mark.parametrize("case", CASES, ids=[case.title for case in CASES])
def test_the_cells_of_a_pod(case: Case) -> None:
    """Spec 6.2: STATUS, first to last override; READY and RESTARTS."""
    seen = msgspec.structs.replace(
        case.seen,
        containers=named(case.containers, "c"),
        init_containers=named(case.inits, "i"),
    )
    template = view(len(case.containers) or 1, len(case.inits), sidecar=case.sidecar)
    stage = pod.TERMINATING if case.terminating else pod.BOUND
    assert podstates.shown(held(seen, stage=stage), template, NOW) == case.cells


def test_a_pod_that_its_node_has_not_seen_waits() -> None:
    """Spec 4.1: Pending, none of its containers ready."""
    assert podstates.shown(held(None), view(2), NOW) == ("Pending", "0/2", "0")


@pytest.mark.parametrize(
    ("seen", "cells"),
    [
        (PodObservation(phase="Running", ready=True), ("Running", "2/2", "0")),
        (PodObservation(phase="Running"), ("Running", "0/2", "0")),
        (PodObservation(phase="Pending"), ("ContainerCreating", "0/2", "0")),
        (PodObservation(phase="Failed"), ("Failed", "0/2", "0")),
    ],
)
def test_a_node_without_containers_is_taken_at_its_word(
    seen: PodObservation, cells: tuple[str, str, str]
) -> None:
    """What is said of the pod holds for all containers that are not named."""
    assert podstates.shown(held(seen), view(2), NOW) == cells


def test_a_restart_without_a_known_end_has_no_age() -> None:
    """Spec 6.2: the age is that of the last termination, where there is one."""
    status = msgspec.structs.replace(RUNNING, name="c0", restarts=2)
    seen = PodObservation(phase="Running", ready=True, containers=(status,))
    assert podstates.shown(held(seen), view(1), NOW).restarts == "2"
