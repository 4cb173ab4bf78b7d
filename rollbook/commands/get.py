"""`get` (spec 6.2): tables, objects, names; once, or as they change."""

import re
from collections.abc import Sequence
from typing import Final

import click
import msgspec

from domain import errors, queries
from rollbook import conditions, custom_columns, jsonpath, printing
from rollbook.client import Cluster, Object
from rollbook.commands import common, flags, options
from rollbook.failures import Failure
from rollbook.references import Kind, Reference, parse_selection

_FORMATS: Final = "custom-columns,json,jsonpath,name,wide,yaml"
_AGES: Final = frozenset({"AGE", "LAST SEEN", "FIRST SEEN"})
_AGO: Final = re.compile(r" \([^)]* ago\)")

Place = tuple[str, str]
"""The namespace and the name of an object."""


class View(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be shown, and how."""

    output: str
    everywhere: bool = False
    selector: str = ""
    field_selector: str = ""
    sort_by: str = ""
    headers: bool = True
    labels: bool = False
    lenient: bool = False
    at: queries.Moment | None = None


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """One kind, with the names that are wanted; none are all."""

    kind: Kind
    references: tuple[Reference, ...] = ()


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """The rows of a group, by place, and what was not found."""

    headers: tuple[str, ...]
    ageing: tuple[int, ...]
    """Columns that change by themselves."""
    rows: dict[Place, list[str]]
    failed: tuple[errors.Rejected, ...] = ()


@click.command(cls=flags.Command)
@click.argument(
    "words",
    nargs=-1,
    metavar="TYPE[,TYPE…] [NAME…]",
    shell_complete=common.complete_objects,
)
@click.option(
    "-A", "--all-namespaces", "everywhere", is_flag=True, help="In every namespace."
)
@click.option(
    "-l", "--selector", default="", help="Those with such labels: app=web,tier!=db."
)
@click.option(
    "--field-selector", default="", help="Those with such fields: status.phase=Running."
)
@click.option(
    "-o",
    "--output",
    default="table",
    metavar="FORMAT",
    shell_complete=common.complete_formats(
        "table", "wide", "json", "yaml", "name", "jsonpath=", custom_columns.FORMAT
    ),
    help="table, wide, json, yaml, name, jsonpath=TEMPLATE or "
    "custom-columns=HEADER:PATH,…",
)
@click.option(
    "-w", "--watch", is_flag=True, help="Then show what changes, until Ctrl-C."
)
@click.option(
    "--sort-by", default="", metavar="JSONPATH", help="In the order of this field."
)
@click.option("--no-headers", is_flag=True, help="Rows only.")
@click.option("--show-labels", is_flag=True, help="One more column.")
@click.option(
    "--ignore-not-found", is_flag=True, help="What is not there is no failure."
)
@common.past
@options.namespaced
def get(
    words: tuple[str, ...],
    everywhere: bool,
    selector: str,
    field_selector: str,
    output: str,
    watch: bool,
    sort_by: str,
    no_headers: bool,
    show_labels: bool,
    ignore_not_found: bool,
    at: queries.Moment | None,
) -> None:
    """List the objects of some types, or show some by name.

    Types: deployments (deploy), replicasets (rs), pods (po), nodes (no), events (ev),
    horizontalpodautoscalers (hpa), configmaps (cm), secrets, serviceaccounts (sa),
    leases, namespaces (ns), and all.

    \b
    Examples:
      rollbook get deployments
      rollbook get pods -l app=nginx -o wide
      rollbook get deployment/nginx pod/nginx-5d78c9869d-4xk2v
      rollbook get pods -A --field-selector spec.nodeName=worker-1 -w
      rollbook get deployment nginx -o jsonpath='{.status.availableReplicas}'
      rollbook get pods -o custom-columns=NAME:.metadata.name,NODE:.spec.nodeName
      rollbook get pods --at 10m
    """
    if not words:
        raise Failure(
            "error: You must specify the type of resource to get, for example "
            "`rollbook get deployments`"
        )
    view = View(
        output=output, everywhere=everywhere, selector=selector,
        field_selector=field_selector, sort_by=sort_by, headers=not no_headers,
        labels=show_labels, lenient=ignore_not_found, at=at,
    )  # fmt: skip
    _check_format(output)
    if watch:
        common.only_now(at, "--watch")

    async def work(cluster: Cluster) -> None:
        groups = group(words, cluster.namespace)
        tabular = output in ("table", "wide", "name")
        if tabular:
            shown = await _show_tables(cluster, groups, view)
        else:
            shown = {}
            await _show_objects(cluster, groups, view)
        if watch:
            await _watch(cluster, groups, view, shown)

    common.run(work)


def group(words: Sequence[str], namespace: str) -> list[Group]:
    """The kinds that are asked for, each with its names, in the order of the words."""
    selection = parse_selection(words, namespace)
    if not selection.references:
        return [Group(kind=kind) for kind in selection.kinds]
    by_kind: dict[Kind, list[Reference]] = {}
    for reference in selection.references:
        by_kind.setdefault(reference.kind, []).append(reference)
    return [Group(kind=kind, references=tuple(r)) for kind, r in by_kind.items()]


def _check_format(output: str) -> None:
    known = output in ("table", "wide", "json", "yaml", "name")
    if output.startswith("jsonpath="):
        jsonpath.render(output.removeprefix("jsonpath="), {})
    elif output.startswith(custom_columns.FORMAT):
        custom_columns.parse(output)
    elif not known:
        raise Failure(common.bad_format(output, _FORMATS))


# --- tables and names


async def _show_tables(
    cluster: Cluster, groups: Sequence[Group], view: View
) -> dict[Kind, Found]:
    found = {each.kind: await _rows(cluster, each, view) for each in groups}
    printed = False
    for each in groups:
        rows = list(found[each.kind].rows.values())
        if not rows:
            continue
        if printed and view.output != "name":
            printing.say("")
        headers = found[each.kind].headers if view.headers else None
        many = len(groups) > 1
        for line in _lines(each.kind, headers, rows, view, many=many):
            printing.say(line)
        printed = True
    failed = [error for each in found.values() for error in each.failed]
    named = any(each.references for each in groups)
    if not printed and not named and view.output != "name":
        scoped = any(each.kind.namespaced for each in groups)
        everywhere = view.everywhere or not scoped
        common.nothing_found(cluster.namespace, everywhere=everywhere)
    await common.each([] if view.lenient else failed, _raise)
    return found


def _lines(
    kind: Kind,
    headers: Sequence[str] | None,
    rows: list[list[str]],
    view: View,
    *,
    many: bool,
) -> list[str]:
    place = 1 if view.everywhere and kind.namespaced else 0
    if view.output == "name":
        return [f"{kind.qualified}/{cells[place]}" for cells in rows]
    if many:  # names carry the kind (spec 6.2)
        name = headers.index("NAME") if headers and "NAME" in headers else place
        rows = [
            [*cells[:name], f"{kind.qualified}/{cells[name]}", *cells[name + 1 :]]
            for cells in rows
        ]
    return printing.table(headers, rows)


async def _rows(cluster: Cluster, group: Group, view: View) -> Found:
    """The table of a group, with what the options add to it."""
    namespace = "" if view.everywhere else None
    tables, failed = [], []
    for name in [each.name for each in group.references] or [""]:
        try:
            tables.append(
                await cluster.table(
                    group.kind,
                    name,
                    namespace=namespace,
                    selector=view.selector,
                    field_selector=view.field_selector,
                    format="name" if view.output == "name" else "table",
                    at=view.at,
                )
            )
        except errors.Rejected as error:
            if error.reason != "NotFound" or not group.references:
                raise
            failed.append(error)
    columns = tables[0].columns if tables else ()
    wanted = [
        index
        for index, column in enumerate(columns)
        if view.output == "wide" or not column.wide
    ]
    headers = [columns[index].name.upper() for index in wanted]
    rows = {
        (row.namespace, row.name): [row.cells[index] for index in wanted]
        if columns
        else [row.name]
        for table in tables
        for row in table.rows
    }
    if view.everywhere and group.kind.namespaced:
        headers = ["NAMESPACE", *headers]
        rows = {place: [place[0], *cells] for place, cells in rows.items()}
    if view.labels or view.sort_by:
        headers, rows = await _with_objects(cluster, group, view, headers, rows)
    ageing = tuple(index for index, header in enumerate(headers) if header in _AGES)
    return Found(headers=tuple(headers), ageing=ageing, rows=rows, failed=tuple(failed))


async def _with_objects(
    cluster: Cluster,
    group: Group,
    view: View,
    headers: list[str],
    rows: dict[Place, list[str]],
) -> tuple[list[str], dict[Place, list[str]]]:
    """The rows in the order of `--sort-by`, with the labels if they are wanted."""
    objects = {_place(each): each for each in await _objects(cluster, group, view)}
    rows = {place: cells for place, cells in rows.items() if place in objects}
    if view.sort_by:
        ordered = sorted(rows, key=lambda place: sort_key(objects[place], view.sort_by))
        rows = {place: rows[place] for place in ordered}
    if view.labels:
        headers = [*headers, "LABELS"]
        rows = {p: [*cells, labels_text(objects[p])] for p, cells in rows.items()}
    return headers, rows


def sort_key(found: Object, expression: str) -> tuple[int, float, str]:
    """Where an object stands in the order of a field: missing, numbers, texts."""
    values = jsonpath.find(expression, found)
    value = values[0] if values else None
    match value:
        case None:
            return 0, 0.0, ""
        case int() | float():
            return 1, float(value), ""
        case _:
            return 2, 0.0, jsonpath.shown(value)


def labels_text(found: Object) -> str:
    """`app=web,tier=db`, sorted by key."""
    labels = conditions.map_at(found, "metadata", "labels")
    text = ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
    return text or printing.NONE


# --- objects


async def _show_objects(cluster: Cluster, groups: Sequence[Group], view: View) -> None:
    found: list[Object] = []
    failed: list[errors.Rejected] = []
    for each in groups:
        try:
            found += await _objects(cluster, each, view)
        except errors.Rejected as error:
            if error.reason != "NotFound" or not each.references:
                raise
            failed.append(error)
    one = len(groups) == 1 and len(groups[0].references) == 1
    if found or not one:
        if view.output.startswith(custom_columns.FORMAT):
            _print_columns(found, view, headers=view.headers)
        else:
            _print_object(found[0] if one else printing.as_list(found), view.output)
    await common.each([] if view.lenient else failed, _raise)


async def _objects(cluster: Cluster, group: Group, view: View) -> list[Object]:
    namespace = "" if view.everywhere else None
    if group.references:
        found = [await cluster.get(each, at=view.at) for each in group.references]
    else:
        found = list(
            await cluster.list(
                group.kind,
                namespace=namespace,
                selector=view.selector,
                field_selector=view.field_selector,
                at=view.at,
            )
        )
    if view.sort_by:
        found.sort(key=lambda each: sort_key(each, view.sort_by))
    return found


def _print_columns(found: Sequence[Object], view: View, *, headers: bool) -> None:
    wanted = custom_columns.parse(view.output)
    for line in custom_columns.lines(wanted, found, headers=headers):
        printing.say(line)


def _print_object(document: object, output: str) -> None:
    if output == "json":
        printing.say(printing.as_json(document))
    elif output == "yaml":
        printing.write(printing.as_yaml(document).encode())
    else:
        text = jsonpath.render(output.removeprefix("jsonpath="), document)
        printing.write(text.encode())


# --- watching


async def _watch(
    cluster: Cluster, groups: Sequence[Group], view: View, shown: dict[Kind, Found]
) -> None:
    """Print each row that changes, and once more each that goes away."""
    tabular = view.output in ("table", "wide", "name")
    known: dict[tuple[Kind, Place], object] = {}
    for kind, found in shown.items():
        for place, cells in found.rows.items():
            known[kind, place] = _compared(cells, found.ageing)
    last = {kind: dict(found.rows) for kind, found in shown.items()}
    if not tabular:
        for each in groups:
            for item in await _objects_leniently(cluster, each, view):
                known[each.kind, _place(item)] = item
    async with cluster.commits() as commits:
        while True:
            cluster.position = max(cluster.position, await commits.next())
            for each in groups:
                try:
                    if tabular:
                        await _show_changes(cluster, each, view, known, last)
                    else:
                        await _print_changes(cluster, each, view, known)
                except errors.Transient:
                    continue  # the next wake-up looks again


async def _show_changes(
    cluster: Cluster,
    group: Group,
    view: View,
    known: dict[tuple[Kind, Place], object],
    last: dict[Kind, dict[Place, list[str]]],
) -> None:
    found = await _rows(cluster, group, view)
    before = last.get(group.kind, {})
    gone = [cells for place, cells in before.items() if place not in found.rows]
    changed = []
    for place, cells in found.rows.items():
        compared = _compared(cells, found.ageing)
        if known.get((group.kind, place)) != compared:
            changed.append(cells)
            known[group.kind, place] = compared
    for place in before.keys() - found.rows.keys():
        del known[group.kind, place]
    last[group.kind] = dict(found.rows)
    if not (changed or gone):
        return
    # The columns stay as wide as the whole table needs, so that rows line up.
    every = [list(found.headers), *found.rows.values(), *gone]
    widths = printing.column_widths(every)
    first = not before and view.headers and view.output != "name"
    if view.output == "name":
        for line in _lines(group.kind, None, [*changed, *gone], view, many=False):
            printing.say(line)
        return
    headers = found.headers if first else None
    for line in printing.table(headers, [*changed, *gone], widths=widths):
        printing.say(line)


async def _print_changes(
    cluster: Cluster,
    group: Group,
    view: View,
    known: dict[tuple[Kind, Place], object],
) -> None:
    for each in await _objects_leniently(cluster, group, view):
        key = (group.kind, _place(each))
        if known.get(key) != each:
            known[key] = each
            if view.output.startswith(custom_columns.FORMAT):
                _print_columns([each], view, headers=False)
            else:
                _print_object(each, view.output)


async def _objects_leniently(
    cluster: Cluster, group: Group, view: View
) -> list[Object]:
    try:
        return await _objects(cluster, group, view)
    except errors.Rejected:
        return []


def _compared(cells: Sequence[str], ageing: Sequence[int]) -> tuple[str, ...]:
    """The cells without what changes by itself as time passes."""
    return tuple(
        _AGO.sub("", cell) for index, cell in enumerate(cells) if index not in ageing
    )


def _place(found: Object) -> Place:
    return (
        conditions.text_at(found, "metadata", "namespace"),
        conditions.text_at(found, "metadata", "name"),
    )


async def _raise(error: errors.Rejected) -> None:
    raise error
