"""The Python client against a real broker: commands, questions, the log, logs."""

import asyncio
import contextlib
import itertools
import json
import re
from collections.abc import Awaitable, Callable

import msgspec
import pytest

from adapters import exchange, nats_wire
from domain import errors, queries
from domain.protocol import Answer, CommandMessage
from rollbook import wakeups
from rollbook.client import Cluster
from tests.cli.service import GUARD_SECONDS, Service

pytestmark = pytest.mark.asyncio(loop_scope="module")


def row(position: int, stream: str = "deployment/default/nginx") -> queries.LogRow:
    """An event at a position."""
    return queries.LogRow(
        position=position,
        stream=stream,
        version=position,
        type="DeploymentScaled",
        at="2026-11-23T06:18:47.000000Z",
        actor="user/admin",
        cause=0,
        command="",
        event=msgspec.Raw(b"{}"),
    )


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is waited for as long as it is in production."""
    monkeypatch.setattr(exchange, "ANSWER_SECONDS", 0.3)
    monkeypatch.setattr(wakeups, "POLL_SECONDS", 0.1)


# --- commands


async def test_a_command_is_published_where_its_user_may(service: Service) -> None:
    """Subject, body, cause and source arrive; the answer is the server's."""
    async with service.connect() as cluster:
        answer = await cluster.scale(
            "deployment/nginx", 4, current_replicas=3, cause="more", source="a test"
        )

    subject, message = service.commands[0]
    assert subject == ("admin", "default", "deployment", "nginx", "scale")
    assert json.loads(bytes(message.body)) == {"replicas": 4, "currentReplicas": 3}
    assert (message.cause, message.source) == ("more", "a test")
    assert (answer.result, answer.position) == ("accepted", 7)


Act = Callable[[Cluster], Awaitable[Answer]]
VERBS: tuple[tuple[Act, str, str], ...] = (
    (lambda c: c.scale("deploy/a", 2), "deployment", "scale"),
    (lambda c: c.set_image("deploy/a", {"x": "y:2"}), "deployment", "set-image"),
    (lambda c: c.set_image("rs/a", {"x": "y:2"}), "replicaset", "set-image"),
    (lambda c: c.set_image("pod/a", {"x": "y:2"}), "pod", "set-image"),
    (lambda c: c.set_resources("deploy/a", limits={}), "deployment", "set-resources"),
    (lambda c: c.pause("deploy/a"), "deployment", "pause"),
    (lambda c: c.resume("deploy/a"), "deployment", "resume"),
    (lambda c: c.restart("deploy/a"), "deployment", "restart"),
    (lambda c: c.undo("deploy/a", to_revision=2), "deployment", "undo"),
    (lambda c: c.undo("deploy/a", to="b"), "deployment", "undo"),
    (lambda c: c.promote("deploy/a", full=True), "deployment", "promote"),
    (lambda c: c.abort("deploy/a"), "deployment", "abort"),
    (lambda c: c.tag("deploy/a", "b"), "deployment", "tag"),
    (lambda c: c.untag("deploy/a", "b"), "deployment", "tag"),
    (lambda c: c.delete("deploy/a", propagation="orphan"), "deployment", "delete"),
    (lambda c: c.scale("rs/a", 2), "replicaset", "scale"),
    (lambda c: c.delete("rs/a"), "replicaset", "delete"),
    (lambda c: c.delete("pod/a", grace=1), "pod", "delete"),
    (lambda c: c.evict("pod/a"), "pod", "evict"),
    (lambda c: c.label("pod/a", {"b": None}), "pod", "label"),
    (lambda c: c.annotate("deploy/a", {"b": "c"}), "deployment", "annotate"),
    (lambda c: c.cordon("node/a"), "node", "cordon"),
    (lambda c: c.uncordon("node/a"), "node", "uncordon"),
    (lambda c: c.taint("node/a", []), "node", "taint"),
    (lambda c: c.delete("node/a"), "node", "delete"),
)  # fmt: skip


