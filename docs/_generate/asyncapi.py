"""docs/asyncapi.json: the wire as an AsyncAPI 3.0 document.

1. One document describes all roles. An operation is named after the role that performs
   it (`control-receiveCommand`), and its action is what that role does.
2. Answers go to inboxes, whose subjects are known only at run time: reply channels
   have no address.
"""

import re
import tomllib
from collections.abc import Iterable
from typing import Final

import msgspec

from docs._generate import emitters, markdown, schemas, structs, wire
from domain import catalogue, command

JSON = dict[str, object]

_SCHEMA: Final = "#/components/schemas/"
_MESSAGE: Final = "#/components/messages/"

_DESCRIPTION: Final = """
How users, the control process, the api and the kubelets of a Rollbook cluster talk over
NATS. Operations are named after the role that performs them. What the fields mean, who
may do what, and command lines for each subject are in docs/nats.md.
"""
_PARAMETERS: Final[dict[str, str]] = {
    "metric": "the name of a metric, one token",
    "user": "the user who asks; the broker lets nobody else publish it",
    "namespace": "the namespace of the object, `_` for one that has none",
    "kind": "the kind of the object, for example `deployment`",
    "name": "the name of the object",
    "verb": "what shall be done",
    "event": "the name of the event, for example `PodScheduled`",
    "node": "the name of the node",
    "session": "the id of the session, from the grant",
}


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """A message: its name in the document, its struct, and what comes with it."""

    name: str
    kind: structs.Kind | None
    """None for what is no JSON."""
    title: str
    words: str
    headers: tuple[wire.Header, ...] = ()
    example: bytes = b"{}"
    content: str = "application/octet-stream"
    """The content type of what is no JSON."""


def document() -> str:
    """docs/asyncapi.json."""
    channels: JSON = {}
    operations: JSON = {}
    messages: dict[str, Part] = {}
    for channel in wire.channels():
        key = _camel(channel.key)
        parts = _carried(channel)
        answers = _answers(channel)
        messages |= {part.name: part for part in (*parts, *answers)}
        channels[key] = _channel(channel, parts)
        if answers:
            channels[f"{key}Reply"] = _reply_channel(channel, answers)
        operations |= _operations(channel, key, parts, answers)
    whole: JSON = {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Rollbook over NATS",
            "version": _version(),
            "description": markdown.prose(_DESCRIPTION),
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "local": {
                "host": "127.0.0.1:4222",
                "protocol": "nats",
                "description": "The broker that `rollbook up` starts.",
                "security": [{"$ref": "#/components/securitySchemes/login"}],
            }
        },
        "channels": channels,
        "operations": operations,
        "components": {
            "securitySchemes": {
                "login": {
                    "type": "userPassword",
                    "description": "One login for each role; see docs/nats.md.",
                }
            },
            "messages": {name: _message(part) for name, part in messages.items()},
            "schemas": _schemas(part.kind for part in messages.values() if part.kind),
        },
    }
    return schemas.encode(whole)


def _version() -> str:
    project = tomllib.loads((emitters.ROOT / "pyproject.toml").read_text("utf-8"))
    return str(project["project"]["version"])


def _carried(channel: wire.Channel) -> list[Part]:
    """The messages of a channel; one for each verb, one for each event."""
    if channel.key == "command":
        return [_verb(channel, *verb, kind) for verb, kind in command.VERBS.items()]
    if channel.key == "event":
        return [
            Part(
                name=kind.__name__,
                kind=wire.published(kind),
                title=kind.__name__,
                words=structs.words(kind),
                headers=channel.headers,
                example=wire.published_example(kind),
            )
            for kind in catalogue.EVENTS
        ]
    if channel.text:
        return [_text(_camel(channel.key), channel.title, channel.text)]
    return [_plain(kind, channel.headers) for kind in channel.carries]


def _verb(channel: wire.Channel, kind: str, verb: str, body: structs.Kind) -> Part:
    example = msgspec.json.encode(
        {"id": "0d9f1c4e", "body": msgspec.Raw(wire.example(body))}
    )
    return Part(
        name=f"{kind}-{verb}",
        kind=wire.command_message(body),
        title=f"{verb} {kind}",
        words=structs.words(body),
        headers=channel.headers,
        example=example,
    )


