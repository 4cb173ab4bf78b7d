"""The contract of the event log, for each of its stores.

What only one store can promise is in `test_sqlite_log.py` and `test_postgres_log.py`;
crashes of the process that writes are in `test_killed_writer.py`.
"""

import collections
import concurrent.futures
from collections.abc import Sequence
from typing import TypeVar

import pytest

from adapters import eventlog, eventstore
from adapters.eventlog import Row, Tracking
from domain import errors
from tests.adapters import conftest
from tests.adapters.appends import ROWS_PER_APPEND, append_number, row

POD, NODE = "pod/default/web-1", "node/worker-1"
BEGINNING = (
    Row(1, POD, 1, "PodCreated", b'{"n":1}'),
    Row(2, NODE, 1, "NodeRegistered", b""),
    Row(3, POD, 2, "PodScheduled", b"\x00\xff"),
)
Result = TypeVar("Result")


def begun(store: conftest.Store) -> eventlog.EventLog:
    """A log of `store` that holds `BEGINNING` and has handled input 5 of `commands`."""
    log = store.open()
    log.append(BEGINNING, [Tracking("commands", 5)])
    return log


def assert_as_begun(log: eventlog.EventLog) -> None:
    """Nothing was written since `begun`, and the log still goes on."""
    assert log.read(0, 100) == list(BEGINNING)
    assert log.all_tracked() == {"commands": 5}

    log.append([row(4, POD, 3)], [Tracking("commands", 6)])

    assert log.last_position() == 4


def test_empty(store: conftest.Store) -> None:
    """A new log has no rows, no streams, no tracking and no snapshots."""
    log = store.open()

    assert log.last_position() == 0
    assert log.read(0, 10) == []
    assert log.read_stream(POD) == []
    assert log.read_first([POD]) == {}
    assert log.tracked("commands") == 0
    assert log.all_tracked() == {}
    assert log.load_snapshot("desired", 1) is None


def test_append_is_read_back(store: conftest.Store) -> None:
    """What was appended comes back exactly: bytes, order, positions, versions."""
    log = begun(store)

    assert log.read(0, 100) == list(BEGINNING)
    assert all(type(found) is Row for found in log.read(0, 100))
    assert log.last_position() == 3


def test_names_are_any_text(store: conftest.Store) -> None:
    """Streams and topics are text of any script and length, and never patterns."""
    log = store.open()
    names = ["pod/default/%", "pod/default/_", "węzeł/'\"; --", "x" * 1000]

    log.append([row(i, name, 1) for i, name in enumerate(names, 1)])

    assert [found.stream for found in log.read(0, 10)] == names
    assert [len(log.read_stream(name)) for name in names] == [1, 1, 1, 1]


@pytest.mark.parametrize(
    ("after", "limit", "positions"),
    [
        (0, 2, [1, 2]),
        (1, 1, [2]),
        (2, 100, [3]),
        (3, 100, []),
        (99, 100, []),
        (0, 0, []),
    ],
)
def test_read_in_pages(
    store: conftest.Store, after: int, limit: int, positions: list[int]
) -> None:
    """`read` gives the positions behind `after`, at most `limit`, ascending."""
    log = begun(store)

    assert [found.position for found in log.read(after, limit)] == positions


@pytest.mark.parametrize(
    ("after_version", "limit", "descending", "versions"),
    [
        (0, None, False, [1, 2, 3, 4]),
        (0, None, True, [4, 3, 2, 1]),
        (2, None, False, [3, 4]),
        (2, 1, False, [3]),
        (0, 1, True, [4]),
        (2, 9, True, [4, 3]),
        (4, None, False, []),
        (0, 0, False, []),
    ],
)
def test_read_stream(
    store: conftest.Store,
    after_version: int,
    limit: int | None,
    descending: bool,
    versions: list[int],
) -> None:
    """`read_stream` gives one stream's versions, from either end, bounded."""
    log = store.open()
    log.append([row(1, POD, 1), row(2, NODE, 1)])
    log.append([row(3, POD, 2), row(4, POD, 3), row(5, NODE, 2), row(6, POD, 4)])

    found = log.read_stream(POD, after_version, limit, descending)

    assert [one.version for one in found] == versions
    assert {one.stream for one in found} <= {POD}


def test_read_first_of_many_streams(store: conftest.Store) -> None:
    """A bulk look-up finds every stream that is there, however many are asked for."""
    log = store.open()
    count = 2 * eventlog.STREAMS_PER_STATEMENT + 7
    streams = [f"command/{i}" for i in range(count)]
    log.append([row(i, stream, 1) for i, stream in enumerate(streams, 1)])
    log.append([row(count + i, streams[3], 1 + i) for i in range(1, 4)])

    found = log.read_first(["command/none", *streams, "command/nil"], versions=2)

    assert set(found) == set(streams)
    assert [one.version for one in found.pop(streams[3])] == [1, 2]
    assert all([one.version for one in rows] == [1] for rows in found.values())


