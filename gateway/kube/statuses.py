"""Failures of the Kubernetes API: a `Status` object, and the code it comes with.

What Rollbook refuses is told in Kubernetes' words, fields and codes; what only HTTP
knows (a path that is none, a media type, no login) is `Failure` itself.
"""

from collections.abc import Sequence
from typing import Final

from domain.errors import FieldError, Rejected
from gateway.kube.resources import Resource

JSON = dict[str, object]

MESSAGES: Final = {
    404: ("NotFound", "the server could not find the requested resource"),
    405: (
        "MethodNotAllowed",
        "the server does not allow this method on the requested resource",
    ),
    415: ("UnsupportedMediaType", "415: Unsupported Media Type"),
}


class Failure(Exception):
    """An answer that is no success; `details` as they stand in the Status."""

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        *,
        details: JSON | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details
        self.headers = headers or {}

    def document(self) -> JSON:
        """The Status object."""
        found: JSON = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
        }
        if self.reason:
            found["reason"] = self.reason
        if self.details is not None:
            found["details"] = self.details
        found["code"] = self.code
        return found


def plain(code: int) -> Failure:
    """404, 405 or 415 for a request that meets no resource, verb or media type."""
    reason, message = MESSAGES[code]
    return Failure(code, reason, message, details={})


def of_rejected(refused: Rejected, resource: Resource | None, name: str) -> Failure:
    """What the core, or the api itself, has refused about an object of `resource`.

    `details` name the resource (an invalid one: its kind), the object and each cause.
    A bad request has none.
    """
    if refused.reason == "BadRequest":
        return Failure(refused.code, refused.reason, refused.message)
    details: JSON = {}
    if refused.causes and refused.reason == "Conflict":
        details["causes"] = _causes(refused.causes)
        return Failure(refused.code, refused.reason, refused.message, details=details)
    if name:
        details["name"] = name
    if resource is not None:
        if resource.group:
            details["group"] = resource.group
        invalid = refused.reason == "Invalid"
        details["kind"] = resource.kind if invalid else resource.plural
    if refused.causes:
        details["causes"] = _causes(refused.causes)
    return Failure(refused.code, refused.reason, refused.message, details=details)


def success(resource: Resource, name: str, uid: str = "") -> JSON:
    """The Status that says that an object was deleted."""
    details: JSON = {"name": name}
    if resource.group:
        details["group"] = resource.group
    details["kind"] = resource.plural
    if uid:
        details["uid"] = uid
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": details,
    }


def _causes(causes: Sequence[FieldError]) -> list[JSON]:
    return [
        {"reason": cause.reason, "message": cause.message, "field": cause.field}
        for cause in causes
    ]
