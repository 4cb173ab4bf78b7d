"""Variables of a container: `$(VAR)` and the downward API."""

import pytest

from domain import podspec
from kubelet import environment, launch, runtime
from tests.kubelet.builders import container, template

POD = runtime.Sandbox(
    uid="u1", namespace="default", name="web-1", node="n1", spec=template().spec,
    labels={"app": "web"}, annotations={"note": "hi"},
)  # fmt: skip


@pytest.mark.parametrize(("text", "result"), [
    ("$(A)", "1"), ("x$(A)y$(B)", "x1y2"), ("$(C)", "$(C)"), ("$$(A)", "$(A)"),
    ("$A", "$A"), ("$", "$"), ("$$", "$"), ("$(A", "$(A"), ("$()", "$()"),
    ("$$$(A)", "$1"), ("$(A)$(A)", "11"),
])  # fmt: skip
def test_references(text: str, result: str) -> None:
    """Known ones are replaced, unknown ones stay, `$$` is a `$`."""
    assert environment.expand(text, {"A": "1", "B": "2"}) == result


@pytest.mark.parametrize(("path", "value"), [
    ("metadata.name", "web-1"), ("metadata.namespace", "default"),
    ("metadata.uid", "u1"), ("metadata.labels['app']", "web"),
    ("metadata.labels['none']", ""), ("metadata.annotations['note']", "hi"),
    ("spec.nodeName", "n1"), ("status.podIP", "127.2.0.1"),
    ("status.hostIP", "127.0.0.1"),
])  # fmt: skip
def test_fields(path: str, value: str) -> None:
    """The downward API."""
    found = environment.field(path, POD, ip="127.2.0.1", host_ip="127.0.0.1")
    assert found == value


def build(*env: podspec.EnvVar, **fields: object) -> dict[str, str]:
    """The environment of a container with these variables."""
    return environment.build(
        POD, container(env=env, **fields), ip="127.2.0.1", host_ip="127.0.0.1",
        inherited={"PATH": "/bin", "SECRET": "x"}, image={"FROM_IMAGE": "1"},
    )  # fmt: skip


def test_only_what_was_defined_before_can_be_referred_to() -> None:
    """The order of the list counts; the pod's address is there from the start."""
    env = build(
        podspec.EnvVar(name="A", value="$(B)"),
        podspec.EnvVar(name="B", value="$(POD_IP)"),
        podspec.EnvVar(name="C", value="$(B) $(FROM_IMAGE)"),
    )
    assert (env["A"], env["B"], env["C"]) == ("$(B)", "127.2.0.1", "127.2.0.1 1")
    assert env["PATH"] == "/bin"
    assert "SECRET" not in env


@pytest.mark.parametrize("optional", [None, False, True])
def test_config_maps_and_secrets(optional: bool | None) -> None:
    """There are none: an optional one is left out, another one is an error."""
    key = podspec.ConfigMapKeySelector(name="c", key="k", optional=optional)
    variable = podspec.EnvVar(
        name="X", value_from=podspec.EnvVarSource(config_map_key_ref=key)
    )
    if optional:
        assert "X" not in build(variable)
    else:
        with pytest.raises(environment.ConfigError, match='configmap "c" not found'):
            build(variable)


def test_an_unknown_field_is_an_error() -> None:
    """It names the field."""
    with pytest.raises(
        environment.ConfigError, match=r"unsupported fieldPath: spec\.x"
    ):
        environment.field("spec.x", POD, ip="", host_ip="")


@pytest.mark.parametrize(("wanted", "port"), [("http", 8080), ("9", 9), (7000, 7000)])
def test_ports_of_probes(wanted: int | str, port: int) -> None:
    """By number or by name; the name must be one of the container's."""
    web = container(
        command=("x",), ports=(podspec.ContainerPort(name="http", container_port=8080),)
    )
    assert launch.probed_port(web, wanted) == port
    with pytest.raises(LookupError, match="couldn't find port"):
        launch.probed_port(web, "none")
