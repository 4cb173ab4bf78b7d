"""What the broker carries to the step: measurements, metrics (workers/hearing.py)."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from adapters import cancelling, nats_wire
from adapters.memory_log import MemoryLog, MemoryStore
from domain import analysis_run, catalogue, deployment, protocol
from domain.events import Recorded
from tests.support import nats
from tests.support.cluster import manifest
from workers.control import Control, ControlSettings

NAME = "web.of.dots"
CHECK = "- {name: errors, prometheus: q, max: 0.05, interval: 1s, count: 2}"


class Writer:
    """A control of its own over a log in memory."""

    def __init__(self, control: Control, store: MemoryStore) -> None:
        self.control = control
        self.store = store

    def events(self) -> list[Recorded]:
        """What is in the log."""
        return [catalogue.decode(*row) for row in self.store.rows]

    async def until(self, kind: type, count: int = 1) -> list[Recorded]:
        """Waits until so many events of the kind are in the log."""
        async with asyncio.timeout(nats.WAIT_SECONDS):
            while True:
                found = [e for e in self.events() if isinstance(e.event, kind)]
                if len(found) >= count:
                    return found
                await asyncio.sleep(0.01)

    async def counted(self, name: str) -> None:
        """Waits until control has counted it."""
        async with asyncio.timeout(nats.WAIT_SECONDS):
            while not self.control._state.counters[name]:  # noqa: ASYNC110  # a counter
                await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def running(broker: nats.Broker) -> AsyncIterator[Writer]:
    """A control on this broker, ready."""
    store, server = MemoryStore(), broker.server
    settings = ControlSettings(
        nats_url=server.url,
        user="control",
        secret=server.credential("control").secret,
        store_url="",
    )
    control = Control(settings, MemoryLog(store))
    stop, ready = asyncio.Event(), asyncio.Event()
    task = asyncio.create_task(control.run(stop, ready.set))
    try:
        async with asyncio.timeout(nats.WAIT_SECONDS):
            await ready.wait()
        yield Writer(control, store)
    finally:
        stop.set()
        await cancelling.end(task)


async def declared(broker: nats.Broker, writer: Writer) -> str:
    """A Deployment whose first revision is measured; its uid."""
    wish: Any = manifest(NAME, replicas=1)
    wish["metadata"]["annotations"] = {"rollbook/analysis": CHECK}
    sent = protocol.CommandMessage(
        id="c1", body=msgspec.Raw(msgspec.json.encode({"manifest": wish}))
    )
    admin = await broker.connect("admin")
    await admin.jetstream().publish(
        nats_wire.command_subject("admin", "default", "deployment", NAME, "create"),
        msgspec.json.encode(sent),
        headers={"Nats-Msg-Id": "c1"},
    )
    (created,) = await writer.until(deployment.DeploymentCreated)
    await writer.until(deployment.RevisionStarted)
    assert isinstance(created.event, deployment.DeploymentCreated)
    return created.event.uid


def said(uid: str, value: float, number: int = 1) -> bytes:
    """A measurement of the first round."""
    return msgspec.json.encode(
        protocol.Measurement(
            uid=uid, revision=1, round=1, check="errors", number=number, value=value
        )
    )


@pytest.mark.asyncio
async def test_a_measurement_of_the_monitor_becomes_an_event(tmp_path: Path) -> None:
    """Published by the login `monitor` on the Deployment's subject, dots and all, it is
    an event of that Deployment, once, however often it comes; what is not wanted, and
    what nobody can read, is counted."""
    async with nats.broker(tmp_path) as broker, running(broker) as writer:
        uid = await declared(broker, writer)
        monitor = await broker.connect("monitor")
        subject = nats_wire.measurement_subject("default", NAME)

        for data in (b"{", said(uid, 0.02), said(uid, 0.02), said("other", 0.9)):
            await monitor.publish(subject, data)
        (taken,) = await writer.until(analysis_run.MeasurementTaken)
        await writer.counted("measurements_unreadable")
        await writer.counted("measurements_not_wanted")

    assert taken.stream == f"deployment/default/{NAME}"
    assert taken.actor == "monitor"
    assert isinstance(taken.event, analysis_run.MeasurementTaken)
    assert (taken.event.value, taken.event.passed) == (0.02, True)
    found = [e for e in writer.events() if isinstance(e.event, type(taken.event))]
    assert found == [taken]


@pytest.mark.asyncio
async def test_only_the_monitor_may_say_what_it_measured(tmp_path: Path) -> None:
    """The broker refuses the words of a user and of a node: what they say before the
    monitor says something else is never heard."""
    async with nats.broker(tmp_path) as broker, running(broker) as writer:
        uid = await declared(broker, writer)
        subject = nats_wire.measurement_subject("default", NAME)
        for login in ("bob", "node-worker-1", "api"):
            client = await broker.connect(login)
            await client.publish(subject, said(uid, 0.9))
            await client.flush()
        monitor = await broker.connect("monitor")
        await monitor.publish(subject, said(uid, 0.01))
        (taken,) = await writer.until(analysis_run.MeasurementTaken)

    assert isinstance(taken.event, analysis_run.MeasurementTaken)
    assert taken.event.value == 0.01


@pytest.mark.asyncio
async def test_a_metric_is_heard_from_users_and_from_the_monitor(
    tmp_path: Path,
) -> None:
    """Each on a subject of its own name; one that cannot be read is counted."""
    async with nats.broker(tmp_path) as broker, running(broker) as writer:
        for login in ("admin", "monitor"):
            client = await broker.connect(login)
            subject = nats_wire.metric_subject(login, "default", "queue")
            value = {"value": 1, "labels": {"of": login}}
            await client.publish(subject, msgspec.json.encode(value))
            await client.publish(subject, b"{")
            await client.flush()
        async with asyncio.timeout(nats.WAIT_SECONDS):
            while writer.control._state.counters["metrics_refused"] < 2:  # noqa: ASYNC110  # a counter
                await asyncio.sleep(0.01)
        assert len(writer.control._state.metrics) == 2
