"""Hostile and broken clients: each meets a bound and a clear answer, others go on.

`KUBE_ABUSE_IDLE=10000` opens as many idle connections as that; in CI it is 500.
"""

import contextlib
import gzip
import os
import selectors
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from typing import Final

import psutil
import pytest

from tests.e2e.kube_bodies import BODIES, DEPLOYMENTS, MERGE_PATCH, OBJECTS
from tests.support import kubeapi, system
from tests.support.kubeapi import Api
from tests.support.system import System, eventually

pytestmark = pytest.mark.e2e

IDLE: Final = int(os.environ.get("KUBE_ABUSE_IDLE", "500"))
REFUSED: Final = (b"HTTP/1.0 4", b"HTTP/1.1 4")
WRITE_SECONDS: Final = 30
"""So long a client may take nothing."""
BODIES_MAX: Final = 256
"""So many may be on their way at a time."""
SLOW: Final = 40
"""Clients that are slow at the same time."""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """One hollow node."""
    kubeapi.raise_open_files(IDLE * 2 + 1_000)  # the api inherits it
    folder = tmp_path_factory.mktemp("abuse")
    with system.running(folder / "c", "--runtime", "hollow", "--nodes", "1") as found:
        yield found


@pytest.fixture(scope="module")
def kube(cluster: System) -> Api:
    """The API as the user of the kubeconfig sees it; there is something to change."""
    api = Api(cluster.folder / "kubeconfig")
    assert api.ask("POST", OBJECTS, kubeapi.configmap("victim", a="1")).code == 201
    made = api.ask("POST", DEPLOYMENTS, kubeapi.deployment("victim", 1))
    assert made.code == 201
    return api


@pytest.fixture(autouse=True)
def _others_are_served(cluster: System, kube: Api) -> Iterator[None]:
    """Before, meanwhile and afterwards somebody else asks, and is answered; the api is
    the same process, and nothing of ours went wrong in it."""
    pid, log = cluster.pid("api"), cluster.folder / "logs" / "api.log"
    before = log.read_text()
    over, refused = threading.Event(), list[object]()

    def ask() -> None:
        while not over.wait(0.05):
            try:
                answer = kube.ask("GET", f"{OBJECTS}/victim")
            except OSError as error:
                refused.append(error)
            else:
                if answer.code != 200:
                    refused.append(answer)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    yield
    over.set()
    thread.join(kubeapi.GUARD_SECONDS)
    assert not refused, refused[:3]
    assert cluster.pid("api") == pid
    assert "Traceback" not in log.read_text()[len(before) :]


# --- bodies ---------------------------------------------------------------------------


@pytest.mark.parametrize("given", BODIES.values(), ids=BODIES.keys())
def test_a_bad_body_is_refused_with_its_reason(
    kube: Api, given: tuple[str, str, bytes, str]
) -> None:
    """A Status below 500 says what is wrong, and the object is what it was."""
    method, path, body, content_type = given
    before = kube.ask("GET", f"{OBJECTS}/victim").document
    if "apply" in content_type:
        path += "?fieldManager=abuse"
    answer = kube.ask(method, path, body, content_type=content_type)
    code, reason = kubeapi.status(answer)
    assert 400 <= code < 500, answer.document
    assert reason, answer.document
    assert kube.ask("GET", f"{OBJECTS}/victim").document == before


def test_a_packed_body_is_bounded_unpacked(kube: Api) -> None:
    """A few kilobytes that unpack to gigabytes do not."""
    packed = gzip.compress(b" " * (64 * 1024 * 1024))
    answer = kube.ask("POST", OBJECTS, packed, headers={"Content-Encoding": "gzip"})
    code, _ = kubeapi.status(answer)
    assert 400 <= code < 500


