"""What a rollout would have been like with another spec: the log forked and played on.

1. Nothing leaves this file: the state at the fork is copied, and the shipped step
   (`workers.step`) runs on the copy with a clock of its own. No broker and no store are
   written to.
2. The nodes are those of the fork; they are heard all the time, and their pods change
   as quickly as the log has it (rollbook/what_if_model.py). Nodes that were lost or
   added later are not simulated.
3. What users asked for behind the fork is asked again at its time. The change wins:
   after each of those commands to the same Deployment it is made again, in the same
   step, so that nothing is planned in between.
4. Two simulations are run, without and with the change. How far the first one is from
   what was recorded shows how far the model is from what happened.
"""

import heapq
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Final, overload

import msgspec

from adapters import nats_wire
from domain import command, deployment, deployment_decisions, errors, pod, times
from domain.events import Recorded
from domain.protocol import Answer, CommandMessage, PodObservation, PodStatus, Report
from gateway.past_folding import copied_once
from projections.cluster import Cluster
from rollbook.what_if_model import Model
from workers.decisions import Target
from workers.intake import CommandInput, Input, ReportInput
from workers.outbox import Step
from workers.state import State
from workers.step import step

HEARTBEAT: Final = 10.0
TICK: Final = 0.001
PATIENCE: Final = 1_200.0
"""Seconds behind the recorded end after which a simulation that goes on is ended."""
STEPS_MAX: Final = 200_000
_SEQUENCE: Final = 1_000_000_000
"""Above those of all reports that a node has sent."""

_ID: Final = "what-if-"
_OURS: Final = f"command/{_ID}"

_encode = msgspec.json.Encoder().encode


class Figures(msgspec.Struct, kw_only=True, rename="camel"):
    """How a rollout went; `seconds` until it was complete, none if it never was.

    `surge` is the most pods above the wanted number that there were at once,
    `available` the fewest available ones.
    """

    seconds: float | None = None
    surge: int = 0
    available: int = 0
    stalled: bool = False
    pods_created: int = 0
    pods_ended: int = 0
    events: int = 0


