"""The loop around the step: receive, step, commit, and only then speak.

1. One step computes while the transaction of the one before goes to disk; at most one
   waits. Inputs that arrive meanwhile form the next step: that is group commit.
2. A commit that fails ends the process: nothing of it was said to anybody, and the
   next start replays the log.
3. Trouble with the broker ends nothing: what was lost is asked for again.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import msgspec

from adapters import cancelling, collector, nats_wire
from adapters.archive_segment import Damaged
from adapters.clock import Clock, MonotoneClock
from adapters.eventlog import EventLog, Row
from domain import names
from domain.errors import Permanent, Transient
from domain.protocol import Answer, Assignment, Pulse
from workers import hearing, loading, measuring, notary, speaking, state, values
from workers.acknowledging import Acknowledging
from workers.attention import Attention
from workers.committing import Committer
from workers.decisions import Target
from workers.intake import (
    CommandInput,
    Founding,
    Input,
    Listening,
    ReportInput,
    SyncInput,
)
from workers.mailbox import Mailbox
from workers.outbox import Step
from workers.relay import Relay
from workers.step import step

COMMANDS_PER_FETCH: Final = 500
COMMANDS_PER_STEP: Final = 1_000
FETCH_SECONDS: Final = 1.0
REPORTS: Final = "rollbook.report.*"
SYNCS: Final = "rollbook.sync.*"
PULSE_SECONDS: Final = 2.0
"""Readers hear at least this often that the writer lives."""
_ENCODER: Final = msgspec.json.Encoder()
_log = logging.getLogger(__name__)


class ControlSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How the writer reaches its broker and its store, and its times; with
    `metrics_port` 0 it serves no metrics."""

    nats_url: str
    user: str
    secret: str
    store_url: str
    version: str = "0"
    writer: state.Settings = state.Settings()
    checkpoints: notary.Settings | None = None
    """None signs nothing."""
    metrics_listen: str = "127.0.0.1"
    metrics_port: int = 0


