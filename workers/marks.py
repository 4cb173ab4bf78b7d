"""What a step remembers without the log: who was heard, and what must be looked at.

Both are volatile, and forgotten by a restart (rule 2 of workers/state.py). Its rule 3
says which of two causes of one mark is kept.
"""


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
