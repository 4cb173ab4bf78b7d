"""Ends the pods that must not outlive somebody; a program of its own.

1. It is started with a mark and the pid of a guardian: the kubelet, or its supervisor
   where a new kubelet would go on with the pods. When the guardian has ended, however
   it ended, every process whose environment carries the mark is killed, until there is
   none left.
2. The mark is drawn for one kubelet's folder, so nobody else's process can be meant;
   a process is held by a pidfd while its environment is read.
3. A kubelet that goes on with the pods ends the reaper of the one before it.

It imports nothing of Rollbook, and stays small.
"""

import os
import select
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


def main(mark: str, guardian: int) -> None:
    """Waits for the end of the guardian, then ends the pods."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        pidfd = os.pidfd_open(guardian)
    except OSError:
        pidfd = -1  # it has ended already
    os.write(1, b"\n")  # from here on it is seen
    if pidfd >= 0:
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        poll.poll()
    for _ in range(ROUNDS):  # what forks while it is killed is found next time
        if not kill_all(mark):
            break


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
