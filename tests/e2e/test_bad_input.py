"""Bad input of every kind, over the real wire: a clear answer, or refused and counted,
and the next good command works (safety S13; the last line of the fault table)."""

import asyncio
import contextlib
import copy
import json
from collections.abc import AsyncIterator, Iterator

import pytest

import rollbook
from adapters import context as contexts
from adapters import nats_wire
from domain import errors
from domain.protocol import PodStatus, Report
from rollbook.processes import role_context
from tests.domain import test_container_validation as containers
from tests.domain import test_validation as deployments
from tests.domain.manifests_for_tests import NGINX, changed
from tests.e2e.test_crashes import MANIFEST
from tests.support import stores
from tests.support.system import System, running

import msgspec  # isort: skip


@pytest.fixture(scope="module", params=[stores.SQLITE, stores.POSTGRESQL])
def system(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[System]:
    """One cluster of two hollow nodes for the whole file: bad input must not end it."""
    folder = tmp_path_factory.mktemp("bad") / "c"
    options = ("--runtime", "hollow", "--nodes", "2")
    with (
        stores.opened(request.param) as store,
        running(folder, *options, store=store) as found,
    ):
        yield found


@contextlib.asynccontextmanager
async def _as(system: System, login: str) -> AsyncIterator[nats_wire.Client]:
    path = system.context if login == "admin" else role_context(system.folder, login)
    found = contexts.load_context(str(path), {})
    client = await nats_wire.connect(found.nats_url, login, found.secret, "test")
    try:
        yield client
    finally:
        await nats_wire.close(client)


async def _good_command_works(system: System) -> None:
    async with rollbook.connect(str(system.context)) as cluster:
        manifest = copy.deepcopy(MANIFEST)
        manifest["metadata"] = {"name": "still-good"}
        await cluster.apply(manifest)
        scaled = await cluster.scale("deployment/still-good", replicas=0)
        assert scaled.result in ("accepted", "unchanged")
        await cluster.delete("deployment/still-good")


async def _send(
    client: nats_wire.Client, subject: str, data: bytes, command_id: str
) -> dict[str, object]:
    inbox = client.new_inbox()
    answers = await client.subscribe(inbox)
    headers = {"Nats-Msg-Id": command_id, "Rollbook-Reply": inbox}
    await client.publish(subject, data, headers=headers)
    answer = await answers.next_msg(90)
    await answers.unsubscribe()
    found = json.loads(answer.data)
    assert isinstance(found, dict)
    return found


BODIES = {
    "not-json": b"{",
    "no-object": b"[]",
    "empty": b"",
    "no-id": b'{"body":{}}',
    "wrong-types": b'{"id":1,"body":{}}',
    "binary": bytes(range(256)),
    "another-id": b'{"id":"something-else","body":{"replicas":1}}',
}


@pytest.mark.e2e
@pytest.mark.asyncio
@pytest.mark.parametrize("name", sorted(BODIES))
async def test_a_command_that_cannot_be_read_is_answered(
    system: System, name: str
) -> None:
    """It gets BadRequest with what is wrong, whatever bytes it is made of."""
    async with _as(system, "admin") as client:
        subject = nats_wire.command_subject(
            "admin", "default", "deployment", "x", "scale"
        )
        answer = await _send(client, subject, BODIES[name], f"bad-{name}")

    assert answer["result"] == "rejected"
    assert answer["reason"] == "BadRequest"
    assert answer["message"]
    await _good_command_works(system)


VERBS = (
    ("deployment", "explode", "MethodNotAllowed", 'unknown verb "explode"'),
    ("pod", "scale", "MethodNotAllowed", 'unknown verb "scale"'),
    ("dragon", "create", "MethodNotAllowed", 'no kind "dragon"'),
    ("deployment", "scale", "BadRequest", "replicas"),
    ("deployment", "undo", "NotFound", 'deployments.apps "x" not found'),
)


@pytest.mark.e2e
@pytest.mark.asyncio
@pytest.mark.parametrize(("kind", "verb", "reason", "text"), VERBS)
async def test_an_unknown_verb_or_a_bad_body_is_answered(
    system: System, kind: str, verb: str, reason: str, text: str
) -> None:
    """The answer names the reason in Kubernetes' words and says what is known."""
    async with _as(system, "admin") as client:
        subject = nats_wire.command_subject("admin", "default", kind, "x", verb)
        data = json.dumps({"id": f"v-{kind}-{verb}", "body": {}}).encode()
        answer = await _send(client, subject, data, f"v-{kind}-{verb}")

    assert (answer["result"], answer["reason"]) == ("rejected", reason)
    assert text in str(answer["message"])
    await _good_command_works(system)


@pytest.mark.e2e
@pytest.mark.asyncio
async def test_nobody_acts_for_another(system: System) -> None:
    """The broker refuses a user on another's subject, a node on another node's, and
    each of them where only control speaks."""
    counted = nats_wire.Counters()
    attempts = {
        "admin": ("rollbook.cmd.root.default.deployment.x.delete", "rollbook.report.a"),
        "node-hollow-0": ("rollbook.report.hollow-1", "rollbook.cmd.admin.a.b.c.d"),
        "api": ("rollbook.assign.hollow-0", "rollbook.cmd.admin.a.b.c.d"),
    }
    for login, subjects in attempts.items():
        path = system.context
        if login != "admin":
            path = role_context(system.folder, login)
        found = contexts.load_context(str(path), {})
        client = await nats_wire.connect(
            found.nats_url, login, found.secret, "test", counters=counted
        )
        for subject in subjects:
            await client.publish(subject, b"{}")
        await client.flush()
        await nats_wire.close(client)

    assert counted.refusals == 6, "each attempt was refused by the broker"
    await _good_command_works(system)


@pytest.mark.e2e
@pytest.mark.asyncio
async def test_a_node_speaks_for_its_own_pods_only(system: System) -> None:
    """A report of another node's pod, of another incarnation, or that cannot be read,
    changes nothing and is counted."""
    async with rollbook.connect(str(system.context)) as cluster:
        manifest = copy.deepcopy(MANIFEST)
        manifest["metadata"] = {"name": "victim"}
        await cluster.apply(manifest)
        await _until_ready(cluster, "victim")
        pods = await cluster.list("pods")
        other = next(pod for pod in pods if _at(pod, "spec", "nodeName") == "hollow-1")
        before = await cluster.status()
        async with _as(system, "node-hollow-0") as client:
            for data in _false_reports(other):
                await client.publish("rollbook.report.hollow-0", data)
            await client.flush()

        await _until_counted(cluster, before.counters)
        after = await cluster.get(f"pod/{_at(other, 'metadata', 'name')}")

        assert _at(after, "status", "phase") == "Running"
        await cluster.delete("deployment/victim")
    await _good_command_works(system)


def _false_reports(other: dict[str, object]) -> list[bytes]:
    status = PodStatus(
        namespace="default",
        name=str(_at(other, "metadata", "name")),
        uid=str(_at(other, "metadata", "uid")),
        phase="Failed",
    )
    incarnation = 1
    return [
        msgspec.json.encode(
            Report(incarnation=incarnation, sequence=10**9, pods=(status,))
        ),
        msgspec.json.encode(Report(incarnation=77, sequence=1, pods=(status,))),
        b"not json",
        b'{"incarnation":1}',
        b'{"incarnation":1,"sequence":-5,"pods":[{"name":1}]}',
    ]


async def _until_counted(cluster: "rollbook.Cluster", before: dict[str, int]) -> None:
    wanted = {
        "reports_of_strange_pods": 1,
        "reports_of_another_incarnation": 1,
        "reports_unreadable": 3,
    }
    async with asyncio.timeout(90):
        while True:
            now = (await cluster.status()).counters
            grown = {key: now.get(key, 0) - before.get(key, 0) for key in wanted}
            if all(grown[key] >= number for key, number in wanted.items()):
                return
            await asyncio.sleep(0.2)


async def _until_ready(cluster: "rollbook.Cluster", name: str) -> None:
    async with asyncio.timeout(90):
        while True:
            found = await cluster.get(f"deployment/{name}")
            if _at(found, "status", "readyReplicas"):
                return
            await asyncio.sleep(0.1)


def _at(value: object, *path: str) -> object:
    for key in path:
        assert isinstance(value, dict)
        value = value.get(key)
    return value


@pytest.mark.e2e
@pytest.mark.asyncio
async def test_a_message_that_is_too_large_is_refused(system: System) -> None:
    """The client says how large it may be; the cluster does not notice."""
    manifest = copy.deepcopy(MANIFEST)
    manifest["metadata"] = {"name": "large", "annotations": {"a": "x" * 2_000_000}}
    async with rollbook.connect(str(system.context)) as cluster:
        with pytest.raises(errors.Rejected) as refused:
            await cluster.apply(manifest)

    assert refused.value.reason in ("RequestEntityTooLarge", "Invalid")
    await _good_command_works(system)


@pytest.mark.e2e
@pytest.mark.asyncio
async def test_every_kind_of_invalid_manifest_is_refused_with_its_text(
    system: System,
) -> None:
    """At least 40 kinds, each with Kubernetes' text (spec 1.3 to 1.7)."""
    invalid = [(rule, changes, told) for rule, changes, told in deployments.INVALID]
    invalid += [
        (rule, containers.paths(changes), told)
        for rule, changes, told in containers.INVALID
    ]
    assert len(invalid) >= 40
    async with _as(system, "admin") as client:
        subject = nats_wire.command_subject(
            "admin", "default", "deployment", "nginx-deployment", "create"
        )
        for number, (rule, changes, expected) in enumerate(invalid):
            manifest = changed(NGINX, **changes)
            command_id = f"invalid-{number}"
            data = msgspec.json.encode(
                {"id": command_id, "body": {"manifest": manifest}}
            )
            answer = await _send(client, subject, data, command_id)

            assert answer["result"] == "rejected", rule
            assert answer["reason"] == "Invalid", rule
            texts = str(answer["message"])
            assert all(text in texts for text in expected), rule
    await _good_command_works(system)


QUERIES = (b"", b"{", b"[]", b'{"kind":"dragon"}', b'{"kind":"pod","selector":"a in"}')


@pytest.mark.e2e
@pytest.mark.asyncio
@pytest.mark.parametrize("data", QUERIES)
async def test_a_question_that_cannot_be_read_is_answered(
    system: System, data: bytes
) -> None:
    """The readers' side answers with what is wrong, and goes on."""
    async with _as(system, "admin") as client:
        answer = await client.request("rollbook.query.get", data, timeout=60)

    error = json.loads(answer.data)["error"]
    assert error["reason"] == "BadRequest"
    assert error["message"]
    await _good_command_works(system)
