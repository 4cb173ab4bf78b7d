"""Copying into a container and out of it, by commands that run in it.

1. Folders and files travel as a tar stream, as with kubectl. Where the container has
   no tar, single files go through `cat`.
2. What is sent and what comes is streamed: nothing is held as a whole.
3. Each command that this takes stands in the log, as every exec does.
"""

import asyncio
import contextlib
import os
import posixpath
import tarfile
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from adapters import session_client
from domain import errors
from rollbook import printing, streaming, streaming_archive, streaming_terminal
from rollbook.client import Cluster
from rollbook.failures import Failure
from rollbook.references import Reference

_LOOK: Final = (
    'test -d "$1" && echo folder; command -v tar >/dev/null 2>&1 && echo tar; true'
)
_SAID_MAX: Final = 4096


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """A container to copy into or out of."""

    pod: Reference
    node: str
    container: str


class _Look(msgspec.Struct, frozen=True, kw_only=True):
    """What there is at a path, and with what it can be copied."""

    folder: bool
    tar: bool


async def upload(cluster: Cluster, source: Path, place: Place, path: str) -> None:
    """Afterwards the container has a copy of `source` at `path`, or in it where that
    is a folder. Raises `Failure` with what the container says."""
    is_folder, name = _about(source)
    found = await _look(cluster, place, path)
    clean = posixpath.normpath(path)
    if found.folder:
        clean = posixpath.join(clean, name)
    command: tuple[str, ...]
    if found.tar:
        folder, called = posixpath.split(clean)
        command = ("tar", "-xmf", "-", "-C", folder or ".")
        data = _packed(source, called)
    elif is_folder:
        raise Failure(_without_tar(place))
    else:
        command = ("sh", "-c", 'cat > "$1"', "sh", clean)
        data = _content(source)
    said = bytearray()
    async with _running(cluster, place, command, stdin=True) as session:
        sending = asyncio.create_task(_send(session, data))
        try:
            async for channel, piece in session.chunks():
                if channel == "stderr":
                    said += piece[: _SAID_MAX - len(said)]
        finally:
            sending.cancel()
            await asyncio.wait([sending])
    _check(command, session, said)


async def download(cluster: Cluster, place: Place, path: str, target: Path) -> None:
    """Afterwards `target` is a copy of the container's `path`; a file is copied into
    a folder that is there. Raises `Failure` as `upload`."""
    found = await _look(cluster, place, path)
    clean = posixpath.normpath(path)
    folder, name = posixpath.split(clean)
    target = _final(target, name, is_folder=found.folder)
    command: tuple[str, ...]
    if found.tar:
        inside = f"./{name}" if name else "."
        command = ("tar", "cf", "-", "-C", folder or ".", inside)
    elif found.folder:
        raise Failure(_without_tar(place))
    else:
        command = ("cat", clean if clean.startswith("/") else f"./{clean}")
    said = bytearray()
    async with _running(cluster, place, command) as session:
        reader, writer = os.pipe()
        stream = os.fdopen(reader, "rb")

        def take() -> int:
            if found.tar:
                return streaming_archive.unpack(stream, target, name, _warn)
            with stream, target.open("wb") as sink:
                while data := stream.read(streaming_archive.CHUNK):
                    sink.write(data)
            return 1

        taking = asyncio.create_task(asyncio.to_thread(take))
        try:
            with os.fdopen(writer, "wb", buffering=0) as sink:
                async for channel, piece in session.chunks():
                    if channel == "stdout":
                        await asyncio.to_thread(_write_all, sink.fileno(), piece)
                    else:
                        said += piece[: _SAID_MAX - len(said)]
        except BrokenPipeError:
            pass  # whoever takes it says why
        finally:
            await asyncio.wait([taking])
    if taking.exception() is None or session.exit_code:
        taking.exception()
        _check(command, session, said)
    try:
        taking.result()
    except (tarfile.TarError, OSError) as error:
        raise Failure(f"error: {target}: {error}") from error


def _running(
    cluster: Cluster, place: Place, command: Sequence[str], *, stdin: bool = False
) -> "streaming.Opening":
    return streaming.execute(
        cluster,
        place.pod,
        command,
        node=place.node,
        container=place.container,
        stdin=stdin,
    )


async def _look(cluster: Cluster, place: Place, path: str) -> _Look:
    """A container without a shell is believed to have tar, and no such folder."""
    try:
        async with _running(cluster, place, ("sh", "-c", _LOOK, "sh", path)) as session:
            said = b"".join([piece async for _, piece in session.chunks()]).split()
    except errors.Rejected as refused:
        if "executable file not found" not in refused.message:
            raise
        return _Look(folder=False, tar=True)
    if session.exit_code:
        return _Look(folder=False, tar=True)
    return _Look(folder=b"folder" in said, tar=b"tar" in said)


def _about(source: Path) -> tuple[bool, str]:
    """Whether it is a folder, and its name. Raises `Failure` where there is none."""
    if not source.exists():
        raise Failure(f"error: {source} doesn't exist in local filesystem")
    return source.is_dir(), source.resolve().name


def _final(target: Path, name: str, *, is_folder: bool) -> Path:
    """Where what is called `name` goes. Raises `Failure` for a folder onto a file."""
    if is_folder and target.exists() and not target.is_dir():
        raise Failure(f"error: {target} is a file, and {name} a folder")
    return target / name if target.is_dir() and not is_folder else target


async def _send(
    session: session_client.Session, data: AsyncGenerator[bytes, None]
) -> None:
    try:
        async with contextlib.aclosing(data):
            async for piece in data:
                await session.write(piece)
        await session.end_input()
    except errors.RollbookError:
        pass  # whoever waits for the end of the session is told


async def _packed(source: Path, name: str) -> AsyncGenerator[bytes, None]:
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    sink = os.fdopen(writer, "wb")
    packing = asyncio.create_task(
        asyncio.to_thread(streaming_archive.pack, source, name, sink)
    )
    try:
        async for piece in streaming_terminal.pieces(reader):
            yield piece
    finally:
        os.close(reader)
        await asyncio.wait([packing])
    packing.result()


async def _content(source: Path) -> AsyncGenerator[bytes, None]:
    with source.open("rb") as stream:
        while data := await asyncio.to_thread(stream.read, streaming_archive.CHUNK):
            yield data


def _check(
    command: Sequence[str], session: session_client.Session, said: bytes | bytearray
) -> None:
    text = bytes(said).decode(errors="replace").strip()
    if session.exit_code:
        raise Failure(
            f"error: {text or command[0]} (command terminated with exit code "
            f"{session.exit_code})"
        )
    if text:
        printing.talk(text)


def _without_tar(place: Place) -> str:
    return (
        f'error: container "{place.container}" has no tar: without it single files can '
        "be copied, and no folders"
    )


def _warn(text: str) -> None:
    printing.talk(f"warning: {text}")


def _write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
