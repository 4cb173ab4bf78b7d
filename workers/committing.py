"""The commit of a step: its events, its tracking rows and its seal, or nothing.

A connection that breaks in the middle leaves a doubt; the store alone can settle it.
"""

from adapters.eventlog import EventLog, Row, Tracking
from domain import catalogue
from domain.errors import Permanent, Transient
from domain.seals import Seal
from workers.outbox import Step
from workers.sealing import Sealer


def rows_of(outcome: Step) -> tuple[list[Row], list[Tracking]]:
    """What the store keeps of a step: its events, and what it has heard from whom."""
    rows = [
        Row(
            recorded.position,
            recorded.stream,
            recorded.version,
            recorded.event.TOPIC,
            catalogue.encode(recorded),
        )
        for recorded in outcome.events
    ]
    return rows, [Tracking(*item) for item in outcome.tracking.items()]


class Committer:
    """Writes the steps of the one writer; used by one thread, save for `tip`."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._sealer: Sealer | None = None

    @property
    def tip(self) -> Seal | None:
        """The last seal on disk; None before the first one, or before `start`."""
        return self._sealer.tip if self._sealer is not None else None

    def start(self) -> Sealer:
        """Afterwards it is known where the seals end; harmless when repeated.

        Raises `Permanent` where the log ends before its last seal.
        """
        if self._sealer is None:
            self._sealer = Sealer(self._log)
        return self._sealer

    def append(self, outcome: Step) -> list[Row]:
        """Afterwards the step is on disk; its rows as they lie there.

        Raises `Conflict` or `Permanent` where another writer has appended.
        """
        rows, tracking = rows_of(outcome)
        sealer = self.start()
        made = sealer.seals_for(rows)
        try:
            self._log.append(rows, tracking, made)
        except Transient as error:
            self._append_again(rows, tracking, made, error)
        sealer.committed(made)
        return rows

    def _append_again(
        self,
        rows: list[Row],
        tracking: list[Tracking],
        made: list[Seal],
        error: Transient,
    ) -> None:
        """The connection to the store broke: nobody knows whether this was written.

        The store says how far it is; only a state that is exactly before this append
        allows another try. Anything else means that positions were lost or reused.
        """
        last = self._log.last_position()
        if rows and self._log.read(rows[-1].position - 1, 1) == rows[-1:]:
            return  # the rows themselves: another writer could have come as far
        if rows and last == rows[0].position - 1:
            self._log.append(rows, tracking, made)
            return
        raise Permanent(
            f"the store is at position {last} after a broken connection, "
            f"expected {rows[0].position - 1 if rows else 'no rows'}: stopping"
        ) from error
