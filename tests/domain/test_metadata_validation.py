"""Invalid names, labels, annotations and owners, with exact texts (spec 1.5, 1.6)."""

import pytest

from domain import validation
from domain.metadata import ObjectMeta
from tests.domain.manifests_for_tests import ABSENT, deployment

SUBDOMAIN = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric "
    "characters, "
    "'-' or '.', and must start and end with an alphanumeric character (e.g. "
    "'example.com', regex used for validation is "
    r"'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
LABEL_KEY = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must "
    "start "
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
OWNER = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d", "uid": "u"}

# (spec, changes to a good Deployment, every error in order)
INVALID: list[tuple[str, dict[str, object], list[str]]] = [
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
        ['metadata.ownerReferences.uid: Invalid value: "": must not be empty'],
    ),
    (
        "1.6 owner that says nothing: four errors, in this order",
        {"metadata__ownerReferences": [{}]},
        [
            'metadata.ownerReferences.apiVersion: Invalid value: "": version must not '
            "be empty",
            'metadata.ownerReferences.kind: Invalid value: "": must not be empty',
            'metadata.ownerReferences.name: Invalid value: "": must not be empty',
            'metadata.ownerReferences.uid: Invalid value: "": must not be empty',
        ],
    ),
    (
        "1.6 owner of a group without a version",
        {"metadata__ownerReferences": [{**OWNER, "apiVersion": "apps/"}]},
        [
            'metadata.ownerReferences.apiVersion: Invalid value: "apps/": version must '
            "not be empty"
        ],
    ),
    (
        "1.6 owner that is an Event",
        {"metadata__ownerReferences": [{**OWNER, "apiVersion": "v1", "kind": "Event"}]},
        [
            'metadata.ownerReferences: Invalid value: {"apiVersion":"v1","kind":'
            '"Event","name":"d","uid":"u"}: /v1, Kind=Event is disallowed from being '
            "an owner"
        ],
    ),
]


@pytest.mark.parametrize(("rule", "changes", "expected"), INVALID)
def test_each_broken_rule_is_told_in_the_words_of_kubernetes(
    rule: str, changes: dict[str, object], expected: list[str]
) -> None:
    """Exactly these errors, in this order, for an object with one thing wrong."""
    found = validation.deployment_errors(deployment(**changes))
    assert [str(error) for error in found] == expected, rule


VALID: list[dict[str, object]] = [
    {"metadata__name": "a.b-c"},
    {"metadata__name": "a" * 253},
    {"metadata__name": ABSENT, "metadata__generateName": "web-"},
    {"metadata__labels": {"example.com/Name_1": "", "a": "1.b-C_d"}},
    {"metadata__annotations": {"Example.COM/a": "any text\n"}},
    {"metadata__annotations": {"a": "v" * 262143}},
]


@pytest.mark.parametrize("changes", VALID)
def test_what_kubernetes_accepts_is_accepted(changes: dict[str, object]) -> None:
    """The other side of each limit."""
    assert validation.deployment_errors(deployment(**changes)) == []


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
    """Accepted on create, with this warning (spec 1.5); bad names are errors "
    "instead."""
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