class Comparison(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The answer: three columns, where the log was forked, and what was learnt."""

    deployment: str
    fork: int
    until: int
    recorded: Figures
    simulated: Figures
    changed: Figures
    starts_known: int
    ends_known: int


def compare(
    base: Cluster, behind: Sequence[Recorded], key: str, patch: object
) -> Comparison:
    """What was recorded of the Deployment `key` in `behind`, and both simulations.

    `base` is the state at the fork, the end of a step, and is left as it is; `behind`
    are the events after it, up to where looking ends. Raises `Rejected` where there is
    no such Deployment at the fork, and for a patch that is invalid.
    """
    fork = base.position
    if key not in base.desired.deployments:
        name = key.rpartition("/")[2]
        text = f'deployments.apps "{name}" not found at position {fork}'
        raise errors.Rejected("NotFound", text)
    assert behind, "there is something to compare with"
    assert behind[0].position == fork + 1, "it begins at the fork"
    model = Model(base, behind)
    return Comparison(
        deployment=key,
        fork=fork,
        until=behind[-1].position,
        recorded=_recorded(base, behind, key),
        simulated=Simulation(base, behind, key).run(None),
        changed=Simulation(base, behind, key).run(patch),
        starts_known=model.starts_known,
        ends_known=model.ends_known,
    )


class Meter:
    """Measures the rollout of one Deployment, step by step."""

    def __init__(self, cluster: Cluster, key: str) -> None:
        self._cluster = cluster
        self._key = key
        self._begun: float | None = None
        self.figures = Figures()
        rollout = cluster.rollouts.by_key[key]
        if rollout.revisions and not rollout.revisions[-1].completed:
            self._begun = cluster.timestamp
        owner = cluster.desired.deployments[key]
        self.figures.available = min(owner.replicas, rollout.status.available)
        self._counted()

    @property
    def done(self) -> bool:
        """The last revision that was started is complete, or all is gone."""
        rollout = self._cluster.rollouts.by_key.get(self._key)
        if rollout is None:
            return True
        return bool(rollout.revisions) and rollout.revisions[-1].completed

    def look(self, events: Sequence[Recorded]) -> None:
        """Count the events of one step, which is folded."""
        figures = self.figures
        figures.events += len(events)
        for each in events:
            match each.event:
                case pod.PodCreated(owner=owner) if self._owns(owner):
                    figures.pods_created += 1
                case pod.PodTerminationRequested():
                    held = self._cluster.actual.pods.get(each.stream)
                    if held is not None and self._owns(held.owner):
                        figures.pods_ended += 1
                case deployment.RevisionStarted() if each.stream == self._key:
                    self._begun = each.timestamp if self._begun is None else self._begun
                    figures.seconds = None
                case deployment.RolloutCompleted() if each.stream == self._key:
                    begun = each.timestamp if self._begun is None else self._begun
                    figures.seconds = times.grid(each.timestamp - begun)
                case deployment.RolloutStalled() if each.stream == self._key:
                    figures.stalled = True
                case _:
                    pass
        self._counted()

    def _owns(self, replicaset: str) -> bool:
        held = self._cluster.desired.replicasets.get(replicaset)
        return held is not None and held.owner == self._key

    def _counted(self) -> None:
        owner = self._cluster.desired.deployments.get(self._key)
        rollout = self._cluster.rollouts.by_key.get(self._key)
        if owner is None or rollout is None:
            return
        status, figures = rollout.status, self.figures
        figures.surge = max(figures.surge, status.replicas - owner.replicas)
        figures.available = min(figures.available, status.available)


class Simulation:
    """The state at the fork, played on by the shipped step in a world of its own."""

    def __init__(self, base: Cluster, behind: Sequence[Recorded], key: str) -> None:
        self._key = key
        self._state = State()
        self._state.cluster = copied_once({})(base)
        self._model = Model(base, behind)
        self._now = base.timestamp
        self._end = behind[-1].timestamp
        self._agenda: list[tuple[float, int, Input | PodStatus | str]] = []
        self._tickets = itertools.count()
        self._sequence = itertools.count(_SEQUENCE)
        self._orders = 0
        self._heard: set[str] = set()
        self._patch: object = None
        self._state.wake(self._now)
        self._plan(behind)
        self._meter = Meter(self._state.cluster, key)

    def run(self, patch: object) -> Figures:
        """Plays until the Deployment has come to rest. Raises `Rejected` for a patch
        that the writer refuses."""
        self._patch = patch
        if patch is not None:
            self._now = times.grid(self._now + TICK)
            answer = self._step([*self._change()]).answers[0][1]
            if answer.result == "rejected":
                raise _refusal(answer)
        for _ in range(STEPS_MAX):
            if not self._orders and self._meter.done and self._meter.figures.seconds:
                break
            if self._now > self._end + PATIENCE or not self._advance():
                break
        return self._meter.figures

    # --- time -----------------------------------------------------------------------

    def _advance(self) -> bool:
        """The next thing happens; False where nothing ever will."""
        due = self._state.timers.next_at()
        first = self._agenda[0][0] if self._agenda else None
        moments = [each for each in (due, first) if each is not None]
        if not moments:
            return False
        self._now = times.grid(max(self._now + TICK, min(moments)))
        inputs: list[Input] = []
        while self._agenda and self._agenda[0][0] <= self._now:
            _, _, item = heapq.heappop(self._agenda)
            if isinstance(item, str):
                inputs.append(self._report(item))
                self._put(self._now + HEARTBEAT, item)
            elif isinstance(item, PodStatus):
                inputs += self._reported(item)
            else:
                self._orders -= 1
                inputs.append(item)
        self._step(_Changing(inputs, self._key, self._change))
        return True

    def _step(self, inputs: Sequence[Input]) -> Step:
        done = first = step(self._state, inputs, self._now)
        while True:
            self._meter.look([each for each in done.events if not _is_ours(each)])
            for each in done.events:
                self._follow(each)
            if not done.more:
                return first
            self._now = times.grid(self._now + TICK)
            done = step(self._state, (), self._now)

    def _put(self, at: float, item: Input | PodStatus | str) -> None:
        heapq.heappush(self._agenda, (at, next(self._tickets), item))

    # --- what users do --------------------------------------------------------------

    def _plan(self, behind: Sequence[Recorded]) -> None:
        """Everything that is certain at the fork is put on the agenda."""
        for use in self._state.cluster.actual.node_list:
            if use.ready:
                self._heard.add(use.name)
                self._put(self._now, use.name)
        for key, held in self._state.cluster.actual.pods.items():
            if not held.node:
                continue
            if held.deletion_at and (at := self._model.removed_at.get(key)):
                self._put(at, self._status(key, PodObservation(removed=True)))
            for at, seen in self._model.reports.get(key, ()):
                self._put(at, self._status(key, seen))
        for each in behind:
            if isinstance(each.event, command.CommandAccepted):
                self._put(each.timestamp, _again(each, each.event))
                self._orders += 1

    def _change(self) -> Iterator[CommandInput]:
        """The command that applies the patch to the Deployment as it is now, if it is
        there and there is a patch."""
        owner = self._state.cluster.desired.deployments.get(self._key)
        if owner is None or self._patch is None:
            return
        manifest = msgspec.to_builtins(deployment_decisions.manifest_of(owner))
        body = deployment.ReplaceDeployment(manifest=_merged(manifest, self._patch))
        target = Target(
            namespace=owner.namespace,
            kind="deployment",
            name=owner.name,
            verb="replace",
        )
        message = CommandMessage(
            id=f"{_ID}{next(self._tickets)}", body=msgspec.Raw(_encode(body))
        )
        yield CommandInput(
            user="what-if",
            target=target,
            subject="",
            data=_encode(message),
            reply="answer",
        )

    # --- what nodes do --------------------------------------------------------------

    def _follow(self, each: Recorded) -> None:
        """What the nodes will report because of this event."""
        held = self._state.cluster.actual.pods.get(each.stream)
        if held is None or held.node not in self._heard:
            return
        if isinstance(each.event, pod.PodScheduled):
            for after, seen in self._model.start(held.owner, held.node):
                self._put(self._now + after, self._status(each.stream, seen))
        elif isinstance(each.event, pod.PodTerminationRequested):
            after = self._model.end(held.owner, held.node)
            gone = self._status(each.stream, PodObservation(removed=True))
            self._put(self._now + after, gone)

    def _status(self, key: str, seen: PodObservation) -> PodStatus:
        held = self._state.cluster.actual.pods[key]
        told = {name: getattr(seen, name) for name in seen.__struct_fields__}
        return PodStatus(namespace=held.namespace, name=held.name, uid=held.uid, **told)

    def _reported(self, status: PodStatus) -> list[Input]:
        """The report of a pod, unless it is gone, or ends and is not gone yet."""
        key = f"pod/{status.namespace}/{status.name}"
        held = self._state.cluster.actual.pods.get(key)
        if held is None or held.uid != status.uid:
            return []
        if held.deletion_at and not status.removed:
            return []
        return [self._report(held.node, status)]

    def _report(self, node: str, *pods: PodStatus) -> ReportInput:
        use = self._state.cluster.actual.nodes[node]
        told = self._state.chain.get(node, (self._state.cluster.position, 0.0))[0]
        report = Report(
            incarnation=use.node.incarnation,
            sequence=next(self._sequence),
            position=told,
            pods=pods,
        )
        return ReportInput(node=node, data=_encode(report))


# --- helpers ----------------------------------------------------------------------


class _Changing(Sequence[Input]):
    """Inputs of a step; behind each command to `key` comes the change, which is made
    from what the command has led to (rule 3)."""

    def __init__(
        self,
        inputs: Sequence[Input],
        key: str,
        change: Callable[[], Iterator[CommandInput]],
    ) -> None:
        self._inputs = inputs
        self._key = key
        self._change = change

    def __iter__(self) -> Iterator[Input]:
        for each in self._inputs:
            yield each
            if isinstance(each, CommandInput) and each.target.key == self._key:
                yield from self._change()

    def __len__(self) -> int:
        return len(self._inputs)

    @overload
    def __getitem__(self, index: int) -> Input: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Input]: ...

    def __getitem__(self, index: int | slice) -> Input | Sequence[Input]:
        return self._inputs[index]


def _recorded(base: Cluster, behind: Sequence[Recorded], key: str) -> Figures:
    cluster: Cluster = copied_once({})(base)
    meter = Meter(cluster, key)
    for _, group in itertools.groupby(behind, lambda each: each.timestamp):
        events = list(group)
        for each in events:
            cluster.fold(each)
        cluster.settle()
        meter.look(events)
    return meter.figures


def _again(each: Recorded, event: command.CommandAccepted) -> CommandInput:
    """A command of the log as it came."""
    at = nats_wire.parse_command_subject(event.subject)
    message = CommandMessage(
        id=each.stream.partition("/")[2],
        body=event.body,
        cause=event.change_cause,
        source=event.source,
    )
    target = Target(namespace=at.namespace, kind=at.kind, name=at.name, verb=at.verb)
    return CommandInput(
        user=at.user, target=target, subject=event.subject, data=_encode(message)
    )


def _merged(held: object, patch: object) -> dict[str, object]:
    """RFC 7386: maps are merged, null removes, anything else replaces."""
    found = dict(held) if isinstance(held, dict) else {}
    assert isinstance(patch, dict), "the command line takes maps only"
    for name, value in patch.items():
        if value is None:
            found.pop(name, None)
        elif isinstance(value, dict):
            found[name] = _merged(found.get(name), value)
        else:
            found[name] = value
    return found


def _is_ours(each: Recorded) -> bool:
    """It is the change itself, as a command, and nothing that follows from it."""
    return each.stream.startswith(_OURS)


def _refusal(answer: Answer) -> errors.Rejected:
    reason = answer.reason or "Invalid"
    assert reason in errors.CODES, "control answers with a known reason"
    return errors.Rejected(reason, answer.message, causes=answer.causes)