async def test_every_verb_has_a_method_whose_body_is_its_struct(
    service: Service,
) -> None:
    """Each method sends what `domain.command.VERBS` decodes for its verb."""
    from domain import command
    from rollbook import references

    manifest = {
        "kind": "Deployment",
        "apiVersion": "apps/v1",
        "metadata": {"name": "a"},
    }
    async with service.connect() as cluster:
        for act, kind, verb in VERBS:
            await act(cluster)
            subject, message = service.commands[-1]
            assert (subject.kind, subject.verb) == (kind, verb)
            msgspec.json.decode(message.body, type=command.VERBS[kind, verb])
        for send in (cluster.create, cluster.apply, cluster.replace):
            await send(manifest)
        for send in (cluster.create, cluster.apply, cluster.replace):
            await send({**manifest, "kind": "ReplicaSet"})
        for send in (cluster.create, cluster.apply, cluster.replace):
            await send({**manifest, "kind": "Pod", "apiVersion": "v1"})
        for each in references.PLAIN:
            named = {"kind": each.title, "apiVersion": each.api_version}
            for send in (cluster.create, cluster.apply, cluster.replace):
                await send({**manifest, **named})
            await cluster.delete(f"{each.name}/a")
        await cluster.replace({**manifest, "kind": "Node", "apiVersion": "v1"})
        with pytest.raises(errors.Rejected, match="cannot be given by a manifest"):
            await cluster.create({**manifest, "kind": "Node", "apiVersion": "v1"})

    sent = {(subject.kind, subject.verb) for subject, _ in service.commands}
    missing = command.VERBS.keys() - sent
    of_other_kinds, of_sessions = {"label", "annotate"}, {"exec", "attach"}
    assert {verb for _, verb in missing} <= of_other_kinds | of_sessions


async def test_a_generated_name_is_made_once_and_by_the_client(
    service: Service,
) -> None:
    """Spec 1.5: the prefix and five characters; a retry means the same object. Only
    `create` makes names."""
    manifest = {
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": {"generateName": "job-"},
    }
    async with service.connect() as cluster:
        await cluster.create(manifest)
        with pytest.raises(errors.Rejected, match="cannot use generate name with"):
            await cluster.apply(manifest)

    [(subject, message)] = service.commands
    assert re.fullmatch("job-[bcdfghjklmnpqrstvwxz2456789]{5}", subject.name)
    body = msgspec.json.decode(message.body)
    assert body["manifest"]["metadata"]["name"] == subject.name


async def test_a_refusal_is_raised_with_reason_code_and_causes(
    service: Service,
) -> None:
    """`Rejected` carries everything that Kubernetes answers with (spec 1.3)."""
    cause = errors.FieldError(reason="FieldValueInvalid", message="bad", field="spec")
    service.decide = lambda _, message: Answer(
        id=message.id,
        result="rejected",
        reason="Invalid",
        message="no",
        causes=(cause,),
    )
    async with service.connect() as cluster:
        with pytest.raises(errors.Rejected, match="no") as raised:
            await cluster.pause("deployment/nginx")

    assert (raised.value.reason, raised.value.code) == ("Invalid", 422)
    assert raised.value.causes == (cause,)


@pytest.mark.usefixtures("impatient")
async def test_a_lost_answer_is_looked_up(service: Service) -> None:
    """The command had its effect once, and its answer is learnt by its id."""
    service.lost_answers = 1
    async with service.connect() as cluster:
        answer = await cluster.pause("deployment/nginx")

    assert answer.position == 7
    # Of a slow broker it may ask, and send, more than once.
    assert len(service.known) == 1
    assert {verb for verb, _ in service.questions} == {"command"}


@pytest.mark.usefixtures("impatient")
async def test_a_lost_command_is_sent_again_with_the_same_id(
    service: Service,
) -> None:
    """Nobody knows it, so it is published again; its id is what it was."""
    service.lost_commands = 1
    async with service.connect() as cluster:
        await cluster.pause("deployment/nginx", command_id="the-one-id")

    assert {message.id for _, message in service.commands} == {"the-one-id"}
    assert ("command", {"id": "the-one-id"}) in service.questions


async def test_no_answer_at_all_is_told_after_the_timeout(service: Service) -> None:
    """The error names the command, and says that it may still be carried out."""
    service.lost_commands = 1000
    async with service.connect(seconds=0.3) as cluster:
        with pytest.raises(exchange.Unanswered, match="may still be") as raised:
            await cluster.pause("deployment/nginx", command_id="lost")

    assert raised.value.command_id == "lost"


