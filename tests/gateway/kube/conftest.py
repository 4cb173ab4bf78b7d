"""A small cluster behind the Kubernetes API, for the tests of its writes."""

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.gateway.kube.simulated import DEPLOYMENTS, Api, web


@pytest_asyncio.fixture
async def api() -> AsyncIterator[Api]:
    """A cluster of three nodes with nothing in it."""
    found = Api()
    yield found
    await found.close()


@pytest_asyncio.fixture
async def running(api: Api) -> Api:
    """The same with the Deployment web, whose pods run."""
    created = await api.ask("POST", f"{DEPLOYMENTS}?fieldManager=maker", web())
    assert created.code == 201, created.document
    api.sim.settle()
    await api.reader.catch_up()
    return api
