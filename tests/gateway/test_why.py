"""`why`: words for every event, chains to their beginning, and what is waited for."""

import msgspec
import pytest

from adapters.eventlog import Row
from adapters.memory_log import MemoryLog
from domain import active_check, catalogue, deployment, queries
from domain.events import Event, Recorded
from gateway.explaining import answering, chains, waiting, words
from gateway.explaining.history import LIFE_MAX, History
from gateway.service import Service
from tests.domain import golden
from tests.gateway.eventful import eventful, folded, keys, scene, serving
from tests.gateway.support import Written, service_of
from tests.simulation import active_checks
from tests.support.cluster import SimCluster, manifest, rolling

SET_IMAGE = "rollbook set image deployment/web main=app:2"
SCALE = "rollbook scale deployment/web --replicas=1"


async def why(service: Service, **asked: object) -> queries.WhyAnswer:
    """The answer, as it is on the wire."""
    data = await service.answer("why", msgspec.json.encode(asked))
    return msgspec.json.decode(data, type=queries.WhyAnswer)


def chain_of(found: queries.WhyAnswer, title: str) -> queries.WhyChain:
    """The chain of that title."""
    assert found.error is None, found.error
    return next(each for each in found.chains if each.title == title)


def types(chain: queries.WhyChain) -> list[str]:
    """The types of a chain's links, newest first."""
    return [link.type for link in chain.links]


def rolled() -> SimCluster:
    """Four pods of app:1 replaced by app:2, three of which were scaled away."""
    sim = SimCluster()
    wish = manifest("web", "app:1", 4, strategy=rolling(1, 1))
    sim.ask("deployment", "web", "create", {"manifest": wish}, source="rollbook apply")
    sim.settle()
    images = {"images": {"main": "app:2"}}
    sim.ask("deployment", "web", "set-image", images, source=SET_IMAGE)
    sim.settle()
    sim.ask("deployment", "web", "scale", {"replicas": 1}, source=SCALE)
    sim.settle()
    return sim


def pods(sim: SimCluster) -> list[str]:
    """The streams of all pods that ever were."""
    found = (each.stream for each in sim.events)
    return [*dict.fromkeys(key for key in found if key.startswith("pod/"))]


# --- words ------------------------------------------------------------------------


@pytest.mark.parametrize("kind", catalogue.EVENTS, ids=lambda kind: kind.__name__)
def test_every_event_of_the_catalogue_has_words(kind: type[Event]) -> None:
    """Whoever adds an event adds its row to gateway/explaining/words.py."""
    assert kind in words.told_types(), f"{kind.__name__} has no words"


@pytest.mark.parametrize("document", golden.load(), ids=lambda each: each.topic)
def test_words_are_one_clause(document: golden.Golden) -> None:
    """The words of every golden document are one line that starts with its object or
    with whoever did it, fit behind "because", and end without a full stop of ours."""
    row = Row(9, document.stream, 1, document.topic, bytes(document.state))
    told = words.tell(catalogue.decode(*row))
    assert told, "something is said"
    assert "\n" not in told, "on one line"
    assert type(catalogue.decode(*row).event).__name__ not in told, "in words"
    for leak in ("None", "Struct", "{", "()"):
        assert leak not in told, f"the words are for people: {told}"


def test_an_event_without_words_is_told_by_its_name() -> None:
    """A table with a hole costs words, never an answer."""

    class Something(Event, frozen=True, kw_only=True):
        TOPIC = "pod.something.v1"

    recorded = Recorded(9, "pod/other/web", 1, 0.0, "user/alice", 0, "", Something())
    assert words.tell(recorded) == "pod other/web: Something"


# --- chains -----------------------------------------------------------------------


