"""Which scenarios there are, and one run after the other of those that were asked for.

1. Each run of each story at each size has a fresh system in a folder of its own, which
   is gone afterwards unless it is to be kept.
2. `create`, `roll` and `undo` share a system, and `restart` starts again on the log of
   `create …` and of `million` where it is asked for beside them. Those of longlogs.py
   read the log of the first of these, or of `mixed`; else one is made for them.
3. Whatever happens, nothing that was started is left running.
"""

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from domain import errors
from rollbook.bench import (
    autoscaling,
    containers,
    endurance,
    flames,
    kube,
    longlogs,
    progress,
    reactions,
    rollouts,
)
from rollbook.bench import session as sessions
from rollbook.bench.results import Outcome
from rollbook.bench.session import Session
from rollbook.bench.system import Failure, Shape, System

Act = Callable[[Session, int, Sequence[str]], AsyncIterator[Outcome]]


class Scenario(NamedTuple):
    """What it does, at which size without further words, and how large the cluster."""

    about: str
    act: Act | None
    """None for those of longlogs.py, which need no system."""
    pods: tuple[int, ...]
    nodes: int = 0
    """0 goes by the number of pods."""
    room: int = 110


SCENARIOS: Final[dict[str, Scenario]] = {
    "create": Scenario(
        "one Deployment, until all its pods are available", rollouts.story,
        (1_000, 5_000),
    ),
    "roll": Scenario(
        "another image, 25 % surge and 25 % unavailable", rollouts.story, (1_000, 5_000)
    ),
    "undo": Scenario("back to the revision before", rollouts.story, (1_000, 5_000)),
    "mixed": Scenario(
        "large and small Deployments, created, scaled, deleted", rollouts.mixed,
        (5_000,),
    ),
    "latency": Scenario(
        "command → Ready, and → answered, on a full cluster", reactions.latency,
        (50_000,),
    ),
    "api": Scenario(
        "the Kubernetes API with 1, 16 and 64 clients", kube.api, (1_000,)
    ),
    "reaction": Scenario(
        "pod death → replacement committed, and Ready", reactions.reaction, (5_000,)
    ),
    "node-loss": Scenario(
        "the node of 1,000 pods dies", reactions.node_loss, (5_000,), nodes=5,
        room=1_300,
    ),
    "million": Scenario(
        "1,000 Deployments of 1,000 pods on 5,000 nodes", rollouts.million,
        (1_000_000,), nodes=5_000, room=256,
    ),
    "idle": Scenario(
        "10,000 nodes with heartbeats, nothing to do", endurance.idle, (0,),
        nodes=10_000,
    ),
    "autoscale": Scenario(
        "usage of 10,000 pods, and 1,000 autoscalers that look at it",
        autoscaling.autoscale, (10_000,),
    ),
    "containers": Scenario(
        "pods as containers on one node, beside the engine alone",
        containers.containers, (12,), nodes=1,
    ),
    "restart": Scenario(
        "control and api start on the log that is there", endurance.restart, (50_000,)
    ),
    "kill": Scenario(
        "control is killed in the middle of a create", endurance.kill, (50_000,)
    ),
    "replay": Scenario(
        "a long log is folded, whole and from a snapshot", None, (5_000,)
    ),
    "past": Scenario("what --at takes on a long log", None, (5_000,)),
    "verify": Scenario("a long log is examined", None, (5_000,)),
    "history": Scenario("a Deployment of 10,000 revisions", None, (5_000,)),
    "sealing": Scenario("what seals add to an append", None, (5_000,)),
}  # fmt: skip

APART: Final = frozenset({"million", "containers"})
"""Those that `all` leaves out: an hour's work, and one that needs an engine."""
QUICK_PODS: Final = 200
QUICK_NODES: Final = 20
_PODS_PER_NODE: Final = 50
_NODES_MIN: Final = 100
_HOSTS: Final = frozenset({*rollouts.STORY, "mixed", "million"})
"""The stories whose logs are worth reading again (rule 2)."""
_LOSS: Final = {"apart": 1, "heartbeat": 1.0, "grace": 5.0, "toleration": 0}
"""Of `node-loss`: the one node that dies, and times that nobody has to wait for."""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for; zeros and emptiness are the scenarios' own choice."""

    names: tuple[str, ...] = ("create", "roll", "undo")
    pods: tuple[int, ...] = ()
    nodes: int = 0
    runs: int = 1
    quick: bool = False
    data: Path | None = None
    keep: bool = False
    store: str = ""
    deadline: float = 0.0
    profile: Path | None = None


