"""One line of `get events`, and how it is made from an event of the log."""

from typing import Final, Literal

import msgspec

from domain.events import Recorded
from domain.pod import Pod

_LINES_PER_EVENT: Final = 1 << 16

Type = Literal["Normal", "Warning"]


class Happening(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One line: what (`reason`, `message`) happened to the object, and who says so.

    `namespace` is empty for a node. `at` is seconds since the epoch; `number` is
    unique and grows from line to line.
    """

    type: Type
    reason: str
    kind: str
    namespace: str
    name: str
    message: str
    source: str
    at: float
    position: int
    number: int
    uid: str = ""
    host: str = ""
    container: str = ""

    @property
    def event_name(self) -> str:
        """The name of the line as an object: `<object>.<16 hexadecimal digits>`."""
        return f"{self.name}.{self.number:016x}"


def about_pod(
    recorded: Recorded,
    held: Pod,
    *,
    reason: str,
    message: str,
    source: str,
    type_: Type = "Normal",
    host: str = "",
    container: str = "",
    index: int = 0,
) -> Happening:
    """A line about a pod; `index` is its place among those of the event."""
    return Happening(
        type=type_,
        reason=reason,
        kind="Pod",
        namespace=held.namespace,
        name=held.name,
        message=message,
        source=source,
        at=recorded.timestamp,
        position=recorded.position,
        number=_number(recorded, index),
        uid=held.uid,
        host=host,
        container=container,
    )


def line(
    recorded: Recorded,
    *,
    reason: str,
    message: str,
    about: tuple[str, str, str, str],
    source: str,
    type_: Type = "Normal",
    index: int = 0,
) -> Happening:
    """A line about an object: (kind, namespace, name, uid); `index` is its place among
    those of the event."""
    kind, namespace, name, uid = about
    return Happening(
        type=type_,
        reason=reason,
        kind=kind,
        namespace=namespace,
        name=name,
        message=message,
        source=source,
        at=recorded.timestamp,
        position=recorded.position,
        number=_number(recorded, index),
        uid=uid,
    )


def _number(recorded: Recorded, index: int) -> int:
    """Unique while one event makes fewer lines than `_LINES_PER_EVENT`."""
    if index >= _LINES_PER_EVENT:
        index = _LINES_PER_EVENT - 1
    return recorded.position * _LINES_PER_EVENT + index
