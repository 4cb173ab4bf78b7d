"""Invalid Deployments, one row per rule, with Kubernetes' exact texts (spec 1.3 ff.).

Rules for containers and pods are in `test_pod_validation.py`.
"""

import pytest

from domain import errors, validation
from tests.domain.manifests_for_tests import (
    ABSENT,
    changed,
    deployment,
    pod,
    replicaset,
)

SUBDOMAIN = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric "
    "characters, "
    "'-' or '.', and must start and end with an alphanumeric character (e.g. "
    "'example.com', regex used for validation is "
    r"'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
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
            f'spec.template.metadata.labels: Invalid value: {{"app":"nginx"}}: '
            f"{MISMATCH}",
        ],
    ),
    (
        "1.4 selector empty",
        {SELECTOR: {}},
        ["spec.selector: Invalid value: {}: empty selector is invalid for deployment"],
    ),
    (
        "1.4 In without values",
        {f"{SELECTOR}__matchExpressions": [{"key": "a", "operator": "In"}]},
        [
            "spec.selector.matchExpressions[0].values: Required value: must be "
            "specified "
            "when `operator` is 'In' or 'NotIn'",
            'spec.selector: Invalid value: {"matchLabels":{"app":"nginx"},'
            '"matchExpressions":[{"key":"a","operator":"In"}]}: invalid label selector',
        ],
    ),
    (
        "1.4 Exists with values",
        {
            SELECTOR: {
                "matchExpressions": [
                    {"key": "a", "operator": "Exists", "values": ["b"]}
                ]
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
            'spec.selector: Invalid value: {"matchLabels":{"app":"a b"}}: invalid '
            "label "
            "selector",
        ],
    ),
    (
        "1.4 bad-selector.yaml: the selector does not select the template",
        {"spec__template__metadata__labels": {"app": "other"}},
        [
            f'spec.template.metadata.labels: Invalid value: {{"app":"other"}}: '
            f"{MISMATCH}"
        ],
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
            'spec.template.spec.restartPolicy: Unsupported value: "Sometimes": '
            "supported "
            'values: "Always", "OnFailure", "Never"',
            'spec.template.spec.restartPolicy: Unsupported value: "Sometimes": '
            "supported "
            'values: "Always"',
        ],
    ),
    (
        "1.4 activeDeadlineSeconds",
        {"spec__template__spec__activeDeadlineSeconds": 5},
        [
            "spec.template.spec.activeDeadlineSeconds: Forbidden: "
            "activeDeadlineSeconds "
            "in ReplicaSet is not Supported"
        ],
    ),
    (
        "1.4 ephemeralContainers",
        {"spec__template__spec__ephemeralContainers": [{"name": "d", "image": "d"}]},
        [
            "spec.template.spec.ephemeralContainers: Forbidden: ephemeral containers "
            "not "
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
            "spec.strategy.rollingUpdate: Forbidden: may not be specified when "
            "strategy "
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
        [
            'spec.strategy.rollingUpdate.maxUnavailable: Invalid value: "-1%": '
            f"{PERCENT}"
        ],
    ),
    (
        "1.4 bad-surge.yaml: both 0",
        {ROLLING: {"maxSurge": 0, "maxUnavailable": 0}},
        [
            "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not "
            "be 0 "
            "when `maxSurge` is 0"
        ],
    ),
    (
        "1.4 both 0%",
        {ROLLING: {"maxSurge": "0%", "maxUnavailable": "0%"}},
        [
            'spec.strategy.rollingUpdate.maxUnavailable: Invalid value: "0%": may '
            "not be "
            "0 when `maxSurge` is 0"
        ],
    ),
    (
        "1.4 maxUnavailable over 100%",
        {f"{ROLLING}__maxUnavailable": "101%"},
        [
            'spec.strategy.rollingUpdate.maxUnavailable: Invalid value: "101%": must '
            "not "
            "be greater than 100%"
        ],
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
    """Metadata, replicas, selector, template, strategy, then the three numbers "
    "(1.4)."""
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
    """Replicas, minReadySeconds, selector, template; the text is Deployment's "
    "(QUIRK)."""
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


def test_a_pod_has_the_rules_of_its_metadata_too() -> None:
    """Metadata first, then the specification."""
    found = validation.pod_errors(pod(metadata__name="A", spec__containers=[]))
    assert [error.field for error in found] == ["metadata.name", "spec.containers"]
