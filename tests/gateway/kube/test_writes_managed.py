"""Who manages which fields, found by object: fold, end, and snapshot."""

import msgspec
import pytest

from domain import protocol
from domain.command import CommandAccepted
from domain.deployment import DeploymentDeleted
from domain.events import Recorded
from gateway.kube import managing
from projections import snapshots
from projections.cluster import Cluster
from projections.managed import ManagedFields
from tests.gateway.kube.simulated import DEPLOYMENTS, WEB, Api, web

LIST = b'[{"manager":"m"}]'


def accepted(
    subject: str, listed: msgspec.Raw = protocol.NO_MANAGED_FIELDS
) -> CommandAccepted:
    """An accepted command with that list."""
    answer = protocol.Answer(id="i", result="accepted")
    body = msgspec.Raw(b"{}")
    return CommandAccepted(
        subject=subject, body=body, answer=answer, managed_fields=listed
    )


def recorded(stream: str, event: object) -> Recorded:
    """The event in its envelope."""
    return Recorded(1, stream, 1, 1.0, "user/a", 0, "i", event)  # type: ignore[arg-type]  # any event


@pytest.mark.parametrize(
    ("subject", "key"),
    [
        ("rollbook.cmd.a.default.deployment.web.scale", "deployment/default/web"),
        ("rollbook.cmd.a._.node.n%2Ex.label", "node/n.x"),
        ("rollbook.cmd.a._.namespace.foo.create", "namespace/foo"),
    ],
)
def test_the_newest_list_of_an_object_is_known(subject: str, key: str) -> None:
    """By the object that the command's subject names; a command without one keeps
    what is known, and an empty one is a list too."""
    found = ManagedFields()
    found.evolve(recorded("command/i", accepted(subject, msgspec.Raw(LIST))))
    assert found.of(key) == LIST
    found.evolve(recorded("command/j", accepted(subject)))
    assert found.of(key) == LIST
    found.evolve(recorded("command/k", accepted(subject, msgspec.Raw(b"[]"))))
    assert found.of(key) == b"[]"


def test_the_list_ends_with_its_object() -> None:
    """Another object of that name begins without."""
    key = "deployment/default/web"
    found = ManagedFields([(key, LIST)])
    found.evolve(recorded(key, DeploymentDeleted()))
    assert found.of(key) is None


def test_a_snapshot_keeps_the_lists() -> None:
    """A reader that starts from it knows what one that folded everything knows."""
    cut = snapshots.cut(Cluster(), managed=ManagedFields([("node/n", LIST)]))
    data = snapshots.whole(snapshots.frames(cut))
    assert snapshots.decode_rest(data).managed.of("node/n") == LIST


@pytest.mark.asyncio
async def test_a_reader_that_starts_later_knows_the_owners() -> None:
    """The lists are in the log: nothing is lost with the process that made them."""
    api = Api()
    try:
        made = await api.ask("POST", f"{DEPLOYMENTS}?fieldManager=maker", web())
        later = Api(api.sim)
        try:
            await later.reader.catch_up()
            again = await later.get(WEB)
            listed = later.reader.managed.of("deployment/default/web")
            shown = managing.attach(again.document, listed)
        finally:
            await later.close()
    finally:
        await api.close()
    metadata = shown["metadata"]
    assert isinstance(metadata, dict)
    assert metadata["managedFields"] == made["metadata.managedFields"]


def test_attaching_changes_nothing_that_was_given() -> None:
    """The same document may be shown to many."""
    document: dict[str, object] = {"metadata": {"name": "x"}}
    shown = managing.attach(document, LIST)
    assert shown["metadata"] == {"name": "x", "managedFields": [{"manager": "m"}]}
    assert document == {"metadata": {"name": "x"}}
    assert managing.attach(document, None) is document
