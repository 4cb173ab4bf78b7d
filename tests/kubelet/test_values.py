"""ConfigMaps and Secrets as variables and files; the words where one is missing."""

import os
import stat
from pathlib import Path

import msgspec
import pytest

from domain import podspec, volumes
from domain.pod_values import Reference, references
from kubelet import environment, runtime, value_files, values
from kubelet.values import ConfigError, Values
from tests.kubelet.builders import container, sandbox, template

MAP = Reference("configmap", "c")
SECRET = Reference("secret", "s")
GIVEN = Values(
    objects={MAP: {"k": b"v", "a.b": b"dots"}, SECRET: {"pw": b"hush", "bin": b"\xff"}}
)


def pod(
    *variables: podspec.EnvVar,
    given: Values = GIVEN,
    env_from: tuple[podspec.EnvFromSource, ...] = (),
    mounted: tuple[podspec.Volume, ...] = (),
) -> runtime.Sandbox:
    """A pod with these variables and volumes, given these values."""
    web = container(env=variables, env_from=env_from)
    made = sandbox("u1", template(web, volumes=mounted))
    return msgspec.structs.replace(
        made, values=given, labels={"b": 'say "hi"', "a": "1"}
    )


def built(made: runtime.Sandbox) -> dict[str, str]:
    """The environment of `web`."""
    (web,) = made.spec.containers
    return environment.build(
        made, web, ip="127.9.0.1", host_ip="127.0.0.1", inherited={}, image={}
    )


def of_map(key: str, name: str = "c", optional: bool | None = None) -> podspec.EnvVar:
    """The variable `X`, of a key of a ConfigMap."""
    selector = podspec.ConfigMapKeySelector(name=name, key=key, optional=optional)
    return podspec.EnvVar(
        name="X", value_from=podspec.EnvVarSource(config_map_key_ref=selector)
    )


def of_secret(
    key: str, name: str = "s", optional: bool | None = None
) -> podspec.EnvVar:
    """The variable `X`, of a key of a Secret."""
    selector = podspec.SecretKeySelector(name=name, key=key, optional=optional)
    return podspec.EnvVar(
        name="X", value_from=podspec.EnvVarSource(secret_key_ref=selector)
    )


# --- variables ----------------------------------------------------------------------


@pytest.mark.parametrize(("variable", "value"), [
    (of_map("k"), "v"),
    (of_secret("pw"), "hush"),
    (of_map("none", optional=True), None),
    (of_map("k", "none", optional=True), None),
    (of_secret("none", "none", optional=True), None),
])  # fmt: skip
def test_variables_of_keys(variable: podspec.EnvVar, value: str | None) -> None:
    """The key's value; what is optional and not there is not set."""
    assert built(pod(variable)).get("X") == value


@pytest.mark.parametrize(("variable", "message"), [
    (of_map("k", "none"), 'configmap "none" not found'),
    (of_secret("k", "none"), 'secret "none" not found'),
    (of_map("none"), "couldn't find key none in ConfigMap default/c"),
    (of_secret("none"), "couldn't find key none in Secret default/s"),
])  # fmt: skip
def test_what_is_missing(variable: podspec.EnvVar, message: str) -> None:
    """Kubernetes' sentence, which the waiting container shows (spec 4.4)."""
    with pytest.raises(ConfigError, match=f"^{message}$"):
        built(pod(variable))


def test_all_keys_as_variables() -> None:
    """With a prefix; a variable of the container's own wins."""
    source = podspec.EnvFromSource(
        prefix="P_", config_map_ref=podspec.ConfigMapEnvSource(name="c")
    )
    own = podspec.EnvVar(name="P_k", value="own")
    found = built(pod(own, env_from=(source,)))
    assert (found["P_k"], found["P_a.b"]) == ("own", "dots")


def test_all_keys_of_what_is_not_there() -> None:
    """An error, unless it is optional."""
    for optional in (None, False):
        named = podspec.SecretEnvSource(name="none", optional=optional)
        with pytest.raises(ConfigError, match='secret "none" not found'):
            built(pod(env_from=(podspec.EnvFromSource(secret_ref=named),)))
    named = podspec.SecretEnvSource(name="none", optional=True)
    built(pod(env_from=(podspec.EnvFromSource(secret_ref=named),)))


def test_a_pod_may_read_what_it_names_and_nothing_else() -> None:
    """Each object once, in order: variables, then volumes, projected ones too."""
    projected = volumes.ProjectedVolumeSource(
        sources=(
            volumes.VolumeProjection(secret=volumes.SecretProjection(name="p")),
            volumes.VolumeProjection(config_map=volumes.ConfigMapProjection(name="c")),
        )
    )
    made = pod(
        of_map("k"),
        of_secret("pw"),
        of_map("other"),
        mounted=(podspec.Volume(name="v", projected=projected),),
    )
    assert references(made.spec) == (MAP, SECRET, Reference("secret", "p"))


def test_secrets_are_not_shown() -> None:
    """Neither by the values nor by what carries them."""
    assert "hush" not in repr(GIVEN)
    assert "hush" not in repr(pod())


