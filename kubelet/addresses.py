"""Addresses for pods on one machine: each node has its own 127.<n>.0.0/16.

1. A node's number is held by a lock on a file that all nodes of this user share; the
   system lets go of it when the process ends, however it ends.
2. A node gets the number that its name hashes to if that is free, else the next:
   the same node has the same addresses again as a rule.
3. An address is handed out after it was seen that one can bind to it; where only
   127.0.0.1 can be bound, all pods share that.
"""

import fcntl
import os
import socket
import tempfile
import zlib
from pathlib import Path
from typing import Final

from domain import errors

FIRST: Final = 2
LAST: Final = 254


class Addresses:
    """The addresses of one node. `close` gives its number back."""

    def __init__(self, node: str, folder: Path | None = None) -> None:
        self._folder = folder or _shared_folder()
        self._descriptor = -1
        self._used: set[str] = set()
        self._next = 1
        self.number = self._take(node)

    def allocate(self, wanted: str = "") -> str:
        """An address that no other pod of this node has; `wanted` if it is free."""
        if wanted and wanted not in self._used:
            self._used.add(wanted)
            return wanted
        for _ in range(65_000):
            high, low = divmod(self._next, 254)
            self._next = self._next % 65_000 + 1
            address = f"127.{self.number}.{high % 256}.{low + 1}"
            if address in self._used:
                continue
            if not _can_bind(address):
                return "127.0.0.1"
            self._used.add(address)
            return address
        raise errors.Transient("no address is left for another pod on this node")

    def release(self, address: str) -> None:
        """The pod is gone; its address may be given again, last of all."""
        self._used.discard(address)

    def close(self) -> None:
        """Another node may have the number."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _take(self, node: str) -> int:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        room = LAST - FIRST + 1
        wish = zlib.crc32(node.encode()) % room
        for step in range(room):
            number = FIRST + (wish + step) % room
            descriptor = os.open(
                self._folder / f"{number}.lock", os.O_RDWR | os.O_CREAT, 0o600
            )
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                continue
            self._descriptor = descriptor
            return number
        raise errors.Permanent(
            f"{room} nodes run on this machine already; stop one of them "
            f"(each holds a lock in {self._folder})"
        )


def _shared_folder() -> Path:
    base = os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()
    return Path(base) / f"rollbook-nodes-{os.getuid()}"


def _can_bind(address: str) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True
