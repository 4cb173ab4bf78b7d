"""Files and folders as a tar stream, and back; what comes back may be hostile.

1. What a container sends is believed in nothing: only files and folders are made, and
   only below the target, whatever the names in the archive say and wherever symbolic
   links that are here already lead. Everything else is skipped, with a warning.
2. Both functions block, and read or write as a stream: they belong into a thread.
"""

import os
import tarfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import IO, Final

Warn = Callable[[str], None]
CHUNK: Final = 256 * 1024
_MODE: Final = 0o777


def pack(source: Path, name: str, sink: IO[bytes]) -> None:
    """Writes `source` and all below it to `sink`, called `name` in the archive.

    Whoever gets it owns it: no owners are told. A reader that is gone ends it.
    """

    def anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.uid = member.gid = 0
        member.uname = member.gname = ""
        return member

    try:
        with sink, tarfile.open(fileobj=sink, mode="w|", dereference=False) as archive:
            archive.add(source, arcname=name, filter=anonymous)
    except BrokenPipeError:
        pass  # the other side says why


def unpack(stream: IO[bytes], target: Path, prefix: str, warn: Warn) -> int:
    """Makes of the archive's `prefix` and all below it `target` and all below that.

    How many files were made. Raises `tarfile.TarError` for what is no archive, and
    `OSError` where something cannot be made.
    """
    made = 0
    root = tuple(part for part in PurePosixPath(prefix).parts if part != ".")
    with stream, tarfile.open(fileobj=stream, mode="r|") as archive:
        for member in archive:
            path = _inside(member.name, root)
            if path is None:
                warn(f"{member.name!r} is outside of what was asked for: skipped")
                continue
            if not (member.isdir() or member.isreg()):
                warn(f"{member.name!r} is neither a file nor a folder: skipped")
                continue
            place = target.joinpath(*path)
            if path and not _is_below(place.parent, target):
                warn(f"{member.name!r} leads out of {target} by a link: skipped")
                continue
            if member.isdir():
                place.mkdir(parents=True, exist_ok=True)
                continue
            place.parent.mkdir(parents=True, exist_ok=True)
            content = archive.extractfile(member)
            assert content is not None, "a file has content"
            _write(content, place, member.mode & _MODE)
            made += 1
    return made


def _inside(name: str, root: tuple[str, ...]) -> tuple[str, ...] | None:
    """The path of a member below `root`; None for one that is not there."""
    path = PurePosixPath(name)
    parts = tuple(part for part in path.parts if part != ".")
    if path.is_absolute() or ".." in parts or parts[: len(root)] != root:
        return None
    return parts[len(root) :]


def _is_below(place: Path, target: Path) -> bool:
    """Whether `place`, with all links followed, is `target` or below it."""
    base = target.resolve()
    found = place.resolve()
    return found == base or base in found.parents


def _write(content: IO[bytes], place: Path, mode: int) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
    descriptor = os.open(place, flags, mode or 0o600)
    with os.fdopen(descriptor, "wb") as sink:
        while data := content.read(CHUNK):
            sink.write(data)
