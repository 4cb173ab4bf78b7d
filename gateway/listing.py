"""`get`: objects of one kind as rows or as JSON, a page at a time.

1. Objects come in order of namespace and name. A page ends after `limit` objects, or
   before its answer would be too large for one message; `continue_` then names the
   last one, and the next page begins behind it, in the state of that time.
2. A name gives that object or NotFound; a list that finds nothing is empty.
"""

import heapq
import itertools
from collections.abc import Callable, Iterable, Mapping
from typing import Final, Generic, NamedTuple, TypeVar

import msgspec

from domain import labels, names, plain, queries
from domain.errors import Rejected, not_found
from domain.labels import LabelSelector
from domain.plain import PlainObject
from gateway import derived, selection
from gateway.selection import Fields, Selectable
from gateway.views import deployments, happenings, nodes, pods, replicasets
from gateway.views import plain as plain_views
from gateway.views.scene import JSON, Scene

PAGE_MAX: Final = 5_000
ROW_BYTES: Final = 64
"""What a row needs besides its cells, at most."""
_ENCODER: Final = msgspec.json.Encoder()

T = TypeVar("T", bound=Selectable)
Key = tuple[str, str]


class Source(NamedTuple, Generic[T]):
    """How objects of a kind are found and shown."""

    resource: str
    fields: Fields[T]
    columns: tuple[tuple[str, bool], ...]
    all: Callable[[Scene], Iterable[T]]
    find: Callable[[Scene, str, str], T | None]
    key: Callable[[T], Key]
    labels: Callable[[Scene, T], Mapping[str, str]]
    cells: Callable[[Scene, T], tuple[str, ...]]
    document: Callable[[Scene, T], JSON]


def key_of(kind: str, namespace: str, name: str) -> str:
    """The key of an object; that of a node has no namespace, whatever was asked."""
    return names.key(kind, namespace, name)


def answer(at: Scene, asked: queries.GetQuery, bytes_max: int) -> queries.GetAnswer:
    """The objects that the question picks, encoded in at most about `bytes_max`.

    Raises `Rejected` for a question that makes no sense, and where there is no object
    of its name.
    """
    match asked.kind:
        case "deployment":
            return _answer(at, asked, DEPLOYMENTS, bytes_max)
        case "replicaset":
            return _answer(at, asked, REPLICASETS, bytes_max)
        case "pod":
            return _answer(at, asked, PODS, bytes_max)
        case "node":
            return _answer(at, asked, NODES, bytes_max)
        case "event":
            return _answer(at, asked, EVENTS, bytes_max)
        case _:
            return _answer(at, asked, PLAIN[asked.kind], bytes_max)


def _answer(
    at: Scene, asked: queries.GetQuery, source: Source[T], bytes_max: int
) -> queries.GetAnswer:
    if asked.limit < 0:
        raise Rejected("BadRequest", f"limit: {asked.limit} is negative")
    limit = min(asked.limit or PAGE_MAX, PAGE_MAX)
    if asked.name:
        found, more = [_one(at, asked, source)], False
    else:
        found = _page(at, asked, source, limit + 1)
        found, more = found[:limit], len(found) > limit
    page = _Page(bytes_max)
    for held in found:
        if not page.add(at, asked.format, source, held):
            more = True
            break
    columns = source.columns if asked.format == "table" else ()
    return queries.GetAnswer(
        position=at.cluster.position,
        columns=tuple(queries.Column(name=name, wide=wide) for name, wide in columns),
        rows=tuple(page.rows),
        items=tuple(page.items),
        continue_="/".join(page.last) if more else "",
    )


class _Page:
    """The answer as it fills up."""

    def __init__(self, bytes_max: int) -> None:
        self.rows: list[queries.TableRow] = []
        self.items: list[msgspec.Raw] = []
        self.last: Key = ("", "")
        self._room = bytes_max

    def add(self, at: Scene, form: queries.Format, source: Source[T], held: T) -> bool:
        """Whether the object found room; the first of a page always must."""
        namespace, name = key = source.key(held)
        if form == "object":
            item = _ENCODER.encode(source.document(at, held))
            size = len(item) + 1
        else:
            cells = source.cells(at, held) if form == "table" else ()
            row = queries.TableRow(namespace=namespace, name=name, cells=cells)
            size = len(_ENCODER.encode(cells)) + len(name) + len(namespace) + ROW_BYTES
        if size > self._room:
            if self.last == ("", ""):
                raise Rejected(
                    "RequestEntityTooLarge",
                    f"{source.resource} {name!r} has {size} bytes, which is more than "
                    "one answer can carry: ask for it as a table",
                )
            return False
        self._room -= size
        self.last = key
        if form == "object":
            self.items.append(msgspec.Raw(item))
        else:
            self.rows.append(row)
        return True


def _one(at: Scene, asked: queries.GetQuery, source: Source[T]) -> T:
    if not asked.namespace and asked.kind not in names.CLUSTER_KINDS:
        text = "a resource cannot be retrieved by name across all namespaces"
        raise Rejected("BadRequest", f"namespace: {text}")
    held = source.find(at, asked.namespace, asked.name)
    if held is None or not _picks(at, asked, source)(held):
        raise not_found(source.resource, asked.name)
    return held


