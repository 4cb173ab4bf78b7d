"""Pod templates: defaults, equality, hash and changes (spec 1.1, 2.3, 2.4, 6.7)."""

import re

import msgspec
import pytest
from hypothesis import given
from msgspec.structs import replace

from domain import template as templates
from domain.errors import Rejected
from domain.podspec import PodTemplateSpec
from tests.domain.manifests_for_tests import deployment
from tests.domain.template_strategies import respelt
from tests.domain.template_strategies import templates as drawn

CONTAINER = "spec__template__spec__containers__0"
POD = "spec__template__spec"


def nginx(**changes: object) -> PodTemplateSpec:
    """The normalised nginx template; `c__x` is a field of its container."""
    paths = {
        path.replace("c__", f"{CONTAINER}__", 1) if path.startswith("c__") else path: v
        for path, v in changes.items()
    }
    return templates.normalise(deployment(**paths).spec.template)


def test_the_defaults_are_those_of_the_api_server() -> None:
    """Every default of spec 1.1 for a template, and none that is for pods only."""
    filled = nginx(c__readinessProbe={"httpGet": {"port": 80}})
    assert msgspec.json.decode(msgspec.json.encode(filled)) == {
        "metadata": {"labels": {"app": "nginx"}},
        "spec": {
            "containers": [
                {
                    "name": "nginx",
                    "image": "nginx:1.7.9",
                    "ports": [{"containerPort": 80, "protocol": "TCP"}],
                    "resources": {},
                    "readinessProbe": {
                        "httpGet": {"path": "/", "port": 80, "scheme": "HTTP"},
                        "timeoutSeconds": 1,
                        "periodSeconds": 10,
                        "successThreshold": 1,
                        "failureThreshold": 3,
                    },
                    "terminationMessagePath": "/dev/termination-log",
                    "terminationMessagePolicy": "File",
                    "imagePullPolicy": "IfNotPresent",
                }
            ],
            "restartPolicy": "Always",
            "terminationGracePeriodSeconds": 30,
            "dnsPolicy": "ClusterFirst",
            "securityContext": {},
            "schedulerName": "default-scheduler",
        },
    }


@pytest.mark.parametrize(
    ("image", "policy"),
    [
        ("nginx", "Always"),
        ("nginx:latest", "Always"),
        ("nginx:1.7.9", "IfNotPresent"),
        ("registry:5000/nginx", "Always"),
        ("registry:5000/nginx:1", "IfNotPresent"),
        ("nginx@sha256:abc", "IfNotPresent"),
        ("nginx:latest@sha256:abc", "Always"),
        ("", "Always"),
    ],
)
def test_the_pull_policy_follows_the_tag(image: str, policy: str) -> None:
    """`Always` for latest, or neither tag nor digest; a port is no tag (spec 1.1)."""
    container = nginx(c__image=image).spec.containers[0]
    assert container.image_pull_policy == policy


def test_a_pull_policy_sticks_when_the_image_changes() -> None:
    """Changing `nginx:latest` to `nginx:1.2` keeps `Always` (spec 1.1)."""
    before = nginx(c__image="nginx:latest")
    after = templates.normalise(templates.set_images(before, {"nginx": "nginx:1.2"}))
    assert after.spec.containers[0].image_pull_policy == "Always"


@given(drawn)
def test_normalising_twice_changes_nothing(template: PodTemplateSpec) -> None:
    """`normalise` is idempotent, so it may be done at every entrance."""
    once = templates.normalise(template)
    assert templates.normalise(once) == once


@given(drawn)
def test_a_template_survives_the_store(template: PodTemplateSpec) -> None:
    """Encoded and decoded again, it is the same value."""
    once = templates.normalise(template)
    encoded = msgspec.json.encode(once)
    assert msgspec.json.decode(encoded, type=PodTemplateSpec) == once


def cpu_limit(**more: object) -> dict[str, object]:
    reference: dict[str, object] = {"resource": "limits.cpu", **more}
    return {"name": "A", "valueFrom": {"resourceFieldRef": reference}}


