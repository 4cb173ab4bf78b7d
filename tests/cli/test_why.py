"""`rollbook why` as a person reads it, and docs/why.md as a person could repeat it.

The answers are those of the shipped gateway over logs that the shipped writer made; the
console script runs as a process of its own, on a real broker.
"""

import csv
import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from adapters import context as contexts
from adapters import eventstore, nats_wire
from adapters.memory_log import MemoryLog
from domain import queries
from domain.protocol import Answer, CommandMessage, ContainerStatus, PodStatus
from gateway import logreading
from rollbook import screen_replay
from tests.cli.service import Reply, Service
from tests.gateway.support import report, service_of
from tests.support.cluster import SimCluster, manifest
from workers import committing, notary, sealing

pytestmark = pytest.mark.asyncio(loop_scope="module")

DOCUMENT = Path(__file__).parents[2] / "docs" / "why.md"
MISTYPED = "deployment/wep"
"""The one object in the document that never was: asking for it fails."""
EVENING = 17_830.0
"""Seconds from the evening, when all was well, to twelve past three."""
SCALE = "rollbook scale deployment/web --replicas=1"


def incident(evening: float = 0.0) -> SimCluster:
    """What docs/why.md tells: three pods vanish, and a rollout then sticks.

    `evening` is for how many seconds all is well before that.
    """
    sim = SimCluster()
    create = {"manifest": manifest("web", "nginx:1.7.9", 4)}
    sim.ask("deployment", "web", "create", create, source="rollbook create -f web.yaml")
    sim.settle()
    sim.run_for(evening)
    sim.ask("deployment", "web", "scale", {"replicas": 1}, source=SCALE)
    sim.settle()
    images = {"images": {"main": "nginx:1.91"}}
    line = "rollbook set image deployment/web main=nginx:1.91"
    sim.broken.add("nginx:1.91")
    sim.ask("deployment", "web", "set-image", images, source=line)
    sim.run_for(60.0)
    _pull_fails(sim)
    sim.jump(60.0)
    return sim


def _pull_fails(sim: SimCluster) -> None:
    """The node of the newest pod reports that its image cannot be pulled."""
    held = [*sim.cluster.actual.pods.values()][-1]
    waits = ContainerStatus(
        name="main",
        reason="ImagePullBackOff",
        message='Back-off pulling image "nginx:1.91"',
    )
    status = PodStatus(
        namespace=held.namespace, name=held.name, uid=held.uid, containers=(waits,)
    )
    report(sim, held.node, status)


async def answering_from(service: Service, sim: SimCluster) -> None:
    """The service answers every question as the gateway does over this log, and every
    command as control does."""
    gateway, folded = await service_of(sim), len(sim.log)

    def verb(name: str) -> Callable[[bytes], Reply]:
        async def answer(data: bytes) -> msgspec.Raw:
            nonlocal gateway, folded
            if folded != len(sim.log):
                gateway, folded = await service_of(sim), len(sim.log)
            return msgspec.Raw(await gateway.answer(name, data))

        return answer

    def decide(at: nats_wire.CommandSubject, message: CommandMessage) -> Answer:
        body = msgspec.json.decode(message.body)
        said = sim.ask(at.kind, at.name, at.verb, body, source=message.source)
        sim.settle()
        return msgspec.structs.replace(said, id=message.id)

    asked = ("why", "log", "get", "describe", "history", "diff", "status", "digest")
    service.answers.update({name: verb(name) for name in asked})
    service.decide = decide


def signed(sim: SimCluster, service: Service, folder: Path) -> Path:
    """A context beside a store with this log, sealed and signed as the writer does."""
    log = eventstore.open_log(f"sqlite://{folder}/rollbook.db")
    sealer = sealing.Sealer(log)
    signer = notary.Notary(log, notary.Settings(folder=folder))
    for step in sim.steps:
        rows, tracking = committing.rows_of(step)
        made = sealer.seals_for(rows)
        log.append(rows, tracking, made)
        sealer.committed(made)
    signer.make(sim.cluster.uid, sealer.tip)
    log.close()
    file = folder / "context.toml"
    beside = msgspec.structs.replace(service.context, data_folder=str(folder))
    contexts.write_context(file, beside)
    return file


def plain(text: str) -> str:
    """What was printed, without blanks at ends of lines and this machine's speed."""
    text = re.sub(r"[\d,]+ events/s", "N events/s", text)
    return re.sub(r" +$", "", text, flags=re.MULTILINE)


