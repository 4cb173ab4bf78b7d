"""Invalid Deployments, one row per rule, with Kubernetes' exact texts (spec 1.3 to 1.6).

Rules for containers and pods are in `test_pod_validation.py`.
"""

import pytest

from domain import errors, fields, validation
from domain.errors import FieldError
from domain.metadata import ObjectMeta
from tests.domain.manifests_for_tests import (
    ABSENT,
    changed,
    deployment,
    pod,
    replicaset,
)

SUBDOMAIN = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, "
    "'-' or '.', and must start and end with an alphanumeric character (e.g. "
    "'example.com', regex used for validation is "
    r"'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
LABEL_KEY = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start "
    "and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or "
    "'123-abc', regex used for validation is "
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
LABEL_VALUE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', "
    "'_' or '.', and must start and end with an alphanumeric character (e.g. "
    "'MyValue',  or 'my_value',  or '12345', regex used for validation is "
    "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)
PERCENT = (
    "a valid percent string must be a numeric string followed by an ending '%' (e.g. "
    "'1%',  or '93%', regex used for validation is '[0-9]+%')"
)
NOT_NEGATIVE = "must be greater than or equal to 0"
MISMATCH = "`selector` does not match template `labels`"
SELECTOR = "spec__selector"
ROLLING = "spec__strategy__rollingUpdate"
OWNER = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d", "uid": "u"}

