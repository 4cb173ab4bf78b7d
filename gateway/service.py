"""The questions of `rollbook.query.<verb>`: bytes in, bytes out, never an exception.

1. Whatever is wrong with a question is said in its answer's `error`, with Kubernetes'
   reason, and counted. Nothing that is asked can end the service.
2. A question that names a position (`waitFor`) waits until it is folded, for
   `WAIT_SECONDS` at most; others are answered meanwhile.
3. No answer is larger than `ANSWER_BYTES`, so that it fits into one message: lists are
   cut there and say how to go on.
"""

import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import msgspec

from domain import errors, queries
from domain.errors import Rejected, not_found
from domain.wanted import ChecksAnswer, ChecksQuery, WantedAnswer, WantedQuery
from gateway import derived, differences, listing, logreading, usage
from gateway.explaining import answering, suggesting, waiting
from gateway.past import At, Past
from gateway.past_folding import PARTS, Part
from gateway.reader import Reader
from gateway.views import described, described_nodes, histories, wanted
from gateway.views.scene import Scene, Templates
from projections import digests, snapshots

ANSWER_BYTES: Final = 900_000
WAIT_SECONDS: Final = 5.0
CONCURRENT_MAX: Final = 512

_ENVELOPE_BYTES: Final = 4_096
_log = logging.getLogger(__name__)

Q = TypeVar("Q", bound=queries.Query)
Answer = (
    queries.GetAnswer
    | queries.DescribeAnswer
    | queries.HistoryAnswer
    | queries.CommandAnswer
    | queries.LogAnswer
    | queries.WhyAnswer
    | queries.DiffAnswer
    | queries.DigestAnswer
    | queries.UsageAnswer
    | queries.StatusAnswer
    | WantedAnswer
    | ChecksAnswer
)


