"""From a container's specification to what is executed: command, environment, port.

Rules 1 and 3 of `process_runtime.py` are carried out here.
"""

import os
from pathlib import Path
from typing import Final

import msgspec

from domain import podspec
from kubelet import (
    environment,
    images,
    machine,
    probes,
    reaper,
    runtime,
    sandboxes,
    value_files,
)

MARK: Final = "ROLLBOOK_POD_UID"
TERMINATION_LOG: Final = "ROLLBOOK_TERMINATION_LOG"
"""Names the file that stands for `terminationMessagePath`, which a process has not."""
HOST_IP: Final = machine.HOST_IP
LOW_PORT_OFFSET: Final = 8000
FAILURES: Final = (environment.ConfigError, LookupError, OSError, ValueError)
"""What `prepare` and a start raise."""


class Launch(msgspec.Struct, frozen=True, kw_only=True):
    """All that is needed to start a container's process."""

    command: tuple[str, ...]
    env: dict[str, str]
    cwd: Path


def prepare(
    sandbox: runtime.Sandbox,
    spec: podspec.Container,
    *,
    ip: str,
    run: sandboxes.Run,
    folder: Path,
    catalogue: images.Catalogue,
    mark: str,
) -> Launch:
    """How to start `spec`; afterwards the working directory exists, with the image's
    files and the volumes that the pod has in `folder`. `mark` is that of `guard.py`.

    Raises `environment.ConfigError` for a reference to what is not there, and
    `ValueError` if there is nothing to run.
    """
    root = run.root
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    extra = {
        MARK: sandbox.uid,
        reaper.VARIABLE: mark,
        TERMINATION_LOG: str(run.message_path),
        "HOME": str(root),
    }
    made = value_files.prepare(sandbox, folder / "volumes", ip=ip, host_ip=HOST_IP)
    _link_volumes(root, spec, made)
    command = spec.command + spec.args
    found = None if spec.command else catalogue.find(spec.image)
    if found is not None:
        image, folder = found
        port = listening_port(spec, image)
        values = {"ip": ip, "port": str(port), "pod": sandbox.name, "root": str(root)}
        filled = images.fill(image, folder, args=spec.args, values=values)
        command = filled.command
        extra |= filled.env
        if port:
            extra["ROLLBOOK_ADDRESS"] = f"{ip}:{port}"
        _write_files(root, image.files)
    if not command:
        raise ValueError(f'no command specified for image "{spec.image}"')
    env = environment.build(
        sandbox, spec, ip=ip, host_ip=HOST_IP, inherited=os.environ, image=extra
    )
    return Launch(
        command=tuple(environment.expand(word, env) for word in command),
        env=env,
        cwd=Path(spec.working_dir) if spec.working_dir else root,
    )


def waiting_reason(error: Exception) -> str:
    """The waiting reason (spec 4.4) of a container that one of `FAILURES` kept from
    starting."""
    if isinstance(error, environment.ConfigError):
        return "CreateContainerConfigError"
    if isinstance(error, LookupError):
        return "CreateContainerError"
    return "RunContainerError"


def listening_port(spec: podspec.Container, image: images.Image) -> int:
    """Where an image of the catalogue listens: the container's first port, else its
    own; 0 if it does not listen."""
    ports = [port.container_port for port in spec.ports if port.container_port]
    ports = ports or list(image.ports)
    return _bindable(ports[0]) if ports else 0


def probed_port(spec: podspec.Container, wanted: int | str) -> int:
    """Where a probe of `wanted`, a port or its name, has to ask.

    Raises `LookupError` for a name that the container does not have.
    """
    number = probes.number_of(spec, wanted)
    return number if spec.command else _bindable(number)


def _bindable(number: int) -> int:
    return LOW_PORT_OFFSET + number if 0 < number < _FIRST_PORT else number


def _first_unprivileged_port() -> int:
    if os.geteuid() == 0:
        return 0
    try:
        return int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text())
    except (OSError, ValueError):
        return 1024


_FIRST_PORT: Final = _first_unprivileged_port()


def _link_volumes(root: Path, spec: podspec.Container, made: dict[str, Path]) -> None:
    """Afterwards each volume is seen below `root`, where the container mounts it."""
    for mount in spec.volume_mounts:
        if mount.name not in made:
            continue
        target = made[mount.name] / (mount.sub_path or ".")
        link = root / mount.mount_path.lstrip("/")
        if not (
            Path(os.path.normpath(link)).is_relative_to(root)
            and Path(os.path.normpath(target)).is_relative_to(made[mount.name])
        ):
            raise ValueError(f"volume {mount.name!r} would lie outside of its place")
        link.parent.mkdir(parents=True, exist_ok=True)
        if link.is_symlink():
            link.unlink()
        if not link.exists():
            link.symlink_to(target)


def _write_files(root: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        path = (root / name.lstrip("/")).resolve()
        if not path.is_relative_to(root.resolve()):
            raise ValueError(f"file {name!r} of the image lies outside of its root")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
