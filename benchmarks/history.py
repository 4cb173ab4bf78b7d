"""How quickly a long history is answered: the first page, and one revision of many.

    python -m benchmarks.history [--revisions N] [--questions N]

1. The log is made of events, encoded and decoded as the store has them, and folded by
   the shipped reader's state; the questions go through the shipped service, bytes in
   and bytes out. Only the broker is left out.
2. Each question is asked again and again, one after the other; the figures are of
   single questions, in milliseconds.
"""

import argparse
import asyncio
import time
from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from adapters.eventlog import Row
from adapters.memory_log import MemoryLog, MemoryStore
from benchmarks.results import Quantiles, quantiles
from domain import (
    catalogue,
    deployment,
    deployment_decisions,
    names,
    objects,
    queries,
    replicaset,
)
from domain.events import Event, Recorded
from domain.manifest_decisions import Asked
from gateway.reader import Reader
from gateway.service import Service

REVISIONS: Final = 10_000
QUESTIONS: Final = 300
PRESENT: Final = 10
"""So many ReplicaSets are there in the end, as `revisionHistoryLimit` keeps them."""
PAGE_BYTES_MAX: Final = 1_048_576
"""No message of a broker in its default configuration is larger."""

_KEY: Final = names.deployment_key("default", "web")
_START: Final = 1_700_000_000.0


class Measured(NamedTuple):
    """One kind of question: how long an answer took, and how large the largest was."""

    name: str
    milliseconds: Quantiles
    bytes_max: int


def rows(revisions: int) -> list[Row]:
    """The log of a Deployment that was given so many images, one after the other."""
    found: list[Row] = []
    versions: dict[str, int] = {}

    def add(stream: str, event: Event, now: float) -> None:
        versions[stream] = versions.get(stream, 0) + 1
        recorded = Recorded(
            len(found) + 1, stream, versions[stream], now, "user/admin", 0, "", event
        )
        state = catalogue.encode(recorded)
        found.append(Row(len(found) + 1, stream, versions[stream], event.TOPIC, state))

    created = _created()
    selector = created.spec.selector
    assert selector is not None, "validation requires a selector"
    for revision in range(1, revisions + 1):
        now, name = _START + 60.0 * revision, f"web-{revision}"
        template = created.spec.template
        assert template is not None, "validation requires a template"
        container = template.spec.containers[0]
        image = msgspec.structs.replace(container, image=f"app:{revision}")
        spec = msgspec.structs.replace(template.spec, containers=(image,))
        template = msgspec.structs.replace(template, spec=spec)
        event: Event = deployment.DeploymentTemplateChanged(template=template)
        add(_KEY, created if revision == 1 else event, now)
        owned = replicaset.ReplicaSetCreated(
            uid=name,
            owner=_KEY,
            owner_uid=created.uid,
            template=template,
            selector=selector,
            replicas=0,
            labels={"app": "web"},
            annotations={},
            revision=revision,
        )
        add(names.replicaset_key("default", name), owned, now)
        started = deployment.RevisionStarted(revision=revision, replicaset=name)
        add(_KEY, started, now)
        add(_KEY, deployment.RolloutCompleted(revision=revision), now + 2.5)
        if revision > PRESENT:
            spent = names.replicaset_key("default", f"web-{revision - PRESENT}")
            add(spent, replicaset.ReplicaSetDeleted(why="more than 10"), now + 2.5)
    return found


def _created() -> deployment.DeploymentCreated:
    container = {"name": "main", "image": "app:1", "ports": [{"containerPort": 80}]}
    manifest: dict[str, object] = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [container]},
            },
        },
    }
    asked = Asked(namespace="default", name="web", now=_START, uid="uid-web")
    command = deployment.CreateDeployment(manifest=manifest)
    event = deployment_decisions.decide(None, command, asked, {})[0]
    assert isinstance(event, deployment.DeploymentCreated)
    assert isinstance(event.spec, objects.DeploymentSpec)
    return event


async def measure(revisions: int, questions: int) -> list[Measured]:
    """What each kind of question took, asked `questions` times of a whole log."""
    store = MemoryStore()
    MemoryLog(store).append(rows(revisions))
    reader = Reader(MemoryLog(store, read_only=True))
    await reader.catch_up()
    assert not reader.unreadable_count, reader.unreadable[0]
    service = Service(reader)
    middle = revisions // 2
    try:
        return [
            await _measured(service, name, questions, asked)
            for name, asked in (
                ("first page, all", _query(templates=False)),
                ("first page, those with a ReplicaSet", _query(
                    templates=False, present=True)),
                ("first page, with templates", _query()),
                ("page in the middle, all", _query(
                    templates=False, continue_=str(middle))),
                ("--revision=N", _query(revisions=(middle,))),
                ("--revision=N -o wide", _query(revisions=(middle,), before=True)),
            )
        ]  # fmt: skip
    finally:
        await reader.close()


def _query(
    *,
    templates: bool = True,
    present: bool = False,
    continue_: str = "",
    revisions: tuple[int | str, ...] = (),
    before: bool = False,
) -> queries.HistoryQuery:
    return queries.HistoryQuery(
        namespace="default",
        name="web",
        templates=templates,
        present=present,
        continue_=continue_,
        revisions=revisions,
        before=before,
    )


async def _measured(
    service: Service, name: str, questions: int, asked: queries.HistoryQuery
) -> Measured:
    data = msgspec.json.encode(asked)
    seconds: list[float] = []
    largest = 0
    for _ in range(questions):
        begun = time.perf_counter()
        said = await service.answer("history", data)
        seconds.append(time.perf_counter() - begun)
        largest = max(largest, len(said))
    found = msgspec.json.decode(said, type=queries.HistoryAnswer)
    assert found.error is None, found.error
    assert found.revisions, "an empty page is no measurement"
    assert largest < PAGE_BYTES_MAX, f"{largest} bytes are too many for one message"
    return Measured(name, quantiles(seconds), largest)


def lines(measured: Sequence[Measured], revisions: int) -> list[str]:
    """The table for people."""
    head = f"history of {revisions} revisions"
    said = [f"{head:40}{'p50 ms':>9}{'p99 ms':>9}{'bytes':>10}"]
    for each in measured:
        p50, p99 = each.milliseconds.p50, each.milliseconds.p99
        said.append(f"{each.name:40}{p50:>9.2f}{p99:>9.2f}{each.bytes_max:>10}")
    return said


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="how quickly a history is answered")
    parser.add_argument("--revisions", type=int, default=REVISIONS)
    parser.add_argument("--questions", type=int, default=QUESTIONS)
    wanted = parser.parse_args()
    measured = asyncio.run(measure(wanted.revisions, wanted.questions))
    print("\n".join(lines(measured, wanted.revisions)))


if __name__ == "__main__":
    main()