@pytest.mark.parametrize(
    ("rows", "expected", "current"),
    [
        pytest.param([row(3, POD, 3)], 2, 3, id="a writer that has been replaced"),
        pytest.param([row(1, "pod/new", 1)], 0, 3, id="a writer that starts anew"),
        pytest.param([row(5, POD, 3)], 4, 3, id="a log that has gone back"),
        pytest.param(
            [row(4, POD, 3), row(6, POD, 4)], 5, 6, id="a gap between positions"
        ),
        pytest.param(
            [row(4, POD, 3), row(4, POD, 4)], 5, 4, id="a position used twice"
        ),
        pytest.param(
            [row(4, POD, 3), row(3, POD, 4)], 5, 3, id="positions that descend"
        ),
        pytest.param([row(4, POD, 2)], 2, 2, id="a version that exists"),
        pytest.param([row(4, POD, 1)], 1, 2, id="a first version that exists"),
        pytest.param([row(4, POD, 4)], 4, 2, id="a gap between versions"),
        pytest.param([row(4, "pod/new", 2)], 2, 0, id="a stream that starts at 2"),
        pytest.param([row(4, "pod/new", 0)], 0, 0, id="a stream that starts at 0"),
        pytest.param(
            [row(4, POD, 3), row(5, NODE, 2), row(6, POD, 5)],
            5,
            3,
            id="a gap between versions inside",
        ),
        pytest.param(
            [row(4, POD, 3), row(5, POD, 3)], 3, 3, id="a version repeated inside"
        ),
        pytest.param(
            [row(4, "pod/new", 1), row(5, NODE, 2), row(6, POD, 2)],
            2,
            2,
            id="a last row that does not fit",
        ),
    ],
)
def test_refused_rows(
    store: conftest.Store, rows: Sequence[Row], expected: int, current: int
) -> None:
    """S1, S2, S12: what does not continue the log is a Conflict; nothing is written."""
    log = begun(store)

    with pytest.raises(errors.Conflict) as refusal:
        log.append(rows, [Tracking("commands", 6)])

    assert (refusal.value.expected, refusal.value.current) == (expected, current)
    assert_as_begun(log)


@pytest.mark.parametrize(
    ("tracking", "expected", "current"),
    [
        pytest.param([("commands", 5)], 5, 5, id="the last input again"),
        pytest.param([("commands", 4)], 4, 5, id="an earlier input"),
        pytest.param([("reports", 0)], 0, 0, id="no input"),
        pytest.param(
            [("reports", 7), ("commands", 5)], 5, 5, id="one of several sources"
        ),
        pytest.param(
            [("commands", 7), ("commands", 6)], 6, 7, id="descending in one append"
        ),
        pytest.param(
            [("commands", 6), ("commands", 6)], 6, 6, id="repeated in one append"
        ),
    ],
)
@pytest.mark.parametrize("rows", [(), (row(4, POD, 3),)], ids=["alone", "with a row"])
def test_refused_tracking(
    store: conftest.Store,
    rows: Sequence[Row],
    tracking: list[tuple[str, int]],
    expected: int,
    current: int,
) -> None:
    """S3: an input that was handled before is a Conflict; nothing is written."""
    log = begun(store)

    with pytest.raises(errors.Conflict) as refusal:
        log.append(rows, [Tracking(*one) for one in tracking])

    assert (refusal.value.expected, refusal.value.current) == (expected, current)
    assert_as_begun(log)


def test_tracking_of_several_sources(store: conftest.Store) -> None:
    """One append tracks any number of sources, each at its last sequence."""
    log = begun(store)
    nodes = [Tracking(f"report/worker-{i}", i) for i in range(1, 101)]

    log.append((), nodes)
    log.append([row(4, POD, 3)], [Tracking("commands", 8), Tracking("commands", 2**53)])

    assert log.tracked("report/worker-100") == 100
    assert log.tracked("commands") == 2**53
    assert log.all_tracked() == {**dict(nodes), "commands": 2**53}


def test_empty_append(store: conftest.Store) -> None:
    """An append of nothing changes nothing."""
    log = begun(store)

    log.append(())

    assert_as_begun(log)


def test_large_append(store: conftest.Store) -> None:
    """One transaction holds a step of any size, new and continued streams mixed."""
    log = store.open()
    pods = [f"pod/default/web-{i}" for i in range(2_000)]

    log.append([row(i, pod, 1) for i, pod in enumerate(pods, 1)])
    log.append([row(2_000 + i, pod, 2) for i, pod in enumerate(pods, 1)])

    assert [found.position for found in log.read(0, 9_999)] == list(range(1, 4_001))


def test_reopened(store: conftest.Store) -> None:
    """Rows, tracking and snapshots outlive the handle; the next one continues."""
    log = begun(store)
    log.save_snapshot("desired", 3, 1, b"three")
    log.close()

    log = store.open()

    assert log.load_snapshot("desired", 1) == (3, b"three")
    assert log.tracked("commands") == 5
    assert_as_begun(log)