def test_what_is_not_base64_is_left_out() -> None:
    """A key that cannot be decoded is one that is not there."""
    found = values.decoded({"a": "text"}, {"b": "aGk=", "c": "%"})
    assert found == {"a": b"text", "b": b"hi"}


# --- files --------------------------------------------------------------------------


def made(mounted: podspec.Volume, folder: Path, given: Values = GIVEN) -> Path:
    """The folder of that volume."""
    found = value_files.prepare(
        pod(given=given, mounted=(mounted,)),
        folder,
        ip="127.9.0.1",
        host_ip="127.0.0.1",
    )
    return found[mounted.name]


def content(place: Path) -> dict[str, bytes]:
    """All files below `place`."""
    return {
        str(path.relative_to(place)): path.read_bytes()
        for path in place.rglob("*")
        if path.is_file()
    }


def test_a_config_map_as_files(tmp_path: Path) -> None:
    """One file for each key, 0644."""
    source = volumes.ConfigMapVolumeSource(name="c")
    place = made(podspec.Volume(name="v", config_map=source), tmp_path)
    assert content(place) == {"k": b"v", "a.b": b"dots"}
    assert stat.S_IMODE(os.stat(place / "k").st_mode) == 0o644


def test_items_paths_and_modes(tmp_path: Path) -> None:
    """Only the keys that are named, at their paths, with their modes."""
    source = volumes.SecretVolumeSource(
        secret_name="s", default_mode=0o400,
        items=(
            volumes.KeyToPath(key="pw", path="deep/er/password"),
            volumes.KeyToPath(key="bin", path="raw", mode=0o600),
        ),
    )  # fmt: skip
    place = made(podspec.Volume(name="v", secret=source), tmp_path)
    assert content(place) == {"deep/er/password": b"hush", "raw": b"\xff"}
    modes = [
        stat.S_IMODE(os.stat(place / name).st_mode)
        for name in ("deep/er/password", "raw")
    ]
    assert modes == [0o400, 0o600]


def test_files_that_are_gone_are_taken_away(tmp_path: Path) -> None:
    """At the next start the volume is what the object is by then."""
    source = volumes.ConfigMapVolumeSource(name="c")
    volume = podspec.Volume(name="v", config_map=source)
    made(volume, tmp_path)
    place = made(volume, tmp_path, Values(objects={MAP: {"new": b"1"}}))
    assert content(place) == {"new": b"1"}


def test_the_downward_api_as_files(tmp_path: Path) -> None:
    """Labels in order and quoted; a field; a resource."""
    items = (
        volumes.DownwardAPIVolumeFile(
            path="labels",
            field_ref=podspec.ObjectFieldSelector(field_path="metadata.labels"),
        ),
        volumes.DownwardAPIVolumeFile(
            path="name",
            field_ref=podspec.ObjectFieldSelector(field_path="metadata.name"),
        ),
    )
    source = volumes.DownwardAPIVolumeSource(items=items)
    place = made(podspec.Volume(name="v", downward_api=source), tmp_path)
    assert content(place) == {
        "labels": b'a="1"\nb="say \\"hi\\""',
        "name": b"web-1",
    }


def test_several_sources_in_one_volume(tmp_path: Path) -> None:
    """A projected volume."""
    source = volumes.ProjectedVolumeSource(
        sources=(
            volumes.VolumeProjection(config_map=volumes.ConfigMapProjection(name="c")),
            volumes.VolumeProjection(secret=volumes.SecretProjection(name="s")),
        )
    )
    place = made(podspec.Volume(name="v", projected=source), tmp_path)
    assert set(content(place)) == {"k", "a.b", "pw", "bin"}


@pytest.mark.parametrize("path", ["../out", "/out", "a/../../out", ""])
def test_a_path_stays_inside(tmp_path: Path, path: str) -> None:
    """Whatever an item says."""
    source = volumes.ConfigMapVolumeSource(
        name="c", items=(volumes.KeyToPath(key="k", path=path),)
    )
    with pytest.raises(ConfigError, match="inside of the volume"):
        made(podspec.Volume(name="v", config_map=source), tmp_path / "volumes")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("source", "message"), [
    ({"config_map": volumes.ConfigMapVolumeSource(name="x")},
     'configmap "x" not found'),
    ({"secret": volumes.SecretVolumeSource(secret_name="x")}, 'secret "x" not found'),
    ({"config_map": volumes.ConfigMapVolumeSource(
        name="c", items=(volumes.KeyToPath(key="x", path="x"),))},
     "references non-existent config key: x"),
    ({"config_map": volumes.ConfigMapVolumeSource(name="x", optional=True)}, ""),
    ({"empty_dir": volumes.EmptyDirVolumeSource()}, ""),
])  # fmt: skip
def test_volumes_that_cannot_be_made(source: dict[str, object], message: str) -> None:
    """The words of the event FailedMount; what is optional can always be made."""
    volume = podspec.Volume(name="v", **source)  # type: ignore[arg-type]  # test data
    found = value_files.problem(pod(mounted=(volume,)), GIVEN)
    expected = f'MountVolume.SetUp failed for volume "v" : {message}'
    assert found == (expected if message else "")
