"""Plain objects as a fold: found by key, listed by kind and namespace."""

import pytest

from domain import command, plain
from domain.events import Event, Recorded
from projections import snapshots
from projections.cluster import Cluster
from tests.properties.log_checkers import compare

MADE = plain.ObjectCreated(uid="u", content={"data": {"a": "1"}})


def fold(cluster: Cluster, *facts: tuple[str, Event]) -> Cluster:
    """The cluster after these events, each of the next version of its stream."""
    for stream, event in facts:
        position = cluster.position + 1
        version = cluster.version_of(stream) + 1
        at = Recorded(
            position, stream, version, float(position), "user/a", 0, "", event
        )
        cluster.fold(at)
    return cluster


def founded() -> Cluster:
    """A cluster that has just begun."""
    event = command.ClusterFounded(uid="seed", version="0")
    return fold(Cluster(), ("cluster/rollbook", event))


def keys(cluster: Cluster, kind: str, namespace: str = "") -> list[str]:
    """What is listed."""
    return [held.key for held in cluster.plain.of(kind, namespace)]


def story() -> Cluster:
    """Created, replaced and deleted, in two namespaces."""
    return fold(
        founded(),
        ("namespace/x", MADE),
        ("configmap/x/b", MADE),
        ("configmap/default/a", MADE),
        ("secret/x/b", MADE),
        ("configmap/x/a", MADE),
        ("configmap/x/b", plain.ObjectDeleted(why="")),
        ("configmap/x/a", plain.ObjectReplaced(labels={"app": "web"})),
        ("namespace/x", plain.ObjectDeletionRequested()),
    )


def test_an_empty_log_has_no_namespaces_and_the_first_event_brings_them() -> None:
    """They are the same in every fold of one log."""
    assert keys(Cluster(), "namespace") == []
    first, second = founded(), founded()

    compare(first, second)
    assert keys(first, "namespace") == [
        f"namespace/{name}" for name in plain.FIRST_NAMESPACES
    ]


def test_objects_are_listed_by_kind_and_namespace() -> None:
    """In order of creation; other kinds and namespaces are not in the list."""
    cluster = story()

    assert keys(cluster, "configmap") == ["configmap/x/a", "configmap/default/a"]
    assert keys(cluster, "configmap", "x") == ["configmap/x/a"]
    assert keys(cluster, "secret", "x") == ["secret/x/b"]
    assert keys(cluster, "lease") == keys(cluster, "configmap", "nowhere") == []


def test_the_cluster_knows_uids_and_versions_of_plain_objects() -> None:
    """Also the last version of one that is gone, whose name may come again."""
    cluster = story()

    assert cluster.uid_of("configmap/x/a") == "u"
    assert cluster.uid_of("configmap/x/b") == ""
    assert cluster.version_of("configmap/x/a") == 2
    assert cluster.version_of("configmap/x/b") == 2
    assert cluster.version_of("configmap/x/never") == 0
    fold(cluster, ("configmap/x/b", MADE))
    assert cluster.version_of("configmap/x/b") == 3


def test_a_namespace_on_its_way_out_is_told_until_it_is_gone() -> None:
    """So that control need not look for those that are not."""
    cluster = story()
    assert list(cluster.plain.terminating) == ["namespace/x"]

    fold(cluster, ("namespace/x", plain.ObjectDeleted(why="")))

    assert not cluster.plain.terminating


@pytest.mark.parametrize(
    ("stream", "event"),
    [
        ("configmap/x/never", plain.ObjectReplaced()),
        ("configmap/x/never", plain.ObjectDeleted(why="")),
        ("configmap/x/a", MADE),
        ("nonsense", MADE),
    ],
)
def test_what_cannot_be_is_set_aside(stream: str, event: Event) -> None:
    """A fold never rejects: it counts, and nothing else changes."""
    cluster = story()
    before = list(cluster.plain.objects.items())

    fold(cluster, (stream, event))

    assert cluster.plain.set_aside == 1
    assert list(cluster.plain.objects.items()) == before


def test_a_snapshot_brings_everything_back_and_goes_on_alike() -> None:
    """Order included, whatever was deleted in between."""
    cluster = story()
    again = snapshots.decode(snapshots.encode(cluster))

    compare(cluster, again)
    assert cluster.plain._index == again.plain._index
    for each in (cluster, again):
        fold(each, ("configmap/y/c", MADE), ("configmap/x/b", MADE))
    compare(cluster, again)
