"""Kill −9 at many moments: nothing answered is lost, nothing happens twice (safety),
and the rollout ends all the same (liveness).

Real processes: control, the broker (also with its JetStream folder wiped in between),
the store on disk (a PostgreSQL server is crashed too), hollow kubelets. The supervisor
starts again what was killed.
"""

import asyncio
import contextlib
import os
import random
import shutil
import signal
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import rollbook
from domain import catalogue, command, pod
from domain.events import Recorded
from domain.protocol import Answer
from projections.cluster import Cluster
from tests.support import postgres, stores
from tests.support.system import System, running

MOMENTS = 34
SEED = 20_261_123
REPLICAS = 12
IMAGES = ("nginx:1.7.9", "nginx:1.9.1", "nginx:1.16.1")

MANIFEST: dict[str, object] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web"},
    "spec": {
        "replicas": REPLICAS,
        "selector": {"matchLabels": {"app": "web"}},
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "nginx", "image": IMAGES[0]}]},
        },
    },
}


@contextlib.asynccontextmanager
async def _client(system: System) -> AsyncIterator["rollbook.Cluster"]:
    async with rollbook.connect(str(system.context), seconds=60.0) as cluster:
        yield cluster


def _kill_broker(system: System, *, wipe: bool) -> None:
    """The supervisor is held still meanwhile, or it would be faster than the wiping."""
    supervisor = system.pid("up")
    os.kill(supervisor, signal.SIGSTOP)
    try:
        system.kill("nats")
        if wipe:
            shutil.rmtree(system.folder / "nats" / "jetstream", ignore_errors=True)
    finally:
        os.kill(supervisor, signal.SIGCONT)


async def _one_moment(
    system: System, cluster: "rollbook.Cluster", dice: random.Random, number: int
) -> Answer:
    """A command and a crash, so close that the crash may come at any point of it."""
    image = IMAGES[(number + 1) % len(IMAGES)]
    asked = asyncio.create_task(
        cluster.set_image(
            "deployment/web", {"nginx": image}, command_id=f"kill-{number}"
        )
    )
    await asyncio.sleep(dice.choice((0.0, 0.002, 0.005, 0.01, 0.03, 0.1, 0.3)))
    match number % 4:
        case 1:
            await asyncio.to_thread(_kill_broker, system, wipe=False)
        case 3:
            await asyncio.to_thread(_kill_broker, system, wipe=True)
        case 2 if system.store.startswith("postgresql"):
            await asyncio.to_thread(postgres.crash, system.store)
        case _:
            await asyncio.to_thread(system.kill, "control")
    return await asked


async def _crash_through(system: System, moments: int) -> dict[str, Answer]:
    dice = random.Random(SEED)
    answers: dict[str, Answer] = {}
    async with _client(system) as cluster:
        created = await cluster.create(MANIFEST, command_id="create-web")
        answers[created.id] = created
        for number in range(moments):
            answer = await _one_moment(system, cluster, dice, number)
            answers[answer.id] = answer
        await _wait_complete(cluster)
    return answers


async def _wait_complete(cluster: "rollbook.Cluster") -> None:
    async with asyncio.timeout(90):
        while True:
            found = await cluster.get("deployment/web")
            status = found["status"]
            assert isinstance(status, dict)
            counts = [
                status.get(key)
                for key in ("replicas", "updatedReplicas", "availableReplicas")
            ]
            if counts == [REPLICAS] * 3:
                return
            await asyncio.sleep(0.2)


def _check_log(system: System, answers: dict[str, Answer]) -> None:
    log = system.events()
    assert [event.position for event in log] == list(range(1, len(log) + 1))
    told: dict[str, list[Answer]] = {}
    pods: Counter[tuple[str, str]] = Counter()
    cluster = Cluster()
    for event in log:
        fact = event.event
        if isinstance(fact, command.CommandAccepted | command.CommandRejected):
            told.setdefault(fact.answer.id, []).append(fact.answer)
        if isinstance(fact, pod.PodCreated | pod.PodScheduled):
            pods[(event.stream, type(fact).__name__)] += 1
        assert catalogue.decode(*_row(event)) == event
        cluster.fold(event)
    cluster.settle()

    for name, answer in answers.items():
        assert told.get(name) == [answer], f"{name} is in the log once, as answered"
    assert max(pods.values()) == 1, "no pod is created or placed twice"
    assert cluster.desired.set_aside == cluster.actual.set_aside == 0
    running_pods = [held for held in cluster.actual.pods.values() if held.active]
    assert len(running_pods) == REPLICAS, "as many pods as wanted, not one more"


def _row(event: Recorded) -> tuple[int, str, int, str, bytes]:
    topic = event.event.TOPIC
    state = catalogue.encode(event)
    return event.position, event.stream, event.version, topic, state


@pytest.mark.e2e
@pytest.mark.asyncio
@stores.both
async def test_nothing_answered_is_lost_however_often_it_crashes(
    tmp_path: Path, store_kind: str
) -> None:
    """Safety S1 to S3, S8 and liveness L1, L2, at 34 moments."""
    options = ("--runtime", "hollow", "--nodes", "4")
    with (
        stores.opened(store_kind) as store,
        running(tmp_path / "c", *options, store=store) as system,
    ):
        answers = await _crash_through(system, MOMENTS)
        await asyncio.to_thread(_check_log, system, answers)

    assert len(answers) == MOMENTS + 1
