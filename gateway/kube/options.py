"""What a request may say in its query, beside which objects it means.

1. A word that is not known is refused before anything is done: a dry run that is spelt
   otherwise must change nothing.
2. A refusal is 422 and names the options of that verb, as the API server does.
3. A delete may say the same in its body (deleting.py).
"""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from gateway.kube.request import Request
from gateway.kube.statuses import Failure

DRY_RUN: Final = "All"
MANAGER_MAX: Final = 128
META: Final = "meta.k8s.io"
_KINDS: Final[Mapping[str, str]] = {
    "create": "CreateOptions",
    "update": "UpdateOptions",
    "patch": "PatchOptions",
    "delete": "DeleteOptions",
    "deletecollection": "DeleteOptions",
}
_VALIDATIONS: Final = ("", "Ignore", "Strict", "Warn")


def check(request: Request) -> None:
    """Raises `Failure` 422 unless a change says nothing but what is known."""
    kind, params = _KINDS.get(request.verb, ""), request.params
    if not kind:
        return
    if dry_run := params.get("dryRun", ""):
        check_dry_run(kind, [dry_run])
    if kind == "DeleteOptions":
        return
    check_manager(kind, params.get("fieldManager", ""))
    validation = params.get("fieldValidation", "")
    if validation not in _VALIDATIONS:
        raise unsupported(kind, "fieldValidation", validation, _VALIDATIONS)


def check_dry_run(kind: str, asked: Sequence[object]) -> None:
    """Raises `Failure` 422 for any other stage than `All`."""
    if any(each != DRY_RUN for each in asked):
        raise unsupported(kind, "dryRun", asked, (DRY_RUN,))


def check_manager(kind: str, name: str) -> None:
    """Raises `Failure` 422 for a name that is too long or cannot be printed."""
    if len(name.encode()) > MANAGER_MAX:
        said = f"Too long: may not be more than {MANAGER_MAX} bytes"
        raise invalid(kind, "fieldManager", "FieldValueTooLong", said)
    for index, char in enumerate(name):
        if not char.isprintable():
            why = f"invalid character U+{ord(char):04X} (at position {index})"
            said = f"Invalid value: {_shown(name)}: {why}"
            raise invalid(kind, "fieldManager", "FieldValueInvalid", said)


def unsupported(kind: str, field: str, value: object, known: Sequence[str]) -> Failure:
    """The 422 for a value that is none of those `known`."""
    listed = ", ".join(f'"{each}"' for each in known)
    said = f"Unsupported value: {_shown(value)}: supported values: {listed}"
    return invalid(kind, field, "FieldValueNotSupported", said)


def invalid(kind: str, field: str, reason: str, said: str) -> Failure:
    """The 422 for one field of the options of a request."""
    cause = {"reason": reason, "message": said, "field": field}
    return Failure(
        422,
        "Invalid",
        f'{kind}.{META} "" is invalid: {field}: {said}',
        details={"group": META, "kind": kind, "causes": [cause]},
    )


def _shown(value: object) -> str:
    return msgspec.json.encode(value).decode()
