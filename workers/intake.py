"""What arrives becomes events: commands, reports and syncs.

1. A command is decided once. Its id is looked up first, here and in the store, and a
   repetition is answered as the first time (S3).
2. Every command is in the log, the refused ones too; a dry run alone leaves no trace.
3. A node speaks for itself and for the pods bound to it. Whatever else a report says
   is refused and counted, and nothing of it is believed (S13).
4. A report of an older incarnation, or not of a greater sequence than the last, is
   refused and counted. Each report that says something is confirmed by its number: the
   kubelet says again, in a new report, what was in one that was lost.
5. Bad input costs a clear answer or a count, and nothing else.
"""

import re
from typing import Final, assert_never

import msgspec

from domain import command, events, names, node, pod, quantities
from domain.errors import Rejected
from domain.events import Event, Recorded
from domain.pod import Pod
from domain.protocol import (
    IMAGES_MAX,
    Answer,
    CommandMessage,
    NodeInfo,
    PodObservation,
    PodStatus,
    Report,
    SyncRequest,
)
from workers import analysing, checking, decisions, metric_intake
from workers.analysing import MeasurementInput
from workers.checking import CheckInput
from workers.decisions import Target
from workers.marks import Heard
from workers.metric_intake import MetricInput
from workers.outbox import Outbox
from workers.state import State

_COMMAND: Final = msgspec.json.Decoder(CommandMessage)
_REPORT: Final = msgspec.json.Decoder(Report)
_SYNC: Final = msgspec.json.Decoder(SyncRequest)
_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_NOTHING: Final = msgspec.Raw(b"null")


class CommandInput(msgspec.Struct, frozen=True, kw_only=True):
    """A command as it came; `reply` is where its answer goes, "" for nowhere.

    `known` is the answer that the store has for this id; `known_version` the last
    version of the object's stream, for an object that the state does not have.
    """

    user: str
    target: Target
    subject: str
    data: bytes
    reply: str = ""
    id: str = ""
    """What the message's header says; checked against the message where given."""
    known: Answer | None = None
    known_version: int = 0


class ReportInput(msgspec.Struct, frozen=True, kw_only=True):
    """A report as it came on the subject of `node`, `waited` seconds ago."""

    node: str
    data: bytes
    waited: float = 0.0


class SyncInput(msgspec.Struct, frozen=True, kw_only=True):
    """A sync as it came on the subject of `node`, with where its answer goes."""

    node: str
    data: bytes
    reply: str


class Founding(msgspec.Struct, frozen=True, kw_only=True):
    """The log is empty: a cluster of this uid begins."""

    uid: str
    version: str


class Listening(msgspec.Struct, frozen=True, kw_only=True):
    """Nobody could be heard until now: no silence before counts."""


Input = (
    CommandInput
    | ReportInput
    | SyncInput
    | MeasurementInput
    | CheckInput
    | MetricInput
    | Founding
    | Listening
)


def take(state: State, outbox: Outbox, item: Input) -> None:
    """Afterwards the input is events, an answer or a count."""
    match item:
        case CommandInput():
            _command(state, outbox, item)
        case ReportInput():
            _report(state, outbox, item)
        case SyncInput():
            _sync(state, outbox, item)
        case MeasurementInput():
            analysing.take(state, item)
        case CheckInput():
            checking.take(state, item)
        case MetricInput():
            metric_intake.take_metric(state, item)
        case Founding():
            _found(state, item)
        case Listening():
            state.health = msgspec.structs.replace(state.health, restarted_at=state.now)
        case _:
            assert_never(item)


def _found(state: State, item: Founding) -> None:
    if state.cluster.position == 0:
        founded = command.ClusterFounded(uid=item.uid, version=item.version)
        state.emit("cluster/rollbook", founded, actor=events.SYSTEM, cause=0)


# --- commands ---------------------------------------------------------------------


