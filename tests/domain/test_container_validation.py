"""Invalid containers, one row per rule, with exact texts (spec 1.7).

`c__x` in a row is the field x of the first container, `p__x` of the pod.
"""

import pytest

from domain import validation
from tests.domain.manifests_for_tests import deployment

C = "spec.template.spec.containers[0]"
P = "spec.template.spec"
LABEL = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or "
    "'-', and must start and end with an alphanumeric character (e.g. 'my-name',  or "
    "'123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
PORT = "must be between 1 and 65535, inclusive"
ENV = (
    "a valid environment variable name must consist only of printable ASCII characters "
    "other than '='"
)
NOT_NEGATIVE = "must be greater than or equal to 0"
EXEC: dict[str, object] = {"exec": {"command": ["true"]}}
FIELD: dict[str, object] = {"fieldRef": {"fieldPath": "metadata.name"}}
SECRET: dict[str, object] = {"secretKeyRef": {"name": "s", "key": "k"}}


def paths(changes: dict[str, object]) -> dict[str, object]:
    """The rows' short paths, written out."""
    long = {"c": "spec__template__spec__containers__0", "p": "spec__template__spec"}
    return {
        f"{long[path[0]]}{path[1:]}" if path[1:3] == "__" else path: value
        for path, value in changes.items()
    }


