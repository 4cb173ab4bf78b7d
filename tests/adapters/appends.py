"""Appends that can be told apart, and a check that a log holds the first of them."""

from adapters.eventlog import Row
from tests.adapters import conftest

ROWS_PER_APPEND = 7


def row(position: int, stream: str, version: int) -> Row:
    """A row whose content does not matter."""
    return Row(position, stream, version, "Happened", b"{}")


def append_number(number: int) -> list[Row]:
    """The rows of the append with this number, from 1, each of `ROWS_PER_APPEND`."""
    last = (number - 1) * ROWS_PER_APPEND
    return [
        row(last + i, f"command/{number}", i) for i in range(1, ROWS_PER_APPEND + 1)
    ]


def assert_whole(store: conftest.UrlStore, appends: int) -> None:
    """The log holds exactly the first `appends` appends, for readers as well."""
    reader = store.open(read_only=True)
    whole = [one for number in range(1, appends + 1) for one in append_number(number)]
    assert reader.read(0, len(whole) + 1) == whole
    reader.close()
