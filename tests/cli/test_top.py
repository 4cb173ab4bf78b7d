"""`rollbook top`: the tables, their units and their order, in kubectl's words."""

from collections.abc import Callable

import msgspec
import pytest

from domain import queries
from rollbook.commands import top
from tests.cli.service import Service

MEBIBYTE = 2**20


@pytest.mark.parametrize(
    ("nanocores", "text"),
    [
        (0, "0m"),
        (1, "1m"),
        (12_000_000, "12m"),
        (12_000_001, "13m"),
        (2_500_000_000, "2500m"),
    ],
)
def test_cores(nanocores: int, text: str) -> None:
    """Thousandths of a core, rounded up: what is used is never shown as nothing."""
    assert top.cores(nanocores) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0Mi"),
        (MEBIBYTE - 1, "0Mi"),
        (34 * MEBIBYTE, "34Mi"),
        (35 * MEBIBYTE - 1, "34Mi"),
        (3 * 1024 * MEBIBYTE, "3072Mi"),
    ],
)
def test_mebibytes(count: int, text: str) -> None:
    """Whole mebibytes, and never a larger unit."""
    assert top.mebibytes(count) == text


def row(
    name: str, milli: int, mebi: int, *, namespace: str = "default", kind: str = "pod"
) -> queries.UsageRow:
    """What somebody uses; a pod has two containers, of which `side` uses 2m, 4Mi."""
    cpu, memory = milli * 1_000_000, mebi * MEBIBYTE
    side = queries.UsageOfContainer(name="side", cpu=2_000_000, memory=4 * MEBIBYTE)
    main = queries.UsageOfContainer(
        name="main", cpu=cpu - side.cpu, memory=memory - side.memory
    )
    return queries.UsageRow(
        namespace=namespace,
        name=name,
        at=1.0,
        window=15.0,
        cpu=cpu,
        memory=memory,
        containers=(main, side) if kind == "pod" else (),
    )


def using(*rows: queries.UsageRow) -> Callable[[bytes], queries.UsageAnswer]:
    """The answers to `usage`: a page for each of `rows`."""

    def answer(data: bytes) -> queries.UsageAnswer:
        asked = msgspec.json.decode(data, type=queries.UsageQuery)
        at = int(asked.continue_ or 0)
        after = str(at + 1) if at + 1 < len(rows) else ""
        return queries.UsageAnswer(
            rows=rows[at : at + 1], total=len(rows), continue_=after
        )

    return answer


def with_pods(service: Service) -> None:
    """Three pods, the answer to which comes in pages and in no order."""
    service.answers["usage"] = using(
        row("web-2", 12, 34),
        row("web-1", 250, 8),
        row("db", 12, 1024, namespace="other"),
    )


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("flags", "lines"),
    [
        (
            "",
            [
                "NAME    CPU(cores)   MEMORY(bytes)",
                "web-1   250m         8Mi",
                "web-2   12m          34Mi",
                "db      12m          1024Mi",
            ],
        ),
        (
            "-A --sort-by=cpu",
            [
                "NAMESPACE   NAME    CPU(cores)   MEMORY(bytes)",
                "default     web-1   250m         8Mi",
                "default     web-2   12m          34Mi",
                "other       db      12m          1024Mi",
            ],
        ),
        (
            "--sort-by=memory --no-headers",
            ["db      12m    1024Mi", "web-2   12m    34Mi", "web-1   250m   8Mi"],
        ),
        (
            "-A --containers",
            [
                "NAMESPACE   POD     NAME   CPU(cores)   MEMORY(bytes)",
                "default     web-1   main   248m         4Mi",
                "default     web-1   side   2m           4Mi",
                "default     web-2   main   10m          30Mi",
                "default     web-2   side   2m           4Mi",
                "other       db      main   10m          1020Mi",
                "other       db      side   2m           4Mi",
            ],
        ),
    ],
)
async def test_pods(service: Service, flags: str, lines: list[str]) -> None:
    """By namespace and name, or the largest first; every page of the answer."""
    with_pods(service)
    ran = await service.run("top", "pods", *flags.split())
    assert (ran.status, ran.err) == (0, "")
    assert [line.rstrip() for line in ran.out.splitlines()] == lines


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("line", "asked"),
    [
        ("pod", {"namespace": "default"}),
        ("po web-1", {"namespace": "default", "name": "web-1"}),
        ("pods -n other -l app=web", {"namespace": "other", "selector": "app=web"}),
        ("pods -A", {}),
        ("no worker-1", {"kind": "node", "name": "worker-1"}),
    ],
)
async def test_what_is_asked(
    service: Service, line: str, asked: dict[str, object]
) -> None:
    """Names of kinds are kubectl's; a node is in no namespace."""
    service.add("node", "worker-1")
    service.answers["usage"] = using(row("worker-1", 1, 1, kind="node"))
    ran = await service.run("top", *line.split())
    assert (ran.status, ran.err) == (0, "")
    [question] = [q for verb, q in service.questions if verb == "usage"]
    decoded = msgspec.convert(question, queries.UsageQuery)
    assert decoded == msgspec.convert(asked, queries.UsageQuery)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("words", "lines"),
    [
        (
            "nodes",
            [
                "NAME       CPU(cores)   CPU(%)      MEMORY(bytes)   MEMORY(%)",
                "worker-1   501m         25%         512Mi           50%",
                "worker-2   12m          <unknown>   34Mi            <unknown>",
                "worker-3   <unknown>    <unknown>   <unknown>       <unknown>",
                "worker-4   <unknown>    <unknown>   <unknown>       <unknown>",
            ],
        ),
        (
            "nodes --sort-by=memory --no-headers",
            [
                "worker-1   501m        25%         512Mi       50%",
                "worker-2   12m         <unknown>   34Mi        <unknown>",
                "worker-3   <unknown>   <unknown>   <unknown>   <unknown>",
                "worker-4   <unknown>   <unknown>   <unknown>   <unknown>",
            ],
        ),
    ],
)
async def test_nodes(service: Service, words: str, lines: list[str]) -> None:
    """Shares are of what may be allocated, rounded down; a node of which nothing is
    known comes last, and one that does not say what it has shows no share."""
    room = {"cpu": "2", "memory": "1Gi"}
    for name in ("worker-4", "worker-3", "worker-1"):
        service.add("node", name, status={"allocatable": room})
    service.add("node", "worker-2", status={"allocatable": {"cpu": "0"}})
    service.answers["usage"] = using(
        row("worker-2", 12, 34, kind="node"), row("worker-1", 501, 512, kind="node")
    )
    ran = await service.run("top", *words.split())
    assert (ran.status, ran.err) == (0, "")
    assert [line.rstrip() for line in ran.out.splitlines()] == lines


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("line", "err"),
    [
        ("pods", "error: metrics not available yet"),
        ("nodes", "error: metrics not available yet"),
        ("deployments", 'error: top knows pods and nodes, not "deployments"'),
        (
            "pods web-1 -l app=web",
            "error: only one of NAME or --selector can be provided",
        ),
    ],
)
async def test_what_cannot_be_shown(service: Service, line: str, err: str) -> None:
    """Nothing is measured yet, or the question makes no sense: exit code 1."""
    service.answers["usage"] = using()
    ran = await service.run("top", *line.split())
    assert (ran.status, ran.out, ran.err) == (1, "", f"{err}\n")
