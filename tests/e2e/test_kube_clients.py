"""The Python clients that people have, unchanged, against a whole cluster.

A day of a Deployment, by the official client and by lightkube: created, scaled, given
another image and a bad one, taken back, deleted, watched all the while.
"""

import contextlib
import threading
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any, Final

import kubernetes
import lightkube
import pytest
from lightkube.models.autoscaling_v1 import ScaleSpec
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.apps_v1 import Deployment, ReplicaSet
from lightkube.resources.core_v1 import ConfigMap, Pod
from lightkube.types import PatchType

from tests.support import kubeapi, system
from tests.support.system import System, eventually

pytestmark = pytest.mark.e2e

official: Any = kubernetes.client
official_config: Any = kubernetes.config
official_watch: Any = kubernetes.watch
"""Without their types, which say of every field that it may be missing."""
NAMESPACE: Final = "default"
GOOD: Final = "nginx:1.9.1"
BAD: Final = "nginx:1.91"
"""No registry has it."""
WAITS: Final = {"ErrImagePull", "ImagePullBackOff"}
HASH: Final = "pod-template-hash"
WATCH_SECONDS: Final = 60


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """Two nodes that run processes."""
    folder = tmp_path_factory.mktemp("clients")
    with system.running(folder / "c", "--nodes", "2") as found:
        yield found


class _Seen:
    """What a watch has told, in a thread of its own."""

    def __init__(self, events: Generator[tuple[str, Any, str], None, None]) -> None:
        self.told: list[tuple[str, str, int]] = []
        self._events = events
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def _follow(self) -> None:
        try:
            for type_, name, version in self._events:
                self.told.append((type_, name, int(version)))
                if type_ == "DELETED":
                    return
        finally:
            self._events.close()

    def types(self, name: str) -> list[str]:
        """What happened to one object, in order."""
        return [type_ for type_, about, _ in self.told if about == name]


# --- the official client --------------------------------------------------------------


@pytest.fixture(scope="module")
def connection(cluster: System) -> Iterator[Any]:
    """The official client, logged in by the kubeconfig that `up` has written."""
    settings = official.Configuration()
    official_config.load_kube_config(
        str(cluster.folder / "kubeconfig"), client_configuration=settings
    )
    with official.ApiClient(settings) as found:
        yield found


def test_the_story_with_the_official_client(connection: Any) -> None:
    """Create, scale, set image, status, a bad image, undo by JSON patch, delete."""
    apps, core = official.AppsV1Api(connection), official.CoreV1Api(connection)
    name = "official"
    watching = _Seen(_officially(connection, name))
    apps.create_namespaced_deployment(NAMESPACE, kubeapi.deployment(name, 3))

    def now() -> Any:
        return apps.read_namespaced_deployment_status(name, NAMESPACE)

    def ready(count: int) -> bool:
        held = now()
        seen = held.status.observed_generation >= held.metadata.generation
        counts = (held.status.ready_replicas, held.status.updated_replicas)
        return seen and counts == (count, count) and held.status.replicas == count

    eventually(lambda: ready(3), "three pods")
    apps.patch_namespaced_deployment_scale(name, NAMESPACE, {"spec": {"replicas": 4}})
    eventually(lambda: ready(4), "four pods")
    apps.patch_namespaced_deployment(name, NAMESPACE, _image(GOOD))
    eventually(lambda: ready(4), "the other image")
    assert now().spec.template.spec.containers[0].image == GOOD
    apps.patch_namespaced_deployment(name, NAMESPACE, _image(BAD))

    def pods() -> list[Any]:
        return list(
            core.list_namespaced_pod(NAMESPACE, label_selector=f"app={name}").items
        )

    def reasons() -> set[str]:
        listed = [each.status.container_statuses or [] for each in pods()]
        states = [each.state.waiting for held in listed for each in held]
        return {waiting.reason for waiting in states if waiting}

    eventually(lambda: WAITS & reasons(), "the bad image")
    assert now().status.available_replicas >= 3, "25 % may be away"

    sets = apps.list_namespaced_replica_set(NAMESPACE, label_selector=f"app={name}")
    (former,) = [
        each
        for each in sets.items
        if each.spec.template.spec.containers[0].image == GOOD
    ]
    assert former.metadata.owner_references[0].name == name
    template = connection.sanitize_for_serialization(former.spec.template)
    del template["metadata"]["labels"][HASH]
    undo = [{"op": "replace", "path": "/spec/template", "value": template}]
    apps.patch_namespaced_deployment(name, NAMESPACE, undo)
    eventually(lambda: ready(4), "back again")
    # One that is on its way out may be gone before it is asked.
    stays = [each for each in pods() if each.metadata.deletion_timestamp is None]
    assert core.read_namespaced_pod_log(stays[0].metadata.name, NAMESPACE) is not None

    apps.delete_namespaced_deployment(name, NAMESPACE)
    eventually(lambda: not pods(), "no pods")
    with pytest.raises(official.ApiException) as refused:
        now()
    assert refused.value.status == 404
    eventually(lambda: watching.types(name)[-1:] == ["DELETED"], "the watch's end")
    told = watching.types(name)
    assert told[0] == "ADDED"
    assert set(told[1:-1]) == {"MODIFIED"}
    versions = [version for _, _, version in watching.told]
    assert versions == sorted(set(versions)), "each change once, in order"


