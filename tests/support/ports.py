"""Ports for what a test starts later, possibly more than once: nobody else takes them.

1. The system hands out any port of its own range (`ip_local_port_range`) to whoever
   asks for one, so a port of that range may be taken between the look and the use, and
   while a server is being restarted. The ports here lie below it.
2. Several processes run tests at once: each has a slot, held by a lock on a file that
   the system lets go of when the process ends, and hands out the ports of its slot in
   turn. So none is given twice within a process either, before all others were.
"""

import fcntl
import itertools
import os
import socket
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

FIRST: Final = 16_000
SLOT_PORTS: Final = 600
SLOTS: Final = 26
HOST: Final = "127.0.0.1"


def free_port() -> int:
    """A port on which nobody listens, and which no other test is given."""
    ports = _ports()
    for _ in range(SLOT_PORTS):
        port = next(ports)
        with socket.socket() as probe:
            # As servers do; else a port in TIME_WAIT would count as taken.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
        return port
    raise AssertionError("every port of this process is taken")


@cache
def _ports() -> Iterator[int]:
    """The ports of this process' slot, for ever."""
    folder = Path(tempfile.gettempdir()) / f"rollbook-test-ports-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    for slot in range(SLOTS):
        # Open as long as the process lives: that is what holds the lock.
        held = os.open(folder / str(slot), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(held)
            continue
        first = FIRST + slot * SLOT_PORTS
        return itertools.cycle(range(first, first + SLOT_PORTS))
    raise AssertionError(f"{SLOTS} processes run tests already (locks in {folder})")
