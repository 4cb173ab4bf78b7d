"""Plain objects: given what is there, when a command comes, then these events."""

from typing import Any

import pytest

from domain import plain, plain_decisions
from domain.errors import Rejected
from domain.events import Event, IllegalTransition, Recorded
from domain.manifest_decisions import Asked
from domain.metadata import LAST_APPLIED
from domain.plain import PlainObject

UID = "0b1c"
VERSIONS = {
    "ConfigMap": "v1",
    "Secret": "v1",
    "ServiceAccount": "v1",
    "Namespace": "v1",
    "Lease": "coordination.k8s.io/v1",
    "HorizontalPodAutoscaler": "autoscaling/v2",
}


def raw(kind: str, name: str = "one", **content: Any) -> dict[str, Any]:
    """A manifest; `metadata` is merged with the name."""
    metadata = {"name": name, **content.pop("metadata", {})}
    head = {"apiVersion": VERSIONS[kind], "kind": kind, "metadata": metadata}
    return {**head, **content}


def decide(
    state: PlainObject | None, command: Any, kind: str = "ConfigMap", name: str = "one"
) -> list[Event]:
    """What the command comes to."""
    namespace = "" if kind == "Namespace" else "default"
    asked = Asked(namespace=namespace, name=name, now=1.0, uid=UID)
    return plain_decisions.decide(kind.lower(), state, command, asked)


def create(kind: str, name: str = "one", **content: Any) -> plain.ObjectCreated:
    """The event by which such an object is created."""
    command = plain.CreateObject(manifest=raw(kind, name, **content))
    (event,) = decide(None, command, kind, name)
    assert isinstance(event, plain.ObjectCreated)
    return event


def given(kind: str, name: str = "one", *later: Event, **content: Any) -> PlainObject:
    """The object as it is after its creation and `later` events."""
    namespace = "" if kind == "Namespace" else "default/"
    stream = f"{kind.lower()}/{namespace}{name}"
    held: PlainObject | None = None
    for index, event in enumerate((create(kind, name, **content), *later), 1):
        at = Recorded(index, stream, index, float(index), "user/a", 0, "", event)
        held = plain.evolve(held, at)
    assert held is not None
    return held


def refusal(state: PlainObject | None, command: Any, kind: str = "ConfigMap") -> str:
    """`Reason: message` of a command that is refused."""
    with pytest.raises(Rejected) as error:
        decide(state, command, kind)
    return f"{error.value.reason}: {error.value.message}"


def test_a_created_object_is_what_was_written() -> None:
    """Its content is its JSON beside the head; its stream says what it is."""
    held = given("ConfigMap", data={"a": "1"}, metadata={"labels": {"app": "web"}})

    assert (held.kind, held.namespace, held.name) == ("configmap", "default", "one")
    assert (held.uid, held.position, held.version) == (UID, 1, 1)
    assert held.content == {"data": {"a": "1"}}
    assert held.labels == {"app": "web"}
    assert held.key == "configmap/default/one"


@pytest.mark.parametrize(
    ("kind", "content", "kept"),
    [
        ("Secret", {"stringData": {"a": "hi"}, "data": {"b": "eA=="}},
         {"type": "Opaque", "data": {"b": "eA==", "a": "aGk="}}),
        ("ServiceAccount", {"imagePullSecrets": [{"name": "s"}]},
         {"imagePullSecrets": [{"name": "s"}]}),
        ("Lease", {"spec": {"holderIdentity": "me", "leaseDurationSeconds": 15,
                            "renewTime": "2026-11-23T06:18:47.000000Z"}},
         {"spec": {"holderIdentity": "me", "leaseDurationSeconds": 15,
                   "renewTime": "2026-11-23T06:18:47.000000Z"}}),
        ("Namespace", {}, {"spec": {"finalizers": ["kubernetes"]}}),
    ],
)  # fmt: skip
def test_defaults_are_filled_in(
    kind: str, content: dict[str, Any], kept: dict[str, Any]
) -> None:
    """As Kubernetes' API server does; stringData becomes data."""
    assert create(kind, **content).content == kept


HELD = {"generateName": "on", "finalizers": ["example.com/a", "example.com/b"]}