@pytest.mark.asyncio
async def test_a_pod_that_was_scaled_away_leads_to_who_typed_it() -> None:
    """The incident of docs/why.md: from the pod's end to the command line."""
    sim = rolled()
    gone = [
        e.stream for e in sim.events if e.event.TOPIC == "pod.termination-requested.v1"
    ][-1]
    found = await why(await service_of(sim), stream=gone)
    assert not found.present
    assert "has been gone for" in found.sentence
    went = chain_of(found, "why it went")
    assert types(went) == [
        "PodTerminationRequested",
        "ReplicaSetScaled",
        "DeploymentScaled",
        "CommandAccepted",
    ]
    assert went.root == "command"
    assert went.links[-1].words == f"admin typed: {SCALE}"
    born = chain_of(found, "why it was there")
    assert born.links[-1].words == f"admin typed: {SET_IMAGE}"


@pytest.mark.asyncio
async def test_a_chain_that_ends_at_a_report_shows_the_wish_apart() -> None:
    """A rollout goes on because pods get ready; what it was for stands beside it."""
    sim = rolled()
    completed = [
        e for e in sim.events if e.event.TOPIC == "deployment.rollout-completed.v1"
    ][1]
    found = await why(await service_of(sim), about=completed.position)
    (chain,) = found.chains
    assert chain.root == "report", "the log's own chain is not bent"
    assert chain.wish[0].type == "DeploymentTemplateChanged"
    assert "app:1 → app:2" in chain.wish[0].words
    assert chain.wish[-1].words == f"admin typed: {SET_IMAGE}"


@pytest.mark.asyncio
async def test_every_change_is_told_once() -> None:
    """With `all`, newest first; what shares a cause is one chain; none comes twice."""
    sim = rolled()
    service = await service_of(sim)
    stream = "deployment/default/web"
    found = await why(service, stream=stream, all=True, limit=100)
    assert not found.more
    told = [
        link.position
        for chain in found.chains
        for link in (*chain.links, *chain.shared, *chain.wish)
    ]
    assert len(told) == len(set(told)), "no event is told twice"
    mine = [each.position for each in sim.events if each.stream == stream]
    assert set(mine) <= set(told), "every change is told"
    heads = [chain.links[0].position for chain in found.chains]
    assert heads == sorted(heads, reverse=True)
    few = await why(service, stream=stream, all=True, limit=1)
    assert (len(few.chains), few.more) == (1, True), "what is left out is said"


@pytest.mark.asyncio
async def test_a_silent_node_is_a_timer() -> None:
    """Pods that a lost node took with them lead to the clock that found it silent."""
    sim = SimCluster(nodes=2)
    sim.ask("deployment", "web", "create", {"manifest": manifest("web", replicas=2)})
    sim.settle()
    lost = next(name for name, use in sim.cluster.actual.nodes.items() if use.pods)
    pod = next(iter(sim.cluster.actual.nodes[lost].pods))
    sim.nodes[lost].alive = False
    sim.run_for(600.0)
    found = await why(await service_of(sim), stream=pod)
    went = chain_of(found, "why it is ending")
    assert types(went) == ["PodTerminationRequested", "NodeLost", "NodeBecameUnready"]
    assert went.root == "timer"
    assert any("not ready" in each or "is ending" in each for each in found.waits)


@pytest.mark.asyncio
async def test_a_deployment_says_what_it_waits_for() -> None:
    """A stuck rollout names its pods and the reasons that the scheduler gives."""
    sim = SimCluster(nodes=1, allocatable={"cpu": "1", "memory": "1Gi", "pods": "2"})
    sim.ask("deployment", "web", "create", {"manifest": manifest("web", replicas=3)})
    sim.run_for(60.0)
    found = await why(await service_of(sim), stream="deployment/default/web")
    assert found.present
    assert "is rolling out revision 1" in found.sentence
    waits = "\n".join(found.waits)
    assert "waits for a node: 0/1 nodes are available" in waits
    assert "the progress deadline of 600 s passes in" in waits


