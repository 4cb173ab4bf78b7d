"""A process's own word on its health: one small file, written every few seconds.

A process cannot always be asked: the broker may be down, and its own login may ask
nothing. So each long-running process leaves its pulse beside its context, and
`rollbook status --process NAME` on the same machine reads it.

1. `beat` replaces the file in one step; a reader never sees half of it.
2. A pulse older than `STALE_SECONDS` is that of a process that hangs or has ended.
"""

import os
import tempfile
from pathlib import Path
from typing import Final

import msgspec

from domain import errors
from domain.names import escape

STALE_SECONDS: Final = 15.0
"""Beat at least three times within it."""


class Pulse(msgspec.Struct, frozen=True, kw_only=True):
    """What a process says of itself.

    `position` is what it has folded or committed, `committed` the last that it knows
    of; `problem` is why it is not well, in one sentence, and empty if it is.
    """

    process: str
    """`control`, `api`, `kubelet/<node>`."""
    at: float
    position: int = 0
    committed: int = 0
    problem: str = ""

    @property
    def lag(self) -> int:
        """How many events it is behind."""
        return max(0, self.committed - self.position)


def beat(folder: Path, pulse: Pulse) -> None:
    """Afterwards `folder` holds this pulse of its process."""
    path = _path(folder, pulse.process)
    descriptor, temporary = tempfile.mkstemp(prefix=".health-", dir=folder)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.encode(pulse))
    os.replace(temporary, path)


def read(folder: Path, process: str) -> Pulse:
    """The last pulse of `process`. Raises `Permanent` if there is no good one."""
    path = _path(folder, process)
    try:
        return msgspec.json.decode(path.read_bytes(), type=Pulse)
    except FileNotFoundError:
        raise errors.Permanent(
            f"{process} has left no sign of life in {folder}: it is not running here"
        ) from None
    except (OSError, msgspec.MsgspecError) as error:
        raise errors.Permanent(f"{path} cannot be read: {error}") from error


def complaint(pulse: Pulse, now: float) -> str:
    """Why the process is not well, or the empty text."""
    silence = now - pulse.at
    if silence > STALE_SECONDS:
        return f"no sign of life for {silence:.0f} s"
    return pulse.problem


def _path(folder: Path, process: str) -> Path:
    return folder / f"health-{escape(process.replace('/', '-'))}.json"