def test_a_finalizer_and_a_generate_name_are_kept() -> None:
    """Spec 1.5, 1.2: what a name was made of, and who must let go of the object; each
    finalizer once. An update without a generateName does not take it away."""
    again = {**HELD, "finalizers": [*HELD["finalizers"], "example.com/a"]}
    held = given("ConfigMap", metadata=again)
    assert (held.generate_name, [*held.finalizers]) == ("on", HELD["finalizers"])

    manifest = raw("ConfigMap", metadata={"finalizers": ["example.com/b"]})
    (event,) = decide(held, plain.ReplaceObject(manifest=manifest))
    assert event == plain.ObjectReplaced(finalizers=("example.com/b",))
    held = given("ConfigMap", "one", event, metadata=HELD)
    assert (held.generate_name, held.finalizers) == ("on", ("example.com/b",))


@pytest.mark.parametrize("kind", ["ConfigMap", "Namespace"])
def test_an_object_with_finalizers_waits_for_them(kind: str) -> None:
    """Spec 1.2: its deletion is asked for once; without the last one it is gone. A
    namespace goes when it is empty, too, which is not decided here."""
    held = given(kind, metadata=HELD)
    assert decide(held, plain.DeleteObject(), kind) == [plain.ObjectDeletionRequested()]

    held = given(kind, "one", plain.ObjectDeletionRequested(), metadata=HELD)
    assert (held.stage, held.deletion_at) == (plain.DELETING, 2.0)
    assert decide(held, plain.DeleteObject(), kind) == []
    one_left = raw(kind, metadata={"finalizers": ["example.com/b"]})
    found = decide(held, plain.ReplaceObject(manifest=one_left), kind)
    assert found == [plain.ObjectReplaced(finalizers=("example.com/b",))]
    found = decide(held, plain.ReplaceObject(manifest=raw(kind)), kind)
    gone = plain.ObjectDeleted(why="its last finalizer was taken away")
    assert found == [
        plain.ObjectReplaced(finalizers=()),
        *([gone] if kind == "ConfigMap" else []),
    ]


def test_what_is_on_its_way_out_gets_no_new_finalizers() -> None:
    """Kubernetes' refusal, by name; other changes are taken."""
    held = given("ConfigMap", "one", plain.ObjectDeletionRequested(), metadata=HELD)
    more = {"finalizers": [*HELD["finalizers"], "example.com/c"]}
    assert refusal(
        held, plain.ReplaceObject(manifest=raw("ConfigMap", metadata=more))
    ) == (
        'Invalid: ConfigMap "one" is invalid: metadata.finalizers: Forbidden: no new '
        "finalizers can be added if the object is being deleted, found new finalizers "
        '[]string{"example.com/c"}'
    )
    same = raw("ConfigMap", metadata={**HELD, "labels": {"a": "b"}})
    (event,) = decide(held, plain.ReplaceObject(manifest=same))
    assert event == plain.ObjectReplaced(labels={"a": "b"})


def test_a_namespace_can_be_selected_by_its_name() -> None:
    """It has the label of its name, whatever its manifest says."""
    assert create("Namespace", "x").labels == {"kubernetes.io/metadata.name": "x"}


def test_an_autoscaler_has_the_defaults_of_the_api() -> None:
    """Spec 5.1 and 5.5: one pod at least, 80 percent of the CPU, rules of behavior."""
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    spec = {"scaleTargetRef": target, "maxReplicas": 3, "behavior": {"scaleDown": {}}}

    kept: Any = create("HorizontalPodAutoscaler", spec=spec).content["spec"]

    assert kept["minReplicas"] == 1
    assert [each["resource"]["target"] for each in kept["metrics"]] == [
        {"type": "Utilization", "averageUtilization": 80}
    ]
    down = {"type": "Percent", "value": 100, "periodSeconds": 15}
    assert kept["behavior"]["scaleDown"] == {"selectPolicy": "Max", "policies": [down]}
    assert len(kept["behavior"]["scaleUp"]["policies"]) == 2


AUTOSCALER = {
    "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
    "maxReplicas": 3,
}


