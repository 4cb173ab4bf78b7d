"""`--runtime auto`: containers where an engine answers, else processes, and why."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters import engine
from rollbook import choosing
from rollbook.options import Runtime

VERSION = b'{"Version": "4.3.1", "ApiVersion": "1.41", "Components": []}'


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without any engine's socket."""
    monkeypatch.setattr(engine, "candidates", lambda _: [])


@pytest.fixture
def stale(tmp_path: Path) -> str:
    """The URL of a socket on which nobody listens any more."""
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "docker.sock"))
    return f"unix://{tmp_path}/docker.sock"


@pytest.fixture
def answering(tmp_path: Path) -> Iterator[str]:
    """The URL of a server that answers as an engine does."""
    path = tmp_path / "docker.sock"
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    server.listen()

    def answer() -> None:
        while True:
            try:
                client, _ = server.accept()
            except OSError:
                return
            with client:
                client.recv(65536)
                head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                size = f"Content-Length: {len(VERSION)}\r\nConnection: close\r\n\r\n"
                client.sendall(head + size.encode() + VERSION)

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    yield f"unix://{path}"
    server.shutdown(socket.SHUT_RDWR)
    server.close()
    thread.join()


@pytest.mark.parametrize("asked", ["process", "container", "hollow"])
def test_what_people_say_is_what_they_get(asked: Runtime) -> None:
    """Without a look at any engine, and without a reason."""
    assert choosing.choose(asked, {}) == choosing.Choice(runtime=asked)


@pytest.mark.usefixtures("nowhere")
def test_without_a_socket_there_are_processes() -> None:
    """And it is said why."""
    assert choosing.choose("auto", {}) == choosing.Choice(
        runtime="process", why="no container engine has a socket here"
    )


def test_where_nobody_answers_there_are_processes(stale: str) -> None:
    """With the place that was asked."""
    found = choosing.choose("auto", {"DOCKER_HOST": stale})
    assert found == choosing.Choice(
        runtime="process", why=f"no engine answers at {stale}"
    )


def test_where_an_engine_answers_there_are_containers(answering: str) -> None:
    """With its version and why it was asked."""
    found = choosing.choose("auto", {"DOCKER_HOST": answering})
    assert found.runtime == "container"
    assert f"4.3.1 answers at {answering}: DOCKER_HOST names it" in found.why
