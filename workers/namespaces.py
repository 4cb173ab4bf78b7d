"""Namespaces: what a command finds or makes, and what goes with one (spec 1.2).

1. A command that creates an object in a namespace that is not there creates that too,
   unless its message says that the namespace must be there.
2. A namespace that is on its way out takes nothing new. What is in it is deleted: the
   Deployments in the background, and whatever nobody owns. What somebody owns goes with
   its owner, and what is released by one is deleted next.
3. When nothing is left in it, and no finalizer on it, the namespace is gone. What has
   finalizers is asked to go, and is left until they are gone. `State.leaving` is what
   is left; it is not in the log, and is looked up anew after a restart.
"""

from collections.abc import Iterator

from domain import deployment, events, names, plain, plain_decisions, pod, replicaset
from domain.errors import not_found
from domain.events import Event
from domain.plain import PlainObject
from domain.protocol import CommandMessage
from projections.cluster import Held
from workers.state import State

_WHY = "its namespace is being deleted"


def is_missing(state: State, *, namespace: str) -> bool:
    """Something is created in a namespace that is not there: rule 1 creates it."""
    return state.cluster.plain.namespace(namespace) is None


def check(
    state: State,
    message: CommandMessage,
    *,
    namespace: str,
    resource: str,
    name: str,
) -> None:
    """Raises `Rejected` where nothing may be created in that namespace."""
    held = state.cluster.plain.namespace(namespace)
    if held is None:
        if message.namespace_must_exist:
            raise not_found("namespaces", namespace)
    elif held.stage == plain.DELETING:
        raise plain_decisions.refuse_terminating(resource, name, namespace)


def creation(state: State, namespace: str) -> tuple[str, Event]:
    """The event by which a command creates its namespace, as its first."""
    event = plain_decisions.create_namespace(state.uid_after(1), namespace)
    return names.namespace_key(namespace), event


# --- the way out ------------------------------------------------------------------


def collect(state: State, key: str, cause: int, bound: int) -> None:
    """Afterwards all that is in the namespace is asked to go, or `bound` is reached
    and the namespace marked again; with nothing left in it, it is gone."""
    held = state.cluster.plain.objects.get(key)
    if held is None or held.stage != plain.DELETING:
        return
    left = state.leaving.get(held.name)
    if left is None:
        left = state.leaving[held.name] = dict.fromkeys(_inside(state, held.name))
    for each in [*left]:
        if len(state.events) >= bound:
            state.dirty_namespaces.add(key, cause)
            return
        found = state.cluster.held(each)
        if found is not None:
            _end(state, each, found, cause)
    if not left and not held.finalizers:
        del state.leaving[held.name]
        gone = plain.ObjectDeleted(why="nothing is left in it")
        state.emit(key, gone, actor=events.NAMESPACE_CONTROLLER, cause=cause)


def _inside(state: State, name: str) -> Iterator[str]:
    """The keys of all that is in the namespace: owners before what they own."""
    desired, actual = state.cluster.desired, state.cluster.actual
    for kind, held in (
        ("deployment", desired.deployments),
        ("replicaset", desired.replicasets),
        ("pod", actual.pods),
    ):
        prefix = f"{kind}/{name}/"
        yield from (key for key in held if key.startswith(prefix))
    for kind in plain.KINDS:
        if kind != plain.NAMESPACE:
            yield from (each.key for each in state.cluster.plain.of(kind, name))


def _end(state: State, key: str, held: Held, cause: int) -> None:
    """Rule 2: who owns something ends it; what nobody owns is ended here."""

    def emit(event: Event) -> None:
        state.emit(key, event, actor=events.NAMESPACE_CONTROLLER, cause=cause)

    match held:
        case deployment.Deployment():
            emit(deployment.DeploymentDeleted(propagation="background"))
        case replicaset.ReplicaSet(owner=""):
            emit(replicaset.ReplicaSetDeleted(why=_WHY))
        case pod.Pod(owner=""):
            own = state.cluster.desired.templates[held.template].grace
            for event in pod.terminate(
                held,
                why=_WHY,
                reason="Deleted",
                grace=pod.grace_of(held, None, own),
                now=state.now,
            ):
                emit(event)
        case PlainObject(finalizers=()):
            emit(plain.ObjectDeleted(why=_WHY))
        case PlainObject(stage=plain.PRESENT):
            emit(plain.ObjectDeletionRequested())
        case _:
            pass
