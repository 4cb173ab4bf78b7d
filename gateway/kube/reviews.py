"""Reviews: who am I, may I do this, what may I do.

1. The broker decides who may do what; here is told what it will say, from the same
   table of permissions that its configuration is written from.
2. Reading is for everybody who can log in: the api answers its users' questions.
"""

from collections.abc import Iterable
from typing import Final

from adapters import nats_configuration, nats_subjects
from gateway.kube import bodies, resources
from gateway.kube.request import JSON, Reply, Request
from gateway.kube.resources import Resource

_READS: Final = frozenset({"get", "list", "watch"})
_ANY: Final = "*"
_PATHS: Final = (
    "/api", "/api/*", "/apis", "/apis/*", "/healthz", "/livez", "/openapi",
    "/openapi/*", "/readyz", "/version", "/version/",
)  # fmt: skip


class Reviews:
    """Answers reviews; pure."""

    def answer(self, request: Request) -> Reply:
        """The review with its status. Raises `Failure` 400 for a body that is none."""
        asked = _body(request)
        spec = asked.get("spec")
        spec = spec if isinstance(spec, dict) else {}
        user = request.user
        match request.resource.kind:
            case "SelfSubjectReview":
                groups = [*user.groups]
                status: JSON = {"userInfo": {"username": user.name, "groups": groups}}
            case "SelfSubjectAccessReview":
                allowed = _allowed(user.name, spec)
                status = {"allowed": allowed}
                if not allowed:
                    status["reason"] = "no login of the broker may do that"
            case _:
                status = {
                    "resourceRules": [*_rules(user.name)],
                    "nonResourceRules": [
                        {"verbs": ["get"], "nonResourceURLs": [*_PATHS]}
                    ],
                    "incomplete": False,
                }
        return Reply(
            code=201,
            document={
                "kind": request.resource.kind,
                "apiVersion": request.resource.api_version,
                "metadata": {"creationTimestamp": None},
                "spec": spec,
                "status": status,
            },
        )


def may_command(user: str) -> bool:
    """The broker takes commands of this login."""
    mine = f"rollbook.cmd.{nats_subjects.escape_token(user)}.>"
    return mine in nats_configuration.permissions(user).publish


def _allowed(user: str, spec: JSON) -> bool:
    asked = spec.get("resourceAttributes")
    if not isinstance(asked, dict):
        path = spec.get("nonResourceAttributes")
        return isinstance(path, dict) and path.get("verb") in ("get", _ANY)
    group, plural = str(asked.get("group", "")), str(asked.get("resource", ""))
    plural, _, inside = plural.partition("/")
    part = str(asked.get("subresource", "")) or inside
    verb = str(asked.get("verb", ""))
    known = [
        each
        for each in resources.RESOURCES
        if group in (_ANY, each.group) and plural in (_ANY, each.plural)
    ]
    wanted = {v for each in known for v in _verbs(each, part)}
    if verb == _ANY:
        return bool(wanted) and may_command(user)
    if verb not in wanted:
        return False
    return verb in _READS or not _is_kept(known) or may_command(user)


def _verbs(resource: Resource, part: str) -> Iterable[str]:
    if not part:
        return resource.verbs
    if part == _ANY:
        return {verb for each in resource.subresources for verb in each.verbs}
    held = resource.subresource(part)
    return held.verbs if held is not None else ()


def _is_kept(known: Iterable[Resource]) -> bool:
    return any(each.own for each in known)


def _rules(user: str) -> Iterable[JSON]:
    commands = may_command(user)
    for each in resources.RESOURCES:
        parts = [(each.plural, each.verbs)]
        parts += [(f"{each.plural}/{s.name}", s.verbs) for s in each.subresources]
        for name, verbs in parts:
            mine = [v for v in verbs if v in _READS or commands or not each.own]
            if mine:
                yield {
                    "verbs": mine,
                    "apiGroups": [each.group],
                    "resources": [name],
                }


def _body(request: Request) -> JSON:
    kind = request.resource.kind
    return bodies.document(bodies.decode(request.body, request.content_type, kind))