EQUAL: list[tuple[dict[str, object], dict[str, object]]] = [
    ({}, {"c__env": []}),
    ({}, {"c__env": None}),
    ({}, {"c__resources": {}}),
    ({}, {"c__resources": {"limits": {}}}),
    ({}, {"c__ports__0__protocol": "TCP"}),
    ({}, {"c__imagePullPolicy": "IfNotPresent"}),
    ({}, {f"{POD}__restartPolicy": "Always"}),
    ({}, {f"{POD}__securityContext": {}}),
    ({}, {f"{POD}__terminationGracePeriodSeconds": 30}),
    ({}, {f"{POD}__volumes": None}),
    ({}, {f"{POD}__hostNetwork": False}),
    ({}, {"spec__template__metadata__creationTimestamp": None}),
    ({}, {"spec__template__metadata__annotations": {}}),
    (
        {"c__resources": {"limits": {"cpu": "0.5", "memory": "1Gi"}}},
        {"c__resources": {"limits": {"memory": 1073741824, "cpu": "500m"}}},
    ),
    (
        {"c__resources": {"limits": {"memory": "1024"}}},
        {"c__resources": {"limits": {"memory": "1Ki"}}},
    ),
    (
        {"c__env": [cpu_limit()]},
        {"c__env": [cpu_limit(divisor=0)]},
    ),
    (
        {f"{POD}__serviceAccount": "robot"},
        {f"{POD}__serviceAccountName": "robot"},
    ),
    (
        {f"{POD}__volumes": [{"name": "v", "configMap": {"name": "c"}}]},
        {
            f"{POD}__volumes": [
                {"name": "v", "configMap": {"name": "c", "defaultMode": 0o644}}
            ]
        },
    ),
]


@pytest.mark.parametrize(("a", "b"), EQUAL)
def test_what_kubernetes_holds_equal_is_equal(
    a: dict[str, object], b: dict[str, object]
) -> None:
    """Nil and empty, defaults, and numbers written differently (spec 2.3)."""
    assert nginx(**a) == nginx(**b)
    assert templates.template_hash(nginx(**a), None) == templates.template_hash(
        nginx(**b), None
    )


DIFFERENT: list[dict[str, object]] = [
    {"c__image": "nginx:1.9.1"},
    {"c__name": "web"},
    {"c__env": [{"name": "A"}]},
    {"c__securityContext": {}},
    {"c__resources": {"limits": {"cpu": "0"}}},
    {"c__imagePullPolicy": "Always"},
    {"c__livenessProbe": {"exec": {"command": ["true"]}}},
    {f"{POD}__terminationGracePeriodSeconds": 0},
    {f"{POD}__volumes": [{"name": "v", "emptyDir": {}}]},
    {f"{POD}__affinity": {}},
    {f"{POD}__automountServiceAccountToken": False},
    {"spec__template__metadata__annotations": {"a": "b"}},
    {"spec__template__metadata__labels": {"app": "nginx", "a": "b"}},
]


@pytest.mark.parametrize("change", DIFFERENT)
def test_every_other_difference_is_a_new_revision(change: dict[str, object]) -> None:
    """Annotations count, and so do pointers to empty structs (spec 2.3)."""
    assert nginx(**change) != nginx()
    assert not templates.equal_ignoring_hash(nginx(**change), nginx())
    assert templates.template_hash(nginx(**change), None) != templates.template_hash(
        nginx(), None
    )


def test_the_hash_label_is_put_on_and_taken_off() -> None:
    """It never counts for equality, on either side (spec 2.3)."""
    plain = nginx()
    labelled = templates.with_hash(plain, "5d78")
    assert labelled.metadata.labels == {"app": "nginx", "pod-template-hash": "5d78"}
    assert plain.metadata.labels == {"app": "nginx"}
    assert templates.without_hash(labelled) == plain
    assert templates.without_hash(plain) == plain
    assert templates.equal_ignoring_hash(plain, labelled)
    other = templates.with_hash(plain, "9999")
    assert templates.equal_ignoring_hash(labelled, other)


@given(drawn)
def test_the_hash_has_the_form_of_the_specification(template: PodTemplateSpec) -> None:
    """1 to 10 characters of `456789bcdf`; the label does not change it (spec 2.4)."""
    normal = templates.normalise(template)
    for count in (None, 0, 1, 2**31 - 1):
        text = templates.template_hash(normal, count)
        assert re.fullmatch("[456789bcdf]{1,10}", text)
        labelled = templates.with_hash(normal, text)
        assert templates.template_hash(labelled, count) == text
        assert templates.template_hash(template, count) == text


@given(drawn)
def test_the_hash_follows_the_meaning_not_the_spelling(
    template: PodTemplateSpec,
) -> None:
    """Equal templates have one hash, whatever the order of keys or the units."""
    other = respelt(template)
    assert templates.normalise(other) == templates.normalise(template)
    first = templates.template_hash(template, None)
    assert templates.template_hash(other, None) == first


def test_a_collision_count_gives_another_hash() -> None:
    """Absent and 0 are different counts (spec 2.4)."""
    counts = [None, 0, 1, 2, 256]
    hashes = {templates.template_hash(nginx(), count) for count in counts}
    assert len(hashes) == len(counts)


