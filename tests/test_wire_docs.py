"""What docs/nats.md, docs/asyncapi.json and docs/schemas say of the wire is so.

1. A command line that is shown for NATS could be typed: its login may use the subject,
   and its JSON is read by the struct of that subject.
2. The AsyncAPI document keeps the rules of AsyncAPI 3.0 that it makes use of.
3. Each rule is shown to find a planted violation.
"""

import json
import re
import shlex
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec
import pytest

from adapters import nats_configuration, nats_subjects
from docs import generate
from docs._generate import pages, schemas, structs, wire
from domain import catalogue, command

DOCS = generate.FOLDER

# A parsed JSON document has no better type than this.
Document = dict[str, Any]


def page(name: str) -> str:
    """The text of a document."""
    return (DOCS / name).read_text("utf-8")


def asyncapi() -> Document:
    """docs/asyncapi.json, parsed; a new one each time, to be spoilt."""
    found: Document = json.loads(page("asyncapi.json"))
    return found


# ── command lines ───────────────────────────────────────────────────────────────


class Line(NamedTuple):
    """A `nats pub`, `req` or `sub` of a document, taken apart."""

    verb: str
    subject: str
    body: str
    login: str
    headers: dict[str, str]
    stream: str
    file: str
    """Where the message is read from, if it is not in the line."""


