"""The stores that tests of whole systems run on."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import postgres


@pytest.fixture(
    params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]
)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty store of each kind in turn."""
    if request.param == "sqlite":
        yield f"sqlite://{tmp_path}/log/rollbook.db"
        return
    with postgres.server() as server, postgres.fresh_database(server) as url:
        yield url
