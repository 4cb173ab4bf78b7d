"""How quickly a long history is answered: `history`.

1. The log is made of events, encoded and decoded as the store has them, and folded by
   the shipped reader's state; the questions go through the shipped service, bytes in
   and bytes out. Only the broker is left out.
2. Each question is asked again and again, one after the other; the figures are of
   single questions.
"""

import asyncio
import time
from typing import Final

import msgspec

from adapters.eventlog import Row
from adapters.memory_log import MemoryLog, MemoryStore
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
from rollbook.bench.results import percentiles

REVISIONS: Final = 10_000
QUESTIONS: Final = 300
PRESENT: Final = 10
"""So many ReplicaSets are there in the end, as `revisionHistoryLimit` keeps them."""
PAGE_BYTES_MAX: Final = 1_048_576
"""No message of a broker in its default configuration is larger."""

_KEY: Final = names.deployment_key("default", "web")
_START: Final = 1_700_000_000.0


def history(revisions: int = REVISIONS, questions: int = QUESTIONS) -> dict[str, float]:
    """What each kind of question took, asked of a Deployment of so many revisions."""
    return asyncio.run(measure(revisions, questions))


async def measure(revisions: int, questions: int) -> dict[str, float]:
    """The same, within a loop."""
    store = MemoryStore()
    MemoryLog(store).append(rows(revisions))
    reader = Reader(MemoryLog(store, read_only=True))
    await reader.catch_up()
    assert not reader.unreadable_count, reader.unreadable[0]
    service = Service(reader)
    middle = revisions // 2
    figures: dict[str, float] = {"revisions": float(revisions)}
    try:
        for name, asked in (
            ("history_page", _query(templates=False)),
            ("history_present", _query(templates=False, present=True)),
            ("history_templates", _query()),
            ("history_middle", _query(templates=False, continue_=str(middle))),
            ("history_one", _query(revisions=(middle,))),
            ("history_wide", _query(revisions=(middle,), before=True)),
        ):
            seconds = await _answered(service, questions, asked)
            figures |= percentiles(name, seconds)
    finally:
        service.past.close()
        await reader.close()
    return figures


async def _answered(
    service: Service, questions: int, asked: queries.HistoryQuery
) -> list[float]:
    data = msgspec.json.encode(asked)
    seconds: list[float] = []
    for _ in range(questions):
        begun = time.perf_counter()
        said = await service.answer("history", data)
        seconds.append(time.perf_counter() - begun)
        assert len(said) < PAGE_BYTES_MAX, f"{len(said)} bytes are no one message"
    found = msgspec.json.decode(said, type=queries.HistoryAnswer)
    assert found.error is None, found.error
    assert found.revisions, "an empty page is no measurement"
    return seconds


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
