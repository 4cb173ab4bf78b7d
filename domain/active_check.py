"""The active check that availability counts on: what asks for it, and what it decides.

1. A Deployment asks for it with the annotation `rollbook/active-check`, YAML or JSON:
   `{path: /healthz, port: 80, interval: 10s, failureThreshold: 3}`. All but the port
   have defaults. An annotation that cannot be read asks for nothing.
2. A pod fails after `failureThreshold` failures in a row, and passes again with the
   first success, as with a probe of the kubelet.
3. A pod that fails is not ready, whatever its node says. Only a change is an event.
4. It fails open: what nobody tells anew for `patience` seconds, or nobody asks for any
   more, holds no pod back (workers/checking.py).
"""

import functools
from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec

from domain import analysis, fields
from domain.analysis import HttpCheck
from domain.errors import FieldError
from domain.events import Event

ANNOTATION: Final = "rollbook/active-check"
THRESHOLD_MAX: Final = 100
DETAIL_CHARACTERS_MAX: Final = 200
PATIENCE: Final = 60.0
"""Seconds, or three intervals, for which a failing check counts without a word."""


class PodChecked(Event, frozen=True, kw_only=True):
    """The active check of the pod fails from now on, or does so no longer; `detail` is
    why, one line for people."""

    TOPIC = "pod.checked.v1"
    passing: bool
    detail: str


class ActiveCheck(
    HttpCheck,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    forbid_unknown_fields=True,
    rename="camel",
):
    """GET `path` at `port` of each pod, `interval` apart."""

    interval: str = "10s"
    failure_threshold: int = 3

    @property
    def interval_seconds(self) -> float:
        """The seconds between two GETs to one pod."""
        return float(analysis.seconds(self.interval) or 0)

    @property
    def patience(self) -> float:
        """The seconds after which a failing check that nobody repeats is lifted."""
        return max(PATIENCE, 3 * self.interval_seconds)


class Course(NamedTuple):
    """How the check of one pod goes: failures in a row, and what they come to."""

    failures: int = 0
    failing: bool = False


def after(course: Course, good: bool, threshold: int) -> Course:
    """The course after one more answer (rule 2)."""
    if good:
        return Course()
    failures = min(course.failures + 1, THRESHOLD_MAX)
    return Course(failures, course.failing or failures >= threshold)


def asked(annotations: Mapping[str, str]) -> ActiveCheck | None:
    """The check that a Deployment of these annotations asks for, if any (rule 1)."""
    text = annotations.get(ANNOTATION)
    return _read(text) if text is not None else None


def errors(annotations: Mapping[str, str]) -> list[FieldError]:
    """What is wrong with the annotation; [] if nothing is, or it is not there."""
    text = annotations.get(ANNOTATION)
    if text is None:
        return []
    try:
        parse(text)
    except analysis.Wrong as error:
        return [fields.invalid(f"metadata.annotations[{ANNOTATION}]", text, str(error))]
    return []


def parse(text: str) -> ActiveCheck:
    """The check of the annotation. Raises `analysis.Wrong` for anything else."""
    try:
        found = msgspec.convert(msgspec.yaml.decode(text), ActiveCheck)
    except (msgspec.MsgspecError, RecursionError) as error:
        said = " ".join(str(error).split())
        raise analysis.Wrong(
            f"it is no check like {{path: /healthz, port: 80}}: {said}"
        ) from error
    length = analysis.seconds(found.interval)
    rules = (
        (found.path.startswith("/"), "path: it begins with /"),
        (0 < found.port < 65_536, "port: from 1 to 65535"),
        (
            length is not None and 1 <= length <= 3_600,
            "interval: a duration like 30s, from 1s to 1h",
        ),
        (
            1 <= found.failure_threshold <= THRESHOLD_MAX,
            f"failureThreshold: from 1 to {THRESHOLD_MAX}",
        ),
    )
    for holds, said in rules:
        if not holds:
            raise analysis.Wrong(said)
    return found


@functools.lru_cache(maxsize=1024)
def _read(text: str) -> ActiveCheck | None:
    try:
        return parse(text)
    except analysis.Wrong:
        return None
