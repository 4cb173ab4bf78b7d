"""What was, made so again: docs/time-travel.md, over the shipped gateway and core."""

import pytest

from tests.cli.service import Ran, Service
from tests.cli.test_why import answering_from, incident

pytestmark = pytest.mark.asyncio(loop_scope="module")

BEFORE = "24"
"""The position at which the four pods of the incident were there and well."""


async def test_what_was_then_is_a_manifest(service: Service) -> None:
    """`get -o yaml --at` gives what `apply -f -` takes: the Deployment is as it was,
    in a new revision, and its history says so."""
    sim = incident()
    await answering_from(service, sim)
    then = await service.run("get", "deployment/web", "-o", "yaml", "--at", BEFORE)

    ran = await service.run("apply", "-f", "-", stdin=then.out)

    assert ran == Ran(0, "deployment.apps/web configured\n", "")
    fields = "jsonpath={.spec.replicas} {.spec.template.spec.containers[0].image}"
    now = await service.run("get", "deployment/web", "-o", fields)
    assert now.out == "4 nginx:1.7.9"
    history = await service.run("rollout", "history", "deployment/web")
    assert "3         image main=nginx:1.91 → nginx:1.7.9" in history.out


async def test_what_is_gone_comes_back(service: Service) -> None:
    """`create -f -` of what was then, after it was deleted: a new object."""
    sim = incident()
    await answering_from(service, sim)
    then = await service.run("get", "deployment/web", "-o", "yaml", "--at", BEFORE)
    deleted = await service.run("delete", "deployment/web", "--no-wait")
    assert deleted.status == 0, deleted
    sim.settle()

    ran = await service.run("create", "-f", "-", stdin=then.out)

    assert ran == Ran(0, "deployment.apps/web created\n", "")
    uid = next(line for line in then.out.splitlines() if "  uid: " in line)
    now = await service.run("get", "deployment/web", "-o", "yaml")
    assert "  replicas: 4\n" in now.out
    assert uid not in now.out
