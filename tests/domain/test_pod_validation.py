"""Invalid pods, containers apart: one row per rule, with exact texts (spec 1.4, 1.7).

`p__x` in a row is the field x of the pod in a template.
"""

import pytest
from hypothesis import given

from domain import validation
from domain.objects import DeploymentManifest, DeploymentSpec
from domain.podspec import PodTemplateSpec
from tests.domain.manifests_for_tests import deployment, pod
from tests.domain.template_strategies import templates

P = "spec.template.spec"


def paths(changes: dict[str, object]) -> dict[str, object]:
    """The rows' short paths, written out."""
    return {f"spec__template__spec{path[1:]}": each for path, each in changes.items()}


INVALID: list[tuple[str, dict[str, object], list[str]]] = [
    (
        "volume without source",
        {"p__volumes": [{"name": "v"}]},
        [f"{P}.volumes[0]: Required value: must specify a volume type"],
    ),
    (
        "volume with two sources",
        {"p__volumes": [{"name": "v", "hostPath": {"path": "/"}, "emptyDir": {}}]},
        [
            f"{P}.volumes[0].emptyDir: Forbidden: may not specify more than 1 volume "
            "type"
        ],
    ),
    (
        "a bad volume cannot be mounted",
        {
            "p__volumes": [{"name": "v", "hostPath": {}}],
            "p__containers__0__volumeMounts": [{"name": "v", "mountPath": "/v"}],
        },
        [
            f"{P}.volumes[0].hostPath.path: Required value",
            f'{P}.containers[0].volumeMounts[0].name: Not found: "v"',
        ],
    ),
    (
        "volume without claim",
        {"p__volumes": [{"name": "v", "persistentVolumeClaim": {}}]},
        [f"{P}.volumes[0].persistentVolumeClaim.claimName: Required value"],
    ),
    (
        "volume name twice",
        {"p__volumes": [{"name": "v", "emptyDir": {}}] * 2},
        [f'{P}.volumes[1].name: Duplicate value: "v"'],
    ),
    (
        "dnsPolicy",
        {"p__dnsPolicy": "Mine"},
        [
            f'{P}.dnsPolicy: Unsupported value: "Mine": supported values: '
            '"ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"'
        ],
    ),
    (
        "nodeName and hostname",
        {"p__hostname": "a.b", "p__nodeName": "a" * 254},
        [
            f'{P}.nodeName: Invalid value: "{"a" * 254}": must be no more than 253 '
            "characters",
            f'{P}.hostname: Invalid value: "a.b": must not contain dots',
        ],
    ),
    (
        "toleration without key",
        {"p__tolerations": [{"effect": "NoExecute"}]},
        [
            f'{P}.tolerations[0].operator: Invalid value: "": operator must be Exists '
            'when `key` is empty, which means "match all values and all keys"'
        ],
    ),
    (
        "tolerationSeconds with another effect",
        {"p__tolerations": [{"key": "a", "tolerationSeconds": 0}]},
        [
            f'{P}.tolerations[0].effect: Invalid value: "": effect must be '
            "'NoExecute' "
            "when `tolerationSeconds` is set"
        ],
    ),
    (
        "toleration effect and operator",
        {"p__tolerations": [{"key": "a", "operator": "Near", "effect": "None"}]},
        [
            f'{P}.tolerations[0].operator: Unsupported value: "Near": supported '
            "values: "
            '"Equal", "Exists"',
            f'{P}.tolerations[0].effect: Unsupported value: "None": supported values: '
            '"NoSchedule", "PreferNoSchedule", "NoExecute"',
        ],
    ),
    (
        "spread",
        {"p__topologySpreadConstraints": [{"whenUnsatisfiable": "Maybe"}]},
        [
            f"{P}.topologySpreadConstraints[0].maxSkew: Invalid value: 0: must be "
            "greater "
            "than zero",
            f"{P}.topologySpreadConstraints[0].topologyKey: Required value: can not be "
            "empty",
            f"{P}.topologySpreadConstraints[0].whenUnsatisfiable: Unsupported value: "
            '"Maybe": supported values: "DoNotSchedule", "ScheduleAnyway"',
        ],
    ),
    (
        "node affinity",
        {
            "p__affinity": {
                "nodeAffinity": {
                    "requiredDuringSchedulingIgnoredDuringExecution": {},
                    "preferredDuringSchedulingIgnoredDuringExecution": [
                        {
                            "weight": 0,
                            "preference": {
                                "matchExpressions": [{"key": "a", "operator": "In"}]
                            },
                        }
                    ],
                }
            }
        },
        [
            f"{P}.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution"
            ".nodeSelectorTerms: Required value: must have at least one node selector "
            "term",
            f"{P}.affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution"
            "[0].weight: Invalid value: 0: must be in the range 1-100",
            f"{P}.affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution"
            "[0].preference.matchExpressions[0].values: Required value: must be "
            "specified when `operator` is 'In' or 'NotIn'",
        ],
    ),
    (
        "pod anti-affinity",
        {
            "p__affinity": {
                "podAntiAffinity": {
                    "requiredDuringSchedulingIgnoredDuringExecution": [{}]
                }
            }
        },
        [
            ""
            f"{P}.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution"
            "[0].topologyKey: Required value: can not be empty"
        ],
    ),
]


@pytest.mark.parametrize(("rule", "changes", "expected"), INVALID)
def test_each_broken_rule_is_told_in_the_words_of_kubernetes(
    rule: str, changes: dict[str, object], expected: list[str]
) -> None:
    """Exactly these errors, in this order, for a template with one thing wrong."""
    found = validation.deployment_errors(deployment(**paths(changes)))
    assert [str(error) for error in found] == expected, rule


POD_ONLY: list[tuple[dict[str, object], list[str]]] = [
    (
        {"spec__containers__0__image": " x"},
        [
            'spec.containers[0].image: Invalid value: " x": must not have leading or '
            "trailing whitespace"
        ],
    ),
    ({"spec__containers": []}, ["spec.containers: Required value"]),
    (
        {"spec__ephemeralContainers": [{"name": "d", "image": "d"}]},
        ["spec.ephemeralContainers: Forbidden: cannot be set on create"],
    ),
    (
        {"spec__activeDeadlineSeconds": 0},
        [
            "spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and "
            "2147483647, inclusive"
        ],
    ),
    ({"spec__activeDeadlineSeconds": 1, "spec__restartPolicy": "Never"}, []),
    (
        {"spec__restartPolicy": "Sometimes"},
        [
            'spec.restartPolicy: Unsupported value: "Sometimes": supported values: '
            '"Always", "OnFailure", "Never"'
        ],
    ),
]


@pytest.mark.parametrize(("changes", "expected"), POD_ONLY)
def test_a_pod_is_judged_at_its_own_path(
    changes: dict[str, object], expected: list[str]
) -> None:
    """Images are stricter than in a template, the rest may end (spec 1.7)."""
    found = validation.pod_errors(pod(**changes))
    assert [str(error) for error in found] == expected


@given(templates)
def test_validation_always_ends_with_an_answer(template: PodTemplateSpec) -> None:
    """Whatever the template, the errors are paths and texts below the template."""
    manifest = DeploymentManifest(spec=DeploymentSpec(template=template))
    found = validation.deployment_errors(manifest)
    assert all(each.field.split(".")[0] in ("metadata", "spec") for each in found)
    assert all(each.message for each in found)
