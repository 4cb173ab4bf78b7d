"""A real container engine for tests: Podman's service, and a registry to pull from.

1. Everything of it lies in one folder: images, containers, sockets, locks, networks.
   Nothing of the machine's own Podman is seen or touched, and at the end nothing is
   left: no container, no mount, no bridge, no file.
2. Several may run at once: each has a bridge and a subnet of its own.
3. `docker.io` is a registry of our own in this process, so that nothing is fetched from
   anywhere. It has one image, busybox, under whatever name it is asked for, unless the
   name has `no-such` in it; names with `private/` want `LOGIN`.
4. Only a machine that cannot run it (not Linux, not root, no Podman) skips, and says
   why; with `CI=true` a root without Podman fails.
"""

import base64
import contextlib
import hashlib
import http.server
import io
import ipaddress
import json
import os
import random
import shutil
import socket
import subprocess
import tarfile
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest

PROGRAMS = ("podman", "runc", "conmon", "busybox")
APPLETS = [
    "sh", "cat", "dd", "echo", "env", "false", "grep", "head", "hostname", "httpd",
    "id", "kill", "ls", "mkdir", "mount", "nc", "pidof", "sleep", "stat", "stty",
    "tar", "test", "touch", "true", "wc", "wget", "yes",
]  # fmt: skip
START_TIMEOUT_S = 60
END_TIMEOUT_S = 15
REMOVALS = 3
LOGIN = "user:secret"
# Hard limits of a sandbox are lower than what Podman asks for, and a machine without
# systemd has no journal and no slices.
CONFIGURATION = """
[containers]
default_ulimits = ["nofile={files}:{files}", "nproc={processes}:{processes}"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
exit_command_delay = 1
lock_type = "file"
"""
REGISTRIES = """
[[registry]]
prefix = "docker.io"
location = "127.0.0.1:{port}"
insecure = true
[[registry]]
location = "127.0.0.1:{port}"
insecure = true
"""


class Podman(NamedTuple):
    """A service that runs. `command` begins a command line of the same store, and
    `registry` the name of an image that a login may be needed for."""

    url: str
    registry: str
    folder: Path
    command: tuple[str, ...]
    environ: dict[str, str]

    def run(self, *arguments: str) -> str:
        """What `podman …` says; it must succeed."""
        done = subprocess.run(
            [*self.command, *arguments],
            env=self.environ,
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout.strip()

    @contextlib.contextmanager
    def service(self, path: Path) -> Iterator[subprocess.Popen[bytes]]:
        """Another service for the same store, at a socket at `path`."""
        command = [*self.command, "system", "service", "--time", "0", f"unix://{path}"]
        with (path.parent / f"{path.name}.log").open("wb") as log:
            process = subprocess.Popen(
                command,
                env=self.environ,
                stdout=log,
                stderr=log,
                cwd=path.parent,  # an OOM kill is noted there, in a file of that name
            )
        try:
            _wait_for(path, process)
            yield process
        finally:
            process.kill()
            process.wait()
            path.unlink(missing_ok=True)


@contextlib.contextmanager
def engine() -> Iterator[Podman]:
    """A service of our own; it runs in the block."""
    _require()
    # Not below pytest's own folder: the path of a socket may have 107 bytes only.
    folder = Path(tempfile.mkdtemp(prefix="rollbook-podman-"))
    try:
        with registry() as port:
            podman = _configure(folder, port)
            with podman.service(folder / "podman.sock"):
                try:
                    yield podman
                finally:
                    _remove_all(podman)
    finally:
        _tidy(folder)


@contextlib.contextmanager
def registry() -> Iterator[int]:
    """The port of a registry with one image; it runs in the block."""
    handler = type("Handler", (_Registry,), {"blobs": _blobs()})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def busybox() -> bytes:
    """The root file system of the image, a tar: a shell and what it needs."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name in ("bin", "etc", "tmp", "dev", "proc", "sys"):
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(entry)
        path = shutil.which("busybox")
        assert path is not None, "`engine` has looked for it"
        tar.add(os.path.realpath(path), "bin/busybox")
        for applet in APPLETS:
            entry = tarfile.TarInfo(f"bin/{applet}")
            entry.type, entry.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(entry)
        users = b"root:x:0:0::/:/bin/sh\n"
        entry = tarfile.TarInfo("etc/passwd")
        entry.size = len(users)
        tar.addfile(entry, io.BytesIO(users))
    return buffer.getvalue()


class _Registry(http.server.BaseHTTPRequestHandler):
    """As much of the registry's protocol as a pull needs."""

    blobs: dict[str, tuple[str, bytes]] = {}

    def do_GET(self) -> None:
        """The manifest, or one of its blobs."""
        name, _, last = self.path.removeprefix("/v2/").rpartition("/")
        known = base64.b64encode(LOGIN.encode()).decode()
        stranger = self.headers.get("Authorization") != f"Basic {known}"
        if stranger and (self.path == "/v2/" or name.startswith("private/")):
            # Whoever asks for nothing asks whether a login is worth its while.
            self._send(401, "application/json", b"{}")
        elif self.path == "/v2/":
            self._send(200, "application/json", b"{}")
        elif "no-such" in name:
            body = {"errors": [{"code": "MANIFEST_UNKNOWN", "message": "not found"}]}
            self._send(404, "application/json", json.dumps(body).encode())
        else:
            key = last if last in self.blobs else "manifest"
            self._send(200, *self.blobs[key])

    do_HEAD = do_GET  # noqa: N815  # http.server's way to name a method

    def log_message(self, *_: Any) -> None:
        """Nothing is said."""

    def _send(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Docker-Distribution-Api-Version", "registry/2.0")
        if status == 401:
            self.send_header("WWW-Authenticate", 'Basic realm="tests"')
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)


def _blobs() -> dict[str, tuple[str, bytes]]:
    layer = busybox()
    config = json.dumps(
        {
            "architecture": "arm64" if os.uname().machine == "aarch64" else "amd64",
            "os": "linux",
            "config": {"Env": ["PATH=/bin", "FROM_IMAGE=yes"], "Cmd": ["env"]},
            "rootfs": {"type": "layers", "diff_ids": [_digest(layer)]},
        }
    ).encode()
    kind = "application/vnd.docker."
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": f"{kind}distribution.manifest.v2+json",
            "config": {
                "mediaType": f"{kind}container.image.v1+json",
                "size": len(config),
                "digest": _digest(config),
            },
            "layers": [
                {
                    "mediaType": f"{kind}image.rootfs.diff.tar",
                    "size": len(layer),
                    "digest": _digest(layer),
                }
            ],
        }
    ).encode()
    return {
        "manifest": (f"{kind}distribution.manifest.v2+json", manifest),
        _digest(config): ("application/octet-stream", config),
        _digest(layer): ("application/octet-stream", layer),
    }


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _require() -> None:
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        pytest.skip("a container engine of our own needs root")
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    box = shutil.which("busybox")
    if box is not None and b"/ld-linux" in Path(box).read_bytes()[:8192]:
        missing.append("a busybox without libraries")
    if not missing:
        return
    reason = (
        f"no container engine on this machine: {', '.join(missing)} missing; install "
        "the packages podman, runc, conmon, netavark and busybox-static"
    )
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def _configure(folder: Path, port: int) -> Podman:
    import resource

    for name in ("root", "run", "net", "tmp"):
        (folder / name).mkdir()
    limits = {}
    for name, kind in (
        ("files", resource.RLIMIT_NOFILE),
        ("processes", resource.RLIMIT_NPROC),
    ):
        hard = resource.getrlimit(kind)[1]
        limits[name] = 20_000 if hard < 0 else min(hard, 20_000)
    (folder / "containers.conf").write_text(CONFIGURATION.format(**limits))
    (folder / "registries.conf").write_text(REGISTRIES.format(port=port))
    policy = folder / ".config" / "containers" / "policy.json"
    policy.parent.mkdir(parents=True)
    policy.write_text(json.dumps({"default": [{"type": "insecureAcceptAnything"}]}))
    (folder / "net" / "podman.json").write_text(json.dumps(_network()))
    command = ["podman"]
    for option, value in (
        ("root", "root"), ("runroot", "run"), ("network-config-dir", "net"),
        ("tmpdir", "tmp"),
    ):  # fmt: skip
        command += [f"--{option}", str(folder / value)]
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "XDG_RUNTIME_DIR": str(folder / "tmp"),
        "CONTAINERS_CONF": str(folder / "containers.conf"),
        "CONTAINERS_REGISTRIES_CONF": str(folder / "registries.conf"),
    }
    url = f"unix://{folder / 'podman.sock'}"
    return Podman(url, f"127.0.0.1:{port}", folder, tuple(command), environ)


