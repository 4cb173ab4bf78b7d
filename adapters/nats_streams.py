"""The two JetStream streams: what they must be, and whether they still are the same.

The rules are those of `adapters/nats_wire.py`, which offers all of this. Who reads
and writes the streams is in `adapters/nats_intake.py` and `adapters/nats_publisher.py`.
"""

from typing import Final

import msgspec
import nats.errors
import nats.js.errors
from nats.js import JetStreamContext, api

from adapters import nats_subjects
from domain import errors

COMMANDS: Final = "COMMANDS"
EVENTS: Final = "EVENTS"
CHECKPOINTS: Final = "CHECKPOINTS"

ID_HEADER: Final = "Nats-Msg-Id"

COMMAND_BYTES_MAX: Final = 768 * 1024
"""Headers included. It leaves an event that carries what a command asked for enough
room under the broker's 1 MiB."""

MISSING_ERRORS: Final = (10014, 10059, 10037)
"""JetStream's codes for: no such consumer, no such stream, no such message."""
_NAME_IN_USE_ERROR: Final = 10058
_UNAVAILABLE: Final = 503

TROUBLE: Final = (nats.errors.Error, OSError, TimeoutError)
"""What the client library raises when the broker is away, slow or refuses."""

COMMANDS_CONFIG: Final = api.StreamConfig(
    name=COMMANDS,
    description="commands that have not been decided and committed yet",
    subjects=["rollbook.cmd.>"],
    retention=api.RetentionPolicy.LIMITS,
    storage=api.StorageType.FILE,
    # A full stream tells the user so, instead of forgetting somebody's command.
    discard=api.DiscardPolicy.NEW,
    max_bytes=256 * 1024 * 1024,
    max_msg_size=COMMAND_BYTES_MAX,
    # The log recognises a repeated command for ever, and answers it. The broker would
    # swallow it instead, and with it the answer that the user had missed.
    duplicate_window=1,
)
EVENTS_CONFIG: Final = api.StreamConfig(
    name=EVENTS,
    description="committed events, a copy of the newest stretch of the log",
    subjects=["rollbook.event.>"],
    retention=api.RetentionPolicy.LIMITS,
    storage=api.StorageType.FILE,
    discard=api.DiscardPolicy.OLD,
    # Bounded by bytes and not by age: the newest message must stay, because its id
    # tells how far the relay had come.
    max_bytes=1024 * 1024 * 1024,
    max_consumers=4096,
    duplicate_window=120,
)
CHECKPOINTS_CONFIG: Final = api.StreamConfig(
    name=CHECKPOINTS,
    description="signed checkpoints of the log, the newest ones",
    subjects=[nats_subjects.CHECKPOINT],
    retention=api.RetentionPolicy.LIMITS,
    storage=api.StorageType.FILE,
    discard=api.DiscardPolicy.OLD,
    max_msgs=10_000,
    max_bytes=16 * 1024 * 1024,
    max_msg_size=64 * 1024,
    duplicate_window=1,
)


class StreamState(msgspec.Struct, frozen=True, kw_only=True):
    """What tells a stream from another one of the same name."""

    name: str
    created: float
    """Seconds since the epoch, by the broker's clock."""
    last_sequence: int


class Streams(msgspec.Struct, frozen=True, kw_only=True):
    """Both streams as they were found, or made."""

    commands: StreamState
    events: StreamState


async def ensure_streams(js: JetStreamContext) -> Streams:
    """Afterwards both streams exist with the configuration of this version.

    Messages that are there stay. Raises `Permanent` if a stream of that name exists
    that cannot be turned into ours, and `Transient` if JetStream does not answer.
    """
    return Streams(
        commands=await ensure(js, COMMANDS_CONFIG),
        events=await ensure(js, EVENTS_CONFIG),
    )


def went_back(before: StreamState, after: StreamState) -> str | None:
    """What happened to a stream that does not continue `before`, else None."""
    if after.created != before.created:
        return (
            f"stream {after.name} was deleted and created anew: its sequences start "
            f"again, the last one seen was {before.last_sequence}"
        )
    if after.last_sequence < before.last_sequence:
        return (
            f"stream {after.name} went back from sequence {before.last_sequence} to "
            f"{after.last_sequence}: the broker lost what was in between"
        )
    return None


async def ensure(js: JetStreamContext, config: api.StreamConfig) -> StreamState:
    """As `ensure_streams`, for one of them."""
    name = config.name
    assert name is not None, "our streams have names"
    try:
        try:
            info = await js.add_stream(config)
        except nats.js.errors.APIError as error:
            if error.err_code != _NAME_IN_USE_ERROR:
                raise
            info = await js.update_stream(config)
    except nats.js.errors.APIError as error:
        if error.code == _UNAVAILABLE:
            raise transient(error) from error
        raise errors.Permanent(
            f"the JetStream stream {name} cannot be made what it must be: "
            f"{error.description}. Delete it, and it is made anew"
        ) from error
    except TROUBLE as error:
        raise transient(error) from error
    return StreamState(
        name=name,
        created=info.created.timestamp() if info.created else 0.0,
        last_sequence=info.state.last_seq,
    )


def sentence(error: BaseException) -> str:
    """What `error` says, or its kind if it says nothing."""
    return str(error) or type(error).__name__


def transient(error: BaseException) -> errors.Transient:
    """`error` of the client library as one of ours."""
    return errors.Transient(f"JetStream does not answer: {sentence(error)}")
