"""A small web server for the image catalogue: it answers with its version.

1. Standard library and few imports: it must be ready a few hundredths of a second after
   its start, because a rolling update waits for it.
2. One thread, one selector. A slow client costs nobody else anything.
3. TERM: connections are taken for another half second, because those who ask learn of
   the end later than we do; then the requests that have begun are answered, and the
   exit status is 0.

`GET /` names the server, its version and the pod (or serves `index.html` of `--root`),
`GET /healthz` says `ok`, other paths are files below `--root`.
"""

import os
import selectors
import signal
import socket
import sys
import time

LINE_MAX = 16 * 1024
IDLE_SECONDS = 60.0
DRAIN_SECONDS = 10.0
LINGER_SECONDS = 0.5
STATUS = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    431: "Request Header Fields Too Large",
}


class Connection:
    """One client: what it sent, and what it has yet to be sent."""

    def __init__(self, sock: socket.socket, peer: str) -> None:
        self.sock = sock
        self.peer = peer
        self.received = b""
        self.to_send = b""
        self.closing = False
        self.heard_at = time.monotonic()

    @property
    def idle(self) -> bool:
        """No request has begun, nothing is left to send."""
        return not self.received and not self.to_send


class Server:
    """See the rules at the top of the file."""

    def __init__(self, options: dict[str, str]) -> None:
        self.name = options.get("name", "webserver")
        self.version = options.get("version", "0")
        self.root = options.get("root", "")
        self.pod = os.environ.get("POD_NAME", "")
        self.stopping_at = 0.0
        self.connections: dict[int, Connection] = {}
        self.selector = selectors.DefaultSelector()
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        address = options.get("address", "127.0.0.1"), int(options.get("port", "8080"))
        self.listener.bind(address)
        self.listener.listen(512)
        self.listener.setblocking(False)
        self.selector.register(self.listener, selectors.EVENT_READ)
        self.waker, self.bell = socket.socketpair()
        self.bell.setblocking(False)
        self.waker.setblocking(False)
        self.selector.register(self.waker, selectors.EVENT_READ)
        signal.set_wakeup_fd(self.bell.fileno())
        signal.signal(signal.SIGTERM, self.stop)
        signal.signal(signal.SIGINT, self.stop)
        say(f"{self.name}/{self.version} listens on {address[0]}:{address[1]}")

    def stop(self, *_: object) -> None:
        """Stop accepting; `serve` returns when what has begun is answered."""
        self.stopping_at = self.stopping_at or time.monotonic()

    def serve(self) -> None:
        """Serves until it was told to stop and the last request is answered."""
        while not self.stopping_at or self.drain():
            for key, _ in self.selector.select(0.02 if self.stopping_at else 1.0):
                if key.fileobj is self.listener:
                    self.accept()
                elif key.fileobj is self.waker:
                    self.waker.recv(512)
                else:
                    self.turn(self.connections[key.fd])
            self.close_idle()
        say("all requests are answered, exiting")

    def drain(self) -> bool:
        """After TERM: whether there is still something to answer."""
        if self.listener.fileno() >= 0:
            if time.monotonic() - self.stopping_at < LINGER_SECONDS:
                return True
            self.accept()  # those that were connected before the TERM
            self.selector.unregister(self.listener)
            self.listener.close()
        for connection in list(self.connections.values()):
            if connection.idle and time.monotonic() - self.stopping_at > 0.05:
                self.close(connection)
        late = time.monotonic() - self.stopping_at > DRAIN_SECONDS
        return bool(self.connections) and not late

    def accept(self) -> None:
        """Takes all connections that wait."""
        while True:
            try:
                sock, peer = self.listener.accept()
            except OSError:
                return
            sock.setblocking(False)
            self.connections[sock.fileno()] = Connection(sock, peer[0])
            self.selector.register(sock, selectors.EVENT_READ)

    def turn(self, connection: Connection) -> None:
        """Reads, answers what is complete, and sends what the client takes."""
        try:
            if not connection.to_send:
                data = connection.sock.recv(64 * 1024)
                if not data:
                    self.close(connection)
                    return
                connection.received += data
                connection.heard_at = time.monotonic()
                self.answer(connection)
            if connection.to_send:
                sent = connection.sock.send(connection.to_send)
                connection.to_send = connection.to_send[sent:]
        except BlockingIOError:
            pass
        except OSError:
            self.close(connection)
            return
        if connection.to_send:
            self.selector.modify(connection.sock, selectors.EVENT_WRITE)
        elif connection.closing or (self.stopping_at and connection.idle):
            self.close(connection)
        else:
            self.selector.modify(connection.sock, selectors.EVENT_READ)

    def answer(self, connection: Connection) -> None:
        """Appends the answers to all complete requests."""
        while not connection.closing:
            head, found, rest = connection.received.partition(b"\r\n\r\n")
            if not found:
                if len(head) > LINE_MAX:
                    connection.to_send += self.response(431, "too large\n", True)
                    connection.received, connection.closing = b"", True
                return
            lines = head.decode("latin-1").split("\r\n")
            headers = {
                name.strip().lower(): value.strip()
                for name, _, value in (line.partition(":") for line in lines[1:])
            }
            length = headers.get("content-length", "0")
            if not length.isdecimal() or "transfer-encoding" in headers:
                status, body = 400, "bad request\n"
                connection.closing = True
            elif len(rest) < int(length) <= LINE_MAX:
                return  # its body is on the way
            else:
                connection.closing = int(length) > LINE_MAX
                rest = rest[int(length) :]
                status, body = self.handle(lines[0])
            last = headers.get("connection", "").lower() == "close"
            last = last or lines[0].endswith("HTTP/1.0") or bool(self.stopping_at)
            connection.closing = connection.closing or last
            connection.received = b"" if connection.closing else rest
            response = self.response(status, body, connection.closing)
            if lines[0].startswith("HEAD "):
                response = response.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
            connection.to_send += response
            if " /healthz " not in lines[0]:
                say(f'{connection.peer} "{lines[0]}" {status} {len(body)}')

    def handle(self, request: str) -> tuple[int, str]:
        """Status and body for a request line."""
        parts = request.split(" ")
        if len(parts) != 3 or not parts[2].startswith("HTTP/1."):
            return 400, "bad request\n"
        if parts[0] not in ("GET", "HEAD"):
            return 405, "only GET and HEAD\n"
        path = parts[1].partition("?")[0]
        if path == "/healthz":
            return 200, "ok\n"
        page = self.file("/index.html" if path == "/" else path)
        if page is not None:
            return 200, page
        if path == "/":
            return 200, f"{self.name} {self.version}\npod {self.pod}\n"
        return 404, "not found\n"

    def file(self, path: str) -> "str | None":
        """The content of a file below the root, if there is one."""
        if not self.root:
            return None
        root = os.path.realpath(self.root)
        name = os.path.realpath(root + path)
        if not name.startswith(root + os.sep):
            return None
        try:
            with open(name, encoding="utf-8", errors="replace") as file:
                return file.read()
        except OSError:
            return None

    def response(self, status: int, body: str, last: bool) -> bytes:
        """A whole response."""
        data = body.encode()
        kind = "text/html" if body.startswith("<") else "text/plain"
        head = (
            f"HTTP/1.1 {status} {STATUS[status]}\r\n"
            f"Server: {self.name}/{self.version}\r\n"
            f"Content-Type: {kind}; charset=utf-8\r\n"
            f"Content-Length: {len(data)}\r\n"
            f"Connection: {'close' if last else 'keep-alive'}\r\n\r\n"
        )
        return head.encode() + data

    def close_idle(self) -> None:
        """Ends connections that have been silent for too long."""
        oldest = time.monotonic() - IDLE_SECONDS
        for connection in list(self.connections.values()):
            if connection.heard_at < oldest:
                self.close(connection)

    def close(self, connection: Connection) -> None:
        """Forgets the client."""
        self.connections.pop(connection.sock.fileno(), None)
        self.selector.unregister(connection.sock)
        connection.sock.close()


def say(text: str) -> None:
    """One line for `logs`."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main(arguments: list[str]) -> None:
    """`--option value …`; see `Server` for the options."""
    names = [argument.removeprefix("--") for argument in arguments[::2]]
    try:
        server = Server(dict(zip(names, arguments[1::2], strict=False)))
    except (OSError, ValueError) as error:
        sys.exit(f"cannot start: {error}")
    server.serve()


if __name__ == "__main__":
    main(sys.argv[1:])
