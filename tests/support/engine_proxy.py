"""A socket between a kubelet and its engine, for tests: it can be told to fail.

1. As long as it is `well`, bytes go through as they are, both ways.
2. A change of mood ends all connections that are open, but for `hangs`: there nobody
   notices anything, and what was sent comes through when it is over.
"""

import contextlib
import json
import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal

Mood = Literal["well", "hangs", "dies", "nonsense", "full"]
FULL: Final = "write /var/lib/containers/storage: no space left on device"
_CREATE: Final = re.compile(rb"POST \S*/containers/create\b")
_CHUNK: Final = 65536


class Proxy:
    """Listens at `path` for what is meant for the engine at `engine`."""

    def __init__(self, path: Path, engine: Path) -> None:
        self._path = path
        self._engine = engine
        self._mood: Mood = "well"
        self._changed = threading.Condition()
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._listener = self._listen()

    @property
    def url(self) -> str:
        """What a kubelet is told."""
        return f"unix://{self._path}"

    def turn(self, mood: Mood) -> None:
        """From now on it is like this."""
        with self._changed:
            before, self._mood = self._mood, mood
            self._changed.notify_all()
        if "hangs" not in (before, mood):
            self._cut()
        if mood == "dies":
            self._hush()
        elif before == "dies":
            self._listener = self._listen()

    def close(self) -> None:
        """Nothing of it is left."""
        self.turn("dies")
        self._cut()
        for thread in self._threads:
            thread.join()

    def _listen(self) -> socket.socket:
        self._path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(str(self._path))
        listener.listen(64)
        self._begin(self._accept, listener)
        return listener

    def _hush(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._path.unlink(missing_ok=True)

    def _cut(self) -> None:
        with self._changed:
            held = [*self._open]
        for each in held:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _begin(self, work: object, *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)  # type: ignore[arg-type]  # one of the methods below
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                self._begin(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        engine = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with client, engine, contextlib.suppress(OSError):
            with self._changed:
                self._open |= {client, engine}
            engine.connect(str(self._engine))
            back = threading.Thread(target=self._pump, args=(engine, client))
            back.start()
            self._pump(client, engine)
            back.join()
        with self._changed:
            self._open -= {client, engine}

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        """Hands on until one side has ended, or a mood has another answer."""
        with contextlib.suppress(OSError):
            while data := source.recv(_CHUNK):
                with self._changed:
                    self._changed.wait_for(lambda: self._mood != "hangs")
                    answer = _answer(self._mood, data)
                if answer:
                    source.sendall(answer)
                    break
                target.sendall(data)
        for each in (source, target):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def between(path: Path, engine: Path) -> Iterator[Proxy]:
    """It is there in the block."""
    proxy = Proxy(path, engine)
    try:
        yield proxy
    finally:
        proxy.close()


def _answer(mood: Mood, data: bytes) -> bytes:
    """What is said in the engine's place to what somebody sends; nothing otherwise."""
    if not data.startswith((b"GET ", b"POST ", b"DELETE ", b"HEAD ")):
        return b""  # the middle of a request, or what the engine says
    if mood == "nonsense":
        return _response("200 OK", b"\xff{ was soll das")
    if mood == "full" and _CREATE.match(data):
        body = json.dumps({"message": FULL}).encode()
        return _response("500 Internal Server Error", body)
    return b""


def _response(status: str, body: bytes) -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n"
    return f"{head}Connection: close\r\n\r\n".encode() + body
