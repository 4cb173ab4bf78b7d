"""How a rollout is watched, as annotations of a Deployment say it: parse and check.

1. Without one of the three annotations nothing is different from Kubernetes.
2. `rollbook/auto-rollback` lists what rolls a revision back: `deadline`, `crashes` or
   `crashes=N` (more than N in all; 3), `analysis`.
3. `rollbook/steps` lists where a rolling update holds: `10%`, `pause 5m`, `pause` (for
   a person), `analyse`. Percentages grow; the last step is always `100%`.
4. `rollbook/analysis` is a list of checks, or `{onFailure, checks}`, in YAML or JSON.
   Each check has a name and exactly one source: `prometheus` (a query), `metric` (a
   metric's name), `check` (a path and a port of each new pod) or `command` (a name that
   the monitor's own configuration allows). The measured number must stay within `min`
   and `max`.
5. Whatever is wrong is an error of its annotation when it is written. One that stands
   there and cannot be read asks for nothing.

The measuring process is `rollbook monitor`; what it is told and what it answers is
`domain/protocol.py` (`Wanted`, `Measurement`).
"""

import functools
import math
import re
from collections.abc import Callable, Mapping
from typing import Final, Literal, TypeVar

import msgspec

from domain import fields
from domain.errors import FieldError
from domain.plans.fenceposts import RECREATE

AUTO_ROLLBACK: Final = "rollbook/auto-rollback"
STEPS: Final = "rollbook/steps"
ANALYSIS: Final = "rollbook/analysis"

DEADLINE: Final = "deadline"
CRASHES: Final = "crashes"
CRASHES_ALLOWED: Final = 3
"""What `crashes` without a number allows."""
STEPS_MAX: Final = 50
CHECKS_MAX: Final = 20
COUNT_MAX: Final = 1_000
BYTES_MAX: Final = 16 * 1024
PAUSE_SECONDS_MAX: Final = 30 * 86_400

_DURATION: Final = re.compile(r"(?:(\d{1,4})h)?(?:(\d{1,5})m)?(?:(\d{1,7})s)?", re.A)
_PERCENT: Final = re.compile(r"(\d{1,3})%", re.A)
_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", re.A)
_CRASHES: Final = re.compile(r"crashes=(\d{1,6})", re.A)

T = TypeVar("T")


# --- what the annotations hold ----------------------------------------------------


class Weight(msgspec.Struct, frozen=True, tag="weight"):
    """Let the new ReplicaSet have this share of the pods, in percent, and wait for
    them."""

    percent: int


class Wait(msgspec.Struct, frozen=True, tag="pause"):
    """Wait for so many seconds; 0 is until a person promotes."""

    seconds: int


class Analyse(msgspec.Struct, frozen=True, tag="analyse"):
    """Take one round of measurements, and go on if it passes."""


Step = Weight | Wait | Analyse


