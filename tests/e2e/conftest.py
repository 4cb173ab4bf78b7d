"""The store of a test that brings its own, in each kind that `stores.both` names."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import stores


@pytest.fixture
def store(store_kind: str, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty store."""
    with stores.opened(store_kind) as url:
        yield url or f"sqlite://{tmp_path}/log/rollbook.db"