def _officially(
    connection: Any, name: str
) -> Generator[tuple[str, Any, str], None, None]:
    apps = official.AppsV1Api(connection)
    for told in official_watch.Watch().stream(
        apps.list_namespaced_deployment,
        NAMESPACE,
        field_selector=f"metadata.name={name}",
        timeout_seconds=WATCH_SECONDS,
    ):
        metadata = told["object"].metadata
        yield told["type"], metadata.name, metadata.resource_version


def _image(name: str) -> dict[str, object]:
    containers = [{"name": "web", "image": name}]
    return {"spec": {"template": {"spec": {"containers": containers}}}}


def test_the_official_client_finds_what_is_served(
    connection: Any,
) -> None:
    """Versions, groups and resources, as its generated calls ask for them."""
    assert official.VersionApi(connection).get_code().major == "1"
    groups = official.ApisApi(connection).get_api_versions().groups
    assert {"apps", "autoscaling", "coordination.k8s.io"} <= {g.name for g in groups}
    resources = official.AppsV1Api(connection).get_api_resources().resources
    assert {"deployments", "deployments/scale"} <= {each.name for each in resources}


def test_the_official_client_is_told_of_conflicts(
    connection: Any,
) -> None:
    """Who replaces what has changed meanwhile is refused, and nothing is lost."""
    core = official.CoreV1Api(connection)
    core.create_namespaced_config_map(NAMESPACE, kubeapi.configmap("shared", a="1"))
    mine = core.read_namespaced_config_map("shared", NAMESPACE)
    core.patch_namespaced_config_map("shared", NAMESPACE, {"data": {"b": "2"}})
    mine.data["a"] = "3"
    with pytest.raises(official.ApiException) as refused:
        core.replace_namespaced_config_map("shared", NAMESPACE, mine)
    assert refused.value.status == 409
    kept = core.read_namespaced_config_map("shared", NAMESPACE).data
    assert kept == {"a": "1", "b": "2"}


# --- lightkube ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def light(cluster: System) -> Iterator[Any]:
    """lightkube, with a field manager of its own for server-side apply; untyped, for
    its models leave open whether a field is there at all."""
    told = lightkube.KubeConfig.from_file(Path(cluster.folder / "kubeconfig"))
    with contextlib.closing(lightkube.Client(config=told, field_manager="story")) as it:
        yield it


