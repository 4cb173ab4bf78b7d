"""`events`: what happened, in order of time (spec 6.13)."""

import time

import click

from domain import errors, queries, times
from rollbook import conditions, durations, printing
from rollbook.client import Cluster, Object
from rollbook.commands import common, flags, options
from rollbook.failures import Failure
from rollbook.references import EVENT, parse_reference

_HEADERS = ("LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE")


@click.command(cls=flags.Command)
@click.option(
    "--for", "about", default="", metavar="TYPE/NAME", help="About this object only."
)
@click.option("--types", default="", help="Warning, Normal, or both.")
@click.option(
    "-A", "--all-namespaces", "everywhere", is_flag=True, help="In every namespace."
)
@click.option(
    "-w", "--watch", is_flag=True, help="Then print each that happens, until Ctrl-C."
)
@click.option("--no-headers", is_flag=True, help="Rows only.")
@click.option(
    "-o", "--output", default="table", metavar="FORMAT", help="table, json or yaml."
)
@common.past
@options.namespaced
def events(
    about: str,
    types: str,
    everywhere: bool,
    watch: bool,
    no_headers: bool,
    output: str,
    at: queries.Moment | None,
) -> None:
    """List what happened to objects, the oldest first.

    \b
    Examples:
      rollbook events
      rollbook events --for deployment/nginx --types=Warning
      rollbook events -A -w
      rollbook events --at 1h
    """
    if output not in ("table", "json", "yaml"):
        raise Failure(common.bad_format(output, "json,yaml"))
    if watch:
        common.only_now(at, "--watch")
    wanted = {each.strip().lower() for each in types.split(",") if each.strip()}

    async def work(cluster: Cluster) -> None:
        async def look() -> list[Object]:
            found = await cluster.list(
                EVENT,
                namespace="" if everywhere else None,
                field_selector=fields(about, cluster.namespace),
                at=at,
            )
            kept = [
                each
                for each in found
                if not wanted or conditions.text_at(each, "type").lower() in wanted
            ]
            return sorted(kept, key=last_seen)

        found = await look()
        if output != "table":
            document = printing.as_list(found)
            form = printing.as_json if output == "json" else printing.as_yaml
            printing.say(form(document).rstrip("\n"))
        elif found:
            headers = None if no_headers else _heads(everywhere)
            now = time.time() if at is None else await cluster.time_of(at)
            _print(found, headers, everywhere, now)
        elif not watch:
            where = "" if everywhere else f" in {cluster.namespace} namespace"
            printing.talk(f"No events found{where}.")
        if not watch:
            return
        seen = {_identity(each) for each in found}
        async with cluster.commits() as commits:
            while True:
                cluster.position = max(cluster.position, await commits.next())
                try:
                    news = [e for e in await look() if _identity(e) not in seen]
                except errors.Transient:
                    continue
                seen |= {_identity(each) for each in news}
                _print(news, None, everywhere, time.time())

    common.run(work)


def fields(about: str, namespace: str) -> str:
    """The field selector for the events about an object; empty for all of them."""
    if not about:
        return ""
    reference = parse_reference(about, namespace)
    return (
        f"involvedObject.kind={reference.kind.title},"
        f"involvedObject.name={reference.name}"
    )


def last_seen(event: Object) -> str:
    """When it happened last: RFC 3339, so that texts sort as times."""
    return (
        conditions.text_at(event, "lastTimestamp")
        or conditions.text_at(event, "eventTime")
        or conditions.text_at(event, "metadata", "creationTimestamp")
    )


def cells(event: Object, now: float) -> list[str]:
    """The row of an event; a repeated one says how often and since when."""
    moment = last_seen(event)
    seen = durations.age(times.parse(moment), now) if moment else "<unknown>"
    count = conditions.number(event, "count")
    first = conditions.text_at(event, "firstTimestamp")
    if count > 1 and first:
        seen += f" (x{count} over {durations.age(times.parse(first), now)})"
    kind = conditions.text_at(event, "involvedObject", "kind")
    name = conditions.text_at(event, "involvedObject", "name")
    return [
        seen,
        conditions.text_at(event, "type"),
        conditions.text_at(event, "reason"),
        f"{kind}/{name}",
        conditions.text_at(event, "message").strip(),
    ]


def _print(
    found: list[Object], headers: tuple[str, ...] | None, everywhere: bool, now: float
) -> None:
    rows = []
    for each in found:
        row = cells(each, now)
        namespace = conditions.text_at(each, "metadata", "namespace")
        rows.append([namespace, *row] if everywhere else row)
    for line in printing.table(headers, rows):
        printing.say(line)


def _heads(everywhere: bool) -> tuple[str, ...]:
    return ("NAMESPACE", *_HEADERS) if everywhere else _HEADERS


def _identity(event: Object) -> tuple[str, str, int, str]:
    return (
        conditions.text_at(event, "metadata", "namespace"),
        conditions.text_at(event, "metadata", "name"),
        conditions.number(event, "count"),
        last_seen(event),
    )