class Control:
    """The one writer as a process: `run` until `stop` is set."""

    def __init__(
        self,
        settings: ControlSettings,
        log: EventLog,
        clock: Clock | None = None,
        numbers: measuring.Numbers | None = None,
    ) -> None:
        self.numbers = numbers or measuring.Numbers()
        self.numbers.unready = measuring.REPLAYING
        self._settings = settings
        self._log = log
        self._clock = clock
        self._state = state.State(settings.writer)
        self._mailbox = Mailbox()
        self._held = speaking.Held(settings.writer.events_per_step)
        self._outcomes: asyncio.Queue[tuple[Step, int]] = asyncio.Queue(maxsize=1)
        self._commit_thread = ThreadPoolExecutor(1, "commit")
        self._read_thread = ThreadPoolExecutor(1, "lookup")
        self._committer = Committer(log)
        self._written: list[Row] = []
        """What the last commit has written."""
        self._client: nats_wire.Client | None = None
        self._relay: Relay | None = None
        self._progress: Callable[[int, int], None] | None = None
        self._decided = 0
        self.committed = 0
        """The last position that is on disk."""

    async def run(
        self,
        stop: asyncio.Event,
        ready: Callable[[], None] | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        """Works until `stop` is set. Raises `Permanent` where it must not go on."""
        settings = self._settings
        self._progress = progress
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(
            self._read_thread, loading.load, self._state, self._log
        )
        await loop.run_in_executor(self._commit_thread, self._committer.start)
        collector.settle()
        self.committed = self._state.cluster.position
        clock = self._clock or MonotoneClock(self._state.cluster.timestamp)
        self._clock = clock
        self._attention = Attention(clock.now, settings.writer.health.monitor_grace)
        self._state.wake(clock.now())
        client = await nats_wire.connect(
            settings.nats_url, settings.user, settings.secret, "rollbook-control"
        )
        self._client = client
        commands = nats_wire.CommandIntake(client)
        relay = Relay(self._log, nats_wire.EventPublisher(client))
        self._relay = relay
        try:
            await commands.start()
            await self._subscribe(client)
            await self._announce()
            if self.committed == 0:
                uid = loading.new_cluster_uid()
                self._mailbox.put(Founding(uid=uid, version=settings.version))
            self.numbers.look, self.numbers.unready = self._look, ""
            if ready is not None:
                ready()
            await self._work(stop, client, commands, relay)
        finally:
            self._commit_thread.shutdown(wait=True)
            self._read_thread.shutdown(wait=True)
            await commands.ack(self._decided)
            await commands.stop()
            await nats_wire.close(client)

    async def _work(
        self,
        stop: asyncio.Event,
        client: nats_wire.Client,
        commands: nats_wire.CommandIntake,
        relay: Relay,
    ) -> None:
        jobs = [
            asyncio.create_task(self._decide(client), name="decide"),
            asyncio.create_task(self._commit(), name="commit"),
            asyncio.create_task(self._fetch(commands), name="fetch"),
            asyncio.create_task(relay.run(), name="relay"),
            asyncio.create_task(self._pulse(client), name="pulse"),
            asyncio.create_task(self._confirm(), name="confirm"),
            asyncio.create_task(self._sign(client), name="notary"),
            asyncio.create_task(self._attention.run(), name="attention"),
        ]
        stopping = asyncio.create_task(stop.wait())
        try:
            done, _ = await asyncio.wait(
                [stopping, *jobs], return_when=asyncio.FIRST_COMPLETED
            )
            for job in done:
                if job is not stopping:
                    job.result()
                    raise Permanent(f"{job.get_name()} ended by itself")
        finally:
            await cancelling.end(stopping, *jobs)

    # --- receive --------------------------------------------------------------------

    async def _subscribe(self, client: nats_wire.Client) -> None:
        async def on_report(message: nats_wire.Msg) -> None:
            node = nats_wire.parse_node_subject(message.subject)
            self._mailbox.put_report(ReportInput(node=node, data=message.data))

        async def on_sync(message: nats_wire.Msg) -> None:
            node = nats_wire.parse_node_subject(message.subject)
            reply = message.reply if _own_inbox(node, message.reply) else ""
            self._mailbox.put_sync(SyncInput(node=node, data=message.data, reply=reply))

        await hearing.measurements(client, self._mailbox, self._state.count)
        await hearing.checks(client, self._mailbox, self._state.count)
        await hearing.metrics(client, self._mailbox, self._state.count)
        await client.subscribe(REPORTS, cb=on_report)
        await client.subscribe(SYNCS, cb=on_sync)
        await values.serve(
            client, lambda: self._state.cluster, lambda: self.committed, self._say
        )

    async def _fetch(self, commands: nats_wire.CommandIntake) -> None:
        """Commands in, and away with those that are decided and on disk: the intake
        is used by one task."""
        loop = asyncio.get_running_loop()
        acknowledged = Acknowledging(commands)
        while True:
            raw = await commands.fetch(COMMANDS_PER_FETCH, FETCH_SECONDS)
            if raw:
                good = [await self._accept(item) for item in raw]
                inputs = [item for item in good if item is not None]
                known = await loop.run_in_executor(
                    self._read_thread, self._look_up, inputs
                )
                await self._mailbox.put_commands(known, raw[-1].sequence)
                acknowledged.fetched(raw)
            await acknowledged.up_to(self._decided)

    async def _accept(self, raw: nats_wire.RawCommand) -> CommandInput | None:
        """The command, unless it cannot be one of the user that its subject names."""
        if raw.refusal is not None or raw.target is None:
            self._state.count("commands_forged")
            _log.warning("refused a message on %s: %s", raw.subject, raw.refusal)
            if raw.reply_to and self._client is not None:
                refusal = Answer(
                    id=raw.command_id,
                    result="rejected",
                    reason="BadRequest",
                    code=400,
                    message=raw.refusal or "",
                )
                await self._say(raw.reply_to, _ENCODER.encode(refusal))
            return None
        target = raw.target
        return CommandInput(
            user=target.user,
            target=Target(
                namespace=target.namespace,
                kind=target.kind,
                name=target.name,
                verb=target.verb,
            ),
            subject=raw.subject,
            data=raw.data,
            reply=raw.reply_to or "",
            id=raw.command_id,
        )

    def _look_up(self, inputs: list[CommandInput]) -> list[CommandInput]:
        """What the store knows of these commands and of streams that are not live."""
        keys = [names.command_key(item.id) for item in inputs]
        answers = loading.answers(self._log, keys)
        found = []
        for item, key in zip(inputs, keys, strict=True):
            version, stream = 0, item.target.key
            if item.target.verb in ("create", "apply"):
                try:
                    version = loading.last_version(self._log, stream)
                except Damaged as error:
                    answers.setdefault(key, loading.unreadable(item.id, stream, error))
            found.append(
                msgspec.structs.replace(
                    item, known=answers.get(key), known_version=version
                )
            )
        return found

    # --- step -----------------------------------------------------------------------

    async def _decide(self, client: nats_wire.Client) -> None:
        assert self._clock is not None, "the clock starts with the replay's end"
        wake_at: float | None = 0.0
        connected = True
        while True:
            wait = None
            if wake_at is not None:
                wait = max(0.0, wake_at - self._clock.now())
            inputs = await self._mailbox.take(
                COMMANDS_PER_STEP, wait, self._state.cluster.actual.pods_on
            )
            cut = not (connected and client.is_connected)
            if self._attention.lapsed() or cut:
                # Silence that nobody could hear proves nothing about the nodes.
                inputs = [Listening(), *inputs]
            if cut and client.is_connected:
                await self._announce()
            connected = client.is_connected
            sequence = self._mailbox.taken_sequence
            begin = time.perf_counter()
            try:
                outcome = step(self._state, inputs, self._clock.now())
            except Exception:
                outcome = await self._one_by_one(inputs)
            self.numbers.stepped(begin, len(outcome.events), self._state.completed)
            wake_at = 0.0 if outcome.more else outcome.wake_at
            await self._outcomes.put((outcome, sequence))

    async def _one_by_one(self, inputs: list[Input]) -> Step:
        """A step failed: a bug of ours. Bad luck must not become a crash loop.

        The state is thrown away and built again from the log, and the inputs are taken
        one at a time; one that fails alone is refused and counted, the others go on.
        Raises what the clock alone makes fail: then nothing can go on.
        """
        _log.exception("a step failed: taking its %d inputs one by one", len(inputs))
        await self._rebuild()
        for item in inputs:
            try:
                outcome = step(self._state, [item], self._time())
            except Exception:
                _log.exception("refused, because it makes a step fail: %r", item)
                await self._rebuild()
                self._state.count("inputs_that_fail")
                if isinstance(item, CommandInput) and item.reply:
                    await self._say(item.reply, _ENCODER.encode(_failed(item.id)))
            else:
                await self._outcomes.put((outcome, 0))
        return step(self._state, [], self._time())

    async def _rebuild(self) -> None:
        await self._outcomes.join()
        fresh = state.State(self._settings.writer)
        fresh.counters = self._state.counters
        fresh.commands = self._state.commands
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._read_thread, loading.load, fresh, self._log)
        self._check_alone(fresh.cluster.position)
        self._state = fresh
        fresh.wake(self._time())
        await self._announce()

    def _look(self) -> measuring.Look:
        published = self._relay.position if self._relay is not None else 0
        connected = self._client is not None and self._client.is_connected
        places = self.committed, published, self._outcomes.qsize()
        return measuring.look(self._state, self._mailbox, *places, connected)

    def _time(self) -> float:
        assert self._clock is not None, "the clock starts with the replay's end"
        return self._clock.now()

    # --- commit, then speak ---------------------------------------------------------

    async def _commit(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            outcome, sequence = await self._outcomes.get()
            thread = self._commit_thread
            if await loop.run_in_executor(thread, self._secure, outcome):
                await self._speak(outcome)
            if outcome.events:
                await self._publish_committed()
                assert self._relay is not None, "it is made before the first commit"
                self._relay.wake(self._written)
            if sequence:
                # It may be smaller than the last one: the stream may be a new one.
                self._decided = sequence
            self._outcomes.task_done()

    def _secure(self, outcome: Step) -> bool:
        """Afterwards the step is on disk; whether it may be spoken of.

        A step without events is fenced too: what a writer that was replaced would say
        is made from a state that is no longer true. Raises `Conflict` or `Permanent`
        where another writer has appended.
        """
        if outcome.events or outcome.tracking:
            self._append(outcome)
            self.committed = outcome.position
            return True
        if not (outcome.answers or outcome.syncs or outcome.assignments):
            return True
        try:
            last = self._log.last_position()
        except Transient as error:
            # Whoever misses it asks again, and nothing of it was to be kept.
            _log.info("not said, as the store cannot be asked: %s", error)
            return False
        self._check_alone(last)
        return True

    def _check_alone(self, last: int) -> None:
        """`Permanent` unless this writer has appended what the store ends with."""
        if last != self.committed:
            raise Permanent(
                f"the store is at position {last}, this writer has committed "
                f"{self.committed}: another one has appended; stopping"
            )

    def _append(self, outcome: Step) -> None:
        begin = time.perf_counter()
        self._written = self._committer.append(outcome)
        self.numbers.append.observe(time.perf_counter() - begin)

    async def _speak(self, outcome: Step) -> None:
        for node, new in outcome.grants:
            await self._say(nats_wire.node_subject(node, "grant"), _ENCODER.encode(new))
        for reply, answer in outcome.answers:
            await self._say(reply, _ENCODER.encode(answer))
        if outcome.syncs:
            await self._say_held(self._held.nodes())  # older, so before a list
        for reply, listing in outcome.syncs:
            if reply:
                await self._say(reply, speaking.fitting(listing, self._room))
        if outcome.live is not None:
            for data in speaking.live(outcome.live, self._room):
                await self._say(nats_wire.LIVE, data)
        now = self._held.look(outcome, self._mailbox.waits)
        for node, assignment in outcome.assignments.items():
            for each in self._held.add(node, assignment, now):
                await self._assign(node, each)
        await self._say_held(self._held.late(now))

    async def _say_held(self, nodes: Iterable[str]) -> None:
        for node in nodes:
            if (held := self._held.pop(node)) is not None:
                await self._assign(node, held)

    async def _confirm(self) -> None:
        while True:
            await asyncio.sleep(speaking.LOOK_SECONDS)
            await self._say_held(self._held.late(time.monotonic()))

    async def _assign(self, node: str, assignment: Assignment) -> None:
        data = speaking.fitting(assignment, self._room)
        await self._say(nats_wire.assign_subject(node), data)

    @property
    def _room(self) -> int:
        return self._client.max_payload - speaking.SLACK if self._client else 0

    async def _announce(self) -> None:
        """Every node asks for its full list: whatever was on its way may be lost."""
        for name, use in self._state.cluster.actual.nodes.items():
            self._state.chain.pop(name, None)
            told = Assignment(
                from_position=-1,
                to_position=-1,
                incarnation=use.node.incarnation,
                resync=True,
            )
            await self._say(nats_wire.assign_subject(name), _ENCODER.encode(told))

    async def _publish_committed(self, counters: dict[str, int] | None = None) -> None:
        pulse = Pulse(position=self.committed, counters=counters or {})
        await self._say(nats_wire.COMMITTED, _ENCODER.encode(pulse))

    async def _pulse(self, client: nats_wire.Client) -> None:
        while True:
            if client.is_closed:
                raise Permanent(
                    "the NATS server has ended the connection of control for good"
                )
            counters = measuring.counters(self._state, self._mailbox)
            await self._publish_committed(counters)
            if self._progress is not None:
                self._progress(self.committed, self._state.cluster.position)
            await asyncio.sleep(PULSE_SECONDS)

    async def _sign(self, client: nats_wire.Client) -> None:
        """Signs checkpoints until it is cancelled, and then a last one."""

        async def publish(note: str) -> None:
            await self._say(nats_wire.CHECKPOINT, note.encode())

        desk = notary.Desk(
            self._log,
            self._settings.checkpoints,
            lambda: (self._state.cluster.uid, self._committer.tip),
            publish,
            self._state.count,
        )
        await desk.run(client)

    async def _say(self, subject: str, data: bytes) -> None:
        """Publishes; a broker that is away loses it, which costs a repetition."""
        assert self._client is not None, "nothing is said before the connection"
        try:
            await self._client.publish(subject, data)
        except nats_wire.TROUBLE as error:
            self._state.count("messages_unsent")
            _log.info("not sent on %s: %s", subject, error)


def _failed(command_id: str) -> Answer:
    return Answer(
        id=command_id,
        result="rejected",
        reason="InternalError",
        code=500,
        message="the command makes Rollbook fail: please report it; see control's log",
    )


def _own_inbox(node: str, reply: str) -> bool:
    """A node may have its answer in its own inbox only: control is no deputy."""
    return reply.startswith(nats_wire.inbox_prefix(nats_wire.node_login(node)) + ".")
