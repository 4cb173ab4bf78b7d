"""JSON patch (RFC 6902), as the API server takes it.

What is not a patch is 400; a patch that does not fit the document, `test` included,
is 422 in the words that client libraries know from Kubernetes.
"""

from typing import Final

import jsonpatch
import jsonpointer

from domain.errors import Rejected

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
        prepared = jsonpatch.JsonPatch(patch)
    except (jsonpatch.InvalidJsonPatch, jsonpointer.JsonPointerException) as error:
        raise Rejected("BadRequest", f"the patch: {error}") from error
    try:
        patched = prepared.apply(document)
    except (
        jsonpatch.JsonPatchException,
        jsonpointer.JsonPointerException,
        TypeError,
        ValueError,
        KeyError,
        IndexError,
    ) as error:
        raise Rejected("Invalid", f"{UNPROCESSABLE}: {error}") from error
    if not isinstance(patched, dict):
        raise Rejected("Invalid", f"{UNPROCESSABLE}: the result is not an object")
    return patched
