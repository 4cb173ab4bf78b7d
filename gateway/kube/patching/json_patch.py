"""JSON patch (RFC 6902), as the API server takes it.

What is not a patch is 400; a patch that does not fit the document, `test` included,
is 422 in the words that client libraries know from Kubernetes.
"""

import copy
from typing import Final

import jsonpatch
import jsonpointer
import msgspec

from domain.errors import FieldError, Rejected

JSON = dict[str, object]
OPERATIONS_MAX: Final = 10_000
"""As many as the API server takes."""

UNPROCESSABLE: Final = "the server rejected our request due to an error in our request"


def apply(document: JSON, patch: object) -> JSON:
    """The document after all operations, in order.

    Raises `Rejected`: BadRequest for what is not a patch, Invalid (422) where an
    operation cannot be carried out, RequestEntityTooLarge for too many of them.
    """
    if not isinstance(patch, list):
        raise Rejected("BadRequest", "a JSON patch is a list of operations")
    if len(patch) > OPERATIONS_MAX:
        raise Rejected(
            "RequestEntityTooLarge",
            f"The allowed maximum operations in a JSON patch is {OPERATIONS_MAX}, "
            f"got {len(patch)}",
        )
    try:
        operations = [jsonpatch.JsonPatch([each]) for each in patch]
    except (jsonpatch.InvalidJsonPatch, jsonpointer.JsonPointerException) as error:
        raise Rejected("BadRequest", f"the patch: {error}") from error
    patched: object = copy.deepcopy(document)
    for said, operation in zip(patch, operations, strict=True):
        try:
            patched = operation.apply(patched, in_place=True)
        except jsonpatch.JsonPatchTestFailed as error:
            shown = msgspec.json.encode(said.get("value")).decode()
            raise _failed(said, f"it is not {shown}") from error
        except (
            jsonpatch.JsonPatchException,
            jsonpointer.JsonPointerException,
            TypeError,
            ValueError,
            KeyError,
            IndexError,
        ) as error:
            raise _failed(said, str(error)) from error
    if not isinstance(patched, dict):
        raise _failed(patch[-1], "the result is not an object")
    return patched


def _failed(operation: JSON, why: str) -> Rejected:
    """The 422 for an operation that cannot be carried out: its cause says which."""
    message = f"Invalid value: operation {operation['op']!r}: {why}"
    cause = FieldError(
        reason="FieldValueInvalid", message=message, field=str(operation["path"])
    )
    return Rejected("Invalid", UNPROCESSABLE, causes=(cause,))
