"""The catalogue's web server, as a process."""

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kubelet import images
from tests.support import ports

ADDRESS = "127.0.0.1"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """The server and its port; killed afterwards."""
    (tmp_path / "page.txt").write_text("a page\n")
    port = ports.free_port()
    command = [
        sys.executable, "-S", "-E", "-B", str(images.SHIPPED / "webserver.py"),
        "--name", "nginx", "--version", "1.9.1", "--port", str(port),
        "--root", str(tmp_path),
    ]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env={"POD_NAME": "p"})
    assert process.stdout is not None
    process.stdout.readline()  # it listens now
    yield process, port
    process.kill()
    process.communicate()


def ask(port: int, request: bytes) -> bytes:
    """All that one connection answers."""
    with socket.create_connection((ADDRESS, port), 10) as client:
        client.sendall(request)
        answer = b""
        while data := client.recv(65536):
            answer += data
    return answer


def get(path: str, extra: str = "Connection: close") -> bytes:
    """A request."""
    return f"GET {path} HTTP/1.1\r\nHost: x\r\n{extra}\r\n\r\n".encode()


@pytest.mark.parametrize(("request_", "status", "body"), [
    (get("/"), b"200 OK", b"nginx 1.9.1\npod p\n"),
    (get("/healthz"), b"200 OK", b"ok\n"),
    (get("/page.txt?x=1"), b"200 OK", b"a page\n"),
    (get("/none"), b"404 Not Found", b"not found\n"),
    (get("/../../etc/passwd"), b"404 Not Found", b"not found\n"),
    (get("/").replace(b"GET", b"PUT"), b"405 Method Not Allowed",
     b"only GET and HEAD\n"),
    (get("/").replace(b"GET", b"HEAD"), b"200 OK", b""),
    (b"rubbish\r\n\r\n", b"400 Bad Request", b"bad request\n"),
    (b"GET / HTTP/1.0\r\n\r\n", b"200 OK", b"nginx 1.9.1\npod p\n"),
    (get("/", "Content-Length: x"), b"400 Bad Request", b"bad request\n"),
    (b"GET / HTTP/1.1\r\nX: " + b"x" * 20_000, b"431 Request Header Fields Too Large",
     b"too large\n"),
])  # fmt: skip
def test_answers(
    server: tuple[subprocess.Popen[bytes], int],
    request_: bytes,
    status: bytes,
    body: bytes,
) -> None:
    """Whatever is asked, there is an answer; nothing outside of the root is served."""
    if request_ == b"rubbish\r\n\r\n":
        request_ = b"rubbish\r\nConnection: close\r\n\r\n"
    head, _, found = ask(server[1], request_).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 " + status)
    assert found == body
    assert b"Server: nginx/1.9.1" in head


def test_several_requests_on_one_connection(
    server: tuple[subprocess.Popen[bytes], int],
) -> None:
    """Also when they are sent without waiting."""
    answer = ask(server[1], get("/healthz", "X: y") * 3 + get("/healthz"))
    assert answer.count(b"200 OK") == 4


def test_term_finishes_what_has_begun(
    server: tuple[subprocess.Popen[bytes], int],
) -> None:
    """An open request is answered, new connections are refused, exit status 0."""
    process, port = server
    with socket.create_connection((ADDRESS, port), 10) as client:
        client.sendall(b"GET / HTTP/1.1\r\n")
        ask(port, get("/healthz"))  # so the beginning of the request was read
        process.send_signal(signal.SIGTERM)
        refused = False
        while not refused:
            try:
                socket.create_connection((ADDRESS, port), 10).close()
            except ConnectionRefusedError:
                refused = True
            except ConnectionResetError:
                pass  # it was about to be taken
        client.sendall(b"Host: x\r\n\r\n")
        answer = b""
        while data := client.recv(65536):
            answer += data
    assert b"nginx 1.9.1" in answer
    assert process.wait(60) == 0