@pytest.mark.asyncio
async def test_a_pod_that_fails_its_active_check_says_so() -> None:
    """Its trouble is the check, by the monitor's word; it waits for that, and so does
    its Deployment. Once it passes, there is no trouble."""
    sim = SimCluster()
    sim.ask("deployment", "web", "create", {"manifest": manifest("web", replicas=1)})
    sim.settle()
    changes = {"changes": {active_check.ANNOTATION: "{port: 80}"}, "overwrite": True}
    sim.ask("deployment", "web", "annotate", changes)
    (held,) = sim.cluster.actual.pods.values()
    sim.step(active_checks.word(held, passing=False))
    note = {"changes": {"seen-by": "alice"}}
    assert sim.ask("pod", held.name, "annotate", note).result == "accepted"
    pod = await why(await service_of(sim), stream=held.key)
    wrong = chain_of(pod, "what is wrong with it")
    assert types(wrong) == ["PodChecked"]
    assert "fails its active check, so it is not ready" in wrong.links[0].words
    owner = await why(await service_of(sim), stream="deployment/default/web")
    assert "fails its active check: it answers with 500" in "\n".join(owner.waits)
    sim.step(active_checks.word(held, passing=True))
    sim.ask("pod", held.name, "annotate", {"changes": {"seen-by": None}})
    pod = await why(await service_of(sim), stream=held.key)
    assert "what is wrong with it" not in [each.title for each in pod.chains]


@pytest.mark.asyncio
async def test_a_complete_deployment_waits_for_nothing() -> None:
    """At rest there is nothing to wait for, and no line says that there is."""
    found = await why(await service_of(rolled()), stream="deployment/default/web")
    assert found.waits == ()
    assert "has rolled out revision 2" in found.sentence


@pytest.mark.asyncio
async def test_an_earlier_moment_knows_nothing_of_what_came_later() -> None:
    """`at` answers as the log was then."""
    sim = rolled()
    service = await service_of(sim)
    asked = {"stream": "deployment/default/web", "at": {"position": 20}}
    found = await why(service, **asked)
    assert found.error is None
    assert found.position == 20
    positions = [link.position for chain in found.chains for link in chain.links]
    assert max(positions) <= 20


@pytest.mark.asyncio
async def test_an_earlier_moment_is_told_from_the_object_s_own_part() -> None:
    """Whatever was there then: sentence and waits are those of the whole cluster, and
    the whole cluster is not folded for them."""
    sim = eventful(3)
    service = await serving(sim)
    log = MemoryLog(Written(sim).store, read_only=True)
    told = 0
    for position in range(40, log.last_position(), 60):
        everything = scene(folded(log, position), sim.events[position - 1].timestamp)
        for stream in keys(sim.events):
            seen = waiting.look(everything, stream)
            if seen is not None:
                found = await why(service, stream=stream, at={"position": position})
                assert (found.sentence, found.waits) == (seen.sentence, seen.waits)
                told += 1
    assert told > 20, "there were objects to be told of"
    assert not service.past._wholes, "no whole cluster was folded"
    service.past.close()


@pytest.mark.asyncio
async def test_the_cause_of_an_event_needs_no_state_of_the_past() -> None:
    """Asked about a position with `at`: it is told, and nothing is folded."""
    service = await service_of(rolled())
    found = await why(service, about=12, at={"position": 20})
    assert found.error is None
    assert (found.position, found.chains[0].links[0].position) == (20, 12)
    late = await why(service, about=30, at={"position": 20})
    assert late.error is not None
    assert late.error.reason == "NotFound"
    assert not service.past._wholes
    assert not service.past._parts
    service.past.close()


@pytest.mark.asyncio
async def test_a_name_used_twice_is_told_apart_by_uid() -> None:
    """The last one by default, any other by its uid; the answer names the others."""
    sim = SimCluster()
    for _ in range(2):
        sim.ask("deployment", "web", "create", {"manifest": manifest("web")})
        sim.settle()
        sim.ask("deployment", "web", "delete", {})
        sim.settle()
    service = await service_of(sim)
    stream = "deployment/default/web"
    last = await why(service, stream=stream)
    assert len(last.earlier) == 1
    first = await why(service, stream=stream, uid=last.earlier[0].uid)
    assert first.uid == last.earlier[0].uid != last.uid
    newest = max(link.position for chain in first.chains for link in chain.links)
    assert newest == last.earlier[0].ended
    unknown = await why(service, stream=stream, uid="nobody")
    assert unknown.error is not None
    assert last.uid in unknown.error.message, "the refusal says which there are"


