"""A request as the handlers see it, and what they give back; no HTTP in either."""

from collections.abc import Mapping
from typing import Literal

import msgspec

from gateway.kube.resources import Resource

JSON = dict[str, object]
Verb = Literal[
    "get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"
]


class User(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks: a login that the broker has accepted. The secret is shown nowhere."""

    name: str
    secret: str
    groups: tuple[str, ...] = ("system:authenticated",)

    def __repr__(self) -> str:
        return f"User({self.name})"


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One request about one resource.

    `params` are the query's parameters, the last one where one is repeated. `agent` is
    the client's User-Agent, `command` kubectl's own header of what was typed, if sent.
    """

    user: User
    verb: Verb
    resource: Resource
    params: Mapping[str, str]
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    body: bytes = b""
    content_type: str = ""
    accept: str = ""
    agent: str = ""
    command: str = ""

    @property
    def dry_run(self) -> bool:
        """Whether nothing may be changed."""
        return self.params.get("dryRun", "") == "All"


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """An answer that is not a stream; `document` is JSON, or bytes of `media_type`."""

    code: int = 200
    document: JSON | bytes
    media_type: str = "application/json"
    headers: Mapping[str, str] = {}
    warnings: tuple[str, ...] = ()
