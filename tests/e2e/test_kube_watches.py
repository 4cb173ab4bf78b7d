"""Watches keep etcd's promises: hundreds at once, each compared with the log itself.

What each of them must see is computed here from the events alone, without a line of
what serves it. `KUBE_WATCHES=1000` opens as many; in CI it is 200.
"""

import asyncio
import collections
import json
import os
import random
import re
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from typing import Final, NamedTuple

import aiohttp
import msgspec
import psutil
import pytest

from domain import deployment, plain, pod, replicaset
from domain.events import Recorded
from tests.support import kubeapi, system
from tests.support.kubeapi import Api
from tests.support.system import System

pytestmark = pytest.mark.e2e

WATCHES: Final = int(os.environ.get("KUBE_WATCHES", "200"))
DEPLOYMENTS: Final = 6
CONFIGMAPS: Final = 20
AT_ONCE: Final = 40
"""So many watches are opened at the same time."""
TABLE: Final = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
INITIAL_END: Final = "k8s.io/initial-events-end"
_APPS: Final = "/apis/apps/v1/namespaces/default"
PATHS: Final = {
    "deployment": f"{_APPS}/deployments",
    "replicaset": f"{_APPS}/replicasets",
    "pod": "/api/v1/namespaces/default/pods",
    "configmap": "/api/v1/namespaces/default/configmaps",
}
_BORN: Final = (
    pod.PodCreated
    | replicaset.ReplicaSetCreated
    | deployment.DeploymentCreated
    | plain.ObjectCreated
)
_ENDED: Final = (
    pod.PodRemoved
    | replicaset.ReplicaSetDeleted
    | deployment.DeploymentDeleted
    | plain.ObjectDeleted
)


class Seen(NamedTuple):
    """An event of a watch."""

    version: int
    type: str
    name: str


class _Metadata(msgspec.Struct):
    name: str = ""
    resourceVersion: str = ""  # noqa: N815  # as it is called on the wire
    annotations: dict[str, str] = {}


class _Held(msgspec.Struct):
    metadata: _Metadata


class _Row(msgspec.Struct):
    object: _Held


class _Object(msgspec.Struct):
    metadata: _Metadata = msgspec.field(default_factory=_Metadata)
    rows: list[_Row] = []


class _Line(msgspec.Struct):
    type: str
    object: _Object


_LINE: Final = msgspec.json.Decoder(_Line)


# --- what must be seen ----------------------------------------------------------------


def expected(log: Iterable[Recorded], own: str, after: int) -> list[Seen]:
    """What a watch of one kind must see of the log behind `after`, in order.

    Of each object that a step has touched its state at the end: once, at the position
    of the last event that has touched it. What came and went within a step is not seen.
    """
    found: list[Seen] = []
    alive: set[str] = set()
    owners: dict[str, str] = {}
    for step in _steps(log):
        before = set(alive)
        touched: dict[str, int] = {}
        gone: dict[str, int] = {}
        for recorded in step:
            for key in _touches(recorded, owners):
                touched[key] = recorded.position
            if isinstance(recorded.event, _BORN):
                alive.add(recorded.stream)
            elif isinstance(recorded.event, _ENDED):
                alive.discard(recorded.stream)
                gone.setdefault(recorded.stream, recorded.position)
        told = []
        for key, position in touched.items():
            kind, _, name = key.split("/")
            if kind != own:
                continue
            was = key in before
            if key in gone and was:
                told.append(Seen(gone[key], "DELETED", name))
                was = False
            if key in alive:
                told.append(Seen(position, "MODIFIED" if was else "ADDED", name))
        found += sorted(told)
    return [each for each in found if each.version > after]


def _steps(log: Iterable[Recorded]) -> Iterator[list[Recorded]]:
    """Events of one step have one time."""
    step: list[Recorded] = []
    for recorded in log:
        if step and step[0].timestamp != recorded.timestamp:
            yield step
            step = []
        step.append(recorded)
    if step:
        yield step


