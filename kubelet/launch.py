"""From a container's specification to what is executed: command, environment, port.

Rules 1 and 3 of `process_runtime.py` are carried out here.
"""

import os
from pathlib import Path
from typing import Final

import msgspec

from domain import podspec
from kubelet import environment, images, reaper, runtime

MARK: Final = "ROLLBOOK_POD_UID"
HOST_IP: Final = "127.0.0.1"
LOW_PORT_OFFSET: Final = 8000


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
    root: Path,
    catalogue: images.Catalogue,
    life: str,
) -> Launch:
    """How to start `spec`; afterwards `root` exists and holds the image's files.
    `life` marks the process for the reaper of this kubelet.

    Raises `environment.ConfigError` for a reference to what is not there, and
    `ValueError` if there is nothing to run.
    """
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    extra = {MARK: sandbox.uid, reaper.VARIABLE: life, "HOME": str(root)}
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
    if isinstance(wanted, int):
        number = wanted
    else:
        named = [port.container_port for port in spec.ports if port.name == wanted]
        if not named and not wanted.isdecimal():
            raise LookupError(f'couldn\'t find port: "{wanted}"')
        number = named[0] if named else int(wanted)
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


def _write_files(root: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        path = (root / name.lstrip("/")).resolve()
        if not path.is_relative_to(root.resolve()):
            raise ValueError(f"file {name!r} of the image lies outside of its root")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