def nats_lines(text: str) -> Iterator[Line]:
    """The command lines for NATS in the console blocks of a document."""
    for block in re.findall(r"^```console\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
        for typed in re.split(r"^\$ ", block.replace("\\\n", " "), flags=re.MULTILINE):
            words = shlex.split(typed)
            if words and words[0] == "nats" and {"pub", "req", "sub"} & {*words}:
                yield _line(words[1:])


def _line(words: list[str]) -> Line:
    plain: list[str] = []
    options: dict[str, str] = {}
    headers: dict[str, str] = {}
    file = ""
    flags = {"-J", "--all", "--force-stdin", "--no-context"}
    rest = iter(words)
    for word in rest:
        if word == "-H":
            name, _, value = next(rest).partition(":")
            headers[name] = value
        elif word == "<":
            file = next(rest)
        elif word.startswith("-") and word not in flags:
            options[word] = next(rest)
        elif not word.startswith("-"):
            plain.append(word)
    verb, subject, body, *_ = [*plain, "", ""]
    login = options.get("--user", "admin")
    stream = options.get("--stream", "")
    return Line(verb, subject, body, login, headers, stream, file)


def wrong_lines(line: Line) -> Iterator[str]:
    """What speaks against typing a line."""
    allowed = nats_configuration.permissions(line.login)
    if line.stream:
        if line.stream not in {each.stream for each in wire.channels()}:
            yield f"there is no stream {line.stream}"
        return
    may = allowed.subscribe if line.verb == "sub" else allowed.publish
    if not any(wire.covers(pattern, line.subject) for pattern in may):
        yield f"{line.login} may not {line.verb} {line.subject}"
    if line.verb == "sub":
        return
    for channel in wire.channels():
        if wire.covers(re.sub(r"\{\w+\}", "*", channel.subject), line.subject):
            yield from _wrong_body(channel, line)
            return
    yield f"nobody listens at {line.subject}"


def _wrong_body(channel: wire.Channel, line: Line) -> Iterator[str]:
    if channel.text:
        if line.body:
            yield f"{line.subject}: nobody reads what is sent there"
        return
    kind: structs.Kind = channel.carries[0]
    if channel.key == "command":
        target = nats_subjects.parse_command_subject(line.subject)
        body = command.VERBS.get((target.kind, target.verb))
        if body is None:
            yield f"{target.kind} has no verb {target.verb}"
            return
        kind = wire.command_message(body)
    if line.file:
        return
    try:
        message = msgspec.json.decode(line.body, type=kind)
    except msgspec.MsgspecError as error:
        yield f"{line.subject}: {error}"
        return
    for name in json.loads(line.body):
        if name not in {each.encode_name for each in msgspec.structs.fields(kind)}:
            yield f"{line.subject}: {kind.__name__} has no field {name}"
    if channel.key == "command":
        if line.headers.get("Nats-Msg-Id") != getattr(message, "id", None):
            yield f"{line.subject}: the header and the message name different ids"
        reply = line.headers.get("Rollbook-Reply", "")
        if reply and not nats_subjects.safe_reply(line.login, reply):
            yield f"{line.subject}: no answer is sent to {reply}"


def test_every_nats_line_could_be_typed() -> None:
    """Its login may use the subject, and its JSON is read there."""
    lines = list(nats_lines(page("nats.md")))
    complaints = [wrong for line in lines for wrong in wrong_lines(line)]

    assert {line.verb for line in lines} == {"pub", "req", "sub"}
    assert not complaints, "\n".join(["", *complaints])


def test_every_subject_has_a_nats_line() -> None:
    """For each channel there is a line that publishes to it or listens at it."""
    lines = list(nats_lines(page("nats.md")))
    for channel in wire.channels():
        pattern = re.sub(r"\{\w+\}", "*", channel.subject)
        shown = any(
            wire.covers(pattern, line.subject) or wire.covers(line.subject, pattern)
            for line in lines
        )
        assert shown, channel.subject


@pytest.mark.parametrize(
    "typed",
    [
        'pub rollbook.cmd.eve.default.deployment.nginx.pause \'{"id": "a"}\'',
        'pub rollbook.cmd.admin.default.deployment.nginx.fly \'{"id": "a"}\'',
        'pub -H Nats-Msg-Id:b rollbook.cmd.admin._.node.n.cordon \'{"id": "a"}\'',
        'req rollbook.query.get \'{"kind": "deployment", "nameSpace": "a"}\'',
        'req rollbook.query.get \'{"kind": "teapot"}\'',
        "req rollbook.query.nonsense '{}'",
        "sub rollbook.assign.worker-1",
        "sub --stream EVENT",
        "pub rollbook.checkpoint.request now",
    ],
)
def test_a_wrong_nats_line_is_found(typed: str) -> None:
    """A foreign login, a wrong verb, id, field, value, subject or stream is found."""
    (line,) = nats_lines(f"```console\n$ nats {typed}\n```\n")

    assert list(wrong_lines(line))


# ── AsyncAPI and schemas ────────────────────────────────────────────────────────


def resolve(document: Document, reference: str) -> object:
    """What `#/…` names in `document`. Raises KeyError where it names nothing."""
    node: object = document
    for token in reference.removeprefix("#/").split("/"):
        assert isinstance(node, dict)
        node = node[token.replace("~1", "/").replace("~0", "~")]
    return node


def wrong_asyncapi(document: Document) -> Iterator[str]:
    """What breaks the rules of AsyncAPI 3.0, as far as this document uses them."""
    if document.get("asyncapi") != "3.0.0" or not {"title", "version"} <= {
        *document.get("info", {})
    }:
        yield "it is not AsyncAPI 3.0.0 with a title and a version"
    for reference in schemas.references(document, "#/"):
        try:
            resolve(document, f"#/{reference}")
        except KeyError:
            yield f"#/{reference} leads nowhere"
            return
    for key, channel in document["channels"].items():
        names = set(re.findall(r"\{(\w+)\}", channel["address"] or ""))
        if names != {*channel.get("parameters", {})}:
            yield f"channel {key}: its parameters are not those of its address"
    for key, operation in document["operations"].items():
        yield from _wrong_operation(document, key, operation)


def _wrong_operation(document: Document, key: str, given: Document) -> Iterator[str]:
    if given["action"] not in ("send", "receive"):
        yield f"operation {key}: its action is neither send nor receive"
    for part in (given, given.get("reply")):
        if part is None:
            continue
        prefix = part["channel"]["$ref"] + "/messages/"
        for message in part["messages"]:
            if not message["$ref"].startswith(prefix):
                yield f"operation {key}: {message['$ref']} is not of its channel"
        address = part.get("address")
        if address is None:
            continue
        if resolve(document, part["channel"]["$ref"]) != {
            **_channel(document, part),
            "address": None,
        }:
            yield f"operation {key}: an answer has two addresses"
        if not address["location"].startswith("$message.header#/"):
            yield f"operation {key}: its answer's place is no runtime expression"


def _channel(document: Document, part: Document) -> Document:
    found = resolve(document, part["channel"]["$ref"])
    assert isinstance(found, dict)
    return found


def test_the_asyncapi_document_is_sound() -> None:
    """References lead somewhere, parameters and answers are what AsyncAPI asks for."""
    document = asyncapi()

    assert list(wrong_asyncapi(document)) == []
    assert {each["action"] for each in document["operations"].values()} == {
        "send",
        "receive",
    }


def test_a_wrong_asyncapi_document_is_found() -> None:
    """Each rule complains about a document that breaks it."""
    spoilt = [asyncapi() for _ in range(5)]
    spoilt[0]["asyncapi"] = "2.6.0"
    del spoilt[1]["components"]["messages"]["Report"]
    spoilt[2]["channels"]["report"]["parameters"]["pod"] = {}
    spoilt[3]["operations"]["control-receiveReport"]["action"] = "publish"
    spoilt[4]["channels"]["commandReply"]["address"] = "somewhere"

    assert [bool(list(wrong_asyncapi(each))) for each in spoilt] == [True] * 5


def test_messages_of_the_asyncapi_document_are_the_code_s() -> None:
    """An example of each message is read by the struct of its payload."""
    messages = asyncapi()["components"]["messages"]
    bodies = {
        f"{kind}-{verb}": wire.command_message(body)
        for (kind, verb), body in command.VERBS.items()
    }
    kinds = {
        **pages.known_structs(),
        **{kind.__name__: wire.published(kind) for kind in catalogue.EVENTS},
        **bodies,
    }
    for name, message in messages.items():
        for example in message.get("examples", ()):
            payload = msgspec.json.encode(example["payload"])
            assert msgspec.json.decode(payload, type=kinds[name])


def test_every_schema_stands_by_itself() -> None:
    """Each file is of the 2020-12 dialect, and its references lead somewhere."""
    paths = sorted((DOCS / "schemas").glob("*.json"))
    for path in paths:
        schema: Document = json.loads(path.read_text("utf-8"))
        assert schema["$schema"] == schemas.DIALECT
        for reference in schemas.references(schema, ""):
            name, _, part = reference.partition("#")
            if name:
                assert (path.parent / name).exists(), f"{path.name}: {reference}"
            elif part:
                assert resolve(schema, reference), f"{path.name}: {reference}"
    assert len(paths) > len(catalogue.EVENTS)