# (spec, changes to a good Deployment, every error in order)
INVALID: list[tuple[str, dict[str, object], list[str]]] = [
    # 1.4, numbers
    (
        "1.4 replicas",
        {"spec__replicas": -1},
        [f"spec.replicas: Invalid value: -1: {NOT_NEGATIVE}"],
    ),
    (
        "1.4 minReadySeconds",
        {"spec__minReadySeconds": -1},
        [f"spec.minReadySeconds: Invalid value: -1: {NOT_NEGATIVE}"],
    ),
    (
        "1.4 revisionHistoryLimit",
        {"spec__revisionHistoryLimit": -1},
        [f"spec.revisionHistoryLimit: Invalid value: -1: {NOT_NEGATIVE}"],
    ),
    (
        "1.4 progressDeadlineSeconds, which is also below minReadySeconds",
        {"spec__progressDeadlineSeconds": -1},
        [
            f"spec.progressDeadlineSeconds: Invalid value: -1: {NOT_NEGATIVE}",
            "spec.progressDeadlineSeconds: Invalid value: -1: must be greater than "
            "minReadySeconds",
        ],
    ),
    (
        "1.4 the default deadline",
        {"spec__minReadySeconds": 600},
        [
            "spec.progressDeadlineSeconds: Invalid value: 600: must be greater than "
            "minReadySeconds"
        ],
    ),
    (
        "1.4 a deadline of 0",
        {"spec__progressDeadlineSeconds": 0},
        [
            "spec.progressDeadlineSeconds: Invalid value: 0: must be greater than "
            "minReadySeconds"
        ],
    ),
    # 1.4, selector
    (
        "1.4 selector missing",
        {SELECTOR: ABSENT},
        [
            "spec.selector: Required value",
            f'spec.template.metadata.labels: Invalid value: {{"app":"nginx"}}: {MISMATCH}',
        ],
    ),
    (
        "1.4 selector empty",
        {SELECTOR: {}},
        [
            "spec.selector: Invalid value: {}: empty selector is invalid for deployment"
        ],
    ),
    (
        "1.4 In without values",
        {f"{SELECTOR}__matchExpressions": [{"key": "a", "operator": "In"}]},
        [
            "spec.selector.matchExpressions[0].values: Required value: must be specified "
            "when `operator` is 'In' or 'NotIn'",
            'spec.selector: Invalid value: {"matchLabels":{"app":"nginx"},'
            '"matchExpressions":[{"key":"a","operator":"In"}]}: invalid label selector',
        ],
    ),
    (
        "1.4 Exists with values",
        {
            SELECTOR: {
                "matchExpressions": [{"key": "a", "operator": "Exists", "values": ["b"]}]
            }
        },
        [
            "spec.selector.matchExpressions[0].values: Forbidden: may not be specified "
            "when `operator` is 'Exists' or 'DoesNotExist'",
            'spec.selector: Invalid value: {"matchExpressions":[{"key":"a","operator":'
            '"Exists","values":["b"]}]}: invalid label selector',
        ],
    ),
    (
        "1.4 bad operator",
        {SELECTOR: {"matchExpressions": [{"key": "a", "operator": "Foo"}]}},
        [
            'spec.selector.matchExpressions[0].operator: Invalid value: "Foo": not a '
            "valid selector operator",
            'spec.selector: Invalid value: {"matchExpressions":[{"key":"a","operator":'
            '"Foo"}]}: invalid label selector',
        ],
    ),
    (
        "1.6 selector labels",
        {SELECTOR: {"matchLabels": {"app": "a b"}}},
        [
            f'spec.selector.matchLabels: Invalid value: "a b": {LABEL_VALUE}',
            'spec.selector: Invalid value: {"matchLabels":{"app":"a b"}}: invalid label '
            "selector",
        ],
    ),
    (
        "1.4 bad-selector.yaml: the selector does not select the template",
        {"spec__template__metadata__labels": {"app": "other"}},
        [f'spec.template.metadata.labels: Invalid value: {{"app":"other"}}: {MISMATCH}'],
    ),
    (
        "1.4 template without labels",
        {"spec__template__metadata": ABSENT},
        [f"spec.template.metadata.labels: Invalid value: null: {MISMATCH}"],
    ),
    # 1.4, template
    (
        "1.4 restartPolicy",
        {"spec__template__spec__restartPolicy": "Never"},
        [
            'spec.template.spec.restartPolicy: Unsupported value: "Never": supported '
            'values: "Always"'
        ],
    ),
    (
        "1.4 unknown restartPolicy: two errors",
        {"spec__template__spec__restartPolicy": "Sometimes"},
        [
            'spec.template.spec.restartPolicy: Unsupported value: "Sometimes": supported '
            'values: "Always", "OnFailure", "Never"',
            'spec.template.spec.restartPolicy: Unsupported value: "Sometimes": supported '
            'values: "Always"',
        ],
    ),
    (
        "1.4 activeDeadlineSeconds",
        {"spec__template__spec__activeDeadlineSeconds": 5},
        [
            "spec.template.spec.activeDeadlineSeconds: Forbidden: activeDeadlineSeconds "
            "in ReplicaSet is not Supported"
        ],
    ),
    (
        "1.4 ephemeralContainers",
        {"spec__template__spec__ephemeralContainers": [{"name": "d", "image": "d"}]},
        [
            "spec.template.spec.ephemeralContainers: Forbidden: ephemeral containers not "
            "allowed in pod template"
        ],
    ),
    # 1.4, strategy
    (
        "1.4 unknown strategy: the path and the internal struct (QUIRK)",
        {"spec__strategy": {"type": "Foo"}},
        [
            'spec.strategy: Unsupported value: {"Type":"Foo","RollingUpdate":null}: '
            'supported values: "Recreate", "RollingUpdate"'
        ],
    ),
    (
        "1.4 unknown strategy with fenceposts (QUIRK)",
        {"spec__strategy": {"type": "Foo", "rollingUpdate": {"maxSurge": "1%"}}},
        [
            'spec.strategy: Unsupported value: {"Type":"Foo","RollingUpdate":'
            '{"MaxUnavailable":0,"MaxSurge":"1%"}}: supported values: "Recreate", '
            '"RollingUpdate"'
        ],
    ),
    (
        "1.4 Recreate with rollingUpdate",
        {"spec__strategy": {"type": "Recreate", "rollingUpdate": {}}},
        [
            "spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy "
            "`type` is 'Recreate'"
        ],
    ),
    (
        "1.4 negative maxSurge",
        {f"{ROLLING}__maxSurge": -1},
        [f"spec.strategy.rollingUpdate.maxSurge: Invalid value: -1: {NOT_NEGATIVE}"],
    ),
    (
        "1.4 negative maxUnavailable",
        {f"{ROLLING}__maxUnavailable": -1},
        [
            "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: -1: "
            f"{NOT_NEGATIVE}"
        ],
    ),
    (
        "1.4 maxSurge is no percentage",
        {f"{ROLLING}__maxSurge": "25"},
        [f'spec.strategy.rollingUpdate.maxSurge: Invalid value: "25": {PERCENT}'],
    ),
    (
        "1.4 maxUnavailable is no percentage",
        {f"{ROLLING}__maxUnavailable": "-1%"},
        [f'spec.strategy.rollingUpdate.maxUnavailable: Invalid value: "-1%": {PERCENT}'],
    ),
    (
        "1.4 bad-surge.yaml: both 0",
        {ROLLING: {"maxSurge": 0, "maxUnavailable": 0}},
        [
            "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 "
            "when `maxSurge` is 0"
        ],
    ),
    (
        "1.4 both 0%",
        {ROLLING: {"maxSurge": "0%", "maxUnavailable": "0%"}},
        [
            'spec.strategy.rollingUpdate.maxUnavailable: Invalid value: "0%": may not be '
            "0 when `maxSurge` is 0"
        ],
    ),
    (
        "1.4 maxUnavailable over 100%",
        {f"{ROLLING}__maxUnavailable": "101%"},
        [
            'spec.strategy.rollingUpdate.maxUnavailable: Invalid value: "101%": must not '
            "be greater than 100%"
        ],
    ),
    # 1.5, names
    (
        "1.5 name",
        {"metadata__name": "A_b"},
        [f'metadata.name: Invalid value: "A_b": {SUBDOMAIN}'],
    ),
    (
        "1.5 long name",
        {"metadata__name": "a" * 254},
        [
            f'metadata.name: Invalid value: "{"a" * 254}": must be no more than 253 '
            "characters"
        ],
    ),
    (
        "1.5 neither name nor generateName",
        {"metadata__name": ABSENT},
        ["metadata.name: Required value: name or generateName is required"],
    ),
    (
        "1.5 generateName",
        {"metadata__name": ABSENT, "metadata__generateName": "A-"},
        [f'metadata.generateName: Invalid value: "A-": {SUBDOMAIN}'],
    ),
    (
        "1.5 namespace",
        {"metadata__namespace": "a.b"},
        ['metadata.namespace: Invalid value: "a.b": must not contain dots'],
    ),
    # 1.6, labels, annotations, owners
    (
        "1.6 label key",
        {"metadata__labels": {"a b": "c"}},
        [f'metadata.labels: Invalid value: "a b": {LABEL_KEY}'],
    ),
    (
        "1.6 label key with empty prefix",
        {"metadata__labels": {"/a": "c"}},
        ['metadata.labels: Invalid value: "/a": prefix part must be non-empty'],
    ),
    (
        "1.6 label key with empty name",
        {"metadata__labels": {"a/": "c"}},
        [
            'metadata.labels: Invalid value: "a/": name part must be non-empty',
            f'metadata.labels: Invalid value: "a/": {LABEL_KEY}',
        ],
    ),
    (
        "1.6 label key with bad prefix",
        {"metadata__labels": {"A/a": "c"}},
        [f'metadata.labels: Invalid value: "A/a": prefix part {SUBDOMAIN}'],
    ),
    (
        "1.6 long label key",
        {"metadata__labels": {"k" * 64: "c"}},
        [
            f'metadata.labels: Invalid value: "{"k" * 64}": name part must be no more '
            "than 63 bytes"
        ],
    ),
    (
        "1.6 label key with two slashes",
        {"metadata__labels": {"a/b/c": "d"}},
        [
            'metadata.labels: Invalid value: "a/b/c": a qualified name '
            f"{LABEL_KEY.removeprefix('name part ')} with an optional DNS subdomain "
            "prefix and '/' (e.g. 'example.com/MyName')"
        ],
    ),
    (
        "1.6 label value",
        {"metadata__labels": {"a": "-b"}},
        [f'metadata.labels: Invalid value: "-b": {LABEL_VALUE}'],
    ),
    (
        "1.6 long label value",
        {"metadata__labels": {"a": "v" * 64}},
        [
            f'metadata.labels: Invalid value: "{"v" * 64}": must be no more than 63 '
            "bytes"
        ],
    ),
    (
        "1.6 template labels: the path has no metadata (QUIRK)",
        {"spec__template__metadata__labels": {"app": "nginx", "a": "b c"}},
        [f'spec.template.labels: Invalid value: "b c": {LABEL_VALUE}'],
    ),
    (
        "1.6 annotation key",
        {"metadata__annotations": {"a b": "c"}},
        [f'metadata.annotations: Invalid value: "a b": {LABEL_KEY}'],
    ),
    (
        "1.6 annotations too long",
        {"metadata__annotations": {"a": "v" * 262144}},
        ["metadata.annotations: Too long: may not be more than 262144 bytes"],
    ),
    (
        "1.6 template annotations: the path has no metadata (QUIRK)",
        {"spec__template__metadata__annotations": {"a b": "c"}},
        [f'spec.template.annotations: Invalid value: "a b": {LABEL_KEY}'],
    ),
    (
        "1.6 two controllers",
        {
            "metadata__ownerReferences": [
                {**OWNER, "controller": True},
                {**OWNER, "name": "e", "controller": True},
            ]
        },
        [
            'metadata.ownerReferences: Invalid value: [{"apiVersion":"apps/v1","kind":'
            '"Deployment","name":"d","uid":"u","controller":true},{"apiVersion":'
            '"apps/v1","kind":"Deployment","name":"e","uid":"u","controller":true}]: '
            'Only one reference can have Controller set to true. Found "true" in '
            "references for Deployment/d and Deployment/e"
        ],
    ),
    (
        "1.6 owner without uid",
        {"metadata__ownerReferences": [{**OWNER, "uid": ""}]},
        ['metadata.ownerReferences[0].uid: Invalid value: "": must not be empty'],
    ),
]