def _network() -> dict[str, object]:
    """The network that containers are in: a bridge and a subnet that nobody uses."""
    used = [
        ipaddress.ip_interface(f"{address.address}/24").network
        for addresses in psutil.net_if_addrs().values()
        for address in addresses
        if address.family == socket.AF_INET
    ]
    while True:
        mark = random.randrange(64 * 256)
        subnet = ipaddress.ip_network(f"10.{160 + mark // 256}.{mark % 256}.0/24")
        if subnet not in used:
            break
    return {
        "name": "podman",
        "id": "2f259bab93aaaaa2542ba43ef33eb990d0999ee1b9924b557b7be53c0b7a1bb9",
        "driver": "bridge",
        "network_interface": f"rbtest{mark}",
        "created": "2026-01-01T00:00:00Z",
        "subnets": [{"subnet": str(subnet), "gateway": str(subnet[1])}],
        "ipv6_enabled": False,
        "internal": False,
        "dns_enabled": False,
        "ipam_options": {"driver": "host-local"},
    }


def _remove_all(podman: Podman) -> None:
    """Tries again: what a service has left half done is done by the next command, and
    a container that stays would leave its network behind."""
    for _ in range(REMOVALS - 1):
        with contextlib.suppress(subprocess.CalledProcessError):
            podman.run("rm", "--all", "--force", "--time", "0")
            return
    podman.run("rm", "--all", "--force", "--time", "0")


def _wait_for(path: Path, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        with (
            contextlib.suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock,
        ):
            sock.connect(str(path))
            return
        if process.poll() is not None:
            break
        time.sleep(0.02)
    log = (path.parent / f"{path.name}.log").read_text(errors="replace")
    raise RuntimeError(f"podman has not started: {log}")


def _tidy(folder: Path) -> None:
    """A container that has ended is cleaned up by a process of its own, which would
    set up a store that is gone anew; so they are waited for."""
    deadline = time.monotonic() + END_TIMEOUT_S
    while left := _processes(folder):
        if time.monotonic() > deadline:
            for process in left:
                process.kill()
            psutil.wait_procs(left, END_TIMEOUT_S)
            break
        time.sleep(0.05)
    mounts = Path("/proc/self/mounts").read_text().splitlines()
    below = [line.split()[1] for line in mounts if f" {folder}/" in line]
    for place in sorted(below, reverse=True):
        subprocess.run(["umount", "--lazy", place], check=False)
    shutil.rmtree(folder, ignore_errors=True)


def _processes(folder: Path) -> list[psutil.Process]:
    """Those that were started for this store: its path is in their arguments."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.name() in ("podman", "conmon") and any(
                word.startswith(f"{folder}/") for word in process.cmdline()
            ):
                found.append(process)
    return found
