"""A process that shall not outlive the one that started it."""

import ctypes
import os
import signal
import sys
from collections.abc import Mapping
from typing import Final

SUPERVISOR: Final = "ROLLBOOK_SUPERVISOR"
_PR_SET_PDEATHSIG: Final = 1


def end_with_supervisor(environment: Mapping[str, str]) -> None:
    """Afterwards this process gets TERM when its supervisor ends, however it ends.

    Does nothing where no supervisor is named; leaves at once where it is gone already.
    Linux only: elsewhere a supervisor that is killed leaves its processes behind.
    """
    supervisor = environment.get(SUPERVISOR, "")
    if not supervisor.isdecimal() or not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
    if os.getppid() != int(supervisor):
        raise SystemExit(0)
