"""Which autoscalers select the same pods, without comparing each with each.

A selector that asks for a label's value is filed under one such pair; a pod can only be
picked by those that are filed under one of its own pairs, or under none.
"""

from collections.abc import Iterable

from domain import labels, names
from domain.labels import LabelSelector

_Shelf = tuple[str, tuple[str, str] | None]


class Selectors:
    """The selectors of autoscalers' targets, by the autoscalers' keys."""

    def __init__(self) -> None:
        self._held: dict[str, tuple[_Shelf, LabelSelector]] = {}
        self._shelves: dict[_Shelf, dict[str, None]] = {}

    def put(self, key: str, namespace: str, selector: LabelSelector) -> None:
        """Afterwards the autoscaler `key` has this selector and no other."""
        pairs = sorted(selector.match_labels.items())
        shelf = (namespace, pairs[0] if pairs else None)
        known = self._held.get(key)
        if known is not None and known == (shelf, selector):
            return
        self.forget(key)
        self._held[key] = (shelf, selector)
        self._shelves.setdefault(shelf, {})[key] = None

    def forget(self, key: str) -> None:
        """The autoscaler is gone."""
        known = self._held.pop(key, None)
        if known is not None:
            filed = self._shelves[known[0]]
            del filed[key]
            if not filed:
                del self._shelves[known[0]]

    def others(
        self, key: str, namespace: str, pods: Iterable[dict[str, str]]
    ) -> list[str]:
        """`namespace/name` of the others that select a pod of one of these labels."""
        found: dict[str, None] = {}
        for values in pods:
            shelves: list[_Shelf] = [(namespace, pair) for pair in values.items()]
            for shelf in (*shelves, (namespace, None)):
                for other in self._shelves.get(shelf, ()):
                    if other != key and labels.matches(self._held[other][1], values):
                        _, space, name = names.split_key(other)
                        found[f"{space}/{name}"] = None
        return sorted(found)