def test_the_hash_of_a_stored_template_never_moves() -> None:
    """A ReplicaSet that was made before a restart is found under the same name."""
    hashes = [templates.template_hash(nginx(), count) for count in (None, 0, 1)]
    assert hashes == ["858bd54fd", "646ddcfbf4", "79f9986567"]


def test_the_hash_is_fnv_1a_of_32_bits() -> None:
    """The published test vectors of FNV-1a, so that a hash never moves by accident."""
    assert templates.fnv1a(b"") == 0x811C9DC5
    assert templates.fnv1a(b"a") == 0xE40C292C
    assert templates.fnv1a(b"foobar") == 0xBF9CF968


def test_images_by_container() -> None:
    """Names and images in order."""
    template = nginx(spec__template__spec__containers__1={"name": "b", "image": "x:1"})
    assert templates.images(template) == {"nginx": "nginx:1.7.9", "b": "x:1"}


def test_a_star_sets_all_images_init_containers_too() -> None:
    """Spec 6.7."""
    template = nginx(
        **{f"{POD}__initContainers": [{"name": "init", "image": "busybox:1"}]}
    )
    changed = templates.set_images(template, {"*": "new:2"})
    assert changed.spec.containers[0].image == "new:2"
    assert changed.spec.init_containers[0].image == "new:2"
    named = templates.set_images(template, {"init": "busybox:2"})
    assert named.spec.init_containers[0].image == "busybox:2"
    assert named.spec.containers[0].image == "nginx:1.7.9"


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ({"foo": "x"}, 'unable to find container named "foo"'),
        ({}, "at least one image update is required"),
        (
            {"*": "x", "nginx": "y"},
            "all containers are already specified by *, but saw more than one "
            "container_name=container_image pairs",
        ),
    ],
)
def test_set_images_refuses_with_the_words_of_kubectl(
    pairs: dict[str, str], message: str
) -> None:
    """Spec 6.7."""
    with pytest.raises(Rejected) as refused:
        templates.set_images(nginx(), pairs)
    assert refused.value.message == message
    assert refused.value.reason == "BadRequest"


def test_set_resources_merges_into_the_named_containers() -> None:
    """What is not named stays; quantities are written in their one way."""
    template = nginx(c__resources={"limits": {"cpu": "1", "memory": "1Gi"}})
    changed = templates.set_resources(
        template, ["nginx"], {"cpu": "0.5"}, {"cpu": "100m"}
    )
    resources = changed.spec.containers[0].resources
    assert resources.limits == {"cpu": "500m", "memory": "1Gi"}
    assert resources.requests == {"cpu": "100m"}
    assert templates.set_resources(template, [], {"cpu": "0.5"}, {"cpu": "0.1"}) == (
        changed
    )


@pytest.mark.parametrize(
    ("names", "limits", "message"),
    [
        (["foo"], {"cpu": "1"}, 'unable to find container named "foo"'),
        ([], {"cpu": "much"}, "cpu: quantities must match"),
        ([], {}, "you must specify an update to requests or limits"),
    ],
)
def test_set_resources_refuses_what_it_cannot_do(
    names: list[str], limits: dict[str, str], message: str
) -> None:
    """Unknown containers, texts that are no quantities, nothing to do."""
    with pytest.raises(Rejected, match=message):
        templates.set_resources(nginx(), names, limits, {})


def limits(cpu: str, memory: str = "0") -> dict[str, object]:
    return {"limits": {"cpu": cpu, "memory": memory}}


REQUESTS: list[tuple[str, dict[str, object], int, int]] = [
    ("nothing asked for", {}, 0, 0),
    ("limits count as requests", {"c__resources": limits("500m", "1Ki")}, 500, 1024),
    (
        "requests before limits",
        {"c__resources": {**limits("2", "1Mi"), "requests": {"cpu": "100m"}}},
        100,
        1048576,
    ),
    (
        "containers add up",
        {
            "c__resources": limits("100m", "1"),
            f"{POD}__containers__1": {
                "name": "b", "image": "b", "resources": limits("50m", "1"),
            },
        },
        150,
        2,
    ),
    (
        "the largest init container, if it is more",
        {
            "c__resources": limits("100m", "10"),
            f"{POD}__initContainers": [
                {"name": "i", "image": "i", "resources": limits("300m", "1")},
                {"name": "j", "image": "j", "resources": limits("200m", "20")},
            ],
        },
        300,
        20,
    ),
    (
        "a sidecar counts throughout",
        {
            "c__resources": limits("100m"),
            f"{POD}__initContainers": [
                {
                    "name": "s", "image": "s", "restartPolicy": "Always",
                    "resources": limits("50m"),
                },
                {"name": "i", "image": "i", "resources": limits("120m")},
            ],
        },
        170,
        0,
    ),
    (
        "a sidecar counts once",
        {
            "c__resources": limits("100m"),
            f"{POD}__initContainers": [
                {
                    "name": "s", "image": "s", "restartPolicy": "Always",
                    "resources": limits("300m"),
                },
            ],
        },
        400,
        0,
    ),
    (
        "the overhead comes on top",
        {"c__resources": limits("100m"), f"{POD}__overhead": {"cpu": "10m"}},
        110,
        0,
    ),
    (
        "requests of the pod take precedence",
        {
            "c__resources": limits("100m", "5"),
            f"{POD}__resources": {"requests": {"cpu": "1"}},
        },
        1000,
        5,
    ),
]  # fmt: skip