def _command(state: State, outbox: Outbox, item: CommandInput) -> None:
    try:
        message = _COMMAND.decode(item.data)
        if not _ID.fullmatch(message.id):
            raise Rejected(
                "BadRequest",
                "id: a command needs an id of 1 to 64 letters, digits, '-' or '_'",
            )
        if item.id and item.id != message.id:
            raise Rejected(
                "BadRequest", "id: it must be the same as in the header Nats-Msg-Id"
            )
    except (msgspec.MsgspecError, Rejected) as error:
        state.count("commands_unreadable")
        text = error.message if isinstance(error, Rejected) else f"message: {error}"
        outbox.answer(item.reply, _refusal("", Rejected("BadRequest", text)))
        return
    known = state.answers.get(message.id) or item.known
    if known is not None:
        state.count("commands_repeated")
        outbox.answer(item.reply, known)
        return
    try:
        decided = decisions.decide(state, item.target, message)
    except Rejected as error:
        decided = None
        answer = _refusal(message.id, error, name=item.target.name)
    if decided is None:
        state.count("commands_rejected")
        _count(state, item, "rejected")
        answer = msgspec.structs.replace(answer, position=state.cluster.position + 1)
        if not message.dry_run:
            _record(state, item, message, answer, command.CommandRejected)
        outbox.answer(item.reply, answer)
        return
    position = state.cluster.position + 1 + len(decided.events)
    answer = Answer(
        id=message.id,
        result="accepted" if decided.events or decided.grant else "unchanged",
        position=position,
        revision=decided.revision,
        name=item.target.name,
        message=decided.message,
        warnings=decided.warnings,
    )
    _count(state, item, answer.result)
    if message.dry_run:
        here = msgspec.structs.replace(answer, position=state.cluster.position)
        outbox.answer(item.reply, here)
        return
    accepted = _record(state, item, message, answer, command.CommandAccepted)
    for stream, event in decided.events:
        state.emit(
            stream,
            event,
            actor=events.user_actor(item.user),
            cause=accepted.position,
            command_id=message.id,
            known_version=item.known_version if stream == item.target.key else 0,
        )
    if decided.grant is not None:
        granted = msgspec.structs.replace(
            decided.grant, id=message.id, user=item.user, position=accepted.position
        )
        outbox.grant(decided.on, granted)
    state.count("commands_accepted")
    outbox.answer(item.reply, answer)


def _count(state: State, item: CommandInput, result: str) -> None:
    """By verb; those that there are not are one, so that nobody can make many."""
    at = item.target
    verb = at.verb if (at.kind, at.verb) in command.VERBS else "unknown"
    state.commands[verb, result] = state.commands.get((verb, result), 0) + 1


def _record(
    state: State,
    item: CommandInput,
    message: CommandMessage,
    answer: Answer,
    kind: type[command.CommandAccepted] | type[command.CommandRejected],
) -> Recorded:
    state.remember(answer)
    said = kind(
        subject=item.subject,
        body=message.body or _NOTHING,
        answer=answer,
        change_cause=message.cause,
        source=message.source,
        agent=message.agent,
        field_manager=message.field_manager,
    )
    if isinstance(said, command.CommandAccepted):
        said = msgspec.structs.replace(said, managed_fields=message.managed_fields)
    return state.emit(
        names.command_key(message.id),
        said,
        actor=events.user_actor(item.user),
        cause=0,
        command_id=message.id,
    )


def _refusal(command_id: str, error: Rejected, name: str = "") -> Answer:
    return Answer(
        id=command_id,
        result="rejected",
        name=name,
        reason=error.reason,
        code=error.code,
        message=error.message,
        causes=error.causes,
    )


# --- syncs ------------------------------------------------------------------------