class Service:
    """Answers questions from what `reader` has folded."""

    def __init__(
        self,
        reader: Reader,
        *,
        now: Callable[[], float] = time.time,
        wait_seconds: float = WAIT_SECONDS,
        answer_bytes: int = ANSWER_BYTES,
    ) -> None:
        self.counters: Counter[str] = Counter()
        """`asked.<verb>` and `refused.<reason>`."""
        self.past = Past(reader.log, timelines=reader.timelines)
        self._reader = reader
        self._now = now
        self._wait_seconds = wait_seconds
        self._bytes = answer_bytes
        self.authority = ""
        """The certificate of the Kubernetes API's authority, PEM, if there is one."""
        self._templates = Templates()
        self._restarts = reader.restarts
        self._started_at = now()
        self._running = 0
        self._verbs: dict[str, Callable[[bytes], Awaitable[Answer]]] = {
            "get": self._handler(queries.GetQuery, self._get),
            "describe": self._handler(queries.DescribeQuery, self._describe),
            "history": self._handler(queries.HistoryQuery, self._history),
            "command": self._handler(queries.CommandQuery, self._command),
            "log": self._handler(queries.LogQuery, self._log_page),
            "why": self._handler(queries.WhyQuery, self._why),
            "diff": self._handler(queries.DiffQuery, self._diff),
            "digest": self._handler(queries.DigestQuery, self._digest),
            "usage": self._handler(queries.UsageQuery, self._usage),
            "status": self._handler(queries.StatusQuery, self._status),
            "wanted": self._handler(WantedQuery, self._wanted),
            "checks": self._handler(ChecksQuery, self._checks),
        }

    @property
    def verbs(self) -> tuple[str, ...]:
        """What can be asked."""
        return tuple(self._verbs)

    async def answer(self, verb: str, data: bytes) -> bytes:
        """The encoded answer to the question `data`; no data asks for the defaults."""
        self.counters[f"asked.{verb}"] += 1
        self._running += 1
        try:
            if self._running > CONCURRENT_MAX:
                text = "too many questions are being answered: ask again"
                return self._refused("TooManyRequests", text, 429)
            found = await self._verbs[verb](data or b"{}")
            encoded = msgspec.json.encode(found)
            if len(encoded) > self._bytes + _ENVELOPE_BYTES:
                text = f"the answer has {len(encoded)} bytes, more than one may have"
                return self._refused("RequestEntityTooLarge", text, 413)
            return encoded
        except Rejected as error:
            return self._refused(error.reason, error.message, error.code)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            return self._refused("BadRequest", f"the question {verb}: {error}", 400)
        except TimeoutError as error:
            return self._refused("Timeout", str(error), 504)
        except errors.Permanent as error:  # asking again would not help
            return self._refused("InternalError", str(error), 500)
        except errors.RollbookError as error:
            text = f"the store does not answer: {error}"
            return self._refused("ServiceUnavailable", text, 503)
        except Exception as error:  # our own mistake costs this answer alone
            _log.exception("the question %s %r", verb, data[:500])
            text = f"{type(error).__name__}: {error}"
            return self._refused("InternalError", text, 500)
        finally:
            self._running -= 1

    def _refused(self, reason: str, message: str, code: int) -> bytes:
        self.counters[f"refused.{reason}"] += 1
        error = queries.QueryError(reason=reason, message=message, code=code)
        return msgspec.json.encode({"error": error})

    def _handler(
        self, kind: type[Q], work: Callable[[Q], Awaitable[Answer]]
    ) -> Callable[[bytes], Awaitable[Answer]]:
        """`work` behind the decoding of its question and the wait for its position."""
        decoder = msgspec.json.Decoder(kind)

        async def handle(data: bytes) -> Answer:
            asked = decoder.decode(data)
            if asked.at is not None and not isinstance(asked, _OF_THE_PAST):
                text = "at: this question has no answer for the past: ask without it"
                raise Rejected("BadRequest", text)
            await self._wait(asked.wait_for)
            return await work(asked)

        return handle

    async def _wait(self, position: int) -> None:
        if not await self._reader.wait_for(position, self._wait_seconds):
            raise TimeoutError(
                f"position {position} is not folded after {self._wait_seconds:g} s: "
                f"this reader is at {self._reader.position}"
            )

    def _scene(self) -> Scene:
        reader = self._reader
        if self._restarts != reader.restarts:
            # Another log: its positions hold other templates.
            self._templates = Templates()
            self._restarts = reader.restarts
        return Scene(
            reader.cluster,
            reader.happenings,
            self._templates,
            self._now(),
            live=reader.live,
            authority=self.authority,
        )

    async def _scene_at(
        self, moment: queries.Moment | None, key: str = "", part: Part = "all"
    ) -> Scene:
        """The state of then, or of now; with `key` only that part of it."""
        if moment is None:
            return self._scene()
        at = await self.past.locate(moment, self._now())
        if at.position == self._reader.position:
            return msgspec.structs.replace(self._scene(), now=at.now)
        return await self._scene_of(at, key, part)

    async def _scene_of(self, at: At, key: str = "", part: Part = "all") -> Scene:
        if key.startswith(PARTS):
            cluster, happenings = await self.past.part(key, at.position, part)
        else:
            cluster, happenings = await self.past.whole(at.position)
        templates, authority = self._scene().templates, self.authority
        return Scene(cluster, happenings, templates, at.now, authority)

    # --- the verbs ------------------------------------------------------------------

    async def _get(self, asked: queries.GetQuery) -> queries.GetAnswer:
        one = asked.name and asked.kind != "event"
        key = listing.key_of(asked.kind, asked.namespace, asked.name) if one else ""
        full = asked.kind == "deployment" and asked.format == "object"
        scene = await self._scene_at(asked.at, key, "status" if full else "counts")
        return listing.answer(scene, asked, self._bytes)

    async def _describe(self, asked: queries.DescribeQuery) -> queries.DescribeAnswer:
        key = listing.key_of(asked.kind, asked.namespace, asked.name)
        scene = await self._scene_at(asked.at, key, "described")
        return queries.DescribeAnswer(
            position=scene.cluster.position, text=_described(scene, asked)
        )

    async def _history(self, asked: queries.HistoryQuery) -> queries.HistoryAnswer:
        key = f"deployment/{asked.namespace}/{asked.name}"
        scene = await self._scene_at(asked.at, key, "revisions")
        held = scene.cluster.desired.deployments.get(key)
        if held is None:
            raise not_found(listing.DEPLOYMENTS.resource, asked.name)
        return histories.answer(scene, held, asked, self._bytes)

    async def _command(self, asked: queries.CommandQuery) -> queries.CommandAnswer:
        found = await self._reader.answer_to(asked.id)
        return queries.CommandAnswer(position=self._reader.position, answer=found)

    async def _log_page(self, asked: queries.LogQuery) -> queries.LogAnswer:
        position, room = self._reader.position, self._bytes
        if asked.at is not None:
            position = (await self.past.locate(asked.at, self._now())).position
        return await self._reader.ask(
            lambda log: logreading.answer(log, asked, position, room)
        )

    async def _why(self, asked: queries.WhyQuery) -> queries.WhyAnswer:
        answering.check(asked)
        seen = None
        if asked.stream or asked.at is None:
            scene = await self._scene_at(asked.at, asked.stream)
            position, now = scene.cluster.position, scene.now
            seen = waiting.look(scene, asked.stream)
        else:  # an event needs no state around it
            position, now = await self.past.locate(asked.at, self._now())
        found = await self._reader.ask(
            lambda log: answering.answer(log, asked, seen, position=position, now=now)
        )
        if found is None:
            raise await self._unexplained(asked, position)
        return found

    async def _unexplained(self, asked: queries.WhyQuery, position: int) -> Rejected:
        """Why there is no answer about a stream of which the log had nothing then."""
        # Other names are suggested, so all that was there must be known.
        scene, stream = await self._scene_at(asked.at), asked.stream
        if derived.held(scene, stream) is not None:
            return suggesting.unrecorded(stream)
        if asked.at is not None:
            rows = await self._reader.ask(lambda log: log.read_stream(stream, limit=1))
            if rows:
                return suggesting.too_early(stream, position, rows[0].position)
        return suggesting.unknown(scene, stream)

    async def _diff(self, asked: queries.DiffQuery) -> queries.DiffAnswer:
        differences.check(asked)
        before, after = [
            await self.past.locate(moment, self._now())
            for moment in (asked.before, asked.after)
        ]
        key = differences.key_of(asked)
        old, new = [await self._scene_of(at, key) for at in (before, after)]
        low, high = sorted((before.position, after.position))
        if key and derived.held(old, key) is None and derived.held(new, key) is None:
            await self._recorded(key)
        touched = [key] if key else await self.past.touched(low, high)
        return differences.answer(old, new, touched, asked, self._bytes)

    async def _recorded(self, key: str) -> None:
        """Raises `Rejected` for an object that never was, with names that are alike."""
        rows = await self._reader.ask(lambda log: log.read_stream(key, limit=1))
        if not rows:
            raise suggesting.unknown(self._scene(), key)

    async def _digest(self, _asked: queries.DigestQuery) -> queries.DigestAnswer:
        made = snapshots.cut(self._reader.cluster)
        found = await self._reader.ask(lambda _: digests.digest(made))
        return queries.DigestAnswer(
            position=made.header.position, digest=found, code=digests.code()
        )

    async def _usage(self, asked: queries.UsageQuery) -> queries.UsageAnswer:
        return usage.answer(self._scene(), self._reader.live, asked)

    async def _wanted(self, _asked: WantedQuery) -> WantedAnswer:
        return wanted.answer(self._scene(), self._bytes)

    async def _checks(self, asked: ChecksQuery) -> ChecksAnswer:
        return wanted.checks(self._scene(), asked.after, self._bytes)

    async def _status(self, _asked: queries.StatusQuery) -> queries.StatusAnswer:
        reader, cluster = self._reader, self._reader.cluster
        return queries.StatusAnswer(
            position=reader.position,
            committed=max(reader.committed, reader.position),
            unreadable=reader.unreadable_count,
            started_at=self._started_at,
            counts={
                "deployment": len(cluster.desired.deployments),
                "replicaset": len(cluster.desired.replicasets),
                "pod": len(cluster.actual.pods),
                "node": len(cluster.actual.node_list),
                "event": len(reader.happenings),
            },
            counters=reader.control_counters,
            nodes_ready=sum(use.ready for use in cluster.actual.node_list),
            control_heard_at=reader.control_heard_at,
        )


