"""Pods that shall end with somebody, also with one that is killed (`reaper.py`).

1. A folder has a mark, which every process of its pods carries in its environment.
2. A guard knows which reaper watches over the folder: the next life of the kubelet
   ends it before it goes on with the pods or ends them.
"""

import contextlib
import os
import secrets
import signal
import subprocess
import sys
from pathlib import Path

import msgspec

from kubelet import reaper, shim


class _Watching(msgspec.Struct, frozen=True, kw_only=True):
    """The folder's reaper, by pid and start."""

    pid: int
    start: int


class Guard:
    """The guard over the pods of one folder."""

    def __init__(self, folder: Path) -> None:
        self._record = folder / "reaper.json"
        self._process: subprocess.Popen[bytes] | None = None
        self.mark = _mark(folder / "mark")

    def end_former(self) -> None:
        """Afterwards no reaper of a former life of the kubelet runs."""
        try:
            found = msgspec.json.decode(self._record.read_bytes(), type=_Watching)
            pidfd = os.pidfd_open(found.pid)
        except (OSError, msgspec.DecodeError):
            return
        try:
            if found.start and shim.start_ticks(found.pid) == found.start:
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        except OSError:
            pass  # it has just ended
        finally:
            os.close(pidfd)

    def watch(self, guardian: int) -> None:
        """The pods end when the process `guardian` has ended."""
        self._process = subprocess.Popen(
            [sys.executable, "-S", "-E", "-P", reaper.__file__, self.mark,
             str(guardian)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            cwd="/",
            env={},
        )  # fmt: skip
        assert self._process.stdout is not None, "it is a pipe"
        self._process.stdout.read(1)
        watching = _Watching(
            pid=self._process.pid, start=shim.start_ticks(self._process.pid)
        )
        self._record.write_bytes(msgspec.json.encode(watching))

    def kill_all(self) -> None:
        """Ends every process of the pods, here and now."""
        reaper.kill_all(self.mark)

    def close(self) -> None:
        """Nobody watches any more."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None
            with contextlib.suppress(OSError):
                self._record.unlink()


def _mark(path: Path) -> str:
    """The folder's mark, drawn when it is asked for first."""
    try:
        found = path.read_text().strip()
    except OSError:
        found = ""
    if not found:
        found = secrets.token_hex(16)
        path.write_text(found + "\n")
    return found