@pytest.mark.parametrize(("rule", "changes", "expected"), INVALID)
def test_each_broken_rule_is_told_in_the_words_of_kubernetes(
    rule: str, changes: dict[str, object], expected: list[str]
) -> None:
    """Exactly these errors, in this order, for a Deployment with one thing wrong."""
    found = validation.deployment_errors(deployment(**changes))
    assert [str(error) for error in found] == expected, rule


VALID: list[dict[str, object]] = [
    {},
    {"spec__replicas": 0},
    {"spec__replicas": ABSENT},
    {f"{ROLLING}__maxSurge": "1000%"},
    {f"{ROLLING}__maxUnavailable": 1000},
    {ROLLING: {"maxSurge": "1%", "maxUnavailable": 0}},
    {ROLLING: {"maxSurge": 0, "maxUnavailable": "100%"}},
    {"spec__strategy": {"type": "Recreate"}},
    {"spec__minReadySeconds": 599},
    {"spec__progressDeadlineSeconds": 2147483647, "spec__minReadySeconds": 2147483646},
    {"spec__revisionHistoryLimit": 0},
    {"metadata__name": "a.b-c"},
    {"metadata__name": "a" * 253},
    {"metadata__name": ABSENT, "metadata__generateName": "web-"},
    {"metadata__labels": {"example.com/Name_1": "", "a": "1.b-C_d"}},
    {"metadata__annotations": {"Example.COM/a": "any text\n"}},
    {"metadata__annotations": {"a": "v" * 262143}},
    {"spec__template__spec__containers__0__image": " nginx"},
    {
        SELECTOR: {
            "matchExpressions": [{"key": "app", "operator": "In", "values": ["nginx"]}]
        }
    },
]