REFUSED: tuple[tuple[dict[str, object], str, str], ...] = (
    ({}, "BadRequest", "one of both must be given"),
    ({"stream": "pod/default/a", "about": 3}, "BadRequest", "one of both"),
    ({"stream": "pods"}, "BadRequest", "is not a key"),
    ({"about": -1}, "BadRequest", "none may be negative"),
    ({"about": 10_000}, "NotFound", "the log ends at"),
    ({"stream": "deployment/default/wep"}, "NotFound", "is it deployment/web?"),
    ({"stream": "deployment/other/web"}, "NotFound", "deployment/web (-n default)"),
    ({"stream": "node/nobody"}, "NotFound", 'nodes "nobody" not found'),
    ({"stream": "namespace/default"}, "NotFound", "nothing is recorded about names"),
    ({"stream": "serviceaccount/default/default"}, "NotFound", "from the start"),
    (
        {"stream": "deployment/default/web", "at": queries.Moment(position=1)},
        "NotFound",
        'deployments.apps "web" not found at position 1: it came at position',
    ),
)


@pytest.mark.asyncio
@pytest.mark.parametrize(("asked", "reason", "text"), REFUSED)
async def test_a_bad_question_gets_a_clear_answer(
    asked: dict[str, object], reason: str, text: str
) -> None:
    """Kubernetes' reason and, where a name is like another, which one may be meant."""
    found = await why(await service_of(rolled()), **asked)
    assert found.error is not None
    assert found.error.reason == reason
    assert text in found.error.message


# --- bounds and damage ------------------------------------------------------------


class Counting(MemoryLog):
    """A log that counts the rows that are read of it."""

    rows = 0

    def read(self, after: int, limit: int) -> list[Row]:
        found = super().read(after, limit)
        self.rows += len(found)
        return found

    def read_stream(
        self,
        stream: str,
        after_version: int = 0,
        limit: int | None = None,
        descending: bool = False,
    ) -> list[Row]:
        found = super().read_stream(stream, after_version, limit, descending)
        self.rows += len(found)
        return found


def test_a_long_stream_is_read_from_its_end() -> None:
    """A node with 30,000 events costs no more than a bounded part of them."""
    sim = SimCluster(nodes=1)
    written = Written(sim)
    stream = "node/worker-1"
    version = sum(each.stream == stream for each in sim.events)
    last = written.writer.last_position()
    counted = (
        b'{"at":"2023-11-14T23:00:00.000000Z","actor":"node/worker-1",'
        b'"event":{"incarnation":1,"firstSequence":1,"lastSequence":2,"count":1}}'
    )
    written.add(
        Row(last + i, stream, version + i, "node.reports-counted.v1", counted)
        for i in range(1, 30_001)
    )
    log = Counting(written.store, read_only=True)
    asked = queries.WhyQuery(stream=stream)
    end = log.last_position()
    found = answering.answer(log, asked, None, position=end, now=sim.now)
    assert found is not None
    assert found.more, "and it says that it has not read all"
    assert log.rows < LIFE_MAX + 200


def test_a_chain_goes_on_behind_an_event_that_cannot_be_read() -> None:
    """An event of a newer version has a postmark that can be read, and words."""
    sim = rolled()
    scaled = sim.of(deployment.DeploymentScaled)[-1]
    rows = [
        row._replace(topic="deployment.scaled.v9")
        if row.position == scaled.position
        else row
        for row in sim.log
    ]
    written = Written()
    written.add(rows)
    at = History(MemoryLog(written.store, read_only=True), len(rows))
    head = at.event(scaled.position + 1)
    assert head is not None
    chain, cut = chains.follow(at, head)
    assert cut == 0
    assert chains.root_of(chain[-1]) == "command"
    assert "that this version cannot read" in at.words(chain[-2])
