"""Manifests: strict decoding, defaults, and fenceposts (spec 1.1, 2.6, 4.7, 8.2)."""

import msgspec
import pytest
from hypothesis import given

from domain import objects
from domain import template as templates
from domain.errors import Rejected
from domain.objects import PodManifest, RollingUpdate
from domain.podspec import PodSpec, Toleration
from tests.domain.manifests_for_tests import (
    ABSENT,
    NGINX,
    changed,
    deployment,
    pod,
    replicaset,
)
from tests.domain.template_strategies import pod_specs

PREFIX = 'Deployment in version "v1" cannot be handled as a Deployment: '
CONTAINER = "spec__template__spec__containers__0"

REFUSED: list[tuple[dict[str, object], str]] = [
    ({"spec__replicaz": 4}, 'strict decoding error: unknown field "spec.replicaz"'),
    (
        {"spec__replicaz": 4, f"{CONTAINER}__imagee": "x", "extra": {}},
        "strict decoding error: unknown field "
        '"spec.template.spec.containers[0].imagee", unknown field "spec.replicaz", '
        'unknown field "extra"',
    ),
    ({"spec__Replicas": 4}, 'strict decoding error: unknown field "spec.Replicas"'),
    (
        {"spec__replicas": "3"},
        'spec.replicas: expected an integer, got the string "3"',
    ),
    ({"spec__replicas": True}, "spec.replicas: expected an integer, got true"),
    ({"spec__replicas": 1.5}, "spec.replicas: expected an integer, got the number 1.5"),
    (
        {"spec__replicas": 2**31},
        "spec.replicas: expected an integer between -2147483648 and 2147483647, got "
        "the "
        "number 2147483648",
    ),
    (
        {"metadata__labels": {"a": 1}},
        "metadata.labels[a]: expected a string, got the number 1",
    ),
    (
        {"spec__paused": "yes"},
        'spec.paused: expected true or false, got the string "yes"',
    ),
    ({"spec__selector": ["a"]}, "spec.selector: expected an object, got a list"),
    (
        {f"{CONTAINER}__args": "-v"},
        'spec.template.spec.containers[0].args: expected a list, got the string "-v"',
    ),
    (
        {"spec__strategy": {"rollingUpdate": {"maxSurge": 1.5}}},
        "spec.strategy.rollingUpdate.maxSurge: expected an integer, got the number 1.5",
    ),
    (
        {f"{CONTAINER}__resources": {"limits": {"cpu": "1 core"}}},
        "spec.template.spec.containers[0].resources.limits[cpu]: quantities must match "
        "the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$', got "
        '"1 core"',
    ),
    (
        {"spec__replicas": "3", "spec__paused": 1},
        'spec.replicas: expected an integer, got the string "3", spec.paused: expected '
        "true or false, got the number 1",
    ),
]


@pytest.mark.parametrize(("changes", "text"), REFUSED)
def test_a_manifest_is_decoded_strictly(changes: dict[str, object], text: str) -> None:
    """All unknown fields, or all wrong types, are told at once with their paths."""
    with pytest.raises(Rejected) as refused:
        objects.decode_manifest(changed(NGINX, **changes))
    assert refused.value.message == PREFIX + text
    assert refused.value.reason == "BadRequest"


def test_duplicate_fields_are_told_behind_the_unknown_ones() -> None:
    """The parser knows the duplicates; the sentence is Kubernetes'."""
    with pytest.raises(Rejected) as refused:
        objects.decode_manifest(
            changed(NGINX, spec__replicaz=1), duplicates=["spec.replicas"]
        )
    assert refused.value.message == (
        f'{PREFIX}strict decoding error: unknown field "spec.replicaz", duplicate '
        "field "
        '"spec.replicas"'
    )


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"kind": "Foo"}, 'no matches for kind "Foo" in version "apps/v1"'),
        ({"apiVersion": "v1"}, 'no matches for kind "Deployment" in version "v1"'),
        ({"kind": ABSENT}, "Object 'Kind' is missing"),
        ({"kind": 1}, "Object 'Kind' is missing"),
        ({"apiVersion": ABSENT}, "Object 'apiVersion' is missing"),
    ],
)
def test_an_unknown_kind_is_refused(changes: dict[str, object], text: str) -> None:
    """Kind and version together name what an object is."""
    with pytest.raises(Rejected) as refused:
        objects.decode_manifest(changed(NGINX, **changes))
    assert refused.value.message.startswith(text)