@pytest.mark.parametrize(
    ("kind", "content", "text"),
    [
        ("ConfigMap", {"data": {"a b": ""}},
         "data[a b]: Invalid value: \"a b\": a valid config key must consist of"),
        ("ConfigMap", {"data": {"..": ""}},
         'data[..]: Invalid value: "..": must not be \'..\''),
        ("ConfigMap", {"data": {"a": ""}, "binaryData": {"a": ""}},
         'data[a]: Invalid value: "a": duplicate of key present in binaryData'),
        ("ConfigMap", {"data": {"a": "x" * (1024 * 1024 + 1)}},
         "[]: Too long: may not be more than 1048576 bytes"),
        ("ConfigMap", {"metadata": {"labels": {"a b": ""}}},
         'metadata.labels: Invalid value: "a b": name part must consist of'),
        ("Secret", {"type": "kubernetes.io/tls", "data": {"tls.crt": ""}},
         "data[tls.key]: Required value"),
        ("Lease", {"spec": {"leaseDurationSeconds": 0}},
         "spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0"),
        ("Lease", {"spec": {"leaseTransitions": -1}},
         "spec.leaseTransitions: Invalid value: -1: must be greater than or equal to "
         "0"),
        ("HorizontalPodAutoscaler", {"spec": {**AUTOSCALER, "minReplicas": 0}},
         "spec.minReplicas: Invalid value: 0: must be greater than or equal to 1"),
        ("HorizontalPodAutoscaler", {"spec": {**AUTOSCALER, "maxReplicas": 0}},
         "spec.maxReplicas: Required value: must be set and greater than 0"),
        ("HorizontalPodAutoscaler", {"spec": {**AUTOSCALER, "minReplicas": 4}},
         "spec.maxReplicas: Invalid value: 3: must be greater than or equal to "
         "`minReplicas`"),
        ("HorizontalPodAutoscaler", {"spec": {"maxReplicas": 3}},
         "spec.scaleTargetRef.kind: Required value"),
        ("HorizontalPodAutoscaler",
         {"spec": {**AUTOSCALER, "behavior": {"scaleUp": {"policies": []}}}},
         "spec.behavior.scaleUp.policies: Required value: must specify at least one "
         "Policy"),
        ("HorizontalPodAutoscaler",
         {"spec": {**AUTOSCALER, "metrics": [{"type": "Resource"}]}},
         "spec.metrics[0].resource: Required value: must populate information"),
    ],
)  # fmt: skip
def test_a_broken_rule_is_told_as_kubernetes_tells_it(
    kind: str, content: dict[str, Any], text: str
) -> None:
    """Spec 1.5, 1.6, 5.1: the field, the value and the rule; nothing is created."""
    found = refusal(None, plain.CreateObject(manifest=raw(kind, **content)), kind)

    assert found.startswith(f"Invalid: {plain.KINDS[kind.lower()][1]} ")
    assert text in found


@pytest.mark.parametrize(
    ("kind", "content", "text"),
    [
        ("ConfigMap", {"data": {"a": 1}}, "data[a]: expected a string"),
        ("ConfigMap", {"dat": {}}, 'unknown field "dat"'),
        ("ConfigMap", {"binaryData": {"a": "ä"}}, "illegal base64 data"),
        ("Secret", {"data": {"a": "?"}}, "illegal base64 data"),
        ("Lease", {"spec": {"renewTime": "noon"}}, "is not a time of RFC 3339"),
    ],
)
def test_what_cannot_be_read_is_a_bad_request(
    kind: str, content: dict[str, Any], text: str
) -> None:
    """A wrong type, an unknown field, no base64, no time."""
    found = refusal(None, plain.CreateObject(manifest=raw(kind, **content)), kind)

    assert found.startswith("BadRequest: ")
    assert text in found


def test_a_namespace_is_a_dns_label() -> None:
    """Spec 1.5: other names are subdomains, this one has no dots."""
    command = plain.CreateObject(manifest=raw("Namespace", "a.b"))

    with pytest.raises(Rejected, match="must not contain dots"):
        decide(None, command, "Namespace", "a.b")


@pytest.mark.parametrize("kind", ["ConfigMap", "Secret"])
def test_what_is_immutable_stays_as_it_is(kind: str) -> None:
    """Its data and that it is immutable; labels may change."""
    held = given(kind, data={"a": ""}, immutable=True)
    changed = plain.ReplaceObject(manifest=raw(kind, data={"b": ""}))
    labelled = raw(kind, data={"a": ""}, immutable=True)
    labelled["metadata"]["labels"] = {"app": "web"}

    text = refusal(held, changed, kind)

    rule = "Forbidden: field is immutable when `immutable` is set"
    assert f"immutable: {rule}" in text
    assert f"data: {rule}" in text
    assert decide(held, plain.ReplaceObject(manifest=labelled), kind) == [
        plain.ObjectReplaced(labels={"app": "web"})
    ]


def test_the_type_of_a_secret_is_immutable() -> None:
    """One of another type is another Secret."""
    held = given("Secret", type="mine")

    text = refusal(held, plain.ReplaceObject(manifest=raw("Secret")), "Secret")

    assert 'type: Invalid value: "Opaque": field is immutable' in text