@pytest.mark.usefixtures("impatient")
async def test_an_outage_of_the_broker_is_ridden_out(service: Service) -> None:
    """A command that was sent while the broker was away is answered once it is back."""
    async with service.connect() as cluster:
        await cluster.pause("deployment/nginx")
        await service.broker.server.stop()
        sending = asyncio.create_task(cluster.resume("deployment/nginx"))
        await asyncio.sleep(0)
        await service.broker.server.start()
        async with asyncio.timeout(GUARD_SECONDS):
            answer = await sending

    assert answer.result == "accepted"
    assert {s.verb for s, _ in service.commands} == {"pause", "resume"}


# --- questions


async def test_a_reader_waits_for_what_it_has_written(service: Service) -> None:
    """After a command each question carries the position of its answer."""
    service.add("deployment", "nginx")
    async with service.connect() as cluster:
        await cluster.get("deployment/nginx")
        await cluster.pause("deployment/nginx")
        await cluster.get("deployment/nginx")

    assert [asked.get("waitFor", 0) for _, asked in service.questions] == [0, 7]


async def test_all_pages_of_a_list_are_read(service: Service) -> None:
    """`continue_` is passed back until there is none."""

    def page(data: bytes) -> queries.GetAnswer:
        asked = msgspec.json.decode(data, type=queries.GetQuery)
        number = int(asked.continue_ or "0")
        item = msgspec.Raw(msgspec.json.encode({"metadata": {"name": f"pod-{number}"}}))
        following = str(number + 1) if number < 2 else ""
        return queries.GetAnswer(items=(item,), continue_=following)

    service.answers["get"] = page
    async with service.connect() as cluster:
        found = await cluster.list("pods")

    names = [each["metadata"] for each in found]
    assert names == [{"name": "pod-0"}, {"name": "pod-1"}, {"name": "pod-2"}]


async def test_what_is_not_there_is_not_found(service: Service) -> None:
    """`get` raises, `find` gives None."""
    async with service.connect() as cluster:
        assert await cluster.find("pod/x") is None
        with pytest.raises(errors.Rejected, match='pods "x" not found') as raised:
            await cluster.get("pod/x")

    assert raised.value.reason == "NotFound"


# --- the log


class Log:
    """A log that grows, and the answer to a question about it."""

    def __init__(self, length: int) -> None:
        self.length = length

    def answer(self, data: bytes) -> queries.LogAnswer:
        """At most three events behind `after`, as the api does with its limit."""
        asked = msgspec.json.decode(data, type=queries.LogQuery)
        end = min(asked.after + 3, asked.until or self.length, self.length)
        found = tuple(row(each) for each in range(asked.after + 1, end + 1))
        return queries.LogAnswer(position=self.length, last=end, events=found)


async def test_the_log_is_read_to_its_end(service: Service) -> None:
    """Every event once and in order, over as many pages as it takes."""
    service.answers["log"] = Log(8).answer
    async with service.connect() as cluster:
        seen = [each.position async for each in cluster.log("deployment/nginx")]

    assert seen == list(range(1, 9))
    assert service.questions[0][1]["stream"] == "deployment/default/nginx"


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("subject", ["event", "elsewhere"])
async def test_events_follow_exactly_once_and_in_order(
    service: Service, subject: str
) -> None:
    """The past, then each event as it is committed, whatever wakes the reader."""
    log = Log(4)
    service.answers["log"] = log.answer
    woken = {
        "event": nats_wire.event_subject("default", "deployment", "nginx", "X"),
        "elsewhere": nats_wire.event_subject("default", "pod", "nginx", "X"),
    }[subject]
    seen: list[int] = []
    async with service.connect() as cluster, asyncio.timeout(GUARD_SECONDS):
        async for each in cluster.events("deployment/nginx", after=1):
            seen.append(each.position)
            if each.position == 4:
                log.length = 9
                await service.publish_event(woken, 9)
            if each.position == 9:
                break

    assert seen == list(range(2, 10))


# --- waiting


async def test_waiting_ends_when_the_object_is_so(service: Service) -> None:
    """A commit wakes the one who waits, and the object is looked at again."""
    service.add("deployment", "nginx")
    async with service.connect() as cluster, asyncio.timeout(GUARD_SECONDS):
        waiting = asyncio.create_task(cluster.wait_for("deployment/nginx"))
        while not service.questions:  # noqa: ASYNC110  # nothing to wait for
            await asyncio.sleep(0.01)
        condition = {"type": "Available", "status": "True"}
        service.add("deployment", "nginx", status={"conditions": [condition]})
        await service.commit(8)
        found = await waiting

    assert found is not None
    assert service.questions[-1][1]["waitFor"] == 8