def test_what_the_server_writes_is_accepted_and_dropped() -> None:
    """Status, managedFields, selfLink and nulls, as `kubectl get -o yaml` has them."""
    raw = changed(
        NGINX,
        status={"replicas": 3, "anything": 1},
        metadata__managedFields=[{"manager": "kubectl", "fieldsV1": {"f:spec": {}}}],
        metadata__selfLink="/apis",
        metadata__creationTimestamp=None,
        metadata__annotations=None,
        spec__template__metadata__creationTimestamp=None,
    )
    assert objects.decode_manifest(raw) == deployment()


def test_a_null_in_a_map_of_texts_is_the_empty_text() -> None:
    """As in Kubernetes' JSON decoding."""
    manifest = deployment(metadata__annotations={"a": None})
    assert manifest.metadata.annotations == {"a": ""}


def test_a_bare_number_is_a_quantity() -> None:
    """`cpu: 1` and `cpu: 0.5` are what people write."""
    manifest = deployment(
        **{f"{CONTAINER}__resources": {"limits": {"cpu": 0.5, "memory": 128}}}
    )
    limits = manifest.spec.template.spec.containers[0].resources.limits
    assert limits == {"cpu": "0.5", "memory": "128"}


def test_half_a_character_is_refused() -> None:
    """A lone surrogate, which JSON can spell, could never be stored."""
    half = "\ud800"
    with pytest.raises(Rejected, match=r"metadata\.labels\[a\]: expected a string"):
        objects.decode_manifest(changed(NGINX, metadata__labels={"a": half}))
    with pytest.raises(Rejected, match=r"metadata\.labels: expected a string as key"):
        objects.decode_manifest(changed(NGINX, metadata__labels={half: "a"}))


def test_nested_texts_end_with_an_answer() -> None:
    """A text that is nested without end is refused, not followed."""
    raw: dict[str, object] = {}
    raw["metadata"] = {"labels": raw}
    with pytest.raises(Rejected):
        objects.decode_manifest({**NGINX, **raw})


def test_a_deployment_gets_the_defaults_of_the_api_server() -> None:
    """Spec 1.1."""
    spec = objects.default_deployment(deployment(spec__replicas=ABSENT)).spec
    assert spec.replicas == 1
    assert spec.revision_history_limit == 10
    assert spec.progress_deadline_seconds == 600
    assert spec.min_ready_seconds == 0
    assert spec.paused is False
    assert spec.strategy == objects.DeploymentStrategy(
        type="RollingUpdate",
        rolling_update=RollingUpdate(max_unavailable="25%", max_surge="25%"),
    )
    assert spec.template == templates.normalise(deployment().spec.template)


def test_an_explicit_zero_is_not_missing() -> None:
    """Spec 8.2, mistake 4: 0 is a value everywhere."""
    zeros = {
        "spec__replicas": 0,
        "spec__revisionHistoryLimit": 0,
        "spec__progressDeadlineSeconds": 0,
        "spec__strategy": {"rollingUpdate": {"maxUnavailable": 0, "maxSurge": "0%"}},
    }
    spec = objects.default_deployment(deployment(**zeros)).spec
    assert spec.replicas == 0
    assert spec.revision_history_limit == 0
    assert spec.progress_deadline_seconds == 0
    assert spec.strategy.rolling_update == RollingUpdate(
        max_unavailable=0, max_surge="0%"
    )


def test_recreate_gets_no_fenceposts() -> None:
    """Only RollingUpdate is given maxSurge and maxUnavailable (spec 1.1)."""
    manifest = deployment(spec__strategy={"type": "Recreate"})
    strategy = objects.default_deployment(manifest).spec.strategy
    assert strategy.rolling_update is None


def test_defaults_are_idempotent_and_survive_the_wire() -> None:
    """The second time changes nothing, and encoding loses nothing."""
    once = objects.default_deployment(deployment())
    assert objects.default_deployment(once) == once
    raw = msgspec.json.decode(msgspec.json.encode(once))
    assert raw["apiVersion"] == "apps/v1"
    assert objects.decode_manifest(raw) == once


