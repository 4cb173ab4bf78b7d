"""One broker with its answering service for all tests of a module."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.cli.service import Service, serving


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Service]:
    """The service, started once: a broker takes a while."""
    async with serving(tmp_path_factory.mktemp("cli")) as service:
        yield service


@pytest.fixture
def service(running: Service) -> Service:
    """The service, without what another test has told it."""
    running.reset()
    return running