def test_a_replacement_tells_only_what_has_changed() -> None:
    """A label costs no copy of the content, and sent twice it does nothing twice."""
    held = given("ConfigMap", data={"a": "1"})
    wanted = raw("ConfigMap", data={"a": "2"})

    (event,) = decide(held, plain.ReplaceObject(manifest=wanted))
    again = given("ConfigMap", "one", event, data={"a": "1"})

    assert event == plain.ObjectReplaced(content={"data": {"a": "2"}})
    assert again.content == {"data": {"a": "2"}}
    assert decide(again, plain.ReplaceObject(manifest=wanted)) == []


def test_a_stale_version_is_a_conflict() -> None:
    """Spec 1.2: a resourceVersion that is not current; the current one is fine."""
    held = given("ConfigMap", data={"a": "1"})
    stale = raw("ConfigMap", metadata={"resourceVersion": "7"})
    current = raw("ConfigMap", metadata={"resourceVersion": "1"})

    assert refusal(held, plain.ReplaceObject(manifest=stale)).startswith(
        'Conflict: Operation cannot be fulfilled on configmaps "one": the object has'
    )
    assert decide(held, plain.ReplaceObject(manifest=current))


def test_apply_removes_what_it_said_before_and_keeps_what_others_said() -> None:
    """Three ways, as for Deployments."""
    first = plain.ApplyObject(manifest=raw("ConfigMap", data={"a": "1", "b": "1"}))
    (created,) = decide(None, first)
    assert isinstance(created, plain.ObjectCreated)
    assert LAST_APPLIED in created.annotations
    others = plain.ObjectReplaced(content={"data": {"a": "1", "b": "1", "c": "1"}})
    held: PlainObject | None = None
    for index, event in enumerate((created, others), 1):
        at = Recorded(index, "configmap/default/one", index, 1.0, "", 0, "", event)
        held = plain.evolve(held, at)

    (event,) = decide(
        held, plain.ApplyObject(manifest=raw("ConfigMap", data={"a": "2"}))
    )

    assert isinstance(event, plain.ObjectReplaced)
    assert event.content == {"data": {"a": "2", "c": "1"}}


def test_what_is_there_is_not_created_again_nor_changed_when_it_is_not() -> None:
    """AlreadyExists and NotFound, with Kubernetes' names of the resource."""
    manifest = raw("Lease")
    held = given("Lease")

    assert refusal(held, plain.CreateObject(manifest=manifest), "Lease") == (
        'AlreadyExists: leases.coordination.k8s.io "one" already exists'
    )
    for command in (plain.ReplaceObject(manifest=manifest), plain.DeleteObject()):
        assert refusal(None, command, "Lease") == (
            'NotFound: leases.coordination.k8s.io "one" not found'
        )


def test_a_plain_object_is_deleted_at_once() -> None:
    """Unless its uid is another one's."""
    held = given("ConfigMap")

    assert decide(held, plain.DeleteObject(uid=UID)) == [
        plain.ObjectDeleted(why="a user deleted it")
    ]
    assert refusal(held, plain.DeleteObject(uid="other")) == (
        "Conflict: Precondition failed: UID in precondition: other, UID in object "
        f"meta: {UID}"
    )


def test_a_namespace_is_asked_to_go_and_asked_once() -> None:
    """It is Terminating until it is empty."""
    held = given("Namespace")
    going = given("Namespace", "one", plain.ObjectDeletionRequested())

    assert decide(held, plain.DeleteObject(), "Namespace") == [
        plain.ObjectDeletionRequested()
    ]
    assert decide(going, plain.DeleteObject(), "Namespace") == []
    assert (going.stage, going.deletion_at) == (plain.DELETING, 2.0)


@pytest.mark.parametrize("name", plain.FIRST_NAMESPACES)
def test_the_first_namespaces_stay(name: str) -> None:
    """Kubernetes' text."""
    held = plain.first_namespace(name, uid=UID, at=1.0, position=1)

    with pytest.raises(Rejected) as error:
        decide(held, plain.DeleteObject(), "Namespace", name)

    assert error.value.code == 403
    assert error.value.message == (
        f'namespaces "{name}" is forbidden: this namespace may not be deleted'
    )


def test_the_table_allows_nothing_else() -> None:
    """A plain object that is not there cannot change, and one that is, not begin."""
    held = given("ConfigMap")
    for state, event in (
        (None, plain.ObjectReplaced()),
        (None, plain.ObjectDeleted(why="")),
        (held, plain.ObjectCreated(uid="", content={})),
    ):
        at = Recorded(2, "configmap/default/one", 2, 1.0, "user/a", 0, "", event)
        with pytest.raises(IllegalTransition):
            plain.evolve(state, at)
