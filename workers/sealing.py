"""The seals of the one writer: a link of the chain for each step that it commits.

1. A seal is made in the thread that commits, and is part of the step's transaction
   (domain/seals.py): there is no step without its seal, and no seal without its step.
2. Rows that have no seal (an older version of Rollbook wrote them) are sealed by one
   seal together, with the first step that is committed after them.
3. A log that ends before its last seal has lost what was committed: nothing may be
   built on it.
"""

import logging
from collections.abc import Iterator, Sequence
from typing import Final

from adapters.eventlog import EventLog, Row
from domain import seals
from domain.errors import Permanent
from domain.seals import Seal

PAGE: Final = 5_000
_log = logging.getLogger(__name__)


class Sealer:
    """Makes the seals; used by one thread, save for `tip`."""

    def __init__(self, log: EventLog) -> None:
        """Looks where the seals end. Raises `Permanent` where rule 3 is broken."""
        last = log.last_position()
        self.tip = log.last_seal()
        """The last seal that is on disk; None before the first one."""
        self._late: list[Seal] = []
        sealed, former = 0, seals.BEGINNING
        if self.tip is not None:
            sealed, former = self.tip.last, self.tip.digest
            if not isinstance(former, bytes) or len(former) != seals.HASH_BYTES:
                raise _lost(f"the seal at position {sealed} is damaged")
        if sealed > last:
            raise _lost(
                f"the log ends at position {last}, and its last seal is that of "
                f"position {sealed}: what was committed in between is lost"
            )
        if sealed < last:
            _log.warning("sealing positions %d–%d, which had no seal", sealed + 1, last)
            late = seals.digest(former, _pages(log, sealed, last))
            self._late = [Seal(last, sealed + 1, late)]

    def seals_for(self, rows: Sequence[Row]) -> list[Seal]:
        """What is to be committed with the step `rows`; nothing for no rows."""
        if not rows:
            return []
        former = self._late[-1] if self._late else self.tip
        before = seals.BEGINNING if former is None else former.digest
        return [*self._late, seals.seal(before, rows)]

    def committed(self, done: Sequence[Seal]) -> None:
        """These are on disk: the next one continues them."""
        if done:
            self.tip = done[-1]
            self._late = []


def _pages(log: EventLog, after: int, last: int) -> Iterator[list[Row]]:
    while after < last:
        rows = log.read(after, min(PAGE, last - after))
        if not rows:
            raise _lost(f"the log has no position {after + 1}")
        after = rows[-1].position
        yield rows


def _lost(what: str) -> Permanent:
    return Permanent(
        f"{what}. Restore the store from a backup; `rollbook verify` says what is good"
    )
