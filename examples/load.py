"""A client of a Deployment's pods: it asks those that are ready, one after the other.

`python examples/load.py` asks until it is interrupted, and says each second how many
requests were answered and how many failed. It must run where pods' addresses lead to
pods. The demo uses it during a rolling update.
"""

import asyncio
import contextlib
import http.client
from typing import Any

import rollbook


class Load:
    """How many requests were answered, and what became of the others."""

    def __init__(self) -> None:
        self.answered = 0
        self.failed: list[str] = []

    async def run(self, cluster: rollbook.Cluster) -> None:
        """Asks until it is cancelled; whether a pod is ready is asked each round."""
        while True:
            pods: tuple[dict[str, Any], ...] = await cluster.list("pods")
            for item in pods:
                if is_ready(item):
                    address = item["status"]["podIP"]
                    try:
                        await asyncio.to_thread(fetch, address)
                        self.answered += 1
                    except OSError as error:
                        self.failed.append(f"{address}: {error}")
            if not pods:
                await asyncio.sleep(0.1)


def fetch(address: str) -> str:
    """The page of a pod: port 80, or 8080 where a user may not bind that."""
    try:
        connection = http.client.HTTPConnection(address, 80, timeout=10)
        connection.connect()
    except ConnectionRefusedError:
        connection = http.client.HTTPConnection(address, 8080, timeout=10)
    with contextlib.closing(connection):
        connection.request("GET", "/")
        response = connection.getresponse()
        page = response.read().decode()
        if response.status != 200:
            raise OSError(f"status {response.status}")
        return page


def is_ready(item: dict[str, Any]) -> bool:
    """Ready, and not on its way out."""
    conditions = item["status"].get("conditions", [])
    ready = any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
    return ready and "deletionTimestamp" not in item["metadata"]


async def main() -> None:
    load = Load()
    async with rollbook.connect() as cluster:
        asking = asyncio.create_task(load.run(cluster))
        while not asking.done():
            await asyncio.wait([asking], timeout=1.0)
            print(f"{load.answered} answered, {len(load.failed)} failed", flush=True)
        await asking


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())
