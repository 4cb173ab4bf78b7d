"""Talking to the broker: connections, and the two JetStream streams.

1. JetStream is transport, not truth. Whatever it loses costs a re-publication: a
   user sends the command again (its id makes that harmless), the relay sends the
   events again (their position does).
2. `COMMANDS` holds exactly what has not been acknowledged. Its one reader starts at
   the first message that is there, so nothing depends on what the broker remembers of
   the reader: after a restart, a lost message or a doubt the reader just starts anew.
   (JetStream's work-queue retention would ask for one acknowledgement per message;
   here one purge up to a sequence acknowledges a whole batch.)
3. `EVENTS` is an exact, gapless copy of a stretch of the log: each publish names the
   stream sequence that it expects before it, so that after a lost message the rest
   is refused instead of stored out of order.
4. Nothing here raises for what a user sent. What is wrong with a message stands
   beside it, in `RawCommand.refusal`.

Connections are made here. Subjects (`adapters/nats_subjects.py`), streams
(`nats_streams.py`), the reader (`nats_intake.py`) and the writer (`nats_publisher.py`)
of streams have files of their own and are offered here too.
"""

import asyncio
import contextlib
import logging
import random
from typing import Final

import msgspec
import nats.errors
from nats.aio import client as nats_client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from adapters import nats_subjects
from adapters.nats_intake import CommandIntake, RawCommand
from adapters.nats_publisher import EventPublisher
from adapters.nats_streams import (
    COMMANDS,
    EVENTS,
    TROUBLE,
    Streams,
    StreamState,
    ensure_streams,
    went_back,
)
from adapters.nats_subjects import (
    CHECKPOINT,
    CHECKPOINT_REQUEST,
    COMMITTED,
    LIVE,
    CommandSubject,
    assign_subject,
    check_subject,
    command_subject,
    event_subject,
    inbox_prefix,
    measurement_subject,
    metric_subject,
    node_login,
    node_subject,
    parse_check_subject,
    parse_command_subject,
    parse_measurement_subject,
    parse_metric_subject,
    parse_node_request,
    parse_node_subject,
    query_subject,
    report_subject,
    safe_reply,
    session_subject,
    sync_subject,
    values_subject,
)
from domain import errors

__all__ = [
    "CHECKPOINT",
    "CHECKPOINT_REQUEST",
    "COMMANDS",
    "COMMITTED",
    "EVENTS",
    "LIVE",
    "TROUBLE",
    "Client",
    "CommandIntake",
    "CommandSubject",
    "Counters",
    "EventPublisher",
    "Msg",
    "RawCommand",
    "StreamState",
    "Streams",
    "Subscription",
    "assign_subject",
    "check_subject",
    "close",
    "command_subject",
    "connect",
    "ensure_streams",
    "event_subject",
    "inbox_prefix",
    "measurement_subject",
    "metric_subject",
    "node_login",
    "node_subject",
    "parse_check_subject",
    "parse_command_subject",
    "parse_measurement_subject",
    "parse_metric_subject",
    "parse_node_request",
    "parse_node_subject",
    "query_subject",
    "report_subject",
    "safe_reply",
    "session_subject",
    "sync_subject",
    "values_subject",
    "went_back",
]

_RECONNECT_SECONDS: Final = (0.05, 0.5)
"""The bounds of the random wait between attempts: all clients lose the broker at the
same moment, and should not all come back at the same moment."""
_PING_SECONDS: Final = 10
_PINGS_OUTSTANDING: Final = 3
"""A connection that is silent for 30 to 40 seconds is given up and made anew."""

_log = logging.getLogger(__name__)


class Counters(msgspec.Struct):
    """What has happened on one connection since it was made; only ever grows."""

    errors: int = 0
    """All errors, those of the next two lines too."""
    refusals: int = 0
    """Publishes and subscriptions that the broker did not permit."""
    slow_consumers: int = 0
    """Messages dropped because this process was not fast enough to take them."""
    disconnects: int = 0
    reconnects: int = 0
    closed: int = 0
    """1 once the connection has ended for good, by `close` or by the broker."""


class Client(nats_client.Client):
    """The client of the library, with a `flush` that is a barrier."""

    async def flush(self, timeout: float = nats_client.DEFAULT_FLUSH_TIMEOUT) -> None:  # noqa: ASYNC109  # the library's signature
        """Afterwards the broker has processed all that was published and subscribed.

        The library writes its PING past what still waits to be written. While the
        first one is answered that is written too, so the second one comes last.
        """
        await super().flush(timeout)  # type: ignore[arg-type] # any float will do
        await super().flush(timeout)  # type: ignore[arg-type] # any float will do


