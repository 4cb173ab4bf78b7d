"""`taint`: kubectl's words for what a node does not want, and what is sent for them."""

import asyncio

import msgspec
import pytest

from domain import node
from domain.podspec import Taint
from rollbook import tainting
from rollbook.failures import Failure
from tests.cli.service import Ran, Service

DISK = Taint(key="disk", value="slow", effect="NoSchedule")
DISK_EXECUTE = Taint(key="disk", effect="NoExecute")
GPU = Taint(key="gpu", effect="NoExecute")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("disk=slow:NoSchedule", tainting.Change(add=(DISK,))),
        ("gpu:NoExecute", tainting.Change(add=(GPU,))),
        ("disk:NoExecute-", tainting.Change(remove=(DISK_EXECUTE,))),
        ("disk=slow:NoSchedule-", tainting.Change(remove=(DISK,))),
        ("disk-", tainting.Change(remove=(Taint(key="disk"),))),
        (
            "gpu:NoExecute disk-",
            tainting.Change(add=(GPU,), remove=(Taint(key="disk"),)),
        ),
    ],
)
def test_a_taint_is_written_as_kubectl_writes_it(
    words: str, expected: tainting.Change
) -> None:
    """Rule 1: set with an effect, removed with or without one."""
    assert tainting.parse(words.split()) == expected


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("", "error: at least one taint update is required"),
        ("disk=slow", "error: invalid taint spec: disk=slow"),
        ("a:b:c", "error: invalid taint spec: a:b:c"),
        ("a=b=c:NoSchedule", "error: invalid taint spec: a=b=c:NoSchedule"),
        (
            "disk=slow:Never",
            "error: invalid taint effect: Never, unsupported taint effect",
        ),
        (
            "gpu:NoExecute gpu=x:NoExecute",
            "error: duplicated taints with the same key and effect: gpu=x:NoExecute",
        ),
        (
            "gpu:NoExecute gpu-",
            "error: can not both modify and remove the following taint(s) in the same "
            "command: gpu=",
        ),
    ],
)
def test_a_taint_that_makes_no_sense_is_refused(words: str, text: str) -> None:
    """kubectl's words, before anything is asked of the server."""
    with pytest.raises(Failure) as raised:
        tainting.parse(words.split())
    assert str(raised.value) == text


def test_a_bad_key_is_refused_with_the_rule_that_it_breaks() -> None:
    """The rule for label keys (spec 1.6)."""
    with pytest.raises(Failure, match="invalid taint spec: -x:NoSchedule, name part"):
        tainting.parse(["-x:NoSchedule"])


@pytest.mark.parametrize(
    ("words", "overwrite", "taints", "operation"),
    [
        ("gpu:NoExecute", False, (GPU, DISK, DISK_EXECUTE), "tainted"),
        ("disk-", False, (), "untainted"),
        ("disk:NoExecute-", False, (DISK,), "untainted"),
        ("gpu:NoExecute disk-", False, (GPU,), "modified"),
        (
            "disk=fast:NoSchedule",
            True,
            (Taint(key="disk", value="fast", effect="NoSchedule"), DISK_EXECUTE),
            "modified",
        ),
    ],
)
def test_what_becomes_of_the_taints_of_a_node(
    words: str, overwrite: bool, taints: tuple[Taint, ...], operation: str
) -> None:
    """Rule 2: a key and an effect are one taint; all others stay."""
    wanted = tainting.parse(words.split())
    found = tainting.change("n", (DISK, DISK_EXECUTE), wanted, overwrite=overwrite)
    assert (found.taints, found.operation) == (taints, operation)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (
            "disk=fast:NoSchedule",
            "error: node n already has disk taint(s) with same effect(s) and "
            "--overwrite is false",
        ),
        ("gpu-", 'error: taint "gpu" not found'),
        ("disk:NoExecute-", 'error: taint "disk:NoExecute" not found'),
    ],
)
def test_a_change_that_does_not_fit_is_refused(words: str, text: str) -> None:
    """A value is replaced only with --overwrite; what is not there cannot go."""
    with pytest.raises(Failure) as raised:
        tainting.change("n", (DISK,), tainting.parse(words.split()), overwrite=False)
    assert str(raised.value) == text


# --- the console script -----------------------------------------------------------

in_loop = pytest.mark.asyncio(loop_scope="module")


def with_taints(service: Service) -> None:
    """Two nodes; the first has a taint."""
    taint = {"key": "disk", "value": "slow", "effect": "NoSchedule"}
    service.add("node", "worker-1", spec={"taints": [taint]})
    service.add("node", "worker-2")


@in_loop
async def test_tainting_sends_all_taints_of_the_node(service: Service) -> None:
    """Given a node with a taint, another one is added to it."""
    with_taints(service)
    ran = await service.run("taint", "nodes", "worker-1", "gpu:NoExecute")

    assert ran == Ran(0, "node/worker-1 tainted\n", "")
    [(subject, message)] = service.commands
    assert (subject.kind, subject.name, subject.verb) == ("node", "worker-1", "taint")
    body = msgspec.json.decode(message.body, type=node.TaintNode)
    assert body.taints == (GPU, DISK)


@in_loop
async def test_a_taint_of_all_nodes_is_removed_where_it_is(service: Service) -> None:
    """One line for each node that had it, one error for each that had not."""
    with_taints(service)
    ran = await service.run("taint", "node", "--all", "disk-")

    assert ran == Ran(1, "node/worker-1 untainted\n", 'error: taint "disk" not found\n')


@in_loop
@pytest.mark.parametrize(
    ("line", "err"),
    [
        ("taint nodes worker-1", "error: at least one taint update is required\n"),
        (
            "taint pods web-1 a:NoSchedule",
            "error: invalid resource type pods, only node(s) is supported\n",
        ),
        (
            "taint nodes a:NoSchedule worker-1",
            "error: all resources must be specified before taint changes: worker-1\n",
        ),
        (
            "taint nodes a:NoSchedule",
            "error: at least one resource name must be specified since 'all' "
            "parameter is not set\n",
        ),
        (
            "taint nodes --all -l a=b a:NoSchedule",
            "error: setting 'all' parameter with a non empty selector is prohibited\n",
        ),
    ],
)
async def test_wrong_words_are_refused(service: Service, line: str, err: str) -> None:
    """kubectl's words on standard error, and nothing is sent."""
    with_taints(service)
    ran = await service.run(*line.split())
    assert ran == Ran(1, "", err)
    assert not service.commands


@in_loop
async def test_a_foreground_deletion_is_waited_for(service: Service) -> None:
    """`delete --cascade=foreground` returns when the Deployment itself has gone, which
    is after all that it owns."""
    service.add("deployment", "nginx")
    running = asyncio.create_task(
        service.run("delete", "deployment", "nginx", "--cascade=foreground")
    )
    while not any(verb == "get" for verb, _ in service.questions[1:]):
        assert not running.done()
        await asyncio.sleep(0.01)
    waiting = {"deletionTimestamp": "2026-01-01T00:00:00Z"}
    service.add("deployment", "nginx", metadata=waiting)
    await service.commit(8)
    assert not running.done()
    del service.objects["deployment/nginx"]
    await service.commit(9)
    ran = await running

    said = 'deployment.apps "nginx" deleted from default namespace\n'
    assert ran == Ran(0, said, "")
    [(_, message)] = service.commands
    assert bytes(message.body) == b'{"propagation":"foreground"}'
