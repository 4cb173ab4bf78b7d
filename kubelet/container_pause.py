"""The infra container's image: one program of a few hundred bytes, made here. Pure.

1. A pod's addresses belong to its infra container, which has nothing to do but to be
   there. So no image is fetched for it: this one is put together and handed over.
2. The program ignores SIGCHLD (the kernel buries its children then, which matters when
   the containers of a pod share their processes), waits for TERM or INT, and ends.
3. It is written in the numbers of Linux's system calls, for x86-64 and for aarch64.
"""

import hashlib
import io
import json
import struct
import tarfile
from typing import Final

_BASE: Final = 0x400000
_EHDR: Final = 64
_PHDR: Final = 56
_SIGCHLD: Final = 17
_TERM_INT: Final = struct.pack("<Q", 1 << (15 - 1) | 1 << (2 - 1))
_IGNORE: Final = struct.pack("<QQQQ", 1, 0, 0, 0)  # sigaction: SIG_IGN, nothing else
_DATA: Final = _TERM_INT + _IGNORE
_MACHINE: Final = {"amd64": 62, "arm64": 183}

REPOSITORY: Final = "localhost/rollbook-pause"


def image_name(architecture: str) -> str:
    """The name of the image; another program has another name.

    Raises `ValueError` for an architecture that there is no program for.
    """
    digest = hashlib.sha256(program(architecture)).hexdigest()
    return f"{REPOSITORY}:{architecture}-{digest[:12]}"


def program(architecture: str) -> bytes:
    """A static ELF executable for `amd64` or `arm64`; `ValueError` for another."""
    if architecture not in _MACHINE:
        known = " and ".join(_MACHINE)
        raise ValueError(
            f"there is no infra container for {architecture!r}: it is made for {known}"
        )
    assemble = _x86_64 if architecture == "amd64" else _aarch64
    length = len(assemble(0))
    data = _BASE + _EHDR + _PHDR + length
    code = assemble(data)
    size = _EHDR + _PHDR + length + len(_DATA)
    header = struct.pack(
        "<4sBBB9xHHIQQQIHHHHHH",
        b"\x7fELF", 2, 1, 1,  # 64 bits, little-endian, this version of ELF
        2, _MACHINE[architecture], 1,  # an executable
        _BASE + _EHDR + _PHDR, _EHDR, 0,  # where it begins; the only program header
        0, _EHDR, _PHDR, 1, 0, 0, 0,
    )  # fmt: skip
    segment = struct.pack(
        "<IIQQQQQQ", 1, 5, 0, _BASE, _BASE, size, size, 0x10000
    )  # loaded as it is, read and executed
    return header + segment + code + _DATA


def archive(architecture: str) -> bytes:
    """The image as a docker-archive, what `docker load` reads; always the same bytes.

    Raises `ValueError` like `program`.
    """
    layer = _tar({"pause": program(architecture)}, mode=0o755)
    digest = hashlib.sha256(layer).hexdigest()
    config = json.dumps(
        {
            "architecture": architecture,
            "os": "linux",
            "created": "1970-01-01T00:00:00Z",
            "config": {"Entrypoint": ["/pause"], "WorkingDir": "/"},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
            "history": [{"created": "1970-01-01T00:00:00Z"}],
        }
    ).encode()
    identity = hashlib.sha256(config).hexdigest()
    manifest = [
        {
            "Config": f"{identity}.json",
            "RepoTags": [image_name(architecture)],
            "Layers": [f"{digest}/layer.tar"],
        }
    ]
    return _tar(
        {
            f"{identity}.json": config,
            f"{digest}/layer.tar": layer,
            "manifest.json": json.dumps(manifest).encode(),
        }
    )


def _tar(files: dict[str, bytes], mode: int = 0o644) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), mode
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def _x86_64(data: int) -> bytes:
    """rt_sigprocmask 14, rt_sigaction 13, rt_sigtimedwait 128, exit 60."""

    def load(register: int, value: int) -> bytes:  # mov r32, imm32
        return bytes([0xB8 + register]) + struct.pack("<I", value)

    rax, rdx, rsi, rdi = 0, 2, 6, 7
    size = b"\x41\xba" + struct.pack("<I", 8)  # mov r10d, 8
    syscall = b"\x0f\x05"
    begin = load(rax, 14) + load(rdi, 0) + load(rsi, data) + load(rdx, 0)
    begin += size + syscall
    begin += load(rax, 13) + load(rdi, _SIGCHLD) + load(rsi, data + 8) + load(rdx, 0)
    begin += size + syscall
    wait = load(rax, 128) + load(rdi, data) + load(rsi, 0) + load(rdx, 0)
    wait += size + syscall + b"\x85\xc0"  # test eax, eax
    wait += bytes([0x78, 256 - (len(wait) + 2)])  # js: interrupted, wait again
    return begin + wait + load(rax, 60) + load(rdi, 0) + syscall


def _aarch64(data: int) -> bytes:
    """rt_sigprocmask 135, rt_sigaction 134, rt_sigtimedwait 137, exit 93."""

    def load(register: int, value: int) -> bytes:  # movz, movk with the upper half
        low, high = value & 0xFFFF, value >> 16
        return struct.pack(
            "<II", 0xD2800000 | low << 5 | register, 0xF2A00000 | high << 5 | register
        )

    syscall = struct.pack("<I", 0xD4000001)
    begin = load(0, 0) + load(1, data) + load(2, 0) + load(3, 8) + load(8, 135)
    begin += syscall
    begin += load(0, _SIGCHLD) + load(1, data + 8) + load(2, 0) + load(3, 8)
    begin += load(8, 134) + syscall
    wait = load(0, data) + load(1, 0) + load(2, 0) + load(3, 8) + load(8, 137)
    wait += syscall
    back = (-len(wait) // 4) & 0x3FFF
    wait += struct.pack("<I", 0x37F80000 | back << 5)  # tbnz w0, #31: wait again
    return begin + wait + load(0, 0) + load(8, 93) + syscall
