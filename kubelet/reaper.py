"""Ends what a killed kubelet leaves behind; a program of its own.

1. It is started with a mark and reads its standard input, a pipe that only the kubelet
   holds. When that ends, however the kubelet ended, every process whose environment
   carries the mark is killed, until there is none left.
2. The mark is drawn anew for each life of a kubelet, so nobody else's process can be
   meant; a process is held by a pidfd while its environment is read.

PR_SET_PDEATHSIG (child.py) ends a container's first process faster; this ends the rest.
"""

import os
import signal
import sys

VARIABLE = "ROLLBOOK_KUBELET"
ROUNDS = 100


def kill_all(mark: str) -> int:
    """Kills every process that carries the mark; returns how many there were."""
    wanted = f"{VARIABLE}={mark}".encode()
    killed = 0
    for name in os.listdir("/proc"):
        if not name.isdecimal() or int(name) == os.getpid():
            continue
        try:
            pidfd = os.pidfd_open(int(name))
        except OSError:
            continue
        try:
            with open(f"/proc/{name}/environ", "rb") as file:
                if wanted in file.read().split(b"\0"):
                    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
                    killed += 1
        except OSError:
            pass  # it is gone, or somebody else's
        finally:
            os.close(pidfd)
    return killed


def main(mark: str) -> None:
    """Waits for the end of the kubelet, then ends its pods."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while os.read(0, 512):
        pass
    for _ in range(ROUNDS):  # what forks while it is killed is found next time
        if not kill_all(mark):
            break


if __name__ == "__main__":
    main(sys.argv[1])