class Job(NamedTuple):
    """One system: what happens on it, and how large it is."""

    names: tuple[str, ...]
    pods: int
    run: int
    shape: Shape

    @property
    def folder(self) -> str:
        """What its folder is called."""
        return f"{'-'.join(self.names)}-{self.pods}-run{self.run}"


def jobs(options: Options) -> list[Job]:
    """What is to be done, in order. Raises `Failure` for what cannot be measured."""
    found = []
    for run in range(1, options.runs + 1):
        for names in stories(options.names):
            first = SCENARIOS[names[0]]
            sizes = options.pods or first.pods
            if options.quick and not options.pods:
                sizes = (min(QUICK_PODS, max(first.pods)),)
            found += [
                Job(names, pods, run, _shape(options, names[0], pods)) for pods in sizes
            ]
    if options.store and len(found) > 1:
        raise Failure(
            "--store takes one story, one size and one run: a log begins empty"
        )
    return found


def stories(names: Sequence[str]) -> list[tuple[str, ...]]:
    """The scenarios that share a system (rule 2), in the order of `SCENARIOS`."""
    chosen = [name for name in SCENARIOS if name in names]
    story = tuple(name for name in chosen if name in rollouts.STORY)
    found = [story] if story else []
    reading = tuple(name for name in chosen if SCENARIOS[name].act is None)
    apart = (*rollouts.STORY, "restart", *reading)
    found += [(name,) for name in chosen if name not in apart]
    if "restart" in chosen:
        hosts = [each for each in found if each == story or each == ("million",)]
        found = [(*each, "restart") if each in hosts else each for each in found]
        found += [] if hosts else [("restart",)]
    if reading:
        first = [each for each in found if each[0] in _HOSTS][:1]
        found = [(*each, *reading) if [each] == first else each for each in found]
        found += [] if first else [reading]
    return found


