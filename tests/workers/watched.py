"""What the tests of watched rollouts start from: policies, crashes, measurements."""

from typing import Any

import msgspec

from domain import analysis, analysis_run, deployment, protocol
from domain.events import Recorded
from domain.pod import Pod
from tests.support.cluster import SimCluster, manifest
from tests.workers.scenes import make, newest, owner, report, set_image
from workers.analysing import MeasurementInput

CHECK = "- {name: error-rate, prometheus: rate, max: 0.05, interval: 10s}"


def watched(
    sim: SimCluster,
    *,
    back: str = "",
    steps: str = "",
    checks: str = "",
    replicas: int = 10,
    **spec: Any,
) -> None:
    """A Deployment `web` of `app:1` with these annotations, its revision 1 complete."""
    raw: dict[str, Any] = manifest("web", "app:1", replicas=replicas, **spec)
    wanted = zip(analysis.ANNOTATIONS, (back, steps, checks), strict=True)
    raw["metadata"]["annotations"] = {name: text for name, text in wanted if text}
    raw["spec"]["selector"] = {"matchLabels": {"app": "web"}}
    raw["spec"]["template"]["metadata"]["labels"] = {"app": "web"}
    make(sim, raw)


def release(sim: SimCluster, image: str = "app:2") -> None:
    """Another image, rolled out as far as its pods and its steps let it."""
    set_image(sim, image)
    sim.settle()


def image(sim: SimCluster) -> str:
    """The image that the Deployment asks for."""
    return owner(sim).template.spec.containers[0].image


def sizes(sim: SimCluster) -> tuple[int, int]:
    """The size of the new ReplicaSet, and of the old ones together."""
    new = newest(sim)
    held = sim.cluster.desired.replicasets_of(owner(sim))
    return new.replicas, sum(each.replicas for each in held if each.uid != new.uid)


def crash(sim: SimCluster, held: Pod, restarts: int) -> None:
    """The pod's container has been started again so many times in all."""
    container = protocol.ContainerStatus(
        name="main", state="running", restarts=restarts
    )
    report(sim, held, phase="Running", containers=(container,))


def measure(
    sim: SimCluster,
    value: float | None = None,
    *,
    check: str = "error-rate",
    **said: Any,
) -> None:
    """The next measurement that is wanted, or one with something else in it."""
    held = owner(sim)
    tally = held.run.tallies.get(check)
    told = protocol.Measurement(
        **{
            "uid": held.uid,
            "revision": held.run.revision,
            "round": held.run.round,
            "check": check,
            "number": 1 + (tally.taken if tally else 0),
            "value": value,
            "error": "" if value is not None else "no answer",
            **said,
        }
    )
    give_raw(sim, msgspec.json.encode(told))


def give_raw(sim: SimCluster, data: bytes) -> None:
    """These bytes arrive as a measurement of the Deployment."""
    sim.step(MeasurementInput(namespace="default", deployment="web", data=data))


def measure_all(sim: SimCluster, *values: float | None, every: float = 10.0) -> None:
    """One measurement after the other, each when it is due."""
    for value in values:
        measure(sim, value)
        sim.run_for(every)


def rollbacks(sim: SimCluster) -> list[Recorded]:
    """Every rollback that there was."""
    return sim.of(deployment.DeploymentRolledBack)


def cause_of(recorded: Recorded) -> str:
    """Why, as the rollback says it."""
    assert isinstance(recorded.event, deployment.DeploymentRolledBack)
    return recorded.event.change_cause


def steps_reached(sim: SimCluster) -> list[tuple[int, str]]:
    """The steps that were reached, in order: number and text."""
    found = [each.event for each in sim.of(analysis_run.RolloutStepReached)]
    assert all(isinstance(each, analysis_run.RolloutStepReached) for each in found)
    return [(each.step, each.text) for each in found]  # type: ignore[attr-defined]  # asserted above