_OF_THE_PAST: Final = (
    queries.GetQuery
    | queries.DescribeQuery
    | queries.HistoryQuery
    | queries.LogQuery
    | queries.WhyQuery
)
"""The questions that `at` is for."""


def _described(at: Scene, asked: queries.DescribeQuery) -> str:
    desired, actual = at.cluster.desired, at.cluster.actual
    key = listing.key_of(asked.kind, asked.namespace, asked.name)
    match asked.kind:
        case "deployment":
            if (owner := desired.deployments.get(key)) is not None:
                return described.of_deployment(at, owner)
        case "replicaset":
            if (mine := desired.replicasets.get(key)) is not None:
                return described.of_replicaset(at, mine)
        case "pod":
            if (held := actual.pods.get(key)) is not None:
                return described.of_pod(at, held)
        case "node":
            if (use := actual.nodes.get(asked.name)) is not None:
                return described_nodes.of_node(at, use.node)
        case "event":
            raise Rejected("BadRequest", "kind: events are listed, not described")
        case _:
            if (kept := at.cluster.plain.objects.get(key)) is not None:
                return described.of_plain(at, kept)
    raise not_found(_RESOURCES[asked.kind], asked.name)


_RESOURCES: Final = {
    "deployment": listing.DEPLOYMENTS.resource,
    "replicaset": listing.REPLICASETS.resource,
    "pod": listing.PODS.resource,
    "node": listing.NODES.resource,
    **{kind: source.resource for kind, source in listing.PLAIN.items()},
}
