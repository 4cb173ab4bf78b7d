"""What a pod needs besides its runtime: its hooks are run, its values are fetched.

1. Nothing here waits in the node's way: each chore is a task, and its answer a fact for
   the pod's machine.
2. A hook fails if it cannot be carried out; of an HTTP request any answer is a success,
   as in Kubernetes. How long it may take is the machine's business: a hook whose
   container has ended is forgotten.
3. Values are asked for again until somebody answers; what is not there is an answer.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Final, Protocol

import aiohttp

from adapters import cancelling
from domain import podspec, protocol
from domain.pod_values import Reference, references
from kubelet import effects, launch, probes, runtime, value_files, values

HOOK_SECONDS: Final = 3600.0
"""Longer than any grace period is worth; the machine gives up sooner."""
ASK_AGAIN_SECONDS: Final = 2.0

_log = logging.getLogger(__name__)


class Source(Protocol):
    """Where values come from."""

    async def fetch_values(
        self, node: str, request: protocol.ValuesRequest
    ) -> protocol.ValuesReply:
        """Raises `ConnectionError` or `TimeoutError` while nobody answers."""


class Chores:
    """The chores of one node; implements `pods.Chores`. `close` when done."""

    def __init__(
        self,
        ports: runtime.Runtime,
        source: Source,
        tell: Callable[[effects.Fact], None],
    ) -> None:
        self._runtime = ports
        self._source = source
        self._tell = tell
        self._tasks: dict[str, set[asyncio.Task[None]]] = {}

    def run_hook(self, pod: runtime.Sandbox, ip: str, hook: effects.RunHook) -> None:
        """See `pods.Chores`."""
        self._spawn(pod.uid, self._hook(pod, ip, hook))

    def fetch_values(self, pod: runtime.Sandbox, wanted: effects.FetchValues) -> None:
        """See `pods.Chores`."""
        self._spawn(pod.uid, self._fetch(pod, wanted))

    def forget(self, uid: str) -> None:
        """See `pods.Chores`."""
        for task in self._tasks.pop(uid, ()):
            task.cancel()

    async def close(self) -> None:
        """Afterwards nothing is done any more."""
        tasks = [task for each in self._tasks.values() for task in each]
        await cancelling.end(*tasks)

    # --- hooks ---------------------------------------------------------------------

    async def _hook(self, pod: runtime.Sandbox, ip: str, hook: effects.RunHook) -> None:
        handler = _handler(pod.spec, hook)
        why = ""
        if handler is not None:
            try:
                why = await self._run(pod, ip, hook.container, handler)
            except (OSError, LookupError, TimeoutError, aiohttp.ClientError) as error:
                why = str(error) or type(error).__name__
        if why:
            _log.info("%s hook of %s/%s: %s", hook.kind, pod.name, hook.container, why)
        fact = effects.HookEnded(
            uid=pod.uid,
            container=hook.container,
            attempt=hook.attempt,
            kind=hook.kind,
            message=why,
        )
        self._tell(fact)

    async def _run(
        self,
        pod: runtime.Sandbox,
        ip: str,
        container: str,
        handler: podspec.LifecycleHandler,
    ) -> str:
        if handler.sleep is not None:
            await asyncio.sleep(handler.sleep.seconds)
        elif handler.exec is not None:
            command = tuple(handler.exec.command)
            result = await self._runtime.exec(pod.uid, container, command, HOOK_SECONDS)
            if result.exit_code:
                return f"exit status {result.exit_code}: {result.output.strip()}"
        elif handler.http_get is not None:
            spec = _container(pod.spec, container)
            assert spec is not None, "its handler was found"
            wanted = handler.http_get.port
            low = self._runtime.name == "process"
            port = (launch.probed_port if low else probes.number_of)(spec, wanted)
            url = probes.url_of(handler.http_get, ip, port)
            headers = {each.name: each.value for each in handler.http_get.http_headers}
            connector = aiohttp.TCPConnector(force_close=True, ssl=False)
            async with (
                aiohttp.ClientSession(connector=connector) as session,
                session.get(url, headers=headers, allow_redirects=False) as response,
            ):
                await response.content.read(probes.BODY_MAX)
        return ""

    # --- values --------------------------------------------------------------------

    async def _fetch(self, pod: runtime.Sandbox, wanted: effects.FetchValues) -> None:
        found: dict[Reference, dict[str, bytes]] = {}
        for reference in references(pod.spec):
            reply = await self._ask(pod, reference)
            if reply.found:
                found[reference] = values.decoded(reply.data, reply.binary)
        given = values.Values(objects=found)
        problem = value_files.problem(pod, given)
        fact = effects.ValuesFetched(
            uid=pod.uid,
            container=wanted.container,
            attempt=wanted.attempt,
            values=given,
            problem=problem,
        )
        self._tell(fact)

    async def _ask(
        self, pod: runtime.Sandbox, reference: Reference
    ) -> protocol.ValuesReply:
        request = protocol.ValuesRequest(
            namespace=pod.namespace,
            pod=pod.name,
            uid=pod.uid,
            kind=reference.kind,
            name=reference.name,
        )
        while True:
            try:
                reply = await self._source.fetch_values(pod.node, request)
            except (ConnectionError, TimeoutError) as error:
                _log.info("values of %s: %s", pod.name, error or "no answer")
            else:
                if not reply.error:
                    return reply
                _log.warning("values of %s: %s", pod.name, reply.error)
            await asyncio.sleep(ASK_AGAIN_SECONDS)

    def _spawn(self, uid: str, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        mine = self._tasks.setdefault(uid, set())
        mine.add(task)
        task.add_done_callback(mine.discard)


def _handler(
    spec: podspec.PodSpec, hook: effects.RunHook
) -> podspec.LifecycleHandler | None:
    container = _container(spec, hook.container)
    hooks = None if container is None else container.lifecycle
    if hooks is None:
        return None
    return hooks.post_start if hook.kind == "PostStart" else hooks.pre_stop


def _container(spec: podspec.PodSpec, name: str) -> podspec.Container | None:
    every = (*spec.init_containers, *spec.containers)
    return next((each for each in every if each.name == name), None)
