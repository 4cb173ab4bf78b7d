"""The contract of the event log about seals, for each of its stores.

The rest of the contract is in `test_eventlog_contract.py`, whose rows are used here.
"""

import sqlite3
from collections.abc import Sequence

import pytest

from adapters.eventlog import Row, Tracking
from domain import errors
from domain.seals import Seal
from tests.adapters import conftest
from tests.adapters.appends import row
from tests.adapters.test_eventlog_contract import (
    BEGINNING,
    NODE,
    POD,
    assert_as_begun,
    begun,
)


@pytest.fixture(params=("memory", *conftest.DURABLE))
def store(request: pytest.FixtureRequest) -> conftest.Store:
    """Each of the stores that takes any seal; an archive takes only true ones, and has
    its own tests."""
    found: conftest.Store = request.getfixturevalue(f"{request.param}_store")
    return found


SEAL_3, SEAL_4 = Seal(3, 1, b"\0" * 32), Seal(4, 4, b"\1" * 32)


def test_seals_are_read_back(store: conftest.Store) -> None:
    """A seal is committed with its rows; seals come in order, in pages."""
    log = store.open()
    assert log.last_seal() is None
    assert log.read_seals(0, 10) == []

    log.append(BEGINNING, [Tracking("commands", 5)], [SEAL_3])
    log.append([row(4, POD, 3)], seals=[SEAL_4])

    assert log.last_seal() == SEAL_4
    assert log.read_seals(0, 10) == [SEAL_3, SEAL_4]
    assert log.read_seals(0, 1) == [SEAL_3]
    assert log.read_seals(2, 1) == [SEAL_3]
    assert log.read_seals(3, 10) == [SEAL_4]
    assert type(log.last_seal()) is Seal
    reader = store.open(read_only=True)
    assert reader.last_seal() == SEAL_4


def test_rows_without_a_seal_are_sealed_later(store: conftest.Store) -> None:
    """An append may bring the seal of rows that an older version wrote."""
    log = begun(store)

    log.append([row(4, POD, 3)], seals=[SEAL_3, SEAL_4])

    assert log.read_seals(0, 10) == [SEAL_3, SEAL_4]


def test_a_refused_append_leaves_no_seal(store: conftest.Store) -> None:
    """S2: no seal without its step."""
    log = begun(store)

    with pytest.raises(errors.Conflict):
        log.append([row(4, POD, 9)], seals=[SEAL_4])
    with pytest.raises(errors.Conflict):
        log.append([row(4, POD, 3)], [Tracking("commands", 5)], [SEAL_4])

    assert log.last_seal() is None
    assert_as_begun(log)


@pytest.mark.parametrize("rows", [(), (row(4, POD, 3), row(5, NODE, 2))])
def test_a_seal_is_that_of_its_rows(store: conftest.Store, rows: Sequence[Row]) -> None:
    """A seal for other positions than the append's is a caller's bug."""
    log = begun(store)

    with pytest.raises(AssertionError, match="with the rows of its step"):
        log.append(rows, [Tracking("commands", 6)], [SEAL_4])

    assert_as_begun(log)


def test_scan(store: conftest.Store) -> None:
    """`scan` shows rows as plain tuples, from any position on, in pages."""
    log = begun(store)

    assert log.scan(-(2**63), 2) == [tuple(one) for one in BEGINNING[:2]]
    assert log.scan(2, 10) == [tuple(BEGINNING[2])]
    assert log.scan(3, 10) == []


def test_a_file_of_an_older_version_gets_its_seals(
    sqlite_store: conftest.SQLiteStore,
) -> None:
    """A reader finds none there, and the first writer makes their table."""
    begun(sqlite_store).close()
    with sqlite3.connect(sqlite_store.path) as older:
        older.execute("DROP TABLE step_seals")
    older.close()
    reader = sqlite_store.open(read_only=True)
    assert reader.last_seal() is None

    log = sqlite_store.open()
    log.append([row(4, POD, 3)], seals=[SEAL_3, SEAL_4])

    assert reader.read_seals(0, 10) == [SEAL_3, SEAL_4]
