"""What a step remembers without the log: who was heard, and what must be looked at.

All of it is volatile, and forgotten by a restart (rule 2 of workers/state.py). Rule 3
there says which of two causes of one mark is kept.
"""

from typing import Final

GONE_REMEMBERED: Final = 10_000
"""More than are ended while one command waits for its step."""


class Heard:
    """What is known of a node's reports without the log.

    `at` is when it was last heard, 0 while it was not since the writer's start.
    """

    __slots__ = ("at", "counted", "first", "last")

    def __init__(self, at: float = 0.0, last: int = 0) -> None:
        self.at = at
        self.last = last
        self.first = 0
        self.counted = 0


class Gone:
    """The last versions of the pods that went last: a command that makes one of such a
    name may have been looked up in the store before the end of the former was there."""

    def __init__(self) -> None:
        self._versions: dict[str, int] = {}

    def add(self, stream: str, version: int) -> None:
        """The pod is gone, by this version of its stream."""
        self._versions[stream] = version
        if len(self._versions) > GONE_REMEMBERED:
            del self._versions[next(iter(self._versions))]

    def last(self, stream: str, stored: int) -> int:
        """The last version, where the store knew `stored` some time ago."""
        return max(stored, self._versions.get(stream, 0))


class Marks:
    """Keys that must be looked at, in order of marking, each with its cause."""

    def __init__(self) -> None:
        self._causes: dict[str, tuple[int, bool]] = {}

    def add(self, key: str, cause: int, *, wish: bool = False) -> None:
        """Afterwards `key` is marked; `cause` is kept by the rule."""
        was = self._causes.get(key)
        if was is None or wish or not was[1]:
            self._causes[key] = (cause, wish)

    def pop(self) -> tuple[str, int]:
        """The key that was marked first, and its cause."""
        key = next(iter(self._causes))
        return key, self._causes.pop(key)[0]

    def __bool__(self) -> bool:
        return bool(self._causes)

    def __len__(self) -> int:
        return len(self._causes)
