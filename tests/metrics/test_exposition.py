"""The server of a process's numbers: what it answers, and what it refuses."""

import asyncio
from collections.abc import AsyncIterator, Iterable

import pytest
from prometheus_client.core import Metric

from adapters import exposition
from adapters.exposition import Board, Form, Settings, counter, gauge, histogram
from adapters.histogram import Histogram
from domain.errors import Permanent
from tests.metrics import promtool
from tests.metrics.serving import OPENMETRICS, served


def families() -> list[Metric]:
    """One of each kind."""
    held = Histogram()
    held.observe(0.02)
    return [
        counter("a_things", "Things.", 3),
        gauge("a_size_bytes", "Size.", 4.5),
        histogram("a_work_seconds", "Work.", held),
        exposition.counters(
            "a_kinds", "By kind.", ["kind"], [(('odd "one"\n\\',), 1.0)]
        ),
    ]


def board(why: str = "", pages: exposition.Pages | None = None) -> Board:
    """A board that shows `families`."""

    async def collect() -> Iterable[Metric]:
        return families()

    return Board(collect, why_unready=lambda: why, pages=pages)


async def pages(form: Form) -> AsyncIterator[bytes]:
    """A family that is too long for one piece."""
    kind = "counter"
    name = "b_rows_total" if form == "text" else "b_rows"
    yield f"# HELP {name} Rows.\n# TYPE {name} {kind}\n".encode()
    for number in range(3):
        yield f'b_rows_total{{row="{number}"}} 1\n'.encode()


@pytest.mark.asyncio
async def test_it_answers_in_text_with_the_process_own_numbers() -> None:
    """Without a wish the format is the classic one; memory and CPU come along."""
    async with served(board()) as at:
        status, kind, text = await at.get("/metrics")

    assert (status, kind) == (200, exposition.TEXT_TYPE)
    assert "\na_things_total 3.0\n" in text
    assert 'a_work_seconds_bucket{le="0.025"} 1.0' in text
    assert 'a_kinds_total{kind="odd \\"one\\"\\n\\\\"} 1.0' in text
    assert "process_resident_memory_bytes" in text
    assert "# EOF" not in text


@pytest.mark.asyncio
@pytest.mark.parametrize("with_pages", [False, True])
async def test_openmetrics_is_spoken_to_those_who_ask_for_it(with_pages: bool) -> None:
    """There is one end, after everything, the pages too."""
    async with served(board(pages=pages if with_pages else None)) as at:
        status, kind, text = await at.get("/metrics", OPENMETRICS)

    assert (status, kind) == (200, exposition.OPENMETRICS_TYPE)
    assert text.endswith("\n# EOF\n")
    assert text.count("# EOF") == 1
    assert ('b_rows_total{row="2"} 1\n' in text) == with_pages
    assert "# TYPE a_things counter\n" in text


@promtool.needs_promtool
@pytest.mark.asyncio
async def test_promtool_has_nothing_to_say() -> None:
    """Names, help texts and units are as Prometheus wants them."""
    async with served(board(pages=pages)) as at:
        _, _, text = await at.get("/metrics")

    assert promtool.complaints(text) == ""


@promtool.needs_promtool
def test_promtool_would_say_something() -> None:
    """A page with a counter of a wrong name is complained about."""
    assert promtool.complaints("# HELP a x\n# TYPE a counter\na 1\n") != ""


@pytest.mark.asyncio
async def test_health_tells_whether_it_works() -> None:
    """Alive is alive; ready says why not."""
    async with served(board("the log is being replayed")) as at:
        assert (await at.get("/livez"))[0] == 200
        assert (await at.get("/readyz"))[::2] == (503, "the log is being replayed\n")
    async with served(board()) as at:
        assert (await at.get("/readyz"))[::2] == (200, "ok\n")


@pytest.mark.asyncio
async def test_too_many_scrapes_at_once_are_refused() -> None:
    """Who asks a busy process gets an answer at once, and it says so."""
    inside, go_on = asyncio.Semaphore(0), asyncio.Event()

    async def collect() -> Iterable[Metric]:
        inside.release()
        await go_on.wait()
        return ()

    async with served(Board(collect, why_unready=str)) as at:
        waiting = [
            asyncio.create_task(at.get("/metrics")) for _ in range(exposition.AT_ONCE)
        ]
        for _ in waiting:
            await inside.acquire()
        refused = await at.get("/metrics")
        go_on.set()
        answered = await asyncio.gather(*waiting)

    assert refused[0] == 503
    assert [status for status, _, _ in answered] == [200] * exposition.AT_ONCE


@pytest.mark.asyncio
async def test_numbers_that_do_not_come_are_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A scrape ends within its time, whatever it waits for."""
    monkeypatch.setattr(exposition, "COLLECT_SECONDS", 0.01)

    async def collect() -> Iterable[Metric]:
        await asyncio.Event().wait()
        return ()

    async with served(Board(collect, why_unready=str)) as at:
        assert (await at.get("/metrics"))[0] == 503


@pytest.mark.asyncio
async def test_a_port_in_use_is_said() -> None:
    """The message names the port and what to do."""
    async with served(board()) as at:
        port = int(at.url.rpartition(":")[2])
        with pytest.raises(Permanent, match=f"{port}.*--metrics-port"):
            async with exposition.serving(Settings(port=port), board()):
                raise AssertionError("it was served twice")


@pytest.mark.asyncio
async def test_port_0_serves_nothing() -> None:
    """Metrics are off unless a port is given."""
    before = len(asyncio.all_tasks())
    async with exposition.serving(Settings(), board()):
        assert len(asyncio.all_tasks()) == before