async def test_the_document_shows_what_a_person_sees(
    service: Service, tmp_path: Path
) -> None:
    """Every command of docs/why.md prints what the document shows, to the letter, and
    those that change something change it."""
    sim = incident(EVENING)
    await answering_from(service, sim)
    blocks = re.findall(r"```console\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    verbs = set()
    for block in blocks:
        line, _, shown = block.partition("\n")
        words = shlex.split(line.removeprefix("$ rollbook "))
        verbs.add(words[0])
        context = service.context_file
        if words[0] == "verify":
            context = signed(sim, service, tmp_path)
        ran = await service.run(*words, ROLLBOOK_CONTEXT=str(context))
        assert ran.status == (1 if words[-1] == MISTYPED else 0), ran
        assert plain(ran.out + ran.err) == plain(shown), line
    assert verbs >= {"log", "why", "get", "diff", "rollout", "scale", "verify"}


async def test_json_is_the_chain_as_data(service: Service) -> None:
    """`-o json`: each link with its position, stream, type, time, actor and cause."""
    sim = incident()
    await answering_from(service, sim)
    ran = await service.run("why", "deployment/web", "-o", "json")
    assert ran.status == 0, ran.err
    found = json.loads(ran.out)
    link = found["chains"][0]["links"][0]
    assert set(link) == {"position", "stream", "type", "at", "actor", "cause", "words"}
    assert found["chains"][0]["root"] in ("command", "report", "timer")


WAYS = (("event/9",), ("9",), ("ev", "9"))


@pytest.mark.parametrize("words", WAYS)
async def test_a_position_can_be_asked_about(
    service: Service, words: tuple[str, ...]
) -> None:
    """A number is a position of the log, with or without its kind."""
    await answering_from(service, incident())
    ran = await service.run("why", *words)
    assert ran.status == 0, ran.err
    assert ran.out.splitlines()[-1].endswith("rollbook create -f web.yaml")
    assert service.questions[-1] == ("why", {"about": 9})


WRONG = (
    ("why deployment/wep", 'deployments.apps "wep" not found', 1),
    ("why pods", "is not an object", 1),
    ("why pod a b", "is not one object", 1),
    ("why pod/a -o csv", "allowed formats are: wide,json,yaml", 1),
    ("why", "Missing argument", 2),
)


@pytest.mark.parametrize(("line", "text", "status"), WRONG)
async def test_what_cannot_be_answered_says_why(
    service: Service, line: str, text: str, status: int
) -> None:
    """Exit status 1 for an object that never was, 2 for wrong usage; never a trace."""
    await answering_from(service, incident())
    ran = await service.run(*line.split())
    assert (ran.status, ran.out) == (status, "")
    assert text in ran.err


async def test_wide_shows_times_and_types(service: Service) -> None:
    """`-o wide` adds when to the microsecond, and which event of the catalogue."""
    await answering_from(service, incident())
    ran = await service.run("why", "9", "-o", "wide")
    assert "2023-11-14T22:" in ran.out
    assert "DeploymentCreated" in ran.out


# --- the same words elsewhere: `log` and `replay` ---------------------------------


async def test_the_log_tells_events_in_the_same_words(service: Service) -> None:
    """`log` has a line for each event, in the words of `why`; `-o csv` a record."""
    await answering_from(service, incident())
    scaled = "Deployment web was scaled from 4 to 1"
    as_text = await service.run("log", "deployment/web", "--type", "DeploymentScaled")
    assert as_text.out.rstrip("\n").endswith(scaled)
    as_csv = await service.run("log", "deployment/web", "-o", "csv")
    records = [*csv.DictReader(as_csv.out.splitlines())]
    assert scaled in [each["words"] for each in records]
    facts = [json.loads(each["event"]) for each in records]
    assert {"before": 4, "after": 1} in facts


@pytest.mark.parametrize("verb", ["log", "log -f", "log --since 1", "replay"])
async def test_an_object_that_never_was_has_no_log(service: Service, verb: str) -> None:
    """It is told as `why` tells it, with the names that are like it: exit status 1,
    also where the log would be followed."""
    await answering_from(service, incident())
    ran = await service.run(*verb.split(), "deployment/wep")
    text = 'deployments.apps "wep" not found, now or before; is it deployment/web?'
    assert (ran.status, ran.out) == (1, "")
    assert ran.err == f"Error from server (NotFound): {text}\n"


async def test_an_object_that_is_gone_or_has_not_come_has_its_log(
    service: Service,
) -> None:
    """Of one that was deleted the log has all; nothing of a type that none of its
    events is; and before it came that is what is said."""
    sim = incident()
    before = len(sim.log)
    sim.ask("deployment", "web", "delete", {})
    sim.ask("deployment", "late", "create", {"manifest": manifest("late", "app:1", 1)})
    sim.settle()
    await answering_from(service, sim)
    gone = await service.run("log", "deployment/web")
    assert (gone.status, gone.err) == (0, "")
    assert "was deleted" in gone.out.splitlines()[-1]
    none = await service.run("log", "deployment/web", "--type", "PodCreated")
    assert (none.status, none.out, none.err) == (0, "", "")
    early = await service.run("log", "deployment/late", "--at", str(before))
    assert (early.status, early.out) == (1, "")
    assert f"not found at position {before}: it came at position" in early.err


async def test_replay_draws_each_step(service: Service) -> None:
    """Without a terminal: a picture for each step, pods as marks, words beside them."""
    sim = incident()
    await answering_from(service, sim)
    ran = await service.run(
        "replay", "deployment/web", "--speed", "max", "--from", "25"
    )
    assert ran.status == 0, ran.err
    assert "● ready" in ran.err, "what the marks mean is talk, not data"
    pictures = [each for each in ran.out.split("position ") if each]
    assert pictures[0].count("✕") == 3, "three of four are on their way out"
    assert "1/1 ready" in pictures[0]
    assert "Deployment web was scaled from 4 to 1" in pictures[0]
    assert "◐" in pictures[-1], "the new pod does not get ready"
    positions = [int(each.split()[0]) for each in pictures]
    assert positions == sorted(set(positions))


async def test_a_replay_knows_its_speeds(service: Service) -> None:
    """What is no speed is wrong usage, and says what is one."""
    ran = await service.run("replay", "--speed", "fast")
    assert ran.status == 2
    assert "write 1, 10, 0.5 or max" in ran.err


async def test_a_replayed_log_comes_to_the_same_state() -> None:
    """The pictures are those of the shipped fold: at the end all pods have marks."""
    sim = incident()
    replayed = screen_replay.Replay()
    asked = queries.LogQuery(limit=0)
    log = MemoryLog(sim.store, read_only=True)
    answer = logreading.answer(log, asked, log.last_position(), 10_000_000)
    for row in answer.events:
        replayed.take(row)
    last = replayed.finish()
    assert last is not None
    marks = sum(row.count(each) for row in last.rows for each in "●◐○✕")
    assert marks == len(sim.cluster.actual.pods) > 0
    assert replayed.cluster.position == sim.cluster.position