def _touches(recorded: Recorded, owners: dict[str, str]) -> Iterator[str]:
    """The objects that the event shows in: pods show in the status of their owners."""
    event, key = recorded.event, recorded.stream
    if isinstance(event, pod.PodCreated | replicaset.ReplicaSetCreated):
        owners[key] = event.owner
    if key.count("/") != 2:
        return
    yield key
    if isinstance(event, deployment.DeploymentDeletionRequested):
        yield from (each for each, owner in owners.items() if owner == key)
    while key := owners.get(key, ""):
        yield key


# --- those who watch ------------------------------------------------------------------


class Watcher:
    """One client: it goes on from the last version that it has seen."""

    def __init__(self, number: int, version: int) -> None:
        self.own = list(PATHS)[number % len(PATHS)]
        self.seen: list[Seen] = []
        self.chunks: list[list[int]] = []
        """The versions that came in one piece, while it was never broken off."""
        self.begun_at = version
        """Everything behind this position must be seen."""
        self.open = asyncio.Event()
        self.resumed = 0
        style = number // len(PATHS)
        self.breaks = style % 3 == 1
        self.initial = style % 5 == 2
        self.tabular = style % 7 == 3
        self.prefix = f"w{number % DEPLOYMENTS}" if style % 4 == 3 else ""
        """Only what belongs to this Deployment, by its label."""
        if self.own == "configmap":
            self.prefix = ""
        self._version = 0 if self.initial else version
        self._dice = random.Random(number)

    def expects(self, told: Sequence[Seen]) -> list[Seen]:
        """Its share of what happened to its kind, from where it has begun."""
        return [
            each
            for each in told
            if each.version > self.begun_at
            and (not self.prefix or re.match(rf"{self.prefix}(-|$)", each.name))
        ]

    async def follow(self, session: aiohttp.ClientSession, api: Api) -> None:
        """Watches for ever."""
        while True:
            try:
                await self._once(session, api)
            except aiohttp.ClientError:
                await asyncio.sleep(0.1)
            self.resumed += 1

    async def _once(self, session: aiohttp.ClientSession, api: Api) -> None:
        params = {"watch": "1", "allowWatchBookmarks": "true"}
        if self._version:
            params["resourceVersion"] = str(self._version)
        else:
            params |= {
                "sendInitialEvents": "true",
                "resourceVersionMatch": "NotOlderThan",
            }
        if self.prefix:
            params["labelSelector"] = f"app={self.prefix}"
        if self.breaks:
            params["timeoutSeconds"] = str(self._dice.randint(1, 4))
        left = self._dice.randint(1, 25) if self.breaks else -1
        accept = TABLE if self.tabular else kubeapi.JSON
        async with session.get(
            api.url + PATHS[self.own],
            params=params,
            headers={**api.headers, "Accept": accept},
        ) as answer:
            if answer.status == 429:
                await asyncio.sleep(0.5)
                return
            assert answer.status == 200, await answer.text()
            if self._version:
                self.open.set()
            async for lines in _pieces(answer):
                self.chunks.append([])
                for line in lines:
                    self._told(_LINE.decode(line))
                    left -= 1
                    if not left and self._version:
                        answer.close()  # in the middle of a step, if it comes so
                        return

    def _told(self, line: _Line) -> None:
        assert line.type in ("ADDED", "MODIFIED", "DELETED", "BOOKMARK"), line
        rows = line.object.rows
        about = rows[0].object.metadata if rows else line.object.metadata
        version = int(about.resourceVersion)
        if line.type == "BOOKMARK":
            if about.annotations.get(INITIAL_END) and not self._version:
                self.begun_at = version
                self.open.set()
            elif not self._version:
                return
            assert version >= self._version, "a bookmark never goes back"
            self._version = version
        elif self._version:
            self._version = version
            self.seen.append(Seen(version, line.type, about.name))
            self.chunks[-1].append(version)