@pytest.mark.parametrize(
    "fields",
    [
        [f"unknown{n}" for n in range(5_000)],
        ["x" * 1_000_000],
        ['a"b\\c\n\x1f\u2028ü\x9f'],
    ],
    ids=["many", "long", "odd"],
)
def test_warnings_fit_into_a_head(kube: Api, fields: list[str]) -> None:
    """Fields that nobody knows are told of in headers, whatever they are called, and as
    many as a client can read; the object is made."""
    body = kubeapi.configmap("warned") | dict.fromkeys(fields, 1)
    path = f"{OBJECTS}?dryRun=All&fieldValidation=Warn"
    answer = kube.ask("POST", path, body)
    assert answer.code == 201
    told = answer.headers.get_all("Warning") or []
    assert 1 <= len(told) <= 40
    assert all(each.startswith('299 - "unknown field') for each in told[:1])


# --- heads, tokens, paths -------------------------------------------------------------


@pytest.mark.parametrize(
    "token",
    ["", "x", "%%%", "a" * 10_000, "YWRtaW46d3Jvbmc", "Y29udHJvbDp4"],
    ids=["none", "short", "no base64", "long", "wrong", "a part of the system"],
)
def test_a_bad_token_is_401(kube: Api, token: str) -> None:
    """And it says nothing about why."""
    answer = kube.ask("GET", OBJECTS, headers={"Authorization": f"Bearer {token}"})
    assert kubeapi.status(answer) == (401, "Unauthorized")


@pytest.mark.parametrize(
    "path",
    [
        f"{OBJECTS}/..%2f..%2fsecrets",
        f"{OBJECTS}/%00",
        f"{OBJECTS}/{'x' * 4_000}",
        f"{OBJECTS}/a.*.>",
        "/api/v1/namespaces/%2e%2e/configmaps/a",
        "/apis/apps/v1/namespaces/*/deployments/web",
        "/openapi/v3/../../etc/passwd",
        "//",
        f"{OBJECTS}?limit=-1",
        f"{OBJECTS}?limit=1&continue=zzz",
        f"{OBJECTS}?resourceVersion=-7",
        f"{OBJECTS}?resourceVersion={'9' * 400}",
        f"{OBJECTS}?watch=1&resourceVersion=abc",
        f"{OBJECTS}?watch=1&timeoutSeconds=-1",
        f"{OBJECTS}?labelSelector=((((",
        f"{OBJECTS}?fieldSelector=a%3Db,c",
    ],
)
def test_a_strange_path_is_answered_below_500(kube: Api, path: str) -> None:
    """Whatever is asked for: an answer of its own, in time."""
    answer = kube.ask("GET", path)
    assert 400 <= answer.code < 500, answer
    if answer.document is not None:
        kubeapi.status(answer)


def test_a_version_that_is_yet_to_come_is_504(kube: Api) -> None:
    """As Kubernetes says it: a timeout, with advice to come again."""
    version = "resourceVersion=99999999999&resourceVersionMatch=Exact"
    answer = kube.ask("GET", f"{OBJECTS}?{version}")
    assert kubeapi.status(answer) == (504, "Timeout")
    assert answer.document["details"]["retryAfterSeconds"] == 1


@pytest.mark.parametrize(
    "head",
    [
        b"GARBAGE\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /version HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 200_000 + b"\r\n",
        b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\n\r\n",
        b"POST /api HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\n",
        b"POST /api HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /api HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"\x00" * 1_000,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
    ids=["garbage", "version", "many", "long", "negative", "both", "chunks", "zeros",
         "http2"],
)  # fmt: skip
def test_a_bad_head_is_400_or_the_end(kube: Api, head: bytes) -> None:
    """What is no HTTP gets a 4xx or a closed connection, and soon."""
    with kube.tls_socket() as opened:
        said = b""
        try:
            opened.sendall(head)
            while piece := opened.recv(65_536):
                said += piece
        except OSError:
            pass  # reset, with what had been said by then
    assert said == b"" or said.startswith(REFUSED), said[:200]


# --- TLS ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "greeting",
    [
        b"GET /version HTTP/1.1\r\nHost: a\r\n\r\n",
        b"\x16\x03\x01\xff\xff" + b"\x00" * 2_000,
        os.urandom(512),
        b"",
    ],
    ids=["plain HTTP", "broken handshake", "noise", "silence"],
)
def test_what_is_no_tls_is_closed(kube: Api, greeting: bytes) -> None:
    """A client that does not shake hands is let go, also one that says nothing."""
    with kube.plain_socket() as opened:
        try:
            opened.sendall(greeting)
            while opened.recv(65_536):
                pass
        except ConnectionError:
            pass  # as good an end as any


