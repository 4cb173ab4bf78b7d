"""Holds a container's process while kubelets come and go; a program of its own.

1. It runs as one small process per kubelet, which reads requests from its standard
   input, a socket, and forks a shim for each: so a shim costs a fork, not a start of
   an interpreter, and shares its memory. The first ends with its kubelet; the shims
   do not.
2. A shim starts the container in a session of its own, writes what it says into the
   log file, who runs into the identity file, and when it has ended its exit into the
   exit file, each all or nothing. Then it ends itself: whoever watches the shim may
   read the exit.
3. When a container's first process ends, what is left of its process group is killed
   before its pid is given back to the system.
4. A request is a length (8 bytes, little endian) and JSON; the answer is one line of
   JSON: `{"error": "…"}`, or who runs, by pid and by start, a number of `/proc`.

It imports little, and nothing of Rollbook: its memory is that of every container.
"""

import contextlib
import gc
import json
import os
import select
import signal
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Request = dict[str, Any]

LIMIT = 10 * 1024 * 1024
LINE_MAX = 16 * 1024
CHUNK = 64 * 1024
ROUNDS = 64
RESTORED = (
    signal.SIGCHLD,
    signal.SIGHUP,
    signal.SIGINT,
    signal.SIGPIPE,
    signal.SIGQUIT,
    signal.SIGTERM,
    signal.SIGXFSZ,
)


class LogWriter:
    """The log of one run of one container, in the format of `container_logs.py`.

    A file that has reached `limit` bytes is moved to `<file>.1`, which it replaces.
    """

    def __init__(self, path: "str | os.PathLike[str]", limit: int = LIMIT) -> None:
        self.path = os.fspath(path)
        self.lost = 0
        self._limit = limit
        os.makedirs(os.path.dirname(self.path), exist_ok=True)
        self._file = open(self.path, "ab", buffering=0)  # noqa: SIM115  # see `close`
        self._size = self._file.tell()
        self._partial: dict[str, bytes] = {}

    def write(self, stream: str, data: bytes) -> None:
        """Writes the complete lines of `data`; empty `data` ends the stream."""
        if self._file.closed:
            return
        pending = self._partial.pop(stream, b"") + data
        *lines, rest = pending.split(b"\n")
        prefix = f"{timestamp(time.time_ns())} {stream} ".encode()
        out = bytearray()
        for line in lines:
            while len(line) > LINE_MAX:
                out += prefix + b"P " + line[:LINE_MAX] + b"\n"
                line = line[LINE_MAX:]
            out += prefix + b"F " + line + b"\n"
        while len(rest) > LINE_MAX:
            out += prefix + b"P " + rest[:LINE_MAX] + b"\n"
            rest = rest[LINE_MAX:]
        if rest and not data:  # the end, without a newline
            out += prefix + b"F " + rest + b"\n"
        elif rest:
            self._partial[stream] = rest
        if out:
            try:
                self._append(bytes(out))
            except OSError:  # a full disk: the container goes on, unheard
                self.lost += len(out)

    def close(self) -> None:
        """Afterwards nothing more is written."""
        self._file.close()

    def _append(self, data: bytes) -> None:
        if self._size and self._size + len(data) > self._limit:
            self._file.close()
            os.replace(self.path, self.path + ".1")
            self._file = open(self.path, "ab", buffering=0)  # noqa: SIM115  # as above
            self._size = 0
        self._size += len(data)
        while data:
            data = data[self._file.write(data) :]


def timestamp(nanoseconds: int) -> str:
    """RFC 3339 in UTC with nine digits."""
    seconds, fraction = divmod(nanoseconds, 1_000_000_000)
    moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{moment}.{fraction:09d}Z"


