"""What the kubelet said last of its pods: a file, so that its next life goes on there.

1. It is written before a change is reported, so nothing was said that is not in it:
   what a pod's readiness was, and how its containers ended before, no runtime knows.
2. It is a help, not the truth: what runs is what the runtime holds. A file that is
   missing or damaged costs that a container is not ready until its next probe.
"""

import logging
from collections.abc import Iterable
from pathlib import Path

import msgspec

from domain import protocol

_log = logging.getLogger(__name__)


class Memory:
    """The statuses of one node's pods, by uid."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._encoder = msgspec.json.Encoder()

    def load(self) -> dict[str, protocol.PodStatus]:
        """What the former life said; nothing if there was none."""
        try:
            found = msgspec.json.decode(
                self._path.read_bytes(), type=tuple[protocol.PodStatus, ...]
            )
        except FileNotFoundError:
            return {}
        except (OSError, msgspec.DecodeError) as error:
            _log.warning("%s is left out: %s", self._path, error)
            return {}
        return {status.uid: status for status in found}

    def save(self, statuses: Iterable[protocol.PodStatus]) -> None:
        """Afterwards the next life knows these; the file is the old or the new one."""
        temporary = self._path.with_name(self._path.name + ".new")
        try:
            told = [
                msgspec.structs.replace(each, notes=()) if each.notes else each
                for each in statuses
                if not each.removed
            ]
            temporary.write_bytes(self._encoder.encode(told))
            temporary.replace(self._path)
        except OSError as error:  # a full disk: the node goes on
            _log.warning("the pods' statuses are not kept: %s", error)