INVALID: list[tuple[str, dict[str, object], list[str]]] = [
    ("no containers", {"p__containers": []}, [f"{P}.containers: Required value"]),
    ("name empty", {"c__name": ""}, [f"{C}.name: Required value"]),
    ("name bad", {"c__name": "A"}, [f'{C}.name: Invalid value: "A": {LABEL}']),
    (
        "name long",
        {"c__name": "a" * 64},
        [f'{C}.name: Invalid value: "{"a" * 64}": must be no more than 63 characters'],
    ),
    (
        "name with dots",
        {"c__name": "a.b"},
        [f'{C}.name: Invalid value: "a.b": must not contain dots'],
    ),
    (
        "name twice",
        {"p__containers__1": {"name": "nginx", "image": "b"}},
        [f'{P}.containers[1].name: Duplicate value: "nginx"'],
    ),
    (
        "name of an init container twice",
        {"p__initContainers": [{"name": "nginx", "image": "b"}]},
        [f'{P}.initContainers[0].name: Duplicate value: "nginx"'],
    ),
    ("image empty", {"c__image": ""}, [f"{C}.image: Required value"]),
    (
        "pull policy",
        {"c__imagePullPolicy": "Sometimes"},
        [
            f'{C}.imagePullPolicy: Unsupported value: "Sometimes": supported values: '
            '"Always", "IfNotPresent", "Never"'
        ],
    ),
    (
        "port 0",
        {"c__ports": [{"containerPort": 0}]},
        [f"{C}.ports[0].containerPort: Required value"],
    ),
    (
        "port too large",
        {"c__ports": [{"containerPort": 65536}]},
        [f"{C}.ports[0].containerPort: Invalid value: 65536: {PORT}"],
    ),
    (
        "host port negative",
        {"c__ports": [{"containerPort": 1, "hostPort": -1}]},
        [f"{C}.ports[0].hostPort: Invalid value: -1: {PORT}"],
    ),
    (
        "protocol",
        {"c__ports": [{"containerPort": 1, "protocol": "tcp"}]},
        [
            f'{C}.ports[0].protocol: Unsupported value: "tcp": supported values: '
            '"SCTP", '
            '"TCP", "UDP"'
        ],
    ),
    (
        "port name long",
        {"c__ports": [{"containerPort": 1, "name": "a" * 16}]},
        [
            f'{C}.ports[0].name: Invalid value: "{"a" * 16}": must be no more than 15 '
            "characters"
        ],
    ),
    (
        "port name characters",
        {"c__ports": [{"containerPort": 1, "name": "a_b"}]},
        [
            f'{C}.ports[0].name: Invalid value: "a_b": must contain only alpha-numeric '
            "characters (a-z, 0-9), and hyphens (-)"
        ],
    ),
    (
        "port name without a letter",
        {"c__ports": [{"containerPort": 1, "name": "80"}]},
        [
            f'{C}.ports[0].name: Invalid value: "80": must contain at least one letter '
            "(a-z)"
        ],
    ),
    (
        "port name with hyphens",
        {"c__ports": [{"containerPort": 1, "name": "a--b-"}]},
        [
            f'{C}.ports[0].name: Invalid value: "a--b-": must not contain consecutive '
            "hyphens",
            f'{C}.ports[0].name: Invalid value: "a--b-": must not begin or end with a '
            "hyphen",
        ],
    ),
    (
        "port name twice",
        {
            "c__ports": [
                {"containerPort": 1, "name": "a"},
                {"containerPort": 2, "name": "a"},
            ]
        },
        [f'{C}.ports[1].name: Duplicate value: "a"'],
    ),
    (
        "host port twice",
        {
            "c__ports": [
                {"containerPort": 1, "hostPort": 8},
                {"containerPort": 2, "hostPort": 8},
            ]
        },
        [f'{C}.ports[1].hostPort: Duplicate value: "TCP//8"'],
    ),
    ("env without name", {"c__env": [{}]}, [f"{C}.env[0].name: Required value"]),
    (
        "env name",
        {"c__env": [{"name": "A=B"}]},
        [f'{C}.env[0].name: Invalid value: "A=B": {ENV}'],
    ),
    (
        "env from nothing",
        {"c__env": [{"name": "A", "valueFrom": {}}]},
        [
            f'{C}.env[0].valueFrom: Invalid value: "": must specify one of: '
            "`fieldRef`, "
            "`resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`"
        ],
    ),
    (
        "env from two",
        {"c__env": [{"name": "A", "valueFrom": {**FIELD, **SECRET}}]},
        [
            f'{C}.env[0].valueFrom: Invalid value: "": may not have more than one '
            "field "
            "specified at a time"
        ],
    ),
    (
        "env value and source",
        {"c__env": [{"name": "A", "value": "b", "valueFrom": FIELD}]},
        [
            f'{C}.env[0].valueFrom: Invalid value: "": may not be specified when '
            "`value` "
            "is not empty"
        ],
    ),
    (
        "env key missing",
        {"c__env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s"}}}]},
        [f"{C}.env[0].valueFrom.secretKeyRef.key: Required value"],
    ),
    (
        "envFrom nothing",
        {"c__envFrom": [{}]},
        [
            f'{C}.envFrom[0]: Invalid value: "": must specify one of: `configMapRef` '
            "or "
            "`secretRef`"
        ],
    ),
    (
        "probe without handler",
        {"c__livenessProbe": {}},
        [f"{C}.livenessProbe: Required value: must specify a handler type"],
    ),
    (
        "probe with two handlers",
        {"c__readinessProbe": {**EXEC, "httpGet": {"port": 80}}},
        [
            f"{C}.readinessProbe.httpGet: Forbidden: may not specify more than 1 "
            "handler "
            "type"
        ],
    ),
    (
        "liveness successThreshold",
        {"c__livenessProbe": {**EXEC, "successThreshold": 2}},
        [f"{C}.livenessProbe.successThreshold: Invalid value: 2: must be 1"],
    ),
    (
        "startup successThreshold",
        {"c__startupProbe": {**EXEC, "successThreshold": 2}},
        [f"{C}.startupProbe.successThreshold: Invalid value: 2: must be 1"],
    ),
    (
        "readiness grace period",
        {"c__readinessProbe": {**EXEC, "terminationGracePeriodSeconds": 1}},
        [
            f"{C}.readinessProbe.terminationGracePeriodSeconds: Invalid value: 1: must "
            "not be set for readinessProbes"
        ],
    ),
    (
        "probe period",
        {"c__readinessProbe": {**EXEC, "periodSeconds": -1}},
        [f"{C}.readinessProbe.periodSeconds: Invalid value: -1: {NOT_NEGATIVE}"],
    ),
    (
        "probe port",
        {"c__readinessProbe": {"httpGet": {"port": 0}}},
        [f"{C}.readinessProbe.httpGet.port: Invalid value: 0: {PORT}"],
    ),
    (
        "probe scheme",
        {"c__readinessProbe": {"httpGet": {"port": "http", "scheme": "http"}}},
        [
            f'{C}.readinessProbe.httpGet.scheme: Unsupported value: "http": supported '
            'values: "HTTP", "HTTPS"'
        ],
    ),
    (
        "exec without command",
        {"c__livenessProbe": {"exec": {}}},
        [f"{C}.livenessProbe.exec.command: Required value"],
    ),
    (
        "lifecycle without handler",
        {"c__lifecycle": {"preStop": {}}},
        [f"{C}.lifecycle.preStop: Required value: must specify a handler type"],
    ),
    (
        "probe of an init container",
        {"p__initContainers": [{"name": "i", "image": "i", "livenessProbe": EXEC}]},
        [
            f"{P}.initContainers[0].livenessProbe: Forbidden: may not be set for init "
            "containers without restartPolicy=Always"
        ],
    ),
    (
        "request over limit",
        {"c__resources": {"limits": {"cpu": "1"}, "requests": {"cpu": "2"}}},
        [
            f'{C}.resources.requests: Invalid value: "2": must be less than or equal '
            "to "
            "cpu limit of 1"
        ],
    ),
    (
        "negative limit",
        {"c__resources": {"limits": {"cpu": "-1"}}},
        [f'{C}.resources.limits[cpu]: Invalid value: "-1": {NOT_NEGATIVE}'],
    ),
    (
        "unknown resource",
        {"c__resources": {"limits": {"pids": "1"}}},
        [
            f'{C}.resources.limits[pids]: Invalid value: "pids": must be a standard '
            "resource type or fully qualified",
            f'{C}.resources.limits[pids]: Invalid value: "pids": must be a standard '
            "resource for containers",
        ],
    ),
    (
        "device without limit",
        {"c__resources": {"requests": {"example.com/gpu": "1"}}},
        [
            f"{C}.resources.limits: Required value: Limit must be set for non "
            "overcommitable resources"
        ],
    ),
    (
        "mount without volume",
        {"c__volumeMounts": [{"name": "v", "mountPath": "/v"}]},
        [f'{C}.volumeMounts[0].name: Not found: "v"'],
    ),
    (
        "two mounts at one path",
        {
            "p__volumes": [{"name": "v", "emptyDir": {}}],
            "c__volumeMounts": [{"name": "v", "mountPath": "/v"}] * 2,
        },
        [f'{C}.volumeMounts[1].mountPath: Invalid value: "/v": must be unique'],
    ),
    (
        "subPath that leaves the volume",
        {
            "p__volumes": [{"name": "v", "emptyDir": {}}],
            "c__volumeMounts": [{"name": "v", "mountPath": "/v", "subPath": "a/../.."}],
        },
        [
            f'{C}.volumeMounts[0].subPath: Invalid value: "a/../..": must not '
            "contain '..'"
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


VALID: list[dict[str, object]] = [
    {"c__ports": [{"containerPort": 1, "hostPort": 8}, {"containerPort": 65535}]},
    {
        "c__ports": [
            {"containerPort": 1, "hostPort": 8},
            {"containerPort": 1, "hostPort": 8, "protocol": "UDP"},
        ]
    },
    {"c__env": [{"name": "a.b-c d!"}, {"name": "B", "valueFrom": SECRET}]},
    {"c__livenessProbe": {"tcpSocket": {"port": "web"}}},
    {"c__readinessProbe": {"grpc": {"port": 1}, "successThreshold": 3}},
    {"c__lifecycle": {"preStop": {"sleep": {"seconds": 0}}}},
    {"c__resources": {"limits": {"cpu": "1"}, "requests": {"cpu": "1000m"}}},
    {"c__resources": {"limits": {"example.com/gpu": 1}}},
    {
        "p__volumes": [{"name": "v", "emptyDir": {"sizeLimit": "1Gi"}}],
        "c__volumeMounts": [{"name": "v", "mountPath": "/v", "subPath": "a/b..c"}],
    },
    {
        "p__initContainers": [
            {"name": "i", "image": "i", "restartPolicy": "Always", "startupProbe": EXEC}
        ]
    },
    {"p__tolerations": [{"operator": "Exists"}]},
    {"p__terminationGracePeriodSeconds": 0},
]


@pytest.mark.parametrize("changes", VALID)
def test_what_kubernetes_accepts_is_accepted(changes: dict[str, object]) -> None:
    """The other side of each rule."""
    assert validation.deployment_errors(deployment(**paths(changes))) == []