@pytest.mark.parametrize("changes", VALID)
def test_what_kubernetes_accepts_is_accepted(changes: dict[str, object]) -> None:
    """The other side of each limit; a blank around an image is a pod's error."""
    assert validation.deployment_errors(deployment(**changes)) == []


def test_all_rules_run_and_report_in_order() -> None:
    """Metadata, replicas, selector, template, strategy, then the three numbers (1.4)."""
    manifest = deployment(
        metadata__name="A",
        metadata__labels={"a": "-"},
        spec__replicas=-1,
        spec__template__metadata__labels={"app": "other", "b": "-"},
        spec__template__spec__containers=[],
        spec__template__spec__restartPolicy="Never",
        spec__strategy={"rollingUpdate": {"maxSurge": -1}},
        spec__minReadySeconds=-1,
        spec__revisionHistoryLimit=-1,
        spec__progressDeadlineSeconds=-1,
    )
    assert [error.field for error in validation.deployment_errors(manifest)] == [
        "metadata.name",
        "metadata.labels",
        "spec.replicas",
        "spec.template.metadata.labels",
        "spec.template.labels",
        "spec.template.spec.containers",
        "spec.template.spec.restartPolicy",
        "spec.strategy.rollingUpdate.maxSurge",
        "spec.minReadySeconds",
        "spec.revisionHistoryLimit",
        "spec.progressDeadlineSeconds",
    ]


