"""End to end without a Prometheus: a small server of ours gives the numbers, or a user
publishes them; both roll a bad revision back, and every place tells why."""

import asyncio
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs

import msgspec
import pytest

from adapters import context, nats_wire
from tests.monitoring.test_prometheus import vector
from tests.monitoring.test_stories import (
    IMAGE,
    analysed,
    apply,
    image,
    manifest,
    rolled_out,
    told,
)
from tests.support import system
from tests.support.system import System, eventually

pytestmark = pytest.mark.e2e


class Asked(BaseHTTPRequestHandler):
    """Answers a query, which is the name of a ReplicaSet: 0 for the first one that is
    asked for, 1 for every other."""

    first = ""

    def do_POST(self) -> None:
        """As Prometheus' instant query."""
        length = int(self.headers["Content-Length"])
        (query,) = parse_qs(self.rfile.read(length).decode())["query"]
        Asked.first = Asked.first or query
        answer = vector("0" if query == Asked.first else "1").encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """The cluster, with a monitor that knows the small server."""
    folder = tmp_path_factory.mktemp("small")
    images = folder / "images"
    images.mkdir()
    source = Path(__file__).with_name("webapp.py")
    (images / "webapp.py").write_text(source.read_text())
    for tag in ("good", "bad"):
        text = IMAGE.format(tag=tag, status=200, load=5)
        (images / f"app_{tag}.toml").write_text(text)
    Asked.first = ""
    with ThreadingHTTPServer(("127.0.0.1", 0), Asked) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            options = {
                "--nodes": "1",
                "--images": str(images),
                "--prometheus": f"http://127.0.0.1:{server.server_port}",
            }
            given = [word for pair in options.items() for word in pair]
            with system.running(folder / "data", "--monitor", *given) as found:
                yield found
        finally:
            server.shutdown()
            thread.join()


def test_a_rollback_is_told_with_its_figures(cluster: System) -> None:
    """The history and `why` name what was measured and what was rolled back (B45)."""
    check = analysed(name="errors", prometheus="$replicaset", max=0)
    apply(cluster, manifest("queried", "app:good", annotations=check))
    rolled_out(cluster, "queried")
    ended = "AnalysisEnded"
    eventually(lambda: ended in told(cluster, "queried"), "the first one is good")
    apply(cluster, manifest("queried", "app:bad", annotations=check))

    eventually(lambda: image(cluster, "queried") == "app:good", "rolled back")
    rolled_out(cluster, "queried")
    history = cluster.cli("rollout", "history", "deployment/queried")
    assert "rolled back from revision 2: errors 1 > 0 in 1 of 1 measurement" in history
    why = cluster.cli("why", "deployment/queried")
    assert "Deployment queried was rolled back to revision 1" in why
    assert "failed the analysis of revision 2: errors 1 > 0" in why
    assert "was given another template" not in why, "nobody wants that any more"


def test_what_a_user_publishes_rolls_back(cluster: System) -> None:
    """A number at rollbook.metric.<user>.<namespace>.<metric> is a check's metric."""
    check = analysed(name="depth", metric="depth", max=10)
    apply(cluster, manifest("published", "app:good", annotations=check))
    rolled_out(cluster, "published")
    publish(cluster, 5)
    ended = "AnalysisEnded"
    eventually(lambda: ended in told(cluster, "published"), "the first one is good")
    apply(cluster, manifest("published", "app:bad", annotations=check))

    def published_and_rolled_back() -> bool:
        publish(cluster, 50)
        return image(cluster, "published") == "app:good"

    eventually(published_and_rolled_back, "rolled back")
    rolled_out(cluster, "published")
    history = cluster.cli("rollout", "history", "deployment/published")
    assert "rolled back from revision 2: depth 50 > 10" in history


def publish(cluster: System, value: float) -> None:
    """The user says the metric once."""

    async def say() -> None:
        found = context.load_context(str(cluster.context), {})
        client = await nats_wire.connect(
            found.nats_url, found.user, found.secret, "test"
        )
        try:
            subject = nats_wire.metric_subject(found.user, "default", "depth")
            await client.publish(subject, msgspec.json.encode({"value": value}))
            await client.flush()
        finally:
            await nats_wire.close(client)

    asyncio.run(say())