def _page(at: Scene, asked: queries.GetQuery, source: Source[T], count: int) -> list[T]:
    """The first `count` objects behind `continue_`, in order."""
    picks, key = _picks(at, asked, source), source.key
    after = _after(asked.continue_)
    found = (held for held in source.all(at) if picks(held))
    if after is not None:
        found = (held for held in found if key(held) > after)
    return heapq.nsmallest(count, found, key=key)


def _picks(
    at: Scene, asked: queries.GetQuery, source: Source[T]
) -> Callable[[T], bool]:
    """Whether the question is about an object."""
    selector = labels.parse_selector(asked.selector)
    terms = selection.parse(asked.field_selector)
    fields = selection.predicate(terms, source.fields, asked.kind)
    everything = labels.is_empty(selector)
    namespace, key = asked.namespace, source.key
    if asked.kind in names.CLUSTER_KINDS:
        namespace = ""

    def picks(held: T) -> bool:
        return (
            (not namespace or key(held)[0] == namespace)
            and (not terms or fields(held))
            and (everything or _selected(selector, source.labels(at, held)))
        )

    return picks


def _selected(selector: LabelSelector, found: Mapping[str, str]) -> bool:
    return labels.matches(selector, found)


def _after(token: str) -> Key | None:
    if not token:
        return None
    namespace, slash, name = token.partition("/")
    if not slash or not name:
        raise Rejected(
            "BadRequest",
            f"continue: {token!r} is not what an answer gave: begin without it",
        )
    return namespace, name


# --- the kinds --------------------------------------------------------------------

DEPLOYMENTS: Final = Source(
    resource="deployments.apps",
    fields=selection.DEPLOYMENT,
    columns=deployments.COLUMNS,
    all=lambda at: at.cluster.desired.deployments.values(),
    find=lambda at, namespace, name: at.cluster.desired.deployments.get(
        f"deployment/{namespace}/{name}"
    ),
    key=lambda held: (held.namespace, held.name),
    labels=lambda _at, held: held.labels,
    cells=deployments.cells,
    document=deployments.document,
)
REPLICASETS: Final = Source(
    resource="replicasets.apps",
    fields=selection.REPLICASET,
    columns=replicasets.COLUMNS,
    all=lambda at: at.cluster.desired.replicasets.values(),
    find=lambda at, namespace, name: at.cluster.desired.replicasets.get(
        f"replicaset/{namespace}/{name}"
    ),
    key=lambda held: (held.namespace, held.name),
    labels=lambda _at, held: held.labels,
    cells=replicasets.cells,
    document=replicasets.document,
)
PODS: Final = Source(
    resource="pods",
    fields=selection.POD,
    columns=pods.COLUMNS,
    all=lambda at: at.cluster.actual.pods.values(),
    find=lambda at, namespace, name: at.cluster.actual.pods.get(
        f"pod/{namespace}/{name}"
    ),
    key=lambda held: (held.namespace, held.name),
    labels=lambda at, held: at.pod_labels(held),
    cells=pods.cells,
    document=pods.document,
)
NODES: Final = Source(
    resource="nodes",
    fields=selection.NODE,
    columns=nodes.COLUMNS,
    all=lambda at: (use.node for use in at.cluster.actual.node_list),
    find=lambda at, _namespace, name: (
        at.cluster.actual.nodes[name].node if name in at.cluster.actual.nodes else None
    ),
    key=lambda held: ("", held.name),
    labels=lambda _at, held: held.all_labels(),
    cells=nodes.cells,
    document=nodes.document,
)
EVENTS: Final = Source(
    resource="events",
    fields=selection.EVENT,
    columns=happenings.COLUMNS,
    all=lambda at: at.happenings,
    find=lambda at, namespace, name: next(
        (
            held
            for held in at.happenings
            if held.event_name == name and happenings.namespace(held) == namespace
        ),
        None,
    ),
    key=lambda held: (happenings.namespace(held), held.event_name),
    labels=lambda _at, _held: {},
    cells=happenings.cells,
    document=happenings.document,
)


def _plain(kind: str) -> Source[PlainObject]:
    return Source(
        resource=plain.KINDS[kind][0],
        fields=selection.SECRET if kind == "secret" else selection.PLAIN,
        columns=plain_views.COLUMNS[kind],
        all=lambda at: itertools.chain(
            at.cluster.plain.of(kind), derived.of(at, kind, "")
        ),
        find=lambda at, namespace, name: derived.plain_object(
            at, names.key(kind, namespace, name)
        ),
        key=lambda held: (held.namespace, held.name),
        labels=lambda _at, held: held.labels,
        cells=plain_views.cells,
        document=plain_views.document,
    )


PLAIN: Final = {kind: _plain(kind) for kind in plain.KINDS}
"""The plain kinds, by their token."""