def _shape(options: Options, name: str, pods: int) -> Shape:
    scenario = SCENARIOS[name]
    nodes = options.nodes
    if not nodes:
        small = QUICK_NODES if options.quick else _NODES_MIN
        nodes = scenario.nodes or max(small, -(-pods // _PODS_PER_NODE))
        nodes = min(nodes, small) if options.quick else nodes
    room = nodes * scenario.room
    if pods * 5 // 4 + 1 > room:
        raise Failure(
            f"{pods} pods and a quarter more in a rolling update do not fit on {nodes} "
            f"nodes of {scenario.room}: give --nodes"
        )
    shape = Shape(nodes=nodes, room=scenario.room, store=options.store)
    if name == "api":
        shape = msgspec.structs.replace(shape, kube=True)
    if name == "autoscale":
        shape = msgspec.structs.replace(shape, usage=autoscaling.USAGE_SECONDS)
    if name == "containers":
        shape = msgspec.structs.replace(shape, nodes=1, engine=containers.address())
    if name == "node-loss":
        shape = msgspec.structs.replace(shape, **_LOSS)
    return shape


async def run(options: Options, show: progress.Show) -> list[Outcome]:
    """Everything that was asked for; what was measured so far survives a failure.

    A `Failure` of one system becomes a problem of an outcome, and the next one starts.
    """
    found: list[Outcome] = []
    for job in jobs(options):
        show.say(
            f"run {job.run} of {options.runs}: {', '.join(job.names)}, "
            f"{job.pods:,} pods on {job.shape.nodes:,} nodes"
        )
        with _folder(options, job) as folder:
            try:
                found += await _carry_out(options, job, folder, show)
            except (Failure, errors.RollbookError, sessions.Stalled) as error:
                show.say(f"  failed: {error}")
                found.append(_failed(job, str(error)))
    return found


async def _carry_out(
    options: Options, job: Job, folder: Path, show: progress.Show
) -> list[Outcome]:
    found: list[Outcome] = []
    store = options.store or f"sqlite://{folder}/log.db"
    made = all(SCENARIOS[name].act is None for name in job.names)
    if not made:
        system = System(folder / "cluster", job.shape)
        store = system.store
        found = await _on_system(options, job, system, show)
    reading = [name for name in job.names if SCENARIOS[name].act is None]
    if reading and not any(outcome.stopped for outcome in found):
        place = longlogs.Place(store, folder, options.quick)
        if made and longlogs.NEED_A_LOG.intersection(reading):
            show.say("  making a log")
            await longlogs.make(place, job.pods, job.shape.nodes)
        found += [await _on_log(job, name, place, show) for name in reading]
    return found


async def _on_log(
    job: Job, name: str, place: longlogs.Place, show: progress.Show
) -> Outcome:
    async with show.busy(name):
        measured = await longlogs.measure(name, place)
    outcome = Outcome(
        scenario=name,
        pods=job.pods,
        nodes=job.shape.nodes,
        run=job.run,
        figures=measured.figures,
        events=int(measured.figures.get("events", 0)),
        problems=measured.problems,
    )
    show.outcome(outcome)
    return outcome


async def _on_system(
    options: Options, job: Job, system: System, show: progress.Show
) -> list[Outcome]:
    found: list[Outcome] = []
    created = 0
    try:
        async with show.busy("starting"):
            await system.start()
        async with sessions.opened(system, show.say, options.deadline) as session:
            if options.profile is not None:
                session.record = flames.Recorder(
                    system, options.profile, job.pods
                ).around
            async with show.following(session):
                async for outcome in _outcomes(session, job):
                    found.append(msgspec.structs.replace(outcome, run=job.run))
                    show.outcome(found[-1])
            created = session.audit.created
    except (Failure, errors.RollbookError, sessions.Stalled, ExceptionGroup) as error:
        text = "; ".join(map(str, getattr(error, "exceptions", (error,))))
        show.say(f"  failed: {text}\n{system.trouble()}")
        found.append(_failed(job, text))
    finally:
        await asyncio.shield(system.stop())
    if found and created:
        found[-1] = _with_sizes(found[-1], system, created)
    return found


async def _outcomes(session: Session, job: Job) -> AsyncIterator[Outcome]:
    for act in dict.fromkeys(SCENARIOS[name].act for name in job.names):
        if act is None:
            continue
        async for outcome in act(session, job.pods, job.names):
            yield outcome
            if outcome.stopped:
                return


def _with_sizes(outcome: Outcome, system: System, created: int) -> Outcome:
    """What the log takes on disk, at the end of everything on this system."""
    size = system.store_bytes()
    figures = dict(outcome.figures)
    if size:
        figures["store_bytes"] = float(size)
        figures["store_per_life"] = size / created
    figures["relay_per_life"] = system.relay_bytes() / created
    return msgspec.structs.replace(outcome, figures=figures)


def _failed(job: Job, text: str) -> Outcome:
    return Outcome(
        scenario=job.names[0],
        pods=job.pods,
        nodes=job.shape.nodes,
        run=job.run,
        problems=(text.partition("\n")[0],),
        stopped=text.partition("\n")[0],
    )


@contextlib.contextmanager
def _folder(options: Options, job: Job) -> Iterator[Path]:
    """Where the cluster lies; gone after the block unless it is to be kept."""
    if options.data is None and not options.keep:
        with tempfile.TemporaryDirectory(prefix="rollbook-bench-") as name:
            yield Path(name)
        return
    parent = options.data or Path("rollbook-bench")
    folder = parent.absolute() / job.folder
    if folder.exists():
        raise Failure(f"{folder} exists already: remove it, or give another --data")
    folder.mkdir(mode=0o700, parents=True)
    try:
        yield folder
    finally:
        if not options.keep:
            shutil.rmtree(folder, ignore_errors=True)
