"""Sessions with containers: exec and attach, for the command line and for programs.

A session is asked for by a command, so that the log tells who ran what in which pod;
the bytes then travel between the user and the pod's node (kubelet/sessions.py).
"""

import contextlib
from collections.abc import AsyncIterator, Sequence

from adapters import session_client
from domain import errors, pod_sessions
from rollbook import conditions
from rollbook.references import Reference
from rollbook.session import Session

__all__ = ["Opening", "attach", "execute", "node_of", "opened"]

Opening = contextlib.AbstractAsyncContextManager[session_client.Session]


@contextlib.asynccontextmanager
async def execute(
    cluster: Session,
    target: Reference,
    command: Sequence[str],
    *,
    node: str,
    container: str = "",
    stdin: bool = False,
    tty: bool = False,
    size: tuple[int, int] = (80, 24),
) -> AsyncIterator[session_client.Session]:
    """A session in which `command` runs in a container of the pod, on its `node`.

    Raises `Rejected` where it may not begin; its own errors are those of
    `session_client.Session`.
    """
    body = pod_sessions.ExecPod(
        command=tuple(command), container=container, stdin=stdin, tty=tty
    )
    async with opened(cluster, "exec", target, body, node, size) as session:
        yield session


@contextlib.asynccontextmanager
async def attach(
    cluster: Session,
    target: Reference,
    *,
    node: str,
    container: str = "",
    stdin: bool = False,
    tty: bool = False,
    size: tuple[int, int] = (80, 24),
) -> AsyncIterator[session_client.Session]:
    """A session with what the container runs. Raises as `execute`."""
    body = pod_sessions.AttachPod(container=container, stdin=stdin, tty=tty)
    async with opened(cluster, "attach", target, body, node, size) as session:
        yield session


@contextlib.asynccontextmanager
async def opened(
    cluster: Session,
    verb: str,
    target: Reference,
    body: pod_sessions.ExecPod | pod_sessions.AttachPod,
    node: str,
    size: tuple[int, int],
) -> AsyncIterator[session_client.Session]:
    """The session that the command is granted."""
    answer = await cluster.command(verb, target, body)
    async with session_client.opened(
        cluster.exchange,
        user=cluster.user,
        node=node,
        session=answer.id,
        width=size[0],
        height=size[1],
    ) as session:
        yield session


def node_of(found: conditions.Object) -> str:
    """The node of a pod. Raises `Rejected` for one that is on none."""
    node = conditions.text_at(found, "spec", "nodeName")
    if not node:
        name = conditions.text_at(found, "metadata", "name")
        text = f"pod {name} does not have a host assigned"
        raise errors.Rejected("BadRequest", text)
    return node
