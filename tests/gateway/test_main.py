"""The readers' process over a real broker and a real store."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from adapters import eventstore, nats_wire
from adapters.eventlog import EventLog
from domain.errors import Permanent
from gateway import main
from tests.support import nats as support
from tests.support.cluster import SimCluster, manifest
from tests.support.nats import WAIT_SECONDS, Broker

NEVER = 3_600.0
"""A poll that does not happen while a test runs: what comes, comes by being woken."""


def settings(
    broker: Broker, store: str, poll_seconds: float = NEVER
) -> main.ApiSettings:
    """A reader of that store, logged in as `api`."""
    return main.ApiSettings(
        nats_url=broker.server.url,
        user="api",
        secret=broker.server.credential("api").secret,
        store_url=store,
        poll_seconds=poll_seconds,
    )


def append(log: EventLog, sim: SimCluster) -> None:
    """Afterwards everything that the simulation has committed is in the log."""
    last = log.last_position()
    log.append(sim.log[last:])


@contextlib.asynccontextmanager
async def serving(
    asked: main.ApiSettings,
) -> AsyncIterator[tuple[asyncio.Event, asyncio.Task[None]]]:
    """The process, running; it is ready when the event is set, and always stopped."""
    stop, ready = asyncio.Event(), asyncio.Event()
    running = asyncio.create_task(main.run(asked, stop=stop, ready=ready.set))
    try:
        yield ready, running
    finally:
        stop.set()
        async with asyncio.timeout(WAIT_SECONDS):
            await running


async def until(ready: asyncio.Event) -> None:
    """Waits, with a guard against hanging."""
    async with asyncio.timeout(WAIT_SECONDS):
        await ready.wait()


async def ask(user: nats_wire.Client, verb: str, question: object) -> dict[str, object]:
    """One question of a user, over the wire."""
    reply = await user.request(
        nats_wire.query_subject(verb),
        msgspec.json.encode(question),
        timeout=WAIT_SECONDS,
    )
    return msgspec.json.decode(reply.data, type=dict[str, object])


def small_story() -> SimCluster:
    """A Deployment that runs."""
    sim = SimCluster(nodes=1)
    sim.ask("deployment", "web", "create", {"manifest": manifest(replicas=1)})
    sim.settle()
    return sim


@pytest.mark.asyncio
async def test_a_user_asks_over_the_wire_and_reads_what_was_just_written(
    tmp_path: Path,
) -> None:
    """Every verb is served, to any user, by the permissions of `api` alone; the
    writer's word on `rollbook.committed` is what wakes the reader."""
    sim = small_story()
    store = f"sqlite://{tmp_path}/log.db"
    log = eventstore.open_log(store)
    append(log, sim)
    async with support.broker(tmp_path) as broker:
        user, control = await broker.connect("bob"), await broker.connect("control")
        async with serving(settings(broker, store)) as (ready, _):
            await until(ready)
            found = await ask(user, "get", {"kind": "deployment"})
            assert found["position"] == len(sim.log)
            named = {"namespace": "default", "name": "web"}
            described = await ask(user, "describe", {"kind": "deployment", **named})
            assert str(described["text"]).startswith("Name: ")
            assert (await ask(user, "history", named))["revisions"]
            assert (await ask(user, "command", {"id": "command-1"}))["answer"]
            assert (await ask(user, "log", {"limit": 1}))["events"]
            sim.ask("deployment", "web", "scale", {"replicas": 2})
            append(log, sim)
            await control.publish(nats_wire.COMMITTED, b'{"position": 99}')
            async with asyncio.timeout(WAIT_SECONDS):
                while (await ask(user, "status", {}))["position"] != len(sim.log):  # noqa: ASYNC110  # nothing else to wait for
                    await asyncio.sleep(0.01)
            rows = (await ask(user, "get", {"kind": "deployment"}))["rows"]
            assert isinstance(rows, list)
            assert rows[0]["cells"][1] == "2"
            status = await ask(user, "status", {})
            heard = status["controlHeardAt"]
            assert isinstance(heard, float)
            assert heard > 0
    log.close()


@pytest.mark.asyncio
async def test_it_is_a_service_that_tools_find(tmp_path: Path) -> None:
    """`nats micro ls` and `nats micro info` know it and every endpoint."""
    store = f"sqlite://{tmp_path}/log.db"
    eventstore.open_log(store).close()
    async with support.broker(tmp_path) as broker:
        user = await broker.connect("admin")
        async with serving(settings(broker, store)) as (ready, _):
            await until(ready)
            reply = await user.request("$SRV.INFO.rollbook", b"", timeout=WAIT_SECONDS)
            info = msgspec.json.decode(reply.data)
            assert info["name"] == "rollbook"
            assert {each["subject"] for each in info["endpoints"]} >= {
                f"rollbook.query.{verb}"
                for verb in (
                    "get",
                    "describe",
                    "history",
                    "command",
                    "log",
                    "why",
                    "diff",
                    "status",
                )
            }