@pytest.mark.parametrize(("why", "changes", "cpu", "memory"), REQUESTS)
def test_a_pod_reserves_what_the_scheduler_counts(
    why: str, changes: dict[str, object], cpu: int, memory: int
) -> None:
    """Containers together, or the init containers' peak, plus overhead."""
    expected = templates.Requests(cpu_milli=cpu, memory_bytes=memory)
    assert templates.requests(nginx(**changes).spec) == expected, why


CHANGES: list[tuple[dict[str, object], dict[str, object], str]] = [
    ({}, {}, ""),
    ({}, {"c__image": "nginx:1.9.1"}, "image nginx=nginx:1.7.9 → nginx:1.9.1"),
    (
        {},
        {
            "spec__template__metadata__annotations": {
                "kubectl.kubernetes.io/restartedAt": "now"
            }
        },
        "restarted",
    ),
    ({}, {"c__env": [{"name": "FOO", "value": "1"}]}, "env FOO of nginx added"),
    (
        {"c__env": [{"name": "FOO", "value": "1"}]},
        {"c__env": [{"name": "FOO", "value": "2"}]},
        "env FOO of nginx changed",
    ),
    ({"c__env": [{"name": "FOO"}]}, {}, "env FOO of nginx removed"),
    ({}, {"c__resources": limits("1")}, "resources of nginx changed"),
    ({}, {"c__args": ["-v"]}, "args of nginx changed"),
    ({}, {f"{POD}__hostNetwork": True}, "hostNetwork changed"),
    (
        {},
        {f"{POD}__containers__1": {"name": "b", "image": "b:1"}},
        "container b added (b:1)",
    ),
    (
        {f"{POD}__containers__1": {"name": "b", "image": "b:1"}},
        {},
        "container b removed",
    ),
    (
        {},
        {"spec__template__metadata__labels": {"app": "nginx", "tier": "web"}},
        "label tier added",
    ),
    (
        {"spec__template__metadata__annotations": {"a": "1"}},
        {"spec__template__metadata__annotations": {"a": "2"}},
        "annotation a changed",
    ),
    (
        {},
        {"c__image": "nginx:2", "c__resources": limits("1")},
        "image nginx=nginx:1.7.9 → nginx:2, resources of nginx changed",
    ),
    (
        {},
        {"c__env": [{"name": f"V{i}"} for i in range(10)]},
        ", ".join(f"env V{i} of nginx added" for i in range(8)) + ", 2 more changes",
    ),
]


@pytest.mark.parametrize(("old", "new", "words"), CHANGES)
def test_a_change_is_told_in_words(
    old: dict[str, object], new: dict[str, object], words: str
) -> None:
    """What stands in the CHANGE-CAUSE column when nobody wrote one."""
    assert templates.describe_change(nginx(**old), nginx(**new)) == words


@given(drawn, drawn)
def test_a_change_has_words_exactly_when_there_is_one(
    old: PodTemplateSpec, new: PodTemplateSpec
) -> None:
    """Nothing that makes a revision stays unsaid, and nothing is invented."""
    a, b = templates.normalise(old), templates.normalise(new)
    assert (templates.describe_change(a, b) == "") is (a == b)
    assert templates.describe_change(a, templates.with_hash(a, "5d")) == ""


def test_a_text_that_is_no_quantity_stays_for_validation() -> None:
    """`normalise` never fails: what is wrong is told with its path, later."""
    template = nginx()
    container = template.spec.containers[0]
    broken = replace(
        container, resources=replace(container.resources, limits={"cpu": "much"})
    )
    spec = replace(template.spec, containers=(broken,))
    result = templates.normalise(replace(template, spec=spec))
    assert result.spec.containers[0].resources.limits == {"cpu": "much"}
