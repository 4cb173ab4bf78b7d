"""The paths of the machine that a container sees: volumes, and its last words.

1. `value_files.py` makes the folders of emptyDir, configMap, secret, downwardAPI and
   projected volumes; all containers of a pod see the same ones.
2. An emptyDir of the medium Memory is a tmpfs of its `sizeLimit`, if this process is
   root and the engine sees what it mounts; otherwise a folder, and the log says so.
3. A hostPath is mounted only below the folders that the node allows, links resolved.
4. Any other kind of volume is a `ConfigError` that names it.
5. `terminationMessagePath` is a file of its own for each run.
"""

import asyncio
import logging
import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final

from domain import podspec, quantities, volumes
from kubelet import environment, runtime, value_files
from kubelet.container_settings import TERMINATION_LOG, Mount, Rules

MESSAGE_MAX: Final = 4096
_MOUNT_SECONDS: Final = 20.0
_ABSENT: Final = {"DirectoryOrCreate", "FileOrCreate"}
_KINDS: Final[dict[str, tuple[Callable[[int], bool], ...]]] = {
    "Directory": (stat.S_ISDIR,),
    "DirectoryOrCreate": (stat.S_ISDIR,),
    "File": (stat.S_ISREG,),
    "FileOrCreate": (stat.S_ISREG,),
    "Socket": (stat.S_ISSOCK,),
    "CharDevice": (stat.S_ISCHR,),
    "BlockDevice": (stat.S_ISBLK,),
}

_log = logging.getLogger(__name__)


async def prepare(
    sandbox: runtime.Sandbox, folder: Path, *, ip: str, host_ip: str
) -> dict[str, Path]:
    """The folders of the pod's volumes (rule 1, 2), made if they are not there.

    Raises `ConfigError`, and `OSError`.
    """
    for volume in sandbox.spec.volumes:
        source = volume.empty_dir
        if source is None or (folder / volume.name).is_dir():
            continue
        place = folder / volume.name
        place.mkdir(parents=True)
        if source.medium == "Memory":
            await _mount_memory(place, source)
        elif source.medium:
            raise environment.ConfigError(
                f'volume "{volume.name}": unknown storage medium {source.medium!r}'
            )
        group = sandbox.spec.security_context and sandbox.spec.security_context.fs_group
        if group and os.geteuid() == 0:
            os.chown(place, -1, group)
        place.chmod(0o2777 if group else 0o777)
    return value_files.prepare(sandbox, folder, ip=ip, host_ip=host_ip)


def mounts(
    sandbox: runtime.Sandbox,
    spec: podspec.Container,
    folders: dict[str, Path],
    rules: Rules,
    variables: dict[str, str],
) -> tuple[Mount, ...]:
    """Where the container sees its volumes. Raises `ConfigError`, and `OSError`."""
    known = {volume.name: volume for volume in sandbox.spec.volumes}
    found = []
    for mount in spec.volume_mounts:
        if mount.name not in known:
            raise environment.ConfigError(f'volume "{mount.name}" not found')
        place = folders.get(mount.name)
        if place is None:
            place = _host_path(known[mount.name], rules)
        below = mount.sub_path or environment.expand(mount.sub_path_expr, variables)
        if below:
            place = _sub_path(place, below)
        found.append(
            Mount(source=str(place), target=mount.mount_path, read_only=mount.read_only)
        )
    return tuple(found)


def last_words_mount(spec: podspec.Container, path: Path) -> Mount:
    """Makes the empty file that the container may leave a message in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    path.chmod(0o666)
    return Mount(
        source=str(path), target=spec.termination_message_path or TERMINATION_LOG
    )


def last_words(path: Path) -> str:
    """What the container has left; empty if nothing."""
    try:
        with path.open("rb") as file:
            return file.read(MESSAGE_MAX).decode(errors="replace")
    except OSError:
        return ""


async def remove(folder: Path) -> None:
    """Afterwards nothing is left of the pod's files; a tmpfs is unmounted first."""
    for place in _mounted(folder / "volumes"):
        await _run("umount", str(place))
    await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


def _mounted(folder: Path) -> list[Path]:
    return [place for place in folder.glob("*") if place.is_mount()]


async def _mount_memory(place: Path, source: volumes.EmptyDirVolumeSource) -> None:
    options = "mode=0777,nosuid,nodev"
    if source.size_limit:
        options += f",size={quantities.whole(source.size_limit)}"
    why = "this process is not root"
    if os.geteuid() == 0:
        why = await _run("mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place))
    if why:
        _log.warning("volume %s is a folder, not memory: %s", place.name, why)


async def _run(*command: str) -> str:
    """Why the command failed; empty if it did not."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        async with asyncio.timeout(_MOUNT_SECONDS):
            output, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        return f"{command[0]} does not end"
    return output.decode(errors="replace").strip() if process.returncode else ""


def _host_path(volume: podspec.Volume, rules: Rules) -> Path:
    source = volume.host_path
    if source is None:
        kinds = [n for n in volume.__struct_fields__[1:] if getattr(volume, n)]
        kind = kinds[0] if kinds else "nothing"
        raise environment.ConfigError(
            f'volume "{volume.name}": {kind} is not supported by this node'
        )
    path = Path(os.path.realpath(source.path))
    allowed = [Path(os.path.realpath(folder)) for folder in rules.host_paths]
    if not any(path.is_relative_to(folder) for folder in allowed):
        raise environment.ConfigError(
            f'volume "{volume.name}": this node does not allow the hostPath '
            f"{source.path} (the option --allow-host-path of its kubelet names what it "
            "does)"
        )
    kind = source.type or ""
    if kind in _ABSENT and not path.exists():
        if kind == "DirectoryOrCreate":
            path.mkdir(mode=0o755, parents=True)
        else:
            path.touch(mode=0o644)
    checks = _KINDS.get(kind, ())
    if not path.exists() or (checks and not checks[0](path.stat().st_mode)):
        raise environment.ConfigError(
            f"hostPath type check failed: {source.path} is not {kind or 'there'}"
        )
    return path


def _sub_path(place: Path, below: str) -> Path:
    """A folder or file in a volume; made if it is not there; never outside of it."""
    root = Path(os.path.realpath(place))
    path = Path(os.path.realpath(root / below))
    if ".." in Path(below).parts or not path.is_relative_to(root):
        raise environment.ConfigError(f"subPath {below!r} leads out of its volume")
    if not path.exists():
        path.mkdir(parents=True)
        path.chmod(stat.S_IMODE(root.stat().st_mode))
    return path