def test_an_empty_specification_gives_the_recorded_answer() -> None:
    """The answer of a real API server to a Deployment with a bad name and no spec."""
    manifest = deployment(metadata={"name": "Bad_Name"}, spec={})
    found = validation.deployment_errors(manifest)
    rejected = errors.invalid("Deployment.apps", "Bad_Name", found)
    assert rejected.message == (
        'Deployment.apps "Bad_Name" is invalid: [metadata.name: Invalid value: '
        f'"Bad_Name": {SUBDOMAIN}, spec.selector: Required value, '
        "spec.template.metadata.labels: Invalid value: null: `selector` does not match "
        "template `labels`, spec.template.spec.containers: Required value]"
    )
    assert [cause.reason for cause in rejected.causes] == [
        "FieldValueInvalid",
        "FieldValueRequired",
        "FieldValueInvalid",
        "FieldValueRequired",
    ]


def test_the_selector_never_changes() -> None:
    """The immutable selector comes last, behind whatever else is wrong (spec 1.4)."""
    old = deployment()
    new = deployment(
        spec__replicas=-1,
        spec__selector={"matchLabels": {"app": "b"}},
        spec__template__metadata__labels={"app": "b"},
    )
    found = validation.deployment_update_errors(old.spec, new)
    assert [str(error) for error in found] == [
        f"spec.replicas: Invalid value: -1: {NOT_NEGATIVE}",
        'spec.selector: Invalid value: {"matchLabels":{"app":"b"}}: field is immutable',
    ]
    assert validation.deployment_update_errors(old.spec, old) == []


def test_a_replicaset_has_the_rules_of_its_fields() -> None:
    """Replicas, minReadySeconds, selector, template; the text is Deployment's (QUIRK)."""
    manifest = replicaset(
        spec={
            "replicas": -1,
            "minReadySeconds": -1,
            "selector": {},
            "template": changed({}, spec__containers=[]),
        }
    )
    assert [str(error) for error in validation.replicaset_errors(manifest)] == [
        f"spec.replicas: Invalid value: -1: {NOT_NEGATIVE}",
        f"spec.minReadySeconds: Invalid value: -1: {NOT_NEGATIVE}",
        "spec.selector: Invalid value: {}: empty selector is invalid for deployment",
        "spec.template.spec.containers: Required value",
    ]
    assert validation.replicaset_errors(replicaset()) == []


