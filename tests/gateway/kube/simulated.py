"""The writing half of the Kubernetes API in front of a simulated cluster.

Everything is the shipped part but the broker: a command goes straight into the next
step of control, and comes back as its answer.
"""

import asyncio
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec

from adapters import nats_subjects
from adapters.memory_log import MemoryLog
from domain import command, protocol
from domain.errors import Rejected
from gateway.kube import forms, kinds, logins, routes, statuses, writer
from gateway.kube.changes import Changes
from gateway.kube.objects import Objects
from gateway.kube.request import JSON, Reply, Request, User
from gateway.kube.statuses import Failure
from gateway.past import Past
from gateway.reader import Reader
from tests.support.cluster import SimCluster
from workers.decisions import Target
from workers.intake import CommandInput

KUBECTL = "kubectl/v1.36.2 (linux/amd64) kubernetes/6d34b8e"
JSON_TYPE = "application/json"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
JSON_PATCH = "application/json-patch+json"
APPLY = "application/apply-patch+yaml"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
WEB = f"{DEPLOYMENTS}/web"


class Answered:
    """What came back: the HTTP status, the document, and the warnings."""

    def __init__(
        self, code: int, document: JSON, warnings: tuple[str, ...] = ()
    ) -> None:
        self.code = code
        self.document = document
        self.warnings = warnings

    def __getitem__(self, path: str) -> Any:
        """The value at a path like `spec.replicas`; None where there is none."""
        value: Any = self.document
        for key in path.split("."):
            value = value.get(key) if isinstance(value, dict) else None
        return value


class _Exchange:
    """A connection to the broker of a cluster that is simulated."""

    def __init__(self, api: "Api") -> None:
        self._api = api

    async def command(
        self, subject: str, message: protocol.CommandMessage, *, seconds: float
    ) -> protocol.Answer:
        """The answer; `seconds` never pass."""
        assert seconds > 0
        return self._api.decide(subject, message)


class _Logins(logins.Logins):
    """Logins of a broker that is simulated."""

    def __init__(self, api: "Api") -> None:
        super().__init__("")
        self._exchange = _Exchange(api)

    async def exchange(self, user: User) -> Any:
        """The one connection there is."""
        assert user.name
        return self._exchange


class Api:
    """A cluster, its reader, and what answers requests."""

    def __init__(self, sim: SimCluster | None = None) -> None:
        self.sim = sim or SimCluster()
        self.reader = Reader(MemoryLog(self.sim.store, read_only=True))
        self.changes = Changes(managed=self.reader.managed.of, now=lambda: self.sim.now)
        self.reader.observer = self.changes
        self.past = Past(MemoryLog(self.sim.store, read_only=True))
        self.objects = Objects(
            self.reader, self.past, self.changes, now=lambda: self.sim.now
        )
        self.writer = writer.build(
            self.objects, self.reader, _Logins(self), now=lambda: self.sim.now
        )
        self.sent: list[tuple[str, protocol.CommandMessage]] = []
        """Every command that was sent: its verb, and the message."""
        self._following: set[asyncio.Task[int]] = set()
        self.between: list[Any] = []
        """What happens just before the next commands are decided, one for each."""

    def decide(self, subject: str, message: protocol.CommandMessage) -> protocol.Answer:
        """The answer of the step of control that takes this command."""
        if self.between:
            self.between.pop(0)()
        parsed = nats_subjects.parse_command_subject(subject)
        target = Target(
            namespace=parsed.namespace,
            kind=parsed.kind,
            name=parsed.name,
            verb=parsed.verb,
        )
        last = self.sim._log.read_stream(target.key, limit=1, descending=True)
        self.sent.append((parsed.verb, message))
        self.sim.step(
            CommandInput(
                user=parsed.user,
                target=target,
                subject=subject,
                data=msgspec.json.encode(message),
                reply="inbox",
                known_version=last[0].version if last else 0,
            )
        )
        follow = asyncio.get_running_loop().create_task(self.reader.catch_up())
        self._following.add(follow)
        follow.add_done_callback(self._following.discard)
        return self.sim.said[-1]

    async def ask(
        self,
        method: str,
        path: str,
        body: object = b"",
        *,
        type_: str = JSON_TYPE,
        agent: str = KUBECTL,
        command_line: str = "",
        accept: str = "",
    ) -> Answered:
        """The answer to a request; `body` is JSON unless it is bytes already."""
        split = urlsplit(path)
        params = dict(parse_qsl(split.query, keep_blank_values=True))
        route = routes.find(method, split.path, params)
        request = Request(
            user=User(name="admin", secret="s"),
            verb=route.verb,
            resource=route.resource,
            params=params,
            subresource=route.subresource,
            namespace=route.namespace,
            name=route.name,
            body=body if isinstance(body, bytes) else msgspec.json.encode(body),
            content_type=type_,
            accept=accept,
            agent=agent,
            command=command_line,
        )
        try:
            reply = await self._answer(request)
        except Rejected as refused:
            failure = statuses.of_rejected(refused, route.resource, route.name)
            return Answered(failure.code, failure.document())
        except Failure as failure:
            return Answered(failure.code, failure.document())
        document = reply.document
        if isinstance(document, bytes):
            document = msgspec.json.decode(document, type=JSON)
        return Answered(reply.code, document, reply.warnings)

    async def _answer(self, request: Request) -> Reply:
        if request.verb == "list":
            form = forms.wanted(request.accept, request.params)
            return Reply(document=await self.objects.list(request, form))
        if request.verb == "get" and not request.subresource:
            await self.reader.catch_up()
            kind = kinds.of(request.resource)
            shown = await self.objects.get(request, forms.WHOLE)
            return Reply(document=forms.one(forms.WHOLE, kind.table, shown))
        return await self.writer.handle(request)

    async def get(self, path: str) -> Answered:
        """The object at a path."""
        return await self.ask("GET", path)

    def accepted(self) -> list[command.CommandAccepted]:
        """The accepted commands in the log, in order."""
        found = (recorded.event for recorded in self.sim.events)
        return [each for each in found if isinstance(each, command.CommandAccepted)]

    async def history(self, name: str = "web") -> dict[int, str]:
        """The change cause of each revision."""
        await self.reader.catch_up()
        rollout = self.reader.cluster.rollouts.by_key[f"deployment/default/{name}"]
        return {each.revision: each.cause for each in rollout.revisions}

    async def close(self) -> None:
        """Afterwards nothing is open."""
        await asyncio.gather(*self._following)
        self.past.close()
        await self.reader.close()


def web(**spec: object) -> JSON:
    """A Deployment of three replicas."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "labels": {"app": "web"}},
        "spec": {
            "replicas": 3,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "c", "image": "nginx:1.7.9"}]},
            },
            **spec,
        },
    }
