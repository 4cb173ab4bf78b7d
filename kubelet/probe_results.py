"""When a probe's answers count: the thresholds of one probe (spec 1.1, 4.4). Pure.

1. Readiness and startup begin as not passed, liveness as passed.
2. An answer that differs counts only after `failureThreshold` (`successThreshold`)
   of the same kind in a row.
3. The startup probe holds the other two back until it has passed, then rests.
4. A container that was never ready is asked for readiness sooner than `periodSeconds`,
   at 0.1 s, 0.2 s, 0.4 s … after its start: a fast server is ready fast. It changes
   nothing else, because a container that is not ready cannot become less so.
"""

from typing import Final

from domain import podspec
from kubelet import runtime

NEVER: Final = float("inf")
EAGER: Final = 0.1
SILENT: Final = 1.0
"""An eager question whose successor comes sooner than that is not worth a note."""


class ProbeResult:
    """The result of one probe of one run of a container."""

    __slots__ = (
        "_asked", "_run", "_run_of", "due", "kind", "passed", "period", "probe",
    )  # fmt: skip

    def __init__(
        self, kind: runtime.ProbeKind, probe: podspec.Probe, now: float
    ) -> None:
        self.kind = kind
        self.probe = probe
        self.passed = kind == "Liveness"
        self.period = float(max(probe.period_seconds or 10, 1))
        self._run = 0
        self._run_of = self.passed
        self._asked = 0
        self.due = now + (probe.initial_delay_seconds or EAGER)

    def ask(self, now: float) -> None:
        """A probe is sent `now`; the next one is due whether it is answered or not."""
        self._asked += 1
        self.due = now + min(self.period, self._eagerness())

    @property
    def silent(self) -> bool:
        """Whether a failure of the last question is not worth a note (rule 4)."""
        return self._eagerness() < min(self.period, SILENT)

    def answer(self, success: bool) -> bool:
        """One answer. Returns whether it reached its threshold: `passed` then holds
        the result, and a failed startup or liveness probe asks for a restart."""
        self._run = self._run + 1 if success == self._run_of else 1
        self._run_of = success
        probe = self.probe
        needed = probe.success_threshold if success else probe.failure_threshold
        if self._run < (needed or (1 if success else 3)):
            return False
        self.passed = success
        return True

    def _eagerness(self) -> float:
        """How long rule 4 waits after the last question."""
        if self.kind != "Readiness" or self.passed:
            return NEVER
        return float(EAGER * 2 ** min(self._asked - 1, 16))