class HttpCheck(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An active check: GET `path` at `port` of each ready pod of the new revision.

    What is measured is the share of the pods that answered with 200 to 399, 0 to 1.
    """

    path: str = "/"
    port: int


class Check(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    forbid_unknown_fields=True,
    rename="camel",
):
    """One number that is measured `count` times, `interval` apart.

    It fails when more than `failure_limit` measurements are outside of `min` and `max`,
    and is inconclusive when more than `inconclusive_limit` gave no number.
    """

    name: str
    prometheus: str | None = None
    metric: str | None = None
    check: HttpCheck | None = None
    command: str | None = None
    min: float | None = None
    max: float | None = None
    interval: str = "30s"
    count: int = 3
    failure_limit: int = 0
    inconclusive_limit: int = 3
    initial_delay: str = "0s"

    @property
    def interval_seconds(self) -> float:
        """The seconds between two measurements."""
        return float(seconds(self.interval) or 0)

    @property
    def delay_seconds(self) -> float:
        """The seconds before the first one."""
        return float(seconds(self.initial_delay) or 0)

    def allows(self, value: float) -> bool:
        """The value is within the bounds, these included."""
        low = self.min is None or value >= self.min
        return low and (self.max is None or value <= self.max)


OnFailure = Literal["rollback", "pause"]


class Analysis(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    forbid_unknown_fields=True,
    rename="camel",
):
    """All checks; `on_failure` "" is rollback if `analysis` triggers it, else pause."""

    checks: tuple[Check, ...]
    on_failure: OnFailure | Literal[""] = ""


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """What the three annotations ask for together."""

    deadline: bool = False
    """The progress deadline rolls back."""
    crashes: int | None = None
    """More than so many crashes roll back; None: none do."""
    rolls_back: bool = False
    """A failed analysis rolls back; else it pauses."""
    steps: tuple[Step, ...] = ()
    checks: tuple[Check, ...] = ()

    @property
    def analyses_in_steps(self) -> bool:
        """Measurements are taken at steps, and not from the start."""
        return any(isinstance(each, Analyse) for each in self.steps)

    def check(self, name: str) -> Check | None:
        """The check of that name, if there is one."""
        return next((each for each in self.checks if each.name == name), None)


NOTHING: Final = Policy()
ANNOTATIONS: Final = (AUTO_ROLLBACK, STEPS, ANALYSIS)


class Wrong(ValueError):
    """An annotation that cannot be read; the text says what to write instead."""


# --- reading ----------------------------------------------------------------------


def policy(annotations: Mapping[str, str]) -> Policy:
    """What the annotations ask for; nothing where they cannot be read (rule 5)."""
    held = tuple(annotations.get(name, "") for name in ANNOTATIONS)
    return _policy(*held) if any(held) else NOTHING


def errors(
    annotations: Mapping[str, str], *, strategy: str = "RollingUpdate"
) -> list[FieldError]:
    """What is wrong with the annotations, each at its own field; [] if nothing is."""
    found: list[FieldError] = []
    parsed: dict[str, object] = {}
    for name, parse in (
        (AUTO_ROLLBACK, parse_triggers),
        (STEPS, parse_steps),
        (ANALYSIS, parse_analysis),
    ):
        text = annotations.get(name)
        if text is None:
            continue
        try:
            parsed[name] = parse(text)
        except Wrong as error:
            found.append(_invalid(name, text, str(error)))
    if found:
        return found
    return _together(annotations, strategy)


def parse_triggers(text: str) -> tuple[bool, int | None, bool]:
    """`deadline, crashes=5, analysis`: (deadline, crashes, analysis).

    Raises `Wrong` for anything else.
    """
    deadline, crashes, failed = False, None, False
    seen: set[str] = set()
    for word in text.split(","):
        word = word.strip()
        kind = word.partition("=")[0]
        if kind in seen:
            raise Wrong(f'"{kind}" stands there twice')
        seen.add(kind)
        if word == DEADLINE:
            deadline = True
        elif word == CRASHES:
            crashes = CRASHES_ALLOWED
        elif match := _CRASHES.fullmatch(word):
            crashes = int(match[1])
        elif word == "analysis":
            failed = True
        else:
            raise Wrong(
                f'"{word}" is no trigger: write deadline, crashes, crashes=N or '
                "analysis, separated by commas"
            )
    return deadline, crashes, failed


def parse_steps(text: str) -> tuple[Step, ...]:
    """`10%, pause 5m, analyse, 100%` as steps; the last one is `Weight(100)`.

    Raises `Wrong` for anything else.
    """
    steps: list[Step] = []
    weight = 0
    for word in text.split(","):
        step = _step(" ".join(word.split()))
        if isinstance(step, Weight):
            if not weight < step.percent <= 100:
                raise Wrong(
                    f'"{step.percent}%" is not more than "{weight}%" and at most '
                    '"100%": percentages grow from step to step'
                )
            weight = step.percent
        elif weight == 100:
            raise Wrong('"100%" ends the rollout: nothing can come after it')
        steps.append(step)
    if weight != 100:
        steps.append(Weight(100))
    if len(steps) > STEPS_MAX:
        raise Wrong(f"there may be {STEPS_MAX} steps, these are {len(steps)}")
    return tuple(steps)


def parse_analysis(text: str) -> Analysis:
    """The checks of the annotation. Raises `Wrong` for anything else."""
    if len(text.encode()) > BYTES_MAX:
        raise Wrong(f"it may have {BYTES_MAX} bytes")
    try:
        held = msgspec.yaml.decode(text)
        if isinstance(held, list):
            held = {"checks": held}
        found = msgspec.convert(held, Analysis)
    except (msgspec.MsgspecError, RecursionError) as error:
        said = " ".join(str(error).split())
        raise Wrong(f"it is not a list of checks: {said}") from error
    if not 1 <= len(found.checks) <= CHECKS_MAX:
        raise Wrong(f"there must be 1 to {CHECKS_MAX} checks")
    for index, check in enumerate(found.checks):
        if said := _wrong_check(check):
            raise Wrong(f"checks[{index}].{said}")
    names = [check.name for check in found.checks]
    for name in names:
        if names.count(name) > 1:
            raise Wrong(f'two checks are called "{name}"')
    return found


def seconds(text: str) -> int | None:
    """`1h30m`, `5m` or `30s` in seconds; None where it is no duration."""
    match = _DURATION.fullmatch(text)
    if match is None or not text:
        return None
    hours, minutes, rest = (int(part or 0) for part in match.groups())
    return hours * 3600 + minutes * 60 + rest


def duration(length: float) -> str:
    """The shortest text that `seconds` reads as that many whole seconds."""
    whole = int(length)
    hours, rest = divmod(whole, 3600)
    minutes, left = divmod(rest, 60)
    parts = ((hours, "h"), (minutes, "m"), (left, "s"))
    return "".join(f"{number}{unit}" for number, unit in parts if number) or "0s"


def number(value: float) -> str:
    """A measured number for people: six digits, no noise."""
    return f"{value:.6g}"


def step_text(step: Step) -> str:
    """The step as the annotation writes it."""
    match step:
        case Weight(percent):
            return f"{percent}%"
        case Wait(0):
            return "pause"
        case Wait(length):
            return f"pause {duration(length)}"
        case Analyse():
            return "analyse"


# --- helpers ----------------------------------------------------------------------


@functools.lru_cache(maxsize=1024)
def _policy(triggers: str, steps: str, analysed: str) -> Policy:
    none: tuple[bool, int | None, bool] = (False, None, False)
    deadline, crashes, failed = _or(parse_triggers, triggers, none)
    analysis = _or(parse_analysis, analysed, Analysis(checks=()))
    return Policy(
        deadline=deadline,
        crashes=crashes,
        rolls_back=failed if not analysis.on_failure else _rolls_back(analysis),
        steps=_or(parse_steps, steps, ()),
        checks=analysis.checks,
    )


def _rolls_back(analysis: Analysis) -> bool:
    return analysis.on_failure == "rollback"


def _or(parse: Callable[[str], T], text: str, default: T) -> T:
    """What `parse` makes of `text`; `default` where it is empty or wrong (rule 5)."""
    try:
        return parse(text) if text else default
    except Wrong:
        return default


def _together(annotations: Mapping[str, str], strategy: str) -> list[FieldError]:
    """What each annotation says by itself may not go with the others."""
    held = policy(annotations)
    found: list[FieldError] = []
    triggers, steps = annotations.get(AUTO_ROLLBACK), annotations.get(STEPS)
    if steps is not None and strategy == RECREATE:
        detail = (
            "Recreate ends every old pod before it starts a new one, so there are no "
            "steps: use the strategy RollingUpdate, or leave the steps out"
        )
        found.append(_invalid(STEPS, steps, detail))
    if steps is not None and held.analyses_in_steps and not held.checks:
        detail = f"there is a step analyse and no checks: write them into {ANALYSIS}"
        found.append(_invalid(STEPS, steps, detail))
    if triggers is not None and parse_triggers(triggers)[2]:
        if not held.checks:
            detail = f"there are no checks that could fail: write them into {ANALYSIS}"
            found.append(_invalid(AUTO_ROLLBACK, triggers, detail))
        elif not held.rolls_back:
            detail = (
                f"onFailure of {ANALYSIS} is pause: leave out analysis here or that"
            )
            found.append(_invalid(AUTO_ROLLBACK, triggers, detail))
    return found


def _invalid(name: str, text: str, detail: str) -> FieldError:
    return fields.invalid(f"metadata.annotations[{name}]", text, detail)


def _wrong_check(check: Check) -> str:
    """What is wrong with the check, with its field; empty if nothing is."""
    sources = (check.prometheus, check.metric, check.check, check.command)
    given = sum(each is not None for each in sources)
    finite = all(each is None or math.isfinite(each) for each in (check.min, check.max))
    rules = (
        (_NAME.fullmatch(check.name), "name: it must be a DNS label"),
        (given == 1, "name: it needs one of prometheus, metric, check and command"),
        (finite, "min, max: they must be finite numbers"),
        (_bounded(check), "min, max: it needs one of them, and min up to max"),
        (_lasts(check.interval, 1), "interval: a duration like 30s, from 1s to 24h"),
        (
            _lasts(check.initial_delay, 0),
            "initialDelay: a duration like 30s, up to 24h",
        ),
        (1 <= check.count <= COUNT_MAX, f"count: from 1 to {COUNT_MAX}"),
        (0 <= check.failure_limit < check.count, "failureLimit: from 0 to count - 1"),
        (
            0 <= check.inconclusive_limit <= COUNT_MAX,
            f"inconclusiveLimit: from 0 to {COUNT_MAX}",
        ),
        (_answers(check.check), "check: path begins with /, port is from 1 to 65535"),
        (not any(each == "" for each in sources), "name: its source is empty"),
    )
    return next((said for holds, said in rules if not holds), "")


def _bounded(check: Check) -> bool:
    if check.min is None or check.max is None:
        return check.min is not None or check.max is not None
    return check.min <= check.max


def _lasts(text: str, least: int) -> bool:
    length = seconds(text)
    return length is not None and least <= length <= 86_400


def _answers(check: HttpCheck | None) -> bool:
    return check is None or (check.path.startswith("/") and 0 < check.port < 65_536)


def _step(word: str) -> Step:
    if match := _PERCENT.fullmatch(word):
        return Weight(int(match[1]))
    if word in ("analyse", "analyze"):
        return Analyse()
    if word == "pause":
        return Wait(0)
    if word.startswith("pause "):
        length = seconds(word.removeprefix("pause "))
        if length is not None and 0 < length <= PAUSE_SECONDS_MAX:
            return Wait(length)
    raise Wrong(
        f'"{word}" is no step: write a percentage like 10%, pause, pause 5m (up to '
        "720h) or analyse, separated by commas"
    )