def start_ticks(pid: int) -> int:
    """When the process started, in clock ticks since the start of the machine; with
    the pid it names a process for as long as the machine runs. 0 if there is none."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return int(file.read().rpartition(b")")[2].split()[19])
    except (OSError, IndexError, ValueError):
        return 0


def write_exit(path: str, status: int) -> None:
    """Leaves how the process ended, as `os.waitpid` tells it; never half of it."""
    code = os.waitstatus_to_exitcode(status)
    number = -code if code < 0 else 0
    found = {
        "exit_code": 128 + number if number else code,
        "signal": number,
        "finished_at": round(time.time(), 6),
    }
    _leave(path, found)


def _leave(path: str, found: "dict[str, float]") -> None:
    with contextlib.suppress(OSError):  # its pod may be gone with all that it has
        with open(path + ".new", "w") as file:
            json.dump(found, file)
        os.replace(path + ".new", path)


def main() -> None:
    """Answers requests until there is nobody who makes them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # shims are not waited for
    gc.disable()
    gc.freeze()  # a collection would copy what the shims share
    while True:
        head = _read(8)
        data = _read(int.from_bytes(head, "little")) if head else b""
        if not data:
            return
        try:
            child = os.fork()
        except OSError as error:
            _answer({"error": f"fork: {error.strerror}"})
            continue
        if child == 0:
            try:
                _hold(json.loads(data))
            finally:
                os._exit(0)


def _read(size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = os.read(0, size - len(data))
        if not more:
            return b""
        data += more
    return data


def _answer(found: "Request") -> None:
    os.write(0, json.dumps(found).encode() + b"\n")


def _hold(request: "Request") -> None:
    """Starts the container of `request` and stays until it has ended."""
    os.setsid()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    readers, writers = zip(os.pipe(), os.pipe(), os.pipe(), strict=True)
    pid = os.fork()
    if pid == 0:
        _become(request, *writers)
    for descriptor in writers:
        os.close(descriptor)
    error = os.read(readers[2], CHUNK)
    os.close(readers[2])
    if error:
        os.waitpid(pid, 0)
        _answer({"error": error.decode(errors="replace")})
        return
    log = LogWriter(request["log"])
    shim = os.getpid()
    identity = {
        "pid": pid,
        "start": start_ticks(pid),
        "shim": shim,
        "shim_start": start_ticks(shim),
        "started_at": round(time.time(), 6),
    }
    _leave(request["identity"], identity)  # also for a kubelet that has just ended
    with contextlib.suppress(OSError):
        _answer(identity)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.close(null)
    _follow(pid, readers[0], readers[1], log)
    _, status = os.waitpid(pid, 0)
    write_exit(request["exit"], status)


def _become(request: "Request", out: int, err: int, failed: int) -> None:
    """Turns this process into the container; says into `failed` why it could not."""
    try:
        os.setsid()
        for number in RESTORED:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.dup2(out, 1)
        os.dup2(err, 2)
        os.chdir(request["cwd"])
        os.execve(request["program"], request["command"], request["env"])  # noqa: S606  # there is none
    except OSError as error:
        where = error.filename or request["program"]
        os.write(failed, f'exec: "{where}": {error.strerror}'.lower().encode())
    finally:
        os._exit(127)


def _follow(pid: int, out: int, err: int, log: LogWriter) -> None:
    """Writes what the container says until it has ended and all is said."""
    streams = {out: "stdout", err: "stderr"}
    pidfd = os.pidfd_open(pid)
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    for descriptor in streams:
        os.set_blocking(descriptor, False)
        poll.register(descriptor, select.POLLIN)
    ended = False
    while not ended:
        for descriptor, _ in poll.poll():
            if descriptor == pidfd:
                ended = True
            elif _copy(descriptor, streams[descriptor], log) == 0:
                poll.unregister(descriptor)
    # It is a zombie now: its pid cannot be anybody else's until it is waited for.
    with contextlib.suppress(OSError):  # nothing of the group may be left
        os.killpg(pid, signal.SIGKILL)
    for descriptor, stream in streams.items():
        for _ in range(ROUNDS):  # 4 MiB; a pipe holds less, unless somebody writes on
            if _copy(descriptor, stream, log) <= 0:
                break
        log.write(stream, b"")
    log.close()


def _copy(descriptor: int, stream: str, log: LogWriter) -> int:
    """Reads once; how much it was, 0 at the end, -1 if there is nothing for now."""
    try:
        data = os.read(descriptor, CHUNK)
    except BlockingIOError:
        return -1
    except OSError:
        return 0
    if data:
        log.write(stream, data)
    return len(data)


if __name__ == "__main__":
    main()