def test_old_tls_is_refused(kube: Api) -> None:
    """Nothing below TLS 1.2 is spoken."""
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        old.minimum_version = ssl.TLSVersion.TLSv1
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    with (
        kube.plain_socket() as opened,
        pytest.raises((ssl.SSLError, ConnectionError)),
        old.wrap_socket(opened),
    ):
        pass


# --- slow clients ---------------------------------------------------------------------


def _dribble(kube: Api, first: bytes, more: bytes) -> bytes:
    """What comes back to who sends `first` at once, and then a byte a second."""
    said = b""
    with kube.tls_socket() as opened:
        opened.sendall(first)
        opened.settimeout(1.0)
        deadline = time.monotonic() + kubeapi.GUARD_SECONDS
        for each in more:
            assert time.monotonic() < deadline, "it is never let go"
            try:
                opened.sendall(bytes([each]))
                piece = opened.recv(65_536)
            except TimeoutError:
                continue
            except OSError:
                return said
            if not piece:
                return said
            said += piece
    raise AssertionError("it could send all it had")


def _together(count: int, kube: Api, first: bytes, more: bytes) -> list[bytes]:
    said: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: said.append(_dribble(kube, first, more)))
        for _ in range(count)
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(said) == count, "each of them was let go"
    return said


def test_a_head_that_dribbles_is_cut(kube: Api) -> None:
    """A byte of a head each second: the connection is closed, and not after an hour."""
    for said in _together(SLOW, kube, b"", b"GET /version HTTP/1.1\r\n" + b"X" * 120):
        assert said == b"" or said.startswith(REFUSED), said


@pytest.mark.skipif(IDLE <= 500, reason="it takes as long as a connection may be idle")
def test_a_second_head_that_dribbles_is_cut(kube: Api) -> None:
    """The same on a connection that has been of use already."""
    first = b"GET /version HTTP/1.1\r\nHost: a\r\n\r\n"
    (said,) = _together(1, kube, first, b"GET /version HTTP/1.1\r\n" + b"X" * 120)
    assert said.startswith(b"HTTP/1.1 200")


def test_a_body_that_stalls_is_408(kube: Api) -> None:
    """The rest of a body that never comes is not waited for for ever."""
    first = (
        f"POST {OBJECTS} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {kube.token}\r\nContent-Length: 1000000\r\n\r\n{{"
    ).encode()
    for said in _together(SLOW, kube, first, b" " * 120):
        assert said.startswith(b"HTTP/1.1 408"), said
        assert b'"reason":"Timeout"' in said


def test_a_body_of_a_stranger_is_not_waited_for(kube: Api) -> None:
    """Who has no token is 401 at once, whatever he goes on to send."""
    first = (
        f"POST {OBJECTS} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
        "Content-Length: 1000000\r\n\r\n{"
    ).encode()
    (said,) = _together(1, kube, first, b" " * 120)
    assert said.startswith(b"HTTP/1.1 401"), said


def test_bodies_that_stall_keep_no_reader_waiting(kube: Api) -> None:
    """More of them than are taken in at a time: writers are told to come again, and
    reading goes on."""
    first = (
        f"POST {OBJECTS} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {kube.token}\r\nContent-Length: 1000000\r\n\r\n{{"
    ).encode()
    with contextlib.ExitStack() as stack:
        for _ in range(BODIES_MAX):
            stack.enter_context(kube.tls_socket()).sendall(first)
        made = kubeapi.configmap("late")
        eventually(lambda: kube.ask("POST", OBJECTS, made).code == 429, "a bound")
        assert kube.ask("GET", DEPLOYMENTS).code == 200
    eventually(lambda: kube.ask("POST", OBJECTS, made).code in (201, 409), "room again")