def _answers(channel: wire.Channel) -> list[Part]:
    if channel.raw_answer:
        return [
            Part(
                name=f"{_camel(channel.key)}-output",
                kind=None,
                title="Output",
                words="Bytes, in pieces of whole lines.",
                headers=channel.answer_headers,
            )
        ]
    return [_plain(kind, channel.answer_headers) for kind in channel.answers]


def _text(name: str, title: str, words: str) -> Part:
    return Part(
        name=f"{name}Text", kind=None, title=title, words=words, content="text/plain"
    )


def _plain(kind: structs.Kind, headers: tuple[wire.Header, ...]) -> Part:
    return Part(
        name=kind.__name__,
        kind=kind,
        title=kind.__name__,
        words=structs.words(kind),
        headers=headers,
        example=wire.example(kind),
    )


def _channel(channel: wire.Channel, parts: list[Part]) -> JSON:
    names = re.findall(r"\{(\w+)\}", channel.subject)
    found: JSON = {"address": channel.subject, "title": channel.title}
    if channel.stream:
        found["description"] = f"Kept in the JetStream stream {channel.stream}."
    if names:
        found["parameters"] = {
            name: {"description": _PARAMETERS[name]} for name in names
        }
    found["messages"] = {part.name: {"$ref": _MESSAGE + part.name} for part in parts}
    return found


def _reply_channel(channel: wire.Channel, answers: list[Part]) -> JSON:
    return {
        "address": None,
        "title": f"{channel.title}: the answer",
        "description": "A subject below the inbox of whoever asked.",
        "messages": {part.name: {"$ref": _MESSAGE + part.name} for part in answers},
    }


def _operations(
    channel: wire.Channel, key: str, parts: list[Part], answers: list[Part]
) -> JSON:
    noun = key[0].upper() + key[1:]
    found: JSON = {}
    roles = [("send", channel.publisher)]
    roles += [("receive", role) for role in channel.subscribers]
    for action, role in roles:
        operation: JSON = {
            "action": action,
            "channel": {"$ref": f"#/channels/{key}"},
            "title": channel.title,
            "messages": [_in_channel(key, part) for part in parts],
        }
        if answers:
            operation["reply"] = _reply(channel, key, answers)
        found[f"{role}-{action}{noun}"] = operation
    return found


def _reply(channel: wire.Channel, key: str, answers: list[Part]) -> JSON:
    reply: JSON = {
        "channel": {"$ref": f"#/channels/{key}Reply"},
        "messages": [_in_channel(f"{key}Reply", part) for part in answers],
    }
    if channel.reply_header:
        location = f"$message.header#/{channel.reply_header}"
        reply["address"] = {"location": location}
    return reply


def _in_channel(key: str, part: Part) -> JSON:
    return {"$ref": f"#/channels/{key}/messages/{part.name}"}


def _message(part: Part) -> JSON:
    found: JSON = {
        "name": part.name,
        "title": part.title,
        "summary": " ".join(part.words.partition("\n\n")[0].split()),
    }
    if part.headers:
        found["headers"] = {
            "type": "object",
            "properties": {
                header.name: {"type": "string", "description": header.words}
                for header in part.headers
            },
            "required": [header.name for header in part.headers if header.required],
        }
    if part.kind is not None:
        name = schemas.schema_kind(part.kind).__name__
        found["payload"] = {"$ref": _SCHEMA + name}
        found["examples"] = [{"payload": msgspec.Raw(part.example)}]
    else:
        found["contentType"] = part.content
    return found


def _schemas(kinds: Iterable[structs.Kind]) -> JSON:
    wanted = dict.fromkeys(map(schemas.schema_kind, kinds))
    _, found = msgspec.json.schema_components(
        wanted, schema_hook=schemas.any_json, ref_template=_SCHEMA + "{name}"
    )
    return {name: found[name] for name in sorted(found)}


def _camel(key: str) -> str:
    first, *rest = key.split(".")
    return first + "".join(each.capitalize() for each in rest)
