"""A control, an api and a node that answer as a test tells them, on a real broker.

It stands for the other side of the wire: what the client sends goes through the real
permissions, the real streams and the real intake.
"""

import asyncio
import contextlib
import inspect
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import msgspec
from nats.aio.msg import Msg

from adapters import context as contexts
from adapters import nats_wire
from domain import queries
from domain.protocol import Answer, CommandMessage, Message
from rollbook import client
from tests.support import nats

ROLLBOOK = Path(sys.executable).parent / "rollbook"
GUARD_SECONDS = 60.0

Reply = Message | Awaitable[msgspec.Raw]
"""An answer to a question; JSON, where it takes a while."""
Decide = Callable[[nats_wire.CommandSubject, CommandMessage], Answer]


class Ran(NamedTuple):
    """What a command line came to."""

    status: int
    out: str
    err: str


def accepted(_subject: nats_wire.CommandSubject, message: CommandMessage) -> Answer:
    """The answer to every command that a test says nothing about."""
    return Answer(id=message.id, result="accepted", position=7)


class Service:
    """Answers commands, questions and requests for logs; remembers what was asked."""

    def __init__(self, folder: Path, broker: nats.Broker) -> None:
        self.broker = broker
        self.started = asyncio.Event()
        self.context_file = folder / "context.toml"
        self.context = contexts.Context(
            nats_url=broker.server.url,
            user="admin",
            secret=broker.server.credential("admin").secret,
        )
        contexts.write_context(self.context_file, self.context)
        self.reset()

    def reset(self) -> None:
        """Forget what a test before has said and done."""
        self.commands: list[tuple[nats_wire.CommandSubject, CommandMessage]] = []
        self.questions: list[tuple[str, dict[str, object]]] = []
        self.objects: dict[str, dict[str, object]] = {}
        self.answers: dict[str, Callable[[bytes], Reply]] = {}
        self.decide: Decide = accepted
        self.known: dict[str, Answer] = {}
        self.lost_commands = 0
        """So many commands are not seen by anybody."""
        self.lost_answers = 0
        """So many answers are not sent, though the command is decided."""
        self.logs: list[tuple[bytes, dict[str, str]]] = []
        self.log_requests: list[dict[str, object]] = []

    def add(self, kind: str, name: str, **fields: object) -> None:
        """Let there be an object; `fields` are its parts besides the metadata."""
        metadata = {"name": name, "namespace": "default", "uid": f"uid-{name}"}
        if kind == "node":
            del metadata["namespace"]
        own = fields.pop("metadata", {})
        assert isinstance(own, dict)
        self.objects[f"{kind}/{name}"] = {"metadata": {**metadata, **own}, **fields}

    async def serve(self) -> None:
        """Answer until it is cancelled."""
        control = await self.broker.connect("control")
        api = await self.broker.connect("api")
        node = await self.broker.connect("node-worker-1")
        await api.subscribe("rollbook.query.*", cb=partial(self._question, api))
        logs = nats_wire.node_subject("worker-1", "logs")
        await node.subscribe(logs, cb=partial(self._logs, node))
        await api.flush()
        await node.flush()
        self._control = control
        await nats_wire.ensure_streams(control.jetstream())
        intake = nats_wire.CommandIntake(control)
        await intake.start()
        self.started.set()
        while True:
            for raw in await intake.fetch(100, 5.0):
                await self._command(control, raw)
                await intake.ack(raw.sequence)

    async def commit(self, position: int) -> None:
        """Say that something was committed, as control does."""
        payload = json.dumps({"position": position}).encode()
        await self._control.publish(nats_wire.COMMITTED, payload)

    async def publish_event(self, subject: str, position: int) -> None:
        """Publish a committed event, as the relay does."""
        await self._control.publish(
            subject, b"{}", headers={"Nats-Msg-Id": str(position)}
        )

    async def run(self, *words: str, stdin: str = "", **variables: str) -> Ran:
        """Run the console script, with the context of `admin`."""
        environment = {
            **os.environ,
            "ROLLBOOK_CONTEXT": str(self.context_file),
            "COLUMNS": "80",
            **variables,
        }
        process = await asyncio.create_subprocess_exec(
            str(ROLLBOOK),
            *words,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=environment,
        )
        async with asyncio.timeout(GUARD_SECONDS):
            out, err = await process.communicate(stdin.encode())
        assert process.returncode is not None
        return Ran(
            process.returncode, out.decode(errors="surrogateescape"), err.decode()
        )

    def connect(
        self, **options: float
    ) -> contextlib.AbstractAsyncContextManager[client.Cluster]:
        """The Python client of `admin`."""
        return client.connect_to(self.context, seconds=options.get("seconds", 30.0))

    async def _command(
        self, control: nats_wire.Client, raw: nats_wire.RawCommand
    ) -> None:
        assert raw.refusal is None, raw.refusal
        subject = nats_wire.parse_command_subject(raw.subject)
        message = msgspec.json.decode(raw.data, type=CommandMessage)
        assert message.id == raw.command_id
        if self.lost_commands:
            self.lost_commands -= 1
            return
        self.commands.append((subject, message))
        if message.id not in self.known:
            self.known[message.id] = self.decide(subject, message)
        if self.lost_answers:
            self.lost_answers -= 1
            return
        assert raw.reply_to is not None, "the inbox is one that may be answered"
        payload = msgspec.json.encode(self.known[message.id])
        await control.publish(raw.reply_to, payload)

    async def _question(self, api: nats_wire.Client, message: Msg) -> None:
        data, reply = message.data, message.reply
        verb = message.subject.rpartition(".")[2]
        self.questions.append((verb, json.loads(data)))
        answer = self.answers.get(verb, self._defaults().get(verb))
        assert answer is not None, f"nobody has said what {verb} is answered with"
        found = answer(data)
        said = await found if inspect.isawaitable(found) else found
        await api.publish(reply, msgspec.json.encode(said))

    def _defaults(self) -> dict[str, Callable[[bytes], Reply]]:
        return {"get": self._get, "command": self._command_answer}

    def _get(self, data: bytes) -> queries.GetAnswer:
        asked = msgspec.json.decode(data, type=queries.GetQuery)
        found = {
            key.partition("/")[2]: each
            for key, each in self.objects.items()
            if key.partition("/")[0] == asked.kind
        }
        if asked.name:
            if asked.name not in found:
                plural = {
                    "deployment": "deployments.apps",
                    "replicaset": "replicasets.apps",
                }
                resource = plural.get(asked.kind, f"{asked.kind}s")
                text = f'{resource} "{asked.name}" not found'
                error = queries.QueryError(reason="NotFound", message=text, code=404)
                return queries.GetAnswer(error=error)
            found = {asked.name: found[asked.name]}
        namespace = "" if asked.kind == "node" else "default"
        rows = [
            queries.TableRow(namespace=namespace, name=name, cells=(name, "1", "9s"))
            for name in found
        ]
        columns = ("Name", "Desired", "Age")
        return queries.GetAnswer(
            position=7,
            columns=tuple(queries.Column(name=name) for name in columns),
            rows=() if asked.format == "object" else tuple(rows),
            items=tuple(msgspec.Raw(msgspec.json.encode(e)) for e in found.values())
            if asked.format == "object"
            else (),
        )

    def _command_answer(self, data: bytes) -> queries.CommandAnswer:
        asked = msgspec.json.decode(data, type=queries.CommandQuery)
        return queries.CommandAnswer(answer=self.known.get(asked.id))

    async def _logs(self, node: nats_wire.Client, message: Msg) -> None:
        self.log_requests.append(json.loads(message.data))
        for data, headers in self.logs:
            await node.publish(message.reply, data, headers=headers)


@contextlib.asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[Service]:
    """A service on a broker of its own."""
    async with nats.broker(folder) as broker:
        service = Service(folder, broker)
        task = asyncio.create_task(service.serve())
        starting = asyncio.create_task(service.started.wait())
        await asyncio.wait([task, starting], return_when=asyncio.FIRST_COMPLETED)
        try:
            if task.done():
                await task  # it has failed: say why
            yield service
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