async def connect(
    url: str,
    user: str,
    secret: str,
    name: str,
    *,
    timeout: float = 10.0,  # noqa: ASYNC109 # becomes a sentence that helps
    counters: Counters | None = None,
) -> Client:
    """A connection that lives until `close`: it reconnects for ever.

    `name` is what `nats server report connections` shows. Trouble is counted in
    `counters` and logged in one line each. Subscriptions survive a reconnect; what
    was on its way in either direction may be lost. The broker may still end a
    connection for good (a user that is not known any more): then `is_closed`
    is true and `counters.closed` is 1, and the process had better end.

    Raises `Transient` if nobody answers within `timeout` seconds, and `Permanent` if
    the broker refuses the user.
    """
    watcher = _Watcher(name, counters if counters is not None else Counters())
    client = Client()
    try:
        async with asyncio.timeout(timeout):
            await client.connect(
                url,
                user=user,
                password=secret,
                name=name,
                inbox_prefix=nats_subjects.inbox_prefix(user),
                error_cb=watcher.on_error,
                disconnected_cb=watcher.on_disconnect,
                reconnected_cb=watcher.on_reconnect,
                closed_cb=watcher.on_close,
                max_reconnect_attempts=-1,
                reconnect_time_wait=_FIRST_WAIT_SECONDS,  # type: ignore[arg-type] # any float will do
                reconnect_to_server_handler=_next_server,
                ping_interval=_PING_SECONDS,
                max_outstanding_pings=_PINGS_OUTSTANDING,
            )
    except TimeoutError:
        await _abandon(client)
        reason = f" ({watcher.last})" if watcher.last else ""
        raise errors.Transient(
            f"no NATS server answers at {url} within {timeout:g} s{reason}: is it "
            "running? `rollbook up` starts one"
        ) from watcher.last
    except _RefusedError as error:
        await _abandon(client)
        raise errors.Permanent(
            f"the NATS server at {url} refuses the user {user!r}: the context or the "
            "secret is not of this cluster"
        ) from error
    except nats.errors.Error as error:
        await _abandon(client)
        raise errors.Permanent(f"cannot connect to {url!r}: {error}") from error
    except BaseException:
        await _abandon(client)
        raise
    watcher.connected = True
    return client


async def close(client: Client) -> None:
    """Afterwards the connection is closed, and what was published has been sent.

    Harmless when it is closed already, or when the broker is away.
    """
    if client.is_closed:
        return
    if client.is_connected:
        with contextlib.suppress(nats.errors.Error, OSError, TimeoutError):
            await client.flush(timeout=2)
    await client.close()
    await asyncio.sleep(0)  # its cancelled tasks end in the next round of the loop


_FIRST_WAIT_SECONDS: Final = 0.1


class _RefusedError(Exception):
    """The broker does not know the user, or not with this secret."""


class _Watcher:
    """Counts and logs what happens on a connection."""

    def __init__(self, name: str, counters: Counters) -> None:
        self.connected = False
        self.last: Exception | None = None
        self._name = name
        self._counters = counters

    async def on_error(self, error: Exception) -> None:
        counters, text = self._counters, str(error) or type(error).__name__
        counters.errors += 1
        self.last = error
        if not self.connected and "authorization" in text.lower():
            raise _RefusedError(text) from error  # ends `Client.connect`, on purpose
        if isinstance(error, nats.errors.SlowConsumerError):
            counters.slow_consumers += 1
            _log.warning("nats %s: too slow, dropped a message: %s", self._name, text)
        elif "permissions violation" in text:
            counters.refusals += 1
            _log.error("nats %s: not permitted: %s", self._name, text)
        elif isinstance(error, OSError | nats.errors.UnexpectedEOF):
            # One for each attempt to reconnect; the disconnect itself was logged.
            _log.debug("nats %s: %s", self._name, text)
        else:
            _log.warning("nats %s: %s", self._name, text)

    async def on_disconnect(self) -> None:
        if self.connected:
            self._counters.disconnects += 1
            _log.info("nats %s: disconnected", self._name)

    async def on_reconnect(self) -> None:
        self._counters.reconnects += 1
        _log.info("nats %s: connected again", self._name)

    async def on_close(self) -> None:
        self._counters.closed = 1
        _log.info("nats %s: closed", self._name)


def _next_server(
    servers: list[nats_client.Server], _info: dict[str, object]
) -> tuple[nats_client.Server | None, float]:
    """The server that was tried least, after a short random wait."""
    wait = random.uniform(*_RECONNECT_SECONDS)  # noqa: S311 # a wait, not a secret
    return min(servers, key=lambda server: server.reconnects), wait


async def _abandon(client: Client) -> None:
    """End a half-made connection without a trace."""
    with contextlib.suppress(Exception):
        await client.close()
    await asyncio.sleep(0)
