"""What a node may read of ConfigMaps and Secrets: what its own pods name.

So a node that was taken over reads what its pods could read anyway, and nothing else;
in Kubernetes the node authorizer sees to that. A question makes no event; its answer
comes from the state, and is said once that is on disk. `answer` is pure.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from adapters import nats_wire
from domain.pod_values import Reference, references
from domain.protocol import ValuesReply, ValuesRequest
from projections.cluster import Cluster

SUBJECT: Final = "rollbook.values.*"
LOOK_SECONDS: Final = 0.005
_DECODER: Final = msgspec.json.Decoder(ValuesRequest)


async def serve(
    client: nats_wire.Client,
    cluster: Callable[[], Cluster],
    committed: Callable[[], int],
    say: Callable[[str, bytes], Awaitable[None]],
) -> None:
    """Afterwards questions are answered, each in its own node's inbox only."""

    async def on_question(message: nats_wire.Msg) -> None:
        node = nats_wire.parse_node_subject(message.subject)
        inbox = nats_wire.inbox_prefix(nats_wire.node_login(node))
        if not message.reply.startswith(f"{inbox}."):
            return
        state = cluster()
        reply, position = answer(state, node, message.data), state.position
        while committed() < position:  # noqa: ASYNC110  # a commit wakes nobody here
            await asyncio.sleep(LOOK_SECONDS)
        await say(message.reply, msgspec.json.encode(reply))

    await client.subscribe(SUBJECT, cb=on_question)


def answer(cluster: Cluster, node: str, data: bytes) -> ValuesReply:
    """The answer to a question of that node; what it may not ask has an `error`."""
    try:
        request = _DECODER.decode(data)
    except msgspec.MsgspecError as error:
        return ValuesReply(error=f"unreadable: {error}")
    held = cluster.actual.pods.get(f"pod/{request.namespace}/{request.pod}")
    if held is None or held.uid != request.uid or held.node != node:
        return ValuesReply(error="no such pod is bound to this node")
    spec = cluster.desired.templates[held.template].template.spec
    if Reference(request.kind, request.name) not in references(spec):
        return ValuesReply(error="the pod does not name that object")
    key = f"{request.kind}/{request.namespace}/{request.name}"
    found = cluster.plain.objects.get(key)
    if found is None:
        return ValuesReply()
    texts = _strings(found.content.get("data"))
    if request.kind == "secret":
        return ValuesReply(found=True, binary=texts)
    binary = _strings(found.content.get("binaryData"))
    return ValuesReply(found=True, data=texts, binary=binary)


def _strings(found: object) -> dict[str, str]:
    if not isinstance(found, dict):
        return {}
    return {str(key): value for key, value in found.items() if isinstance(value, str)}
