"""The four kinds of patch of a request, and what each makes of a document.

1. The media type says which kind it is; any other is 415.
2. What a patch says of the object's version or uid is a precondition of it.
3. An apply is no patch of the document that is there: it is judged by who owns what
   (patching/managers.py), and only decoded here.
"""

from collections.abc import Callable
from typing import Final

import msgspec

from domain.errors import Rejected
from gateway.kube import bodies, options, statuses
from gateway.kube.manifests import metadata_of, text_at
from gateway.kube.patching import json_patch, merge_patch, strategic
from gateway.kube.request import JSON, Request
from gateway.kube.statuses import Failure

JSON_PATCH: Final = "application/json-patch+json"
MERGE: Final = "application/merge-patch+json"
STRATEGIC: Final = "application/strategic-merge-patch+json"
APPLY: Final = "application/apply-patch+yaml"

_APPLIED: Final[dict[str, Callable[[JSON, object], JSON]]] = {
    JSON_PATCH: json_patch.apply,
    MERGE: merge_patch.apply,
    STRATEGIC: strategic.apply,
}


class Patch(msgspec.Struct, frozen=True, kw_only=True):
    """A patch as it was sent; `shown` is how messages print it."""

    media: str
    value: object
    duplicates: tuple[str, ...] = ()
    shown: str = ""

    @property
    def is_apply(self) -> bool:
        """Whether this is a server-side apply."""
        return self.media == APPLY


def decode(request: Request) -> Patch:
    """The patch of a request.

    Raises `Failure` 415 for another media type, 422 for options that do not go with
    it, `Rejected` for what is no such patch.
    """
    media = bodies.media_type(request.content_type)
    what = request.resource.kind
    if media == APPLY:
        found = bodies.from_yaml(request.body, what)
        _check_apply(request, found.value)
    elif media in _APPLIED:
        found = bodies.from_json(request.body, what)
    else:
        raise statuses.plain(415)
    if media != APPLY and "force" in request.params:
        said = "Forbidden: may not be specified for non-apply patch"
        raise options.invalid("PatchOptions", "force", "FieldValueForbidden", said)
    shown = (
        bodies.go_text(found.value)
        if media == STRATEGIC
        else request.body.decode("utf-8", "replace")
    )
    return Patch(
        media=media, value=found.value, duplicates=found.duplicates, shown=shown
    )


def applied(patch: Patch, document: JSON) -> JSON:
    """The document after the patch, which is no apply. Raises `Rejected`."""
    return _APPLIED[patch.media](document, patch.value)


def names_version(patch: Patch) -> bool:
    """Whether the patch itself says which version of the object it is for."""
    if isinstance(patch.value, list):
        return any(
            isinstance(each, dict) and each.get("path") == "/metadata/resourceVersion"
            for each in patch.value
        )
    value = patch.value if isinstance(patch.value, dict) else {}
    return bool(text_at(value, "metadata", "resourceVersion"))


def refuse_strictly(patch: Patch, findings: tuple[str, ...]) -> Failure:
    """The 422 for a patch that brings fields which are not known, or come twice."""
    said = f"strict decoding error: {', '.join(findings)}"
    message = f"Invalid value: {msgspec.json.encode(patch.shown).decode()}: {said}"
    cause = {"reason": "FieldValueInvalid", "message": message, "field": "patch"}
    return Failure(
        422,
        "Invalid",
        f' "" is invalid: patch: {message}',
        details={"causes": [cause]},
    )


def _check_apply(request: Request, value: object) -> None:
    """Raises `Rejected` unless this can be applied at all."""
    if not request.params.get("fieldManager"):
        raise options.invalid(
            "PatchOptions",
            "fieldManager",
            "FieldValueRequired",
            "Required value: is required for apply patch",
        )
    if not isinstance(value, dict):
        raise Rejected("BadRequest", "error decoding YAML: an object was expected")
    for key in ("apiVersion", "kind"):
        if not text_at(value, key):
            raise Rejected("BadRequest", f"invalid object: {key} must be set")
    if metadata_of(value).get("managedFields") is not None:
        raise Rejected("BadRequest", "metadata.managedFields must be nil")