def _sync(state: State, outbox: Outbox, item: SyncInput) -> None:
    try:
        request = _SYNC.decode(item.data)
        _check_node(item.node, request.node)
    except (msgspec.MsgspecError, ValueError) as error:
        state.count("syncs_refused")
        outbox.refuse_sync(
            item.reply, f"{item.node}: the sync is not readable: {error}"
        )
        return
    use = state.cluster.actual.nodes.get(item.node)
    known = use.node if use else None
    stream = names.node_key(item.node)
    for event in node.register(
        known,
        boot_id=request.boot_id,
        info=request.node,
        uid=state.uid_after(0),
        former=state.cluster.actual.former_incarnations.get(item.node, 0),
    ):
        state.emit(stream, event, actor=events.node_actor(item.node), cause=0)
    if known is None or known.boot_id != request.boot_id:
        _forget_reports(state, item.node)
    heard = state.heard.setdefault(item.node, Heard(state.now))
    heard.at = state.now
    state.timers.set("heartbeat", item.node, state.now + _grace(state))
    granted = state.cluster.actual.nodes[item.node].node.incarnation
    outbox.sync(item.node, item.reply, granted)


def _check_node(name: str, info: NodeInfo) -> None:
    """Raises ValueError where a node describes itself in a way that nobody can use."""
    if not names.is_dns_subdomain(name):
        raise ValueError("the node's name is not a DNS subdomain")
    for resource in ("cpu", "memory", "pods"):
        quantities.parse(info.allocatable.get(resource, "0"))
    if len(info.images) > IMAGES_MAX:
        raise ValueError(f"{len(info.images)} images are more than a node may list")


def _forget_reports(state: State, name: str) -> None:
    """A new incarnation counts its reports from 1."""
    count_silent(state, name)
    state.heard[name] = Heard(state.now)
    every = state.settings.count_reports_every
    state.timers.set("count", name, state.now + every)


def count_silent(state: State, name: str) -> None:
    """Afterwards the reports of this node that said nothing are accounted for."""
    heard = state.heard.get(name)
    use = state.cluster.actual.nodes.get(name)
    if heard is None or use is None or not heard.counted:
        return
    state.emit(
        names.node_key(name),
        node.ReportsCounted(
            incarnation=use.node.incarnation,
            first_sequence=heard.first,
            last_sequence=heard.last,
            count=heard.counted,
        ),
        actor=events.node_actor(name),
        cause=0,
    )
    heard.counted = 0


# --- reports ----------------------------------------------------------------------


def _report(state: State, outbox: Outbox, item: ReportInput) -> None:
    try:
        report = _REPORT.decode(item.data)
        if report.node is not None:
            _check_node(item.node, report.node)
    except (msgspec.MsgspecError, ValueError):
        state.count("reports_unreadable")
        return
    use = state.cluster.actual.nodes.get(item.node)
    if use is None or use.node.incarnation != report.incarnation:
        state.count("reports_of_another_incarnation")
        outbox.resync(item.node)
        return
    heard = state.heard.setdefault(item.node, Heard(state.now))
    if report.sequence <= heard.last:
        state.count("reports_repeated")
        return
    heard.last = report.sequence
    heard.at = state.now
    state.timers.set("heartbeat", item.node, state.now + _grace(state))
    before = state.cluster.position
    actor = events.node_actor(item.node)
    stream = names.node_key(item.node)
    if report.node is not None and report.node != use.node.info:
        changed = node.NodeChanged(
            boot_id=use.node.boot_id,
            incarnation=use.node.incarnation,
            info=report.node,
        )
        state.emit(stream, changed, actor=actor, cause=0)
    if not use.node.ready:
        state.emit(stream, node.NodeBecameReady(), actor=actor, cause=0)
        if not report.full:
            # Its pods were taken for unready while it was not heard (rule 3 of
            # projections/actual.py): it must say anew how each of them is.
            outbox.resync(item.node)
    elif _is_behind(state, item, report):
        state.count("assignments_lost")
        outbox.resync(item.node)
    if report.usage is not None:
        at = state.now - item.waited
        metric_intake.take_usage(state, item.node, report.usage, at)
    for status in report.pods:
        _pod_status(state, outbox, item.node, report, status)
    if report.full:
        _missing(state, outbox, item.node, report)
    if report.pods or report.full or report.node is not None:
        outbox.confirm(item.node, report.sequence)
    if state.cluster.position == before:
        heard.first = heard.first if heard.counted else report.sequence
        heard.counted += 1
    else:
        outbox.track(item.node, report.incarnation, report.sequence)


