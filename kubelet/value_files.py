"""Volumes that are files: configMap, secret, downwardAPI, projected, emptyDir.

1. `prepare` is for every runtime: called before a container starts, it leaves each
   volume of the pod that it can make as a folder below a folder of the runtime's own,
   which the runtime then mounts (or links) where the container wants it.
2. Files have the mode of their item, else of the volume, else 0644 as in Kubernetes;
   the folders are for this user alone.
3. A volume of another kind is not made: `prepare` does not name it.
"""

import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Final

import msgspec

from domain import podspec, volumes
from domain.pod_values import Kind, Reference
from kubelet import environment, runtime
from kubelet.values import ConfigError, Values

DEFAULT_MODE: Final = 0o644


class File(msgspec.Struct, frozen=True, gc=False):
    """One file of a volume; `path` is relative and never leads out of it."""

    path: str
    data: bytes
    mode: int


def prepare(
    sandbox: runtime.Sandbox, folder: Path, *, ip: str, host_ip: str
) -> dict[str, Path]:
    """The folder of each volume, by name; files that were there are replaced.

    Raises `ConfigError` for what is not there, and `OSError`.
    """
    made = {}
    for volume in sandbox.spec.volumes:
        place = folder / volume.name
        if volume.empty_dir is not None:
            place.mkdir(mode=0o777, parents=True, exist_ok=True)
        elif (found := files(sandbox, volume, ip=ip, host_ip=host_ip)) is not None:
            _write(place, found)
        else:
            continue
        made[volume.name] = place
    return made


def problem(sandbox: runtime.Sandbox, given: Values) -> str:
    """Kubernetes' sentence if a volume cannot be made with these values, else ""."""
    pod = msgspec.structs.replace(sandbox, values=given)
    for volume in pod.spec.volumes:
        try:
            files(pod, volume, ip="", host_ip="")
        except ConfigError as error:
            return f'MountVolume.SetUp failed for volume "{volume.name}" : {error}'
    return ""


def files(
    sandbox: runtime.Sandbox, volume: podspec.Volume, *, ip: str, host_ip: str
) -> list[File] | None:
    """What is in the volume; None if it is not a volume of files.

    Raises `ConfigError` for what is not there and not optional.
    """
    config_map, secret = volume.config_map, volume.secret
    if config_map is not None:
        reference = Reference("configmap", config_map.name)
        return list(_items(sandbox, reference, config_map, config_map.default_mode))
    if secret is not None:
        reference = Reference("secret", secret.secret_name)
        return list(_items(sandbox, reference, secret, secret.default_mode))
    if volume.downward_api is not None:
        downward = volume.downward_api
        return list(_fields(sandbox, downward, downward.default_mode, ip, host_ip))
    if volume.projected is not None:
        return list(_projected(sandbox, volume.projected, ip, host_ip))
    return None


_Keys = (
    volumes.ConfigMapVolumeSource
    | volumes.SecretVolumeSource
    | volumes.ConfigMapProjection
    | volumes.SecretProjection
)
_Fields = volumes.DownwardAPIVolumeSource | volumes.DownwardAPIProjection


def _items(
    sandbox: runtime.Sandbox, reference: Reference, source: _Keys, mode: int | None
) -> Iterator[File]:
    optional = bool(source.optional)
    data = sandbox.values.all(reference, optional=optional)
    if data is None:
        return
    usual = DEFAULT_MODE if mode is None else mode
    if not source.items:
        for key, value in data.items():
            yield File(_inside(key), value, usual)
    for item in source.items:
        if item.key in data:
            own = usual if item.mode is None else item.mode
            yield File(_inside(item.path), data[item.key], own)
        elif not optional:
            raise ConfigError(f"references non-existent {_word(reference.kind)} key: "
                              f"{item.key}")  # fmt: skip


def _word(kind: Kind) -> str:
    return "config" if kind == "configmap" else "secret"


def _fields(
    sandbox: runtime.Sandbox, source: _Fields, mode: int | None, ip: str, host_ip: str
) -> Iterator[File]:
    usual = DEFAULT_MODE if mode is None else mode
    for item in source.items:
        text = ""
        if item.field_ref is not None:
            path = item.field_ref.field_path
            text = environment.file_field(path, sandbox, ip=ip, host_ip=host_ip)
        elif item.resource_field_ref is not None:
            wanted = item.resource_field_ref
            for container in (*sandbox.spec.init_containers, *sandbox.spec.containers):
                if container.name == wanted.container_name:
                    text = environment.resource(wanted, container)
        own = usual if item.mode is None else item.mode
        yield File(_inside(item.path), text.encode(), own)


def _projected(
    sandbox: runtime.Sandbox,
    projected: volumes.ProjectedVolumeSource,
    ip: str,
    host_ip: str,
) -> Iterator[File]:
    mode = projected.default_mode
    for source in projected.sources:
        if source.config_map is not None:
            reference = Reference("configmap", source.config_map.name)
            yield from _items(sandbox, reference, source.config_map, mode)
        if source.secret is not None:
            reference = Reference("secret", source.secret.name)
            yield from _items(sandbox, reference, source.secret, mode)
        if source.downward_api is not None:
            yield from _fields(sandbox, source.downward_api, mode, ip, host_ip)


def _inside(path: str) -> str:
    """`path` if it stays inside of the volume. Raises `ConfigError` otherwise."""
    pure = PurePosixPath(path)
    if not path or pure.is_absolute() or ".." in pure.parts:
        raise ConfigError(f'invalid path "{path}": it must stay inside of the volume')
    return str(pure)


def _write(place: Path, found: Iterable[File]) -> None:
    """Afterwards exactly these files are in `place`; each is replaced as a whole."""
    place.mkdir(mode=0o755, parents=True, exist_ok=True)
    wanted = set()
    for file in found:
        path = place / file.path
        wanted.add(PurePosixPath(file.path).parts[0])
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.new")
        temporary.unlink(missing_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as out:
            out.write(file.data)
            os.fchmod(out.fileno(), file.mode & 0o777)
        temporary.replace(path)
    for left in place.iterdir():
        if left.name not in wanted:
            if left.is_dir() and not left.is_symlink():
                shutil.rmtree(left, ignore_errors=True)
            else:
                left.unlink(missing_ok=True)