async def _pieces(answer: aiohttp.ClientResponse) -> AsyncIterator[list[bytes]]:
    """The whole lines of each piece that the server has sent as one."""
    held = b""
    async for data, ended in answer.content.iter_chunks():
        held += data
        if ended and held.endswith(b"\n"):
            lines, held = held.splitlines(), b""
            yield lines


# --- those who write ------------------------------------------------------------------


async def _write(session: aiohttp.ClientSession, api: Api) -> None:
    """Deployments and ConfigMaps that live, change and go, all at the same time."""
    async with asyncio.TaskGroup() as group:
        for number in range(DEPLOYMENTS):
            group.create_task(_deploy(session, api, f"w{number}", number % 2 == 0))
        for number in range(CONFIGMAPS):
            group.create_task(_configure(session, api, f"c{number}", number % 3 == 0))


async def _deploy(
    session: aiohttp.ClientSession, api: Api, name: str, ends: bool
) -> None:
    at = f"{PATHS['deployment']}/{name}"
    await _ask(session, api, "POST", PATHS["deployment"], kubeapi.deployment(name, 3))
    await asyncio.sleep(0.3)
    await _ask(session, api, "PATCH", f"{at}/scale", {"spec": {"replicas": 6}})
    for tag in range(2, 5):
        containers = [{"name": "web", "image": f"nginx:{tag}"}]
        template = {"spec": {"template": {"spec": {"containers": containers}}}}
        await _ask(session, api, "PATCH", at, template)
        await asyncio.sleep(0.4)
    await _ask(session, api, "PATCH", f"{at}/scale", {"spec": {"replicas": 1}})
    if ends:
        await _ask(session, api, "DELETE", at)


async def _configure(
    session: aiohttp.ClientSession, api: Api, name: str, ends: bool
) -> None:
    made = kubeapi.configmap(name, step="0")
    at = f"{PATHS['configmap']}/{name}"
    await _ask(session, api, "POST", PATHS["configmap"], made)
    for step in range(1, 11):
        await _ask(session, api, "PATCH", at, {"data": {"step": str(step)}})
        await asyncio.sleep(0.1)
    if ends:
        await _ask(session, api, "DELETE", at)
        await _ask(session, api, "POST", PATHS["configmap"], made)


async def _ask(
    session: aiohttp.ClientSession,
    api: Api,
    method: str,
    path: str,
    body: object = None,
) -> None:
    patch = "application/strategic-merge-patch+json"
    headers = {
        **api.headers,
        "Content-Type": patch if method == "PATCH" else "application/json",
    }
    data = None if body is None else json.dumps(body)
    done: tuple[int, ...] = ()
    for _ in range(20):
        try:
            async with session.request(
                method, api.url + path, data=data, headers=headers
            ) as answer:
                if answer.status not in (429, 503):
                    said = answer.status < 300 or answer.status in done
                    assert said, await answer.text()
                    return
        except aiohttp.ServerDisconnectedError:
            # A client that gets no time asks too late on its new connection, and does
            # not know whether it was heard.
            done = (404, 409)
        await asyncio.sleep(0.2)
    raise AssertionError(f"{method} {path} is refused again and again")


# --- the comparison -------------------------------------------------------------------


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """Four hollow nodes."""
    kubeapi.raise_open_files(2 * WATCHES + 1_000)
    folder = tmp_path_factory.mktemp("watches")
    with system.running(folder / "c", "--runtime", "hollow", "--nodes", "4") as found:
        yield found