def test_a_replicaset_gets_its_size_and_template() -> None:
    """Spec 1.1."""
    spec = objects.default_replicaset(replicaset(spec__replicas=ABSENT)).spec
    assert spec.replicas == 1
    assert objects.default_replicaset(replicaset(spec__replicas=0)).spec.replicas == 0
    assert spec.template == templates.normalise(deployment().spec.template)


def toleration(key: str, seconds: int = 300) -> Toleration:
    return Toleration(
        key=f"node.kubernetes.io/{key}",
        operator="Exists",
        effect="NoExecute",
        toleration_seconds=seconds,
    )


def test_a_pod_gets_what_a_template_does_not() -> None:
    """Requests from limits, service links, default tolerations (spec 1.1, 4.7)."""
    resources = {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "100m"}}
    manifest = pod(spec__containers__0__resources=resources)
    spec = objects.default_pod(manifest).spec
    assert spec.enable_service_links is True
    assert spec.tolerations == (toleration("not-ready"), toleration("unreachable"))
    requests = spec.containers[0].resources.requests
    assert requests == {"cpu": "100m", "memory": "1Gi"}
    template = templates.normalise_spec(manifest.spec)
    assert template.enable_service_links is None
    assert template.tolerations == ()


@pytest.mark.parametrize(
    ("own", "added"),
    [
        ({"key": "node.kubernetes.io/not-ready"}, ["unreachable"]),
        (
            {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"},
            ["not-ready", "unreachable"],
        ),
        ({"operator": "Exists"}, []),
        ({"operator": "Exists", "effect": "NoExecute"}, []),
        ({"key": "own", "operator": "Exists"}, ["not-ready", "unreachable"]),
    ],
)
def test_a_toleration_of_its_own_is_respected(
    own: dict[str, object], added: list[str]
) -> None:
    """Same or empty key, effect NoExecute or empty (spec 4.7)."""
    spec = objects.default_pod(pod(spec__tolerations=[own])).spec
    assert spec.tolerations[1:] == tuple(toleration(key) for key in added)


def test_a_pod_on_the_network_of_its_node_opens_its_ports_there() -> None:
    """The port of the node is the port of the container."""
    manifest = pod(
        spec__hostNetwork=True, spec__containers__0__ports=[{"containerPort": 80}]
    )
    assert objects.default_pod(manifest).spec.containers[0].ports[0].host_port == 80


@given(pod_specs)
def test_the_defaults_of_a_pod_are_idempotent(spec: PodSpec) -> None:
    """So a pod may pass any number of entrances."""
    once = objects.default_pod(PodManifest(spec=spec))
    assert objects.default_pod(once) == once


FENCEPOSTS = [
    ("25%", 1, 1, 0),
    ("25%", 2, 1, 0),
    ("25%", 4, 1, 1),
    ("25%", 5, 2, 1),
    ("25%", 10, 3, 2),
    ("39%", 10, 4, 3),
    ("25%", 100, 25, 25),
    ("1%", 2, 1, 0),
    ("0%", 2, 0, 0),
    ("100%", 3, 3, 3),
    ("200%", 3, 6, 6),
    ("25%", 0, 0, 0),
    (10, 5, 10, 10),
    (0, 5, 0, 0),
]


@pytest.mark.parametrize(("value", "total", "up", "down"), FENCEPOSTS)
def test_a_percentage_is_rounded_as_told(
    value: int | str, total: int, up: int, down: int
) -> None:
    """maxSurge goes up, maxUnavailable down (spec 2.6)."""
    assert objects.int_or_percent(value, total, round_up=True) == up
    assert objects.int_or_percent(value, total, round_up=False) == down


@pytest.mark.parametrize("text", ["", "%", "25", "-1%", "2.5%", "٣%", "9" * 5000 + "%"])
def test_a_text_that_is_no_percentage_is_refused(text: str) -> None:
    """Validation has said so before; here it is an error of the caller."""
    with pytest.raises(ValueError, match="neither a number nor a percentage"):
        objects.int_or_percent(text, 10, round_up=True)