def _is_behind(state: State, item: ReportInput, report: Report) -> bool:
    """The node has not followed what it was told some time ago: that was lost.

    What counts is when the report came: one that had to wait here says nothing about
    its node, and full lists are the last thing that a writer needs that is late.
    """
    if item.node not in state.chain:
        # It was told nothing since this writer's start, not even that it should ask.
        return True
    told, at = state.chain[item.node]
    came_at = state.now - item.waited
    return report.position != told and came_at - at > state.settings.lag_max


def _pod_status(
    state: State, outbox: Outbox, name: str, report: Report, status: PodStatus
) -> None:
    key = names.pod_key(status.namespace, status.name)
    held = state.cluster.actual.pods.get(key)
    if held is None or held.uid != status.uid or held.node != name:
        if not status.removed:
            state.count("reports_of_strange_pods")
            outbox.stop_stranger(name, status)
        return
    if status.removed:
        _removed(state, name, held)
        return
    seen = _observation(status, held)
    if _says_nothing_new(held, seen):
        return
    state.emit(
        key,
        pod.PodReported(
            incarnation=report.incarnation, sequence=report.sequence, seen=seen
        ),
        actor=events.node_actor(name),
        cause=0,
    )


def _says_nothing_new(held: Pod, seen: PodObservation) -> bool:
    """The log knows it already; notes count only where they are given."""
    ready = seen.ready and seen.phase == "Running" and not held.check_failed
    if held.ready != ready and not held.terminal:
        # Its node was given up for a while, and its pods' readiness with it.
        return False
    if seen == held.seen:
        return True
    if seen.notes or held.seen is None:
        return False
    return msgspec.structs.replace(held.seen, notes=()) == seen


def _observation(status: PodStatus, held: Pod) -> PodObservation:
    """What the status says; a note that came along the last time is not news."""
    told = held.seen.notes if held.seen is not None else ()
    return PodObservation(
        phase=status.phase,
        ready=status.ready,
        ip=status.ip,
        reason=status.reason,
        message=status.message,
        started_at=status.started_at,
        containers=status.containers,
        init_containers=status.init_containers,
        notes=(
            tuple(note for note in status.notes if note not in told)
            if status.notes
            else ()
        ),
    )


def _removed(state: State, name: str, held: Pod) -> None:
    """Its node has the last word: nothing is left of the pod."""
    actor = events.node_actor(name)
    happened: list[Event] = []
    if held.stage != pod.TERMINATING:
        why = f"node {name} no longer has it"
        happened.append(
            pod.PodTerminationRequested(why=why, reason="NodeRemoved", grace=0.0)
        )
    happened.append(pod.PodRemoved(why="its containers have ended"))
    for event in happened:
        state.emit(held.key, event, actor=actor, cause=0)


def _missing(state: State, outbox: Outbox, name: str, report: Report) -> None:
    """A full report names every pod that the node has: what is missing is gone, or,
    if it shall not go, was never heard of by the node. What happened to a pod after
    the position that the report speaks for is not its business."""
    named = {names.pod_key(held.namespace, held.name) for held in report.pods}
    use = state.cluster.actual.nodes[name]
    for key in [key for key in use.pods if key not in named]:
        held = state.cluster.actual.pods[key]
        if held.position > report.position:
            continue
        if held.stage == pod.TERMINATING:
            _removed(state, name, held)
        elif not held.terminal:
            outbox.run_again(name, held)


def _grace(state: State) -> float:
    return state.settings.health.monitor_grace