@pytest.mark.asyncio
@pytest.mark.timeout(600)
async def test_every_watch_sees_exactly_what_the_log_says(
    cluster: System, record_property: Callable[[str, object], None]
) -> None:
    """Ordered, each change once, none missing, a step in one piece; with watches that
    break and go on, that begin with what is there, that choose, and in tables."""
    api = Api(cluster.folder / "kubeconfig")
    process = psutil.Process(cluster.pid("api"))
    begin = int(
        api.ask("GET", PATHS["configmap"]).document["metadata"]["resourceVersion"]
    )
    before = _cost(process)
    watchers = [Watcher(number, begin) for number in range(WATCHES)]
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=60)
    connector = aiohttp.TCPConnector(limit=0, ssl=api.tls)
    async with (
        aiohttp.ClientSession(
            connector=connector, timeout=timeout, read_bufsize=2**20
        ) as session,
        asyncio.TaskGroup() as group,
    ):
        tasks = []
        for number, each in enumerate(watchers):
            tasks.append(group.create_task(each.follow(session, api)))
            if number % AT_ONCE == AT_ONCE - 1:
                await _opened(watchers[: number + 1])
        await _opened(watchers)
        waiting = _cost(process)
        begun = time.monotonic()
        await _write(session, api)
        told = await _settled(cluster, watchers)
        written = time.monotonic() - begun
        after = _cost(process)
        for task in tasks:
            task.cancel()
    _compare(watchers, told)
    _in_one_piece(watchers, cluster.events())
    record_property(
        "measured",
        f"{WATCHES} watches: api {before.megabytes:.0f} MB before, "
        f"{waiting.megabytes:.0f} MB with them, {after.megabytes:.0f} MB afterwards; "
        f"{sum(len(each.seen) for each in watchers):,} events told of "
        f"{sum(map(len, told.values())):,} changes in {written:.1f} s, "
        f"{after.seconds - waiting.seconds:.1f} s of the api's CPU; "
        f"{sum(each.resumed for each in watchers)} watches were taken up again; "
        f"load {os.getloadavg()[0]:.1f}",
    )


class _Cost(NamedTuple):
    megabytes: float
    seconds: float


def _cost(process: psutil.Process) -> _Cost:
    times = process.cpu_times()
    return _Cost(process.memory_info().rss / 1e6, times.user + times.system)


async def _opened(watchers: Sequence[Watcher]) -> None:
    async with asyncio.timeout(kubeapi.GUARD_SECONDS):
        for each in watchers:
            await each.open.wait()


async def _settled(
    cluster: System, watchers: Sequence[Watcher]
) -> dict[str, list[Seen]]:
    """What happened to each kind, once it has stopped and been told, or in any case."""
    told: dict[str, list[Seen]] = {}
    deadline = time.monotonic() + kubeapi.GUARD_SECONDS
    while time.monotonic() < deadline:
        await asyncio.sleep(1.0)
        log = await asyncio.to_thread(cluster.events)
        former, told = told, {own: expected(log, own, 0) for own in PATHS}
        if former == told and all(
            len(each.seen) >= len(each.expects(told[each.own])) for each in watchers
        ):
            break
    return told


def _compare(watchers: Sequence[Watcher], told: dict[str, list[Seen]]) -> None:
    for each in watchers:
        must = each.expects(told[each.own])
        assert must, "something happened to what it watches"
        lost = collections.Counter(must) - collections.Counter(each.seen)
        more = collections.Counter(each.seen) - collections.Counter(must)
        about = vars(each) | {"seen": len(each.seen), "chunks": len(each.chunks)}
        assert not lost, f"not seen: {sorted(lost)[:5]}\n{about}"
        assert not more, f"seen too often: {sorted(more)[:5]}\n{about}"
        assert each.seen == must, f"out of order\n{about}"


def _in_one_piece(watchers: Sequence[Watcher], log: Sequence[Recorded]) -> None:
    """No step is told in two pieces to who was never broken off."""
    step_of = {
        recorded.position: number
        for number, step in enumerate(_steps(log))
        for recorded in step
    }
    whole = [each for each in watchers if not each.resumed]
    assert whole, "some were never broken off"
    for each in whole:
        pieces = [{step_of[version] for version in piece} for piece in each.chunks]
        assert sum(map(len, pieces)) == len(set().union(*pieces)), each.own
    sizes = collections.Counter(len(piece) for each in whole for piece in each.chunks)
    assert max(sizes) > 1, "some step has changed several objects"