def test_scaling_below_zero_is_refused() -> None:
    """Spec 1.8."""
    assert [str(error) for error in validation.scale_errors(-1)] == [
        f"spec.replicas: Invalid value: -1: {NOT_NEGATIVE}"
    ]
    assert validation.scale_errors(0) == []


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("web", None),
        ("a.b", "must not contain dots"),
        ("a" * 64, "must be no more than 63 characters"),
        ("a" * 64 + ".b", "must be no more than 63 characters must not contain dots"),
        ("A", None),
    ],
)
def test_a_name_that_is_no_label_is_warned_about(name: str, said: str | None) -> None:
    """Accepted on create, with this warning (spec 1.5); bad names are errors instead."""
    expected = [] if said is None else [
        "metadata.name: this is used in Pod names and hostnames, which can result in "
        f"surprising behavior; a DNS label is recommended: [{said}]"
    ]  # fmt: skip
    assert validation.name_warnings(name) == expected


def test_labels_and_annotations_can_be_judged_alone() -> None:
    """For commands that set them without a manifest."""
    found = validation.label_errors({"a": "-"}, "spec.template.labels")
    assert [error.field for error in found] == ["spec.template.labels"]
    assert validation.annotation_errors({"a": "-"}) == []
    metadata = ObjectMeta(name="a", finalizers=("no good",))
    assert [error.field for error in validation.metadata_errors(metadata)] == [
        "metadata.finalizers"
    ]


VALUES: list[tuple[object, str]] = [
    (None, "null"),
    (True, "true"),
    (0, "0"),
    (-1, "-1"),
    ("", '""'),
    ('a"b\\c\n\x01é', '"a\\"b\\\\c\\n\\x01é"'),
    ("\u200b\U000e0001", '"\\u200b\\U000e0001"'),
    ({"b": "1", "a": "<&>"}, '{"a":"\\u003c\\u0026\\u003e","b":"1"}'),
    (["a", 1], '["a",1]'),
]


@pytest.mark.parametrize(("value", "text"), VALUES)
def test_values_are_printed_as_in_kubernetes(value: object, text: str) -> None:
    """Numbers bare, strings quoted as Go quotes them, the rest compact JSON (1.3)."""
    assert fields.value_text(value) == text


KINDS = [
    (fields.required("f"), "FieldValueRequired", "f: Required value"),
    (fields.required("f", "x"), "FieldValueRequired", "f: Required value: x"),
    (fields.invalid("f", 1, "x"), "FieldValueInvalid", "f: Invalid value: 1: x"),
    (
        fields.unsupported("f", "c", ["a", "b"]),
        "FieldValueNotSupported",
        'f: Unsupported value: "c": supported values: "a", "b"',
    ),
    (fields.duplicate("f", "a"), "FieldValueDuplicate", 'f: Duplicate value: "a"'),
    (fields.forbidden("f", "x"), "FieldValueForbidden", "f: Forbidden: x"),
    (
        fields.too_long("f", 3),
        "FieldValueTooLong",
        "f: Too long: may not be more than 3 bytes",
    ),
    (fields.not_found("f", "a"), "FieldValueNotFound", 'f: Not found: "a"'),
]


@pytest.mark.parametrize(("error", "reason", "text"), KINDS)
def test_each_kind_of_error_has_its_reason_and_text(
    error: FieldError, reason: str, text: str
) -> None:
    """The table of spec 1.3."""
    assert (error.reason, str(error)) == (reason, text)


def test_a_pod_has_the_rules_of_its_metadata_too() -> None:
    """Metadata first, then the specification."""
    found = validation.pod_errors(pod(metadata__name="A", spec__containers=[]))
    assert [error.field for error in found] == ["metadata.name", "spec.containers"]
