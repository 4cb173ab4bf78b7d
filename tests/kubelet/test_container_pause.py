"""The infra container's program and its image."""

import hashlib
import io
import json
import os
import signal
import struct
import subprocess
import tarfile
import time
from pathlib import Path

import pytest

from kubelet import container_pause

ARCHITECTURES = {"amd64": 62, "arm64": 183}
HERE = {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, "")


@pytest.mark.skipif(not HERE, reason="there is no program for this machine")
def test_it_waits_until_it_is_told_to_end(tmp_path: Path) -> None:
    """It starts, ignores its children's ends, and ends with 0 at TERM."""
    path = tmp_path / "pause"
    path.write_bytes(container_pause.program(HERE))
    path.chmod(0o755)
    with subprocess.Popen([path]) as process:
        status = Path(f"/proc/{process.pid}/status")
        while not _ignores(status.read_text(), signal.SIGCHLD):
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0


def _ignores(status: str, number: signal.Signals) -> bool:
    """Beside what it inherited as ignored from whoever started the tests."""
    mask = status.partition("SigIgn:")[2].split()[0]
    return bool(int(mask, 16) & 1 << (number - 1))


@pytest.mark.parametrize(("architecture", "machine"), ARCHITECTURES.items())
def test_it_is_an_executable(architecture: str, machine: int) -> None:
    """A static ELF file for its machine, small, with one segment that is all of it."""
    data = container_pause.program(architecture)
    assert len(data) < 400
    assert data[:4] == b"\x7fELF"
    assert struct.unpack_from("<HH", data, 16) == (2, machine)
    entry, segments = struct.unpack_from("<QQ", data, 24)
    kind, flags, offset, address, _, size, _, _ = struct.unpack_from(
        "<IIQQQQQQ", data, segments
    )
    assert (kind, flags, offset, size) == (1, 5, 0, len(data))
    assert address < entry < address + size


def test_the_program_for_the_other_machine() -> None:
    """The bytes that were seen to wait and to end under an emulator of aarch64."""
    digest = hashlib.sha256(container_pause.program("arm64")).hexdigest()
    assert digest == "8cb9d6b77201fa04a3e4981b9c3279ee6e0d5ccd46b40a9fb1a6ee783445e009"


def test_another_machine() -> None:
    """It is told which ones there are."""
    with pytest.raises(ValueError, match="amd64 and arm64"):
        container_pause.program("riscv64")


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_image_is_what_it_says(architecture: str) -> None:
    """The manifest names the image; every file is where its digest says; always the
    same bytes, so that it is handed over once."""
    archive = container_pause.archive(architecture)
    assert archive == container_pause.archive(architecture)
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        files = {each.name: _content(tar, each) for each in tar.getmembers()}
    (manifest,) = json.loads(files["manifest.json"])
    assert manifest["RepoTags"] == [container_pause.image_name(architecture)]
    config = files[manifest["Config"]]
    assert manifest["Config"] == f"{hashlib.sha256(config).hexdigest()}.json"
    (layer,) = manifest["Layers"]
    digest = f"sha256:{hashlib.sha256(files[layer]).hexdigest()}"
    assert json.loads(config)["rootfs"]["diff_ids"] == [digest]
    with tarfile.open(fileobj=io.BytesIO(files[layer])) as tar:
        (entry,) = tar.getmembers()
        assert (entry.name, entry.mode) == ("pause", 0o755)


def _content(tar: tarfile.TarFile, entry: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(entry)
    assert file is not None
    return file.read()