def test_the_story_with_lightkube(light: Any) -> None:
    """The same day, typed; the Deployment is applied by the server."""
    name = "light"
    watching = _Seen(
        (type_, held.metadata.name, held.metadata.resourceVersion)
        for type_, held in light.watch(
            Deployment, fields={"metadata.name": name}, server_timeout=WATCH_SECONDS
        )
    )
    light.apply(Deployment.from_dict(kubeapi.deployment(name, 3)))
    light.wait(Deployment, name, for_conditions=["Available"])

    def ready(count: int) -> bool:
        held = light.get(Deployment, name)
        seen = held.status.observedGeneration >= held.metadata.generation
        counts = (held.status.readyReplicas, held.status.updatedReplicas)
        return seen and counts == (count, count) and held.status.replicas == count

    light.replace(
        Deployment.Scale(
            metadata=ObjectMeta(name=name, namespace=NAMESPACE), spec=ScaleSpec(4)
        ),
        name,
    )
    eventually(lambda: ready(4), "four pods")
    light.patch(Deployment, name, _image(GOOD))
    eventually(lambda: ready(4), "the other image")
    light.patch(Deployment, name, _image(BAD))

    def pods() -> list[Any]:
        return list(light.list(Pod, labels={"app": name}))

    def reasons() -> set[str]:
        listed = [each.status.containerStatuses or [] for each in pods()]
        states = [each.state.waiting for held in listed for each in held]
        return {waiting.reason for waiting in states if waiting}

    eventually(lambda: WAITS & reasons(), "the bad image")
    (former,) = [
        each
        for each in light.list(ReplicaSet, labels={"app": name})
        if each.spec.template.spec.containers[0].image == GOOD
    ]
    template = former.to_dict()["spec"]["template"]
    del template["metadata"]["labels"][HASH]
    undo = [{"op": "replace", "path": "/spec/template", "value": template}]
    light.patch(Deployment, name, undo, patch_type=PatchType.JSON)
    eventually(lambda: ready(4), "back again")
    # One that is on its way out may be gone before it is asked.
    stays = [each for each in pods() if each.metadata.deletionTimestamp is None]
    assert list(light.log(stays[0].metadata.name)) is not None

    light.delete(Deployment, name)
    eventually(lambda: not pods(), "no pods")
    with pytest.raises(lightkube.ApiError) as refused:
        light.get(Deployment, name)
    assert refused.value.status.reason == "NotFound"
    eventually(lambda: watching.types(name)[-1:] == ["DELETED"], "the watch's end")
    assert watching.types(name)[0] == "ADDED"


def test_server_side_apply_names_whom_a_conflict_is_with(
    light: Any, cluster: System
) -> None:
    """A second manager is refused, may force it, and then owns the field."""
    wanted = ConfigMap.from_dict(kubeapi.configmap("owned", key="first"))
    light.apply(wanted, namespace=NAMESPACE)
    told = lightkube.KubeConfig.from_file(cluster.folder / "kubeconfig")
    changed = ConfigMap.from_dict(kubeapi.configmap("owned", key="second"))
    made = lightkube.Client(config=told, field_manager="other")
    with contextlib.closing(made) as held:
        other: Any = held
        with pytest.raises(lightkube.ApiError) as refused:
            other.apply(changed, namespace=NAMESPACE)
        assert refused.value.status.code == 409
        assert '"story"' in str(refused.value.status.message)
        forced = other.apply(changed, namespace=NAMESPACE, force=True)
        assert forced.data == {"key": "second"}


def test_a_long_list_comes_in_pages(light: Any) -> None:
    """lightkube asks for chunks by itself: each object is there exactly once."""
    names = {f"page-{number}" for number in range(23)}
    for each in names:
        held = ConfigMap.from_dict(kubeapi.configmap(each))
        light.create(held, namespace=NAMESPACE)
    found = [each.metadata.name for each in light.list(ConfigMap, chunk_size=5)]
    assert len(found) == len(set(found))
    assert names <= set(found)