@pytest.mark.asyncio
async def test_a_bad_question_over_the_wire_ends_nothing(tmp_path: Path) -> None:
    """An answer with an error; the next question is answered as ever. Several that
    wait hold up no other."""
    store = f"sqlite://{tmp_path}/log.db"
    log = eventstore.open_log(store)
    append(log, small_story())
    async with support.broker(tmp_path) as broker:
        user = await broker.connect("bob")
        asked = msgspec.structs.replace(settings(broker, store), wait_seconds=NEVER)
        async with serving(asked) as (ready, _):
            await until(ready)
            error = (await ask(user, "get", {"kind": "potato"}))["error"]
            assert isinstance(error, dict)
            assert error["reason"] == "BadRequest"
            waiting = [
                asyncio.create_task(ask(user, "get", {"kind": "pod", "waitFor": 10**9}))
                for _ in range(20)
            ]
            await user.flush()
            assert (await ask(user, "get", {"kind": "pod"}))["position"]
            assert not any(task.done() for task in waiting)
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
    log.close()


@pytest.mark.asyncio
async def test_a_log_that_does_not_exist_yet_is_waited_for(tmp_path: Path) -> None:
    """The order in which processes start does not matter."""
    store = f"sqlite://{tmp_path}/later.db"
    async with support.broker(tmp_path) as broker:
        user = await broker.connect("admin")
        async with serving(settings(broker, store)) as (ready, running):
            await asyncio.sleep(0.05)
            assert not ready.is_set()
            assert not running.done()
            log = eventstore.open_log(store)
            append(log, small_story())
            await until(ready)
            found = await ask(user, "get", {"kind": "pod"})
            assert len(found["rows"]) == 1  # type: ignore[arg-type]  # plain JSON
            log.close()


@pytest.mark.asyncio
async def test_a_restart_of_the_broker_is_ridden_out(tmp_path: Path) -> None:
    """The same process answers again, and has gone on folding meanwhile."""
    sim = small_story()
    store = f"sqlite://{tmp_path}/log.db"
    log = eventstore.open_log(store)
    append(log, sim)
    async with support.broker(tmp_path) as broker:
        user = await broker.connect("bob")
        async with serving(settings(broker, store, 0.05)) as (ready, running):
            await until(ready)
            await broker.server.restart()
            sim.ask("deployment", "web", "scale", {"replicas": 3})
            append(log, sim)
            await support.until_connected(user)
            found = await patiently(user, {"kind": "deployment"}, len(sim.log))
            assert found["position"] == len(sim.log)
            assert not running.done()
    log.close()


async def patiently(
    user: nats_wire.Client, question: dict[str, object], position: int
) -> dict[str, object]:
    """The answer for `position`, asked again while nobody serves it."""
    async with asyncio.timeout(WAIT_SECONDS):
        while True:
            try:
                data = msgspec.json.encode({**question, "waitFor": position})
                subject = nats_wire.query_subject("get")
                reply = await user.request(subject, data, timeout=1)
                return msgspec.json.decode(reply.data, type=dict[str, object])
            except Exception:  # no responders, no connection: what a client rides out
                await asyncio.sleep(0.05)


@pytest.mark.asyncio
async def test_a_login_that_is_refused_ends_it_with_a_sentence(tmp_path: Path) -> None:
    """What waiting cannot mend is said, and the process ends."""
    store = f"sqlite://{tmp_path}/log.db"
    eventstore.open_log(store).close()
    async with support.broker(tmp_path) as broker:
        wrong = msgspec.structs.replace(settings(broker, store), secret="wrong")
        assert "wrong" not in repr(wrong)
        with pytest.raises(Permanent, match="refuses the user 'api'"):
            await main.run(wrong, stop=asyncio.Event())


@pytest.mark.asyncio
async def test_a_login_that_is_taken_away_ends_it_too(tmp_path: Path) -> None:
    """A connection that the broker has ended for good is never waited for."""
    store = f"sqlite://{tmp_path}/log.db"
    eventstore.open_log(store).close()
    async with support.broker(tmp_path) as broker:
        ready = asyncio.Event()
        asked = settings(broker, store, 0.05)
        running = asyncio.create_task(
            main.run(asked, stop=asyncio.Event(), ready=ready.set)
        )
        await until(ready)
        text = broker.server.configuration.path.read_text()
        secret = broker.server.credential("api").secret
        broker.server.configuration.path.write_text(text.replace(secret, "another"))
        process = broker.server.pid
        assert process is not None
        os.kill(process, signal.SIGHUP)
        with pytest.raises(Permanent, match="for good"):
            async with asyncio.timeout(WAIT_SECONDS):
                await running


@pytest.mark.asyncio
async def test_it_ends_when_it_is_told_to(tmp_path: Path) -> None:
    """TERM closes everything and is no failure."""
    store = f"sqlite://{tmp_path}/log.db"
    eventstore.open_log(store).close()
    async with support.broker(tmp_path) as broker:
        ready = asyncio.Event()
        asked = settings(broker, store)
        running = asyncio.create_task(main.run(asked, ready=ready.set))
        await until(ready)
        os.kill(os.getpid(), signal.SIGTERM)
        async with asyncio.timeout(WAIT_SECONDS):
            await running