def test_closed(store: conftest.Store) -> None:
    """A closed log refuses every call with Permanent; closing again is harmless."""
    log = begun(store)
    log.close()
    log.close()

    for call in (
        lambda: log.append([row(4, POD, 3)]),
        lambda: log.read(0, 1),
        log.last_position,
        log.all_tracked,
        lambda: log.save_snapshot("desired", 1, 1, b""),
        lambda: log.load_snapshot("desired", 1),
        lambda: log.discard_snapshot("desired", 1, 1),
    ):
        with pytest.raises(errors.Permanent, match="closed"):
            call()


def test_one_writer(store: conftest.Store) -> None:
    """A second writer is refused while the first is open, and welcome afterwards.

    The refusal is one of its own, so that a second one can wait; it names the first.
    """
    log = begun(store)

    with pytest.raises(eventlog.AnotherWriter, match="has this log open") as refusal:
        store.open()
    assert "process" in refusal.value.holder

    log.close()
    assert_as_begun(store.open())


@pytest.mark.parametrize("rows", [(), (row(4, POD, 3),)], ids=["tracking", "a row"])
def test_replaced_writer(store: conftest.Store, rows: Sequence[Row]) -> None:
    """S12: a writer that lost its lock and was replaced can never append again."""
    replaced = begun(store)
    store.break_lock()
    successor = store.open()
    successor.append([row(4, POD, 3)])
    successor.close()

    with pytest.raises(errors.Conflict) as refusal:
        retry(lambda: replaced.append(rows, [Tracking("commands", 6)]))

    assert (refusal.value.expected, refusal.value.current) == (3, 4)
    assert retry(lambda: replaced.read(3, 10)) == [row(4, POD, 3)]
    assert retry(lambda: replaced.tracked("commands")) == 5


def retry(call: collections.abc.Callable[[], Result]) -> Result:
    """Call again after Transient, as a caller would: a connection may be gone."""
    for _ in range(5):
        try:
            return call()
        except errors.Transient:
            continue
    raise AssertionError("still Transient after 5 attempts")


def test_reader_cannot_write(store: conftest.Store) -> None:
    """A log that is open for reading refuses to write, and shows every append."""
    writer = begun(store)
    reader = store.open(read_only=True)

    with pytest.raises(errors.Permanent, match="reading only"):
        reader.append([row(4, POD, 3)])

    assert_as_begun(writer)
    assert reader.last_position() == 4
    assert reader.tracked("commands") == 6


def test_reader_before_the_writer(durable_store: conftest.UrlStore) -> None:
    """A reader that comes before the first writer is told to try again."""
    with pytest.raises(errors.Transient):
        durable_store.open(read_only=True)

    durable_store.open().close()
    assert durable_store.open(read_only=True).last_position() == 0


def test_readers_while_writing(store: conftest.Store) -> None:
    """S1, S2: readers in other threads see a dense log and never half an append."""
    writer = store.open()
    handles = [writer, store.open(read_only=True), store.open(read_only=True)]
    appends = 150
    final = appends * ROWS_PER_APPEND

    def follow(log: eventlog.EventLog) -> list[int]:
        seen: list[int] = []
        while len(seen) < final:
            rows = log.read(len(seen), final)
            seen += [found.position for found in rows]
            assert len(seen) % ROWS_PER_APPEND == 0, "half an append was visible"
            assert log.tracked("commands") * ROWS_PER_APPEND >= len(seen)
        return seen

    with concurrent.futures.ThreadPoolExecutor(len(handles)) as pool:
        followers = [pool.submit(follow, log) for log in handles]
        for number in range(1, appends + 1):
            writer.append(append_number(number), [Tracking("commands", number)])
        seen = [follower.result(timeout=60) for follower in followers]

    assert seen == [list(range(1, final + 1))] * len(handles)


def test_versions_unchecked(durable_store: conftest.UrlStore) -> None:
    """Without the check of versions a gap passes; a repeated version never does."""
    log = eventstore.open_log(durable_store.url, check_versions=False)

    log.append([row(1, POD, 1), row(2, POD, 2)])
    log.append([row(3, POD, 9)])
    with pytest.raises(errors.Conflict):
        log.append([row(4, POD, 2)])

    assert log.last_position() == 3
    log.close()


def test_shared_memory() -> None:
    """Handles on one `memory:name` share it; `memory:` is always a log of its own."""
    writer = eventstore.open_log("memory:shared")
    writer.append(BEGINNING)

    assert eventstore.open_log("memory:shared", read_only=True).last_position() == 3
    assert eventstore.open_log("memory:other").last_position() == 0
    assert eventstore.open_log("memory:").last_position() == 0
    assert eventstore.open_log("memory:").last_position() == 0


@pytest.mark.parametrize(
    "url",
    [
        "",
        "mysql://host/database",
        "/path/file.db",
        "sqlite:",
        "sqlite:///",
        "sqlite://path/file.db",
        "sqlite:///path/file.db?mode=ro",
        "postgresql://host:port:5/x?nonsense=1",
    ],
)
def test_url_of_nothing(url: str) -> None:
    """A URL that names no store is Permanent, and the message says what to write."""
    with pytest.raises(errors.Permanent, match=r"sqlite:///|postgresql://"):
        eventstore.open_log(url)
