"""What an examination of the log came to, in plain words and as JSON.

1. Each check has one line: `ok`, `FAILED` or `-` (not done, and why). What was found
   stands below it, each with its positions.
2. Findings are bounded: the first `FINDINGS_KEPT` of a check are told, the others
   counted.
"""

from typing import Final, Literal

import msgspec

FINDINGS_KEPT: Final = 10

Status = Literal["ok", "failed", "skipped"]
_WORDS: Final[dict[Status, str]] = {
    "ok": "ok    ",
    "failed": "FAILED",
    "skipped": "-     ",
}


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is not as it must be: the positions concerned, and a sentence."""

    first: int
    last: int
    text: str


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What one check came to."""

    name: str
    status: Status
    text: str
    findings: tuple[Finding, ...] = ()
    count: int = 0
    """All findings, the ones that were not kept included."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What an examination came to."""

    verdicts: tuple[Verdict, ...]
    first: int
    last: int
    """The positions that were looked at."""
    events: int
    good_up_to: int
    """Nothing that was found concerns a position up to here."""
    check_seconds: float = 0.0
    fold_seconds: float = 0.0

    @property
    def good(self) -> bool:
        """No check has failed."""
        return all(each.status != "failed" for each in self.verdicts)


class Check:
    """One check while it runs."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.findings: list[Finding] = []
        self.count = 0
        self.first_bad: int | None = None
        self.skipped = ""
        """Why it is not done; empty while it is."""

    def find(self, first: int, last: int, text: str) -> None:
        """Something is wrong with these positions; with none if `last` is below."""
        self.count += 1
        if first <= last and (self.first_bad is None or first < self.first_bad):
            self.first_bad = first
        if len(self.findings) < FINDINGS_KEPT:
            self.findings.append(Finding(first=first, last=last, text=text))

    def verdict(self, text: str) -> Verdict:
        """Its line; `text` is what is said when all is well."""
        if self.count:
            said = self.findings[0].text
            if self.count > 1:
                said += f" (and {self.count - 1} more)"
            return Verdict(
                name=self.name,
                status="failed",
                text=said,
                findings=tuple(self.findings),
                count=self.count,
            )
        if self.skipped:
            return Verdict(name=self.name, status="skipped", text=self.skipped)
        return Verdict(name=self.name, status="ok", text=text)


def lines(report: Report) -> list[str]:
    """The report for people."""
    wide = max(len(each.name) for each in report.verdicts)
    said = []
    for each in report.verdicts:
        said.append(f"{_WORDS[each.status]} {each.name:<{wide}}  {each.text}")
        said += [f"{'':>{wide + 9}}{more.text}" for more in each.findings[1:]]
        left = each.count - len(each.findings)
        if left > 0:
            said.append(f"{'':>{wide + 9}}… and {left} more")
    if report.events:
        speed = f"{report.events:,} events: {_rate(report, report.check_seconds)}"
        if report.fold_seconds:
            speed += f"; read and folded at {_rate(report, report.fold_seconds)}"
        said.append(speed)
    if report.good:
        said.append(f"the log is good, positions {report.first}–{report.last}")
    elif report.good_up_to >= report.first:
        said.append(f"the log is NOT good; it is up to position {report.good_up_to}")
    else:
        said.append("the log is NOT good")
    return said


def _rate(report: Report, seconds: float) -> str:
    return f"{report.events / max(seconds, 1e-6):,.0f} events/s"
