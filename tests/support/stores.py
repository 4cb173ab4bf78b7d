"""The stores that every end-to-end test runs over: SQLite and a real PostgreSQL."""

import contextlib
import os
from collections.abc import Iterator
from typing import Final

import pytest

from tests.support import postgres

SQLITE: Final = "sqlite"
POSTGRESQL: Final = "postgresql"

both = pytest.mark.parametrize(
    "store_kind",
    [SQLITE, pytest.param(POSTGRESQL, marks=pytest.mark.postgres)],
)


def has_postgresql() -> bool:
    """Whether a test that can do without it is to try it; in CI it must be there."""
    return os.environ.get("CI", "").lower() == "true" or (
        postgres.find_binaries() is not None
    )


@contextlib.contextmanager
def opened(kind: str) -> Iterator[str]:
    """The URL for `--store`; "" leaves it at the SQLite file in the data folder."""
    if kind == SQLITE:
        yield ""
        return
    with postgres.server() as server, postgres.fresh_database(server) as url:
        yield url