async def test_waiting_gives_up(service: Service) -> None:
    """After the seconds that were allowed, with `TimeoutError`."""
    service.add("deployment", "nginx")
    async with service.connect() as cluster:
        with pytest.raises(TimeoutError):
            await cluster.wait_for("deployment/nginx", "delete", seconds=0.05)


# --- what containers have written


async def read(cluster: Cluster, *, timestamps: bool = False) -> bytes:
    """All that `logs` gives."""
    pieces = cluster.logs("pod/web-1", container="web", timestamps=timestamps)
    return b"".join([piece async for piece in pieces])


async def test_logs_come_in_parts_up_to_the_end(service: Service) -> None:
    """Parts are joined in order; the request says what is wanted."""
    service.add("pod", "web-1", spec={"nodeName": "worker-1"})
    service.logs = [
        (b"one\n", {"Rollbook-Part": "1"}),
        (b"two\n", {"Rollbook-Part": "2"}),
        (b"", {"Rollbook-End": "1"}),
        (b"never", {"Rollbook-Part": "3"}),
    ]
    async with service.connect() as cluster:
        text = await read(cluster, timestamps=True)

    assert text == b"one\ntwo\n"
    request = service.log_requests[0]
    assert (request["name"], request["container"]) == ("web-1", "web")
    assert request["timestamps"] is True


async def test_a_lost_part_of_the_logs_is_told(service: Service) -> None:
    """A gap in the numbers is an error: silence would be a lie."""
    service.add("pod", "web-1", spec={"nodeName": "worker-1"})
    service.logs = [(b"1", {"Rollbook-Part": "1"}), (b"3", {"Rollbook-Part": "3"})]
    async with service.connect() as cluster:
        with pytest.raises(errors.Transient, match="was lost"):
            await read(cluster)


async def test_what_the_node_refuses_is_raised(service: Service) -> None:
    """The node's sentence is the message."""
    service.add("pod", "web-1", spec={"nodeName": "worker-1"})
    service.logs = [(b"", {"Rollbook-Error": "container web is not valid"})]
    async with service.connect() as cluster:
        with pytest.raises(errors.Rejected, match="is not valid"):
            await read(cluster)


async def test_a_node_that_is_away_is_named(service: Service) -> None:
    """Nobody serves its logs, and the error says which kubelet to look at."""
    service.add("pod", "web-1", spec={"nodeName": "worker-2"})
    async with service.connect() as cluster:
        with pytest.raises(errors.Transient, match='node "worker-2" does not answer'):
            await read(cluster)


# --- draining


async def test_draining_cordons_evicts_and_waits(service: Service) -> None:
    """Each pod of the node is evicted, and the end is told once it is gone."""
    owner = {"controller": True, "kind": "ReplicaSet"}
    service.add("pod", "web-1", metadata={"ownerReferences": [owner]})
    service.add("node", "worker-1")

    def decide(subject: nats_wire.CommandSubject, message: CommandMessage) -> Answer:
        if subject.verb == "evict":
            del service.objects["pod/web-1"]
        return Answer(id=message.id, result="accepted", position=9)

    service.decide = decide
    async with service.connect() as cluster, asyncio.timeout(GUARD_SECONDS):
        steps = [step async for step in cluster.drain("node/worker-1")]

    assert [step.what for step in steps] == ["cordoned", "evicting", "evicted"]
    assert [subject.verb for subject, _ in service.commands] == ["cordon", "evict"]
    listing = next(asked for verb, asked in service.questions if verb == "get")
    assert listing["fieldSelector"] == "spec.nodeName=worker-1"


async def test_two_clients_do_not_read_each_others_answers(service: Service) -> None:
    """Each has its own inbox, and each command its own token."""
    service.decide = lambda subject, message: Answer(
        id=message.id, result="accepted", name=subject.name
    )
    async with contextlib.AsyncExitStack() as stack:
        clusters = [
            await stack.enter_async_context(service.connect()) for _ in range(3)
        ]
        names = [f"web-{number}" for number in range(12)]
        answers = await asyncio.gather(
            *(
                cluster.pause(f"deployment/{name}")
                for cluster, name in zip(itertools.cycle(clusters), names, strict=False)
            )
        )

    assert [answer.name for answer in answers] == names
