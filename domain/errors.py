"""Every error of the project, split by the question that the caller asks.

    RollbookError
    ├── Rejected      "what is wrong with what I asked?"   answered to the user
    ├── Conflict      "am I still the writer?"             the store refused an append
    ├── Transient     "shall I try again?"                 yes, after `delay` seconds
    └── Permanent     "shall I try again?"                 no: stop and say why

1. The pure core raises `Rejected` only. It carries Kubernetes' reason, code and
   causes, so that every front (CLI, client, HTTP) can answer with Kubernetes' words.
2. Our own bugs are plain `AssertionError`s and are never caught as one of these.
3. An expected negative outcome (a pod that fits nowhere) is an event, not an error.
"""

from typing import Final, Literal

import msgspec

Reason = Literal[
    "AlreadyExists",
    "BadRequest",
    "Conflict",
    "Forbidden",
    "Invalid",
    "MethodNotAllowed",
    "NotFound",
    "RequestEntityTooLarge",
    "TooManyRequests",
]

CODES: Final[dict[Reason, int]] = {
    "AlreadyExists": 409,
    "BadRequest": 400,
    "Conflict": 409,
    "Forbidden": 403,
    "Invalid": 422,
    "MethodNotAllowed": 405,
    "NotFound": 404,
    "RequestEntityTooLarge": 413,
    "TooManyRequests": 429,
}


class FieldError(msgspec.Struct, frozen=True, kw_only=True):
    """One broken rule at one field; `str()` is Kubernetes' text (spec 1.3)."""

    reason: str
    """`FieldValueInvalid`, `FieldValueRequired`, … (spec 1.3)."""
    message: str
    """The body behind the field: `Invalid value: -1: must be …`."""
    field: str
    """The path, for example `spec.template.spec.containers[0].name`."""

    def __str__(self) -> str:
        return f"{self.field}: {self.message}"


class RollbookError(Exception):
    """The root: whatever Rollbook raises on purpose is one of these."""


class Rejected(RollbookError):
    """The command breaks a rule; nothing happened. The message is Kubernetes'."""

    def __init__(
        self, reason: Reason, message: str, *, causes: tuple[FieldError, ...] = ()
    ) -> None:
        super().__init__(message)
        self.reason: Reason = reason
        self.message = message
        self.causes = causes

    @property
    def code(self) -> int:
        """The HTTP status that Kubernetes answers with for this reason."""
        return CODES[self.reason]


class Conflict(RollbookError):
    """Another writer has appended: this one must stop, it has been replaced."""

    def __init__(self, message: str, *, expected: int, current: int | None) -> None:
        super().__init__(message)
        self.expected = expected
        self.current = current


class Transient(RollbookError):
    """It may work later: try again after `delay` seconds."""

    def __init__(self, message: str, *, delay: float = 1.0) -> None:
        super().__init__(message)
        self.delay = delay


class Permanent(RollbookError):
    """It will not work however often it is tried; the message says what to do."""


def invalid(qualified_kind: str, name: str, errors: list[FieldError]) -> Rejected:
    """The 422 of spec 1.3 for `errors` (at least one; identical ones collapse).

    `qualified_kind` is `Deployment.apps` or, in the core group, `Pod`.
    """
    assert errors, "an object without errors is not invalid"
    texts = list(dict.fromkeys(str(error) for error in errors))
    body = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
    return Rejected(
        "Invalid",
        f'{qualified_kind} "{name}" is invalid: {body}',
        causes=tuple(dict.fromkeys(errors)),
    )


def not_found(resource: str, name: str) -> Rejected:
    """The 404 of spec 1.2; `resource` is `deployments.apps`, `pods`, …"""
    return Rejected("NotFound", f'{resource} "{name}" not found')


def already_exists(resource: str, name: str, *, deleting: bool = False) -> Rejected:
    """The 409 of spec 1.2 for a create of what is there already, or still is."""
    text = f'{resource} "{name}" already exists'
    if deleting:
        text = f"object is being deleted: {text}"
    return Rejected("AlreadyExists", text)


def conflict(resource: str, name: str) -> Rejected:
    """The 409 of spec 1.2 for a write that carries a stale resourceVersion."""
    return Rejected(
        "Conflict",
        f'Operation cannot be fulfilled on {resource} "{name}": the object has been '
        "modified; please apply your changes to the latest version and try again",
    )


def uid_conflict(*, wanted: str, found: str) -> Rejected:
    """The 409 for a command that means another object of the same name (spec 1.2)."""
    return Rejected(
        "Conflict",
        f"Precondition failed: UID in precondition: {wanted}, UID in object meta: "
        f"{found}",
    )
