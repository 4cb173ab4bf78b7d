"""The Kubernetes API of a running cluster, asked without any client library."""

import base64
import contextlib
import http.client
import json
import resource
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

GUARD_SECONDS: Final = 120.0
"""Nothing here waits so long unless something hangs."""
JSON: Final = "application/json"


class Answer(NamedTuple):
    """What came back; `document` is None where the body is no JSON."""

    code: int
    document: Any
    headers: http.client.HTTPMessage
    body: bytes


class Api:
    """One user's way to one API server, out of a kubeconfig."""

    def __init__(self, kubeconfig: Path) -> None:
        told = json.loads(kubeconfig.read_text())
        cluster = told["clusters"][0]["cluster"]
        parts = urlsplit(cluster["server"])
        assert parts.hostname is not None
        assert parts.port is not None
        self.url = str(cluster["server"])
        self.host, self.port = parts.hostname, parts.port
        self.token = str(told["users"][0]["user"]["token"])
        authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        self.tls = ssl.create_default_context(cadata=authority)

    @property
    def headers(self) -> dict[str, str]:
        """Who asks."""
        return {"Authorization": f"Bearer {self.token}"}

    def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        content_type: str = JSON,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """One request on a connection of its own; `body` is JSON unless it is bytes."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        said = {**self.headers, "Content-Type": content_type, **(headers or {})}
        connection = http.client.HTTPSConnection(
            self.host, self.port, timeout=GUARD_SECONDS, context=self.tls
        )
        with contextlib.closing(connection):
            sent = None if body is None else data
            connection.request(method, path, body=sent, headers=said)
            reply = connection.getresponse()
            found = reply.read()
        document = None
        with contextlib.suppress(ValueError):
            document = json.loads(found)
        return Answer(reply.status, document, reply.headers, found)

    @contextlib.contextmanager
    def plain_socket(self) -> Iterator[socket.socket]:
        """A TCP connection to the port, without TLS."""
        with socket.create_connection((self.host, self.port), GUARD_SECONDS) as opened:
            yield opened

    @contextlib.contextmanager
    def tls_socket(self) -> Iterator[ssl.SSLSocket]:
        """A connection on which nothing was asked yet."""
        with (
            self.plain_socket() as opened,
            self.tls.wrap_socket(opened, server_hostname=self.host) as wrapped,
        ):
            yield wrapped


def status(answer: Answer) -> tuple[int, str]:
    """Code and reason of a refusal; it must be a Status, as clients expect."""
    assert answer.document is not None, answer
    assert answer.document["kind"] == "Status", answer.document
    assert answer.document["code"] == answer.code, answer.document
    assert answer.document["message"], answer.document
    return answer.code, answer.document["reason"]


def deployment(name: str, replicas: int = 1, image: str = "nginx:1.7.9") -> Any:
    """A Deployment of one container, as JSON."""
    labels = {"app": name}
    container = {"name": "web", "image": image, "ports": [{"containerPort": 80}]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [container]},
            },
        },
    }


def configmap(name: str, **data: str) -> Any:
    """A ConfigMap, as JSON."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name},
        "data": data,
    }


def raise_open_files(wanted: int) -> int:
    """Afterwards this process and its children may have up to `wanted` files open, as
    far as is allowed; how many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
        return allowed
    return soft
