"""The parts of a pod that are actions: `eviction`, and `binding`, which is refused.

An eviction ends a pod because its node is drained. There are no disruption budgets, so
none is ever told to wait; the pod's own grace time is kept.
"""

from domain import pod
from domain.errors import Rejected
from domain.protocol import Preconditions
from gateway.kube import bodies, commands, deleting, statuses
from gateway.kube.commander import Commander, Stale
from gateway.kube.commands import Command
from gateway.kube.manifests import text_at
from gateway.kube.request import JSON, Reply, Request
from gateway.kube.statuses import Failure

EVICTED: JSON = {
    "kind": "Status",
    "apiVersion": "v1",
    "metadata": {},
    "status": "Success",
    "code": 201,
}


async def evict(commander: Commander, request: Request) -> Reply:
    """201 once the pod's end is asked for.

    Raises `Rejected` for a body that is no Eviction of this pod, and `Failure`.
    """
    body = bodies.decode(request.body, request.content_type, "Eviction")
    document = bodies.document(body)
    name = text_at(document, "metadata", "name")
    if (name or request.name) != request.name:
        raise Rejected(
            "BadRequest", "name in URL does not match name in Eviction object"
        )
    given = document.get("deleteOptions")
    options = deleting.decoded(
        given if isinstance(given, dict) else {}, dry_run=request.dry_run
    )
    wanted = Preconditions(uid=options.uid) if options.uid else None
    try:
        await commander.send(
            request,
            request.name,
            Command("evict", pod.EvictPod(grace=options.grace)),
            told=commands.told(request, ""),
            preconditions=wanted,
            dry_run=options.dry_run,
        )
    except Stale as stale:
        raise statuses.of_rejected(
            stale.refused, request.resource, request.name
        ) from stale
    return Reply(code=201, document=EVICTED)


def refuse_binding() -> Failure:
    """Pods are bound by the scheduler alone."""
    return Failure(
        405,
        "MethodNotAllowed",
        "pods are bound to nodes by Rollbook's own scheduler: let the pod choose its "
        "node by nodeName, nodeSelector or affinity",
        details={},
    )
