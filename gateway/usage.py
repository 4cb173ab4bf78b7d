"""The answers to `usage`: what pods and nodes use now (gateway/live_readings.py)."""

from collections.abc import Iterator

from domain import labels, names, queries
from domain.errors import Rejected, not_found
from gateway.live_readings import LiveReadings
from gateway.views.scene import Scene


def answer(
    at: Scene, live: LiveReadings, asked: queries.UsageQuery
) -> queries.UsageAnswer:
    """What the objects that are asked about use, by namespace and name."""
    if asked.limit < 0:
        raise Rejected("BadRequest", "limit: it may not be negative")
    wanted = [*(_nodes(at, asked) if asked.kind == "node" else _pods(at, asked))]
    if asked.name and not wanted:
        raise not_found(f"{asked.kind}s", asked.name)
    wanted.sort()
    rest = [key for key in wanted if "/".join(key) > asked.continue_]
    page = rest[: asked.limit or len(rest)]
    one = _node_row if asked.kind == "node" else _pod_row
    rows = [one(at, live, *key) for key in page]
    return queries.UsageAnswer(
        position=at.cluster.position,
        rows=tuple(row for row in rows if row is not None),
        total=len(wanted),
        continue_="/".join(page[-1]) if len(page) < len(rest) else "",
    )


def _pods(at: Scene, asked: queries.UsageQuery) -> Iterator[tuple[str, str]]:
    pods = at.cluster.actual.pods
    if asked.name:
        held = pods.get(names.pod_key(asked.namespace, asked.name))
        if held is not None:
            yield held.namespace, held.name
        return
    selector = labels.parse_selector(asked.selector)
    for held in pods.values():
        if asked.namespace in ("", held.namespace) and labels.matches(
            selector, at.pod_labels(held)
        ):
            yield held.namespace, held.name


def _nodes(at: Scene, asked: queries.UsageQuery) -> Iterator[tuple[str, str]]:
    selector = labels.parse_selector(asked.selector)
    for use in at.cluster.actual.node_list:
        if asked.name in ("", use.name) and labels.matches(selector, use.labels):
            yield "", use.name


def _pod_row(
    at: Scene, live: LiveReadings, namespace: str, name: str
) -> queries.UsageRow | None:
    key = names.pod_key(namespace, name)
    found = live.pod(key, at.cluster.actual.pods[key].uid, at.now)
    if found is None:
        return None
    containers: list[queries.UsageOfContainer] = []
    for each in found.used.containers:
        if each.cpu is None or each.memory is None:
            return None  # half a pod is no measurement of it
        cpu, memory = int(each.cpu), int(each.memory)
        used = queries.UsageOfContainer(name=each.name, cpu=cpu, memory=memory)
        containers.append(used)
    return queries.UsageRow(
        namespace=namespace,
        name=name,
        at=found.at,
        window=found.window,
        cpu=sum(each.cpu for each in containers),
        memory=sum(each.memory for each in containers),
        containers=tuple(containers),
    )


def _node_row(
    at: Scene, live: LiveReadings, _namespace: str, name: str
) -> queries.UsageRow | None:
    """The pods on the node together, which are nothing where it runs none; None where
    nothing was said of any of them, or nothing at all."""
    pods = at.cluster.actual.pods
    mine = [pods[key] for key in at.cluster.actual.nodes[name].pods]
    found = [_pod_row(at, live, each.namespace, each.name) for each in mine]
    rows = [row for row in found if row is not None]
    said = live.node(name, at.now)
    if not rows and (said is None or not all(each.terminal for each in mine)):
        return None
    told = [*rows, *((said,) if said is not None else ())]
    return queries.UsageRow(
        namespace="",
        name=name,
        at=max(each.at for each in told),
        window=max(each.window for each in told),
        cpu=sum(row.cpu for row in rows),
        memory=sum(row.memory for row in rows),
    )
