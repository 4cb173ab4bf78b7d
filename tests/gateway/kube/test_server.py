"""The HTTPS server: who is let in, what a failure looks like, what bounds there are."""

import asyncio
import contextlib
import io
import socket
import ssl
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from gateway.kube import api_server, logins, server
from gateway.past import Past
from tests.gateway.support import Written, two_namespaces
from tests.support.nats import Broker, broker

SCALED = "/apis/apps/v1/namespaces/default/deployments"


class Served:
    """A running server, and a client that has the admin's token."""

    def __init__(self, api: api_server.ApiServer, port: int, files: Path) -> None:
        self.api = api
        self.port = port
        self.tls = ssl.create_default_context(cafile=str(files / "ca.crt"))
        self.headers: dict[str, str] = {}
        self.http = aiohttp.ClientSession(f"https://127.0.0.1:{port}")

    async def ask(
        self, method: str, path: str, **options: Any
    ) -> tuple[int, str, bytes]:
        """Code, media type and body of the answer."""
        headers = {**self.headers, **options.pop("headers", {})}
        async with self.http.request(
            method, path, headers=headers, ssl=self.tls, **options
        ) as found:
            return found.status, found.content_type, await found.read()

    async def json(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        """The answer's JSON; a body is JSON too."""
        if "data" in options:
            options["headers"] = {"Content-Type": "application/json"}
        _, _, body = await self.ask(method, path, **options)
        return msgspec.json.decode(body, type=dict[str, Any])


@contextlib.asynccontextmanager
async def served(folder: Path) -> AsyncIterator[Served]:
    """An api over the log of a simulation, with a real broker behind it."""
    sim = two_namespaces()
    async with broker(folder, nodes=(), users=("admin",)) as running:
        reader = await Written(sim).folded()
        past = Past(reader.log)
        api = api_server.ApiServer(
            reader,
            api_server.Settings(
                nats_url=running.server.url,
                listen="127.0.0.1",
                port=0,
                tls_folder=folder / "tls",
            ),
        )
        port = await api.start()
        found = Served(api, port, folder / "tls")
        found.headers = {"Authorization": f"Bearer {token(running)}"}
        try:
            assert (await found.ask("GET", "/readyz"))[0] == 503
            assert (await found.ask("GET", "/api"))[0] == 503
            api.open(past)
            yield found
        finally:
            await found.http.close()
            await api.stop()
            past.close()
            await reader.close()


def token(running: Broker) -> str:
    """The admin's bearer token."""
    return logins.token("admin", running.server.credential("admin").secret)


def status(message: str, rest: str) -> bytes:
    """A failure as it is on the wire."""
    head = '{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure",'
    return f'{head}"message":"{message}",{rest}}}\n'.encode()


@pytest.mark.asyncio
async def test_failures_are_kubernetes_to_the_byte(tmp_path: Path) -> None:
    """What client-go, kubectl and others tell failures apart by (spec 1.2)."""
    resource_gone = "the server could not find the requested resource"
    not_allowed = "the server does not allow this method on the requested resource"
    table: list[tuple[tuple[str, str, dict[str, Any]], int, bytes]] = [
        (
            ("GET", f"{SCALED}/nope", {}),
            404,
            status(
                'deployments.apps \\"nope\\" not found',
                '"reason":"NotFound","details":{"name":"nope","group":"apps",'
                '"kind":"deployments"},"code":404',
            ),
        ),
        (
            ("GET", "/apis/apps/v1/namespaces/default/nopes", {}),
            404,
            status(resource_gone, '"reason":"NotFound","details":{},"code":404'),
        ),
        (("GET", "/apis/nope/v1/x", {}), 404, b"404 page not found\n"),
        (("GET", "/nowhere", {}), 404, b"404 page not found\n"),
        (("GET", "/openapi/v3/apis/nope/v1", {}), 404, b"404 page not found\n"),
        (
            ("PUT", "/apis/apps/v1/deployments", {}),
            405,
            status(not_allowed, '"reason":"MethodNotAllowed","details":{},"code":405'),
        ),
        (
            ("GET", SCALED, {"headers": {"Accept": "text/html"}}),
            406,
            status(
                "only the following media types are accepted: application/json",
                '"reason":"NotAcceptable","details":{},"code":406',
            ),
        ),
        (
            (
                "PATCH",
                f"{SCALED}/a",
                {"data": b"{}", "headers": {"Content-Type": "application/json"}},
            ),
            415,
            status(
                "415: Unsupported Media Type",
                '"reason":"UnsupportedMediaType","details":{},"code":415',
            ),
        ),
        (
            ("GET", SCALED, {"headers": {"Authorization": "Bearer bm8"}}),
            401,
            status("Unauthorized", '"reason":"Unauthorized","code":401'),
        ),
        (
            ("GET", SCALED, {"headers": {"Authorization": ""}}),
            401,
            status("Unauthorized", '"reason":"Unauthorized","code":401'),
        ),
    ]
    async with served(tmp_path) as api:
        for (method, path, options), code, body in table:
            found = await api.ask(method, path, **options)
            assert (found[0], found[2]) == (code, body), path


@pytest.mark.asyncio
async def test_nobody_is_somebody_else(tmp_path: Path) -> None:
    """Who wants to act as another is refused in Kubernetes' words, and the request is
    not carried out as their own."""
    async with served(tmp_path) as api:
        for header, what in (("User", "users"), ("Group", "groups")):
            asked = {"headers": {f"Impersonate-{header}": "bob"}}
            found = await api.json("GET", SCALED, **asked)
            assert (found["code"], found["reason"]) == (403, "Forbidden")
            assert found["details"] == {"name": "bob", "kind": what}
            assert found["message"] == (
                f'{what} "bob" is forbidden: User "admin" cannot impersonate resource '
                f'"{what}" in API group "" at the cluster scope'
            )


@pytest.mark.asyncio
async def test_health_and_the_index_of_all_paths(tmp_path: Path) -> None:
    """`ok`, or with `verbose` what was looked at; and every path that `/` names is
    answered."""
    async with served(tmp_path) as api:
        for path in ("/healthz", "/livez", "/readyz"):
            assert (await api.ask("GET", path))[2] == b"ok"
            told = (await api.ask("GET", f"{path}?verbose"))[2].splitlines()
            assert told[-1] == f"{path[1:]} check passed".encode()
        accept = {"Accept": "application/com.github.proto-openapi.spec.v2, */*"}
        for path in (await api.json("GET", "/"))["paths"]:
            assert (await api.ask("GET", path, headers=accept))[0] == 200, path


@pytest.mark.asyncio
async def test_what_is_too_large_or_too_slow_is_refused_and_costs_nobody_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rule 1: bodies, heads, and connections that ask nothing."""
    async with served(tmp_path) as api:
        large = b'{"x":"' + b"x" * server.BODY_BYTES_MAX + b'"}'
        found = await api.json("POST", SCALED, data=io.BytesIO(large))
        assert (found["code"], found["reason"]) == (413, "RequestEntityTooLarge")
        code, _, _ = await api.ask("GET", SCALED, headers={"X-Long": "x" * 20_000})
        assert code == 400
        never = asyncio.Event()

        async def slow() -> AsyncIterator[bytes]:
            yield b"{"
            await never.wait()

        monkeypatch.setattr(server, "BODY_SECONDS", 0.05)
        assert (await api.ask("POST", SCALED, data=slow()))[0] == 408
        silent = [await _silent(api) for _ in range(3)]
        later = time.monotonic()
        while api.api.server.counters["connections.cut"] < len(silent):
            later += server.FIRST_SECONDS + 1
            api.api.server.tidy(later)
            await asyncio.sleep(0.001)
        for reader, writer in silent:
            async with asyncio.timeout(60):
                assert await reader.read() == b""
            writer.close()
        assert (await api.ask("GET", SCALED))[0] == 200


async def _silent(api: Served) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection that has begun and asks nothing."""
    return await asyncio.open_connection("127.0.0.1", api.port, ssl=api.tls)


@pytest.mark.asyncio
async def test_only_tls_of_our_own_authority_is_spoken(tmp_path: Path) -> None:
    """A client without the authority's certificate does not trust us, and plain HTTP
    gets no answer."""
    async with served(tmp_path) as api:
        with pytest.raises(ssl.SSLCertVerificationError):
            await asyncio.open_connection(
                "127.0.0.1", api.port, ssl=ssl.create_default_context()
            )
        with socket.create_connection(("127.0.0.1", api.port)) as plain:
            plain.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            plain.settimeout(60)
            answer = await asyncio.to_thread(plain.recv, 1_000)
        assert not answer.startswith(b"HTTP/1.1 200")


@pytest.mark.asyncio
async def test_a_watch_is_a_stream_that_ends_when_its_time_is_over(
    tmp_path: Path,
) -> None:
    """One JSON object a line, as they come."""
    async with served(tmp_path) as api:
        path = f"{SCALED}?watch=true&timeoutSeconds=1&allowWatchBookmarks=true"
        code, media, body = await api.ask("GET", path)
        events = [msgspec.json.decode(line) for line in body.splitlines()]
        assert (code, media) == (200, "application/json")
        assert [each["type"] for each in events] == ["ADDED", "ADDED", "BOOKMARK"]


@pytest.mark.asyncio
async def test_reviews_tell_what_the_broker_will_say(tmp_path: Path) -> None:
    """Who I am, what I may do; of one thing or of all (`kubectl auth`)."""
    async with served(tmp_path) as api:
        path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
        found = await api.json("POST", path, data=b"{}")
        assert found["status"]["userInfo"] == {
            "username": "admin",
            "groups": ["system:authenticated"],
        }
        path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
        for group, plural, verb, allowed in (
            ("apps", "deployments", "create", True),
            ("apps", "deployments", "watch", True),
            ("", "pods/log", "get", True),
            ("", "events", "delete", False),
            ("", "pods/exec", "create", True),
            ("", "pods/proxy", "create", False),
            ("x", "widgets", "get", False),
            ("*", "*", "*", True),
        ):
            attributes = {"group": group, "resource": plural, "verb": verb}
            body = {"spec": {"resourceAttributes": attributes}}
            data = msgspec.json.encode(body)
            found = await api.json("POST", path, data=data)
            assert found["status"]["allowed"] is allowed, (group, plural, verb)
            assert found["spec"] == body["spec"]
        path = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
        rules = (await api.json("POST", path, data=b"{}"))["status"]["resourceRules"]
        of = {(r["apiGroups"][0], r["resources"][0]): r["verbs"] for r in rules}
        assert of["", "events"] == ["get", "list", "watch"]
        assert "create" in of["", "pods/eviction"]


@pytest.mark.asyncio
async def test_the_openapi_documents_say_what_can_be_written(tmp_path: Path) -> None:
    """Each document is under the address that the index gives, every reference leads
    somewhere, and a patch takes the parameters that kubectl looks for."""
    async with served(tmp_path) as api:
        index = await api.json("GET", "/openapi/v3")
        for name, place in index["paths"].items():
            document = await api.json("GET", place["serverRelativeURL"])
            schemas = document["components"]["schemas"]
            assert references(document) <= {
                f"#/components/schemas/{n}" for n in schemas
            }
            assert all(path.startswith(f"/{name}/") for path in document["paths"])
        apps = await api.json(
            "GET", index["paths"]["apis/apps/v1"]["serverRelativeURL"]
        )
        patch = apps["paths"][f"{SCALED.replace('default', '{namespace}')}/{{name}}"]
        names = {each["name"] for each in patch["patch"]["parameters"]}
        assert names >= {"dryRun", "fieldManager", "fieldValidation", "force"}
        container = apps["components"]["schemas"]["io.k8s.api.core.v1.Container"]
        assert container["properties"]["ports"]["x-kubernetes-list-map-keys"] == [
            "containerPort",
            "protocol",
        ]
        rolling = "io.k8s.api.apps.v1.RollingUpdateDeployment"
        surge = apps["components"]["schemas"][rolling]["properties"]["maxSurge"]
        (one,) = references(surge)
        assert one.endswith(".util.intstr.IntOrString")
        accept = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
        code, media, body = await api.ask(
            "GET", "/openapi/v2", headers={"Accept": accept}
        )
        assert (code, media) == (
            200,
            "application/com.github.proto-openapi.spec.v2.v1.0+protobuf",
        )
        assert body.startswith(b"\x0a\x032.0")


def references(value: object) -> set[str]:
    """Every `$ref` in a document."""
    if isinstance(value, list):
        return {ref for each in value for ref in references(each)}
    if not isinstance(value, dict):
        return set()
    inside = {ref for each in value.values() for ref in references(each)}
    ref = value.get("$ref")
    return inside | {ref} if isinstance(ref, str) else inside


@pytest.mark.asyncio
async def test_every_namespace_has_the_certificate_that_clients_trust(
    tmp_path: Path,
) -> None:
    """The authority's own, to the byte; for what runs inside the cluster."""
    path = "/api/v1/namespaces/other/configmaps/kube-root-ca.crt"
    async with served(tmp_path) as api:
        code, _, body = await api.ask("GET", path)
    authority = (tmp_path / "tls" / "ca.crt").read_text()
    assert code == 200
    assert msgspec.json.decode(body)["data"] == {"ca.crt": authority}