def test_who_does_not_read_costs_the_others_nothing(kube: Api) -> None:
    """Many lists are asked for and never read: what is kept for them is bounded."""
    for number in range(20):
        text = kubeapi.configmap(f"large-{number}", text="x" * 500_000)
        assert kube.ask("POST", OBJECTS, text).code == 201
    head = (
        f"GET {OBJECTS} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {kube.token}\r\n"
        "\r\n"
    ).encode()
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(kube.tls_socket()) for _ in range(10)]
        for each in sockets:
            each.sendall(head * 5)  # and never reads
        for _ in range(20):
            assert kube.ask("GET", f"{OBJECTS}/victim").code == 200
    for number in range(20):
        kube.ask("DELETE", f"{OBJECTS}/large-{number}")


@pytest.mark.skipif(IDLE <= 500, reason="it takes as long as a client may be slow")
def test_a_watch_that_is_not_read_is_cut(kube: Api, cluster: System) -> None:
    """Its backlog does not grow for ever: it ends in the middle, and others go on."""
    process = psutil.Process(cluster.pid("api"))
    head = (
        f"GET {OBJECTS}?watch=1 HTTP/1.1\r\nHost: a\r\n"
        f"Authorization: Bearer {kube.token}\r\n\r\n"
    ).encode()
    assert kube.ask("POST", OBJECTS, kubeapi.configmap("watched")).code == 201
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(kube.tls_socket()) for _ in range(10)]
        for each in sockets:
            each.sendall(head)
        before = process.memory_info().rss
        for number in range(100):
            body = {"data": {"text": str(number % 10) * 500_000}}
            merged = kube.ask(
                "PATCH", f"{OBJECTS}/watched", body,
                content_type=f"application/{MERGE_PATCH}",
            )  # fmt: skip
            assert merged.code == 200
        grown = process.memory_info().rss - before
        assert grown < 500_000_000, "50 MB of changes, ten times over"
        time.sleep(WRITE_SECONDS + 5)
        for each in sockets:
            said = b""
            try:
                while piece := each.recv(1_000_000):
                    said += piece
            except OSError:
                pass  # cut is cut
            assert said.startswith(b"HTTP/1.1 200")
            assert not said.endswith(b"\r\n0\r\n\r\n"), "it was not told of an end"


# --- many -----------------------------------------------------------------------------


@pytest.mark.parametrize("greets", [False, True], ids=["silent", "with TLS"])
def test_idle_connections_are_let_go(kube: Api, greets: bool) -> None:
    """Hundreds, or ten thousand, that ask nothing: they end, and others are served."""
    count = min(IDLE, kubeapi.raise_open_files(IDLE * 2 + 1_000) - 500)
    waiting = selectors.DefaultSelector()
    try:
        for _ in range(count):
            each = socket.create_connection((kube.host, kube.port), 60)
            if greets:
                each = kube.tls.wrap_socket(each, server_hostname=kube.host)
            each.setblocking(False)
            waiting.register(each, selectors.EVENT_READ)
        assert kube.ask("GET", f"{OBJECTS}/victim").code == 200

        def ended() -> bool:
            for key, _ in waiting.select(0):
                assert isinstance(key.fileobj, socket.socket)
                try:
                    more = key.fileobj.recv(4_096)
                except (BlockingIOError, ssl.SSLWantReadError):
                    continue
                except OSError:
                    more = b""
                if not more:
                    waiting.unregister(key.fileobj)
                    key.fileobj.close()
            return not waiting.get_map()

        eventually(ended, f"{count} connections are let go")
    finally:
        for key in list(waiting.get_map().values()):
            assert isinstance(key.fileobj, socket.socket)
            key.fileobj.close()
        waiting.close()


def test_more_requests_at_once_than_are_answered(kube: Api) -> None:
    """A crowd: each is answered, or told to come again; nobody is left hanging."""
    codes: list[int] = []

    def ask() -> None:
        codes.extend(kube.ask("GET", DEPLOYMENTS).code for _ in range(5))

    threads = [threading.Thread(target=ask) for _ in range(100)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(kubeapi.GUARD_SECONDS)
    assert len(codes) == 500
    assert set(codes) <= {200, 429}
    assert 200 in codes
