"""The marked regions of docs/nats.md, and docs/environment.md."""

import inspect
from collections.abc import Callable
from functools import cache
from typing import Final

import msgspec

from adapters import nats_configuration, nats_streams, nats_subjects
from docs._generate import markdown, structs, wire
from domain import catalogue, command, errors, protocol, queries
from kubelet import logs_service
from rollbook import settings
from workers import mailbox

KIB: Final = 1024

# The structs that answers and messages share are told once, at the end.
_SHARED_MODULES: Final = ("domain.protocol", "domain.queries", "domain.errors")


def environment() -> str:
    """docs/environment.md."""
    rules = (inspect.getdoc(settings) or "").partition("\n\n")[2]
    return "\n\n".join(
        [
            markdown.NOTICE,
            "# Environment variables",
            markdown.prose(
                "Everything that Rollbook reads from the environment, from "
                "`rollbook/settings.py`."
            ),
            rules,
            markdown.table(
                ["variable", "meaning"],
                ([f"`{name}`", words] for name, words in settings.ENVIRONMENT.items()),
            ),
        ]
    ) + "\n"  # fmt: skip


def nats(text: str) -> str:
    """docs/nats.md, its regions written anew. Raises ValueError for unknown ones."""
    channels = {f"channel {each.key}": each for each in wire.channels()}
    writers: dict[str, Callable[[], str]] = {
        "subjects": _subjects,
        "verbs": _verbs,
        "reasons": _reasons,
        "permissions": _permissions,
        "limits": _limits,
        "parts": _parts,
        "other questions": lambda: "",
    }

    def write(name: str) -> str:
        if name in channels:
            return channel_section(channels[name])
        if name not in writers:
            raise ValueError(f"docs/nats.md has an unknown region: {name}")
        return writers[name]()

    missing = {*channels, *writers} - {*markdown.regions(text)}
    others = [name for name in channels if name in missing and "query." in name]
    writers["other questions"] = lambda: "\n\n".join(
        _question(channels[name]) for name in others
    )
    missing -= {*others}
    filled = markdown.fill(text, write)
    if missing:
        names = ", ".join(sorted(missing))
        raise ValueError(
            f"docs/nats.md must say something about each subject; add a region for: "
            f"{names}"
        )
    return filled


def channel_section(channel: wire.Channel) -> str:
    """What the code knows of one subject."""
    listeners = ", ".join(f"`{role}`" for role in channel.subscribers)
    kinds = ", ".join(f"`{kind.__name__}`" for kind in channel.carries)
    rows = [
        ["subject", f"`{_angled(channel.subject)}`"],
        ["published by", f"`{channel.publisher}`"],
        ["read by", listeners],
        ["how", channel.exchange],
        ["payload", channel.text or f"{kinds}, JSON"],
    ]
    if channel.answers:
        names = ", ".join(f"`{kind.__name__}`" for kind in channel.answers)
        rows.append(["answer", f"{names}, JSON"])
    if channel.raw_answer:
        rows.append(["answer", "bytes, in several messages"])
    parts = [markdown.table(["", ""], rows)]
    parts += _headers("Headers", channel.headers)
    for kind in channel.carries:
        parts += _struct(kind)
    parts += _headers("Headers of the answer", channel.answer_headers)
    for kind in channel.answers:
        parts += _struct(kind, role="the answer")
    return "\n\n".join(parts)


def _question(channel: wire.Channel) -> str:
    """A whole section, for a question that nobody has written about yet."""
    body = wire.example(channel.carries[0]).decode().replace("'", "'\\''")
    line = f"$ nats req {channel.subject} '{body}'"
    heading = f"### {channel.title}"
    return "\n\n".join([heading, channel_section(channel), f"```console\n{line}\n```"])


def _struct(kind: structs.Kind, role: str = "the payload") -> list[str]:
    words = structs.words(kind)
    return [
        f"**`{kind.__name__}`**, {role}" + ("." if words else ""),
        *([markdown.prose(words)] if words else []),
        markdown.fields(kind),
        markdown.example(kind.__name__, wire.example(kind)),
    ]


def _headers(title: str, headers: tuple[wire.Header, ...]) -> list[str]:
    if not headers:
        return []
    rows = (
        [f"`{each.name}`", "yes" if each.required else "no", each.words]
        for each in headers
    )
    return [f"{title}:", markdown.table(["header", "required", "meaning"], rows)]


def _subjects() -> str:
    return markdown.table(
        ["subject", "published by", "read by", "payload", "answer"],
        (
            [
                f"[`{_angled(each.subject)}`](#{markdown.anchor(each.title)})",
                each.publisher,
                ", ".join(each.subscribers),
                ", ".join(kind.__name__ for kind in each.carries) or "text",
                ", ".join(kind.__name__ for kind in each.answers)
                or ("bytes" if each.raw_answer else ""),
            ]
            for each in wire.channels()
        ),
    )


def _verbs() -> str:
    rows = (
        [kind, f"`{verb}`", f"`{body.__name__}`", structs.summary(body)]
        for (kind, verb), body in command.VERBS.items()
    )
    parts = [markdown.table(["kind", "verb", "body", "what it asks"], rows)]
    for body in wire.bodies():
        parts += [
            f"#### {body.__name__}",
            markdown.prose(structs.words(body)),
            markdown.fields(body),
            markdown.example(body.__name__, wire.example(body)),
        ]
    return "\n\n".join(parts)


def _reasons() -> str:
    rows = ([f"`{reason}`", str(code)] for reason, code in errors.CODES.items())
    return markdown.table(["reason", "code"], rows)


def _permissions() -> str:
    logins = {
        "control": nats_subjects.CONTROL,
        "api": nats_subjects.API,
        "monitor": nats_subjects.MONITOR,
        "a node": nats_subjects.node_login("NODE"),
        "a user": "USER",
    }
    parts = []
    for role, login in logins.items():
        allowed = nats_configuration.permissions(login)
        own = f"Role *{role}*, login `{login}`, inbox"
        parts.append(f"{own} `{nats_subjects.inbox_prefix(login)}`:")
        rows = [["publish", each] for each in allowed.publish]
        rows += [["subscribe", each] for each in allowed.subscribe]
        table = ([may, f"`{subject}`"] for may, subject in rows)
        parts.append(markdown.table(["may", "subject"], table))
    return "\n\n".join(parts)


def _limits() -> str:
    commands, kept = nats_streams.COMMANDS_CONFIG, nats_streams.EVENTS_CONFIG
    return markdown.table(
        ["what", "limit", "beyond it"],
        [
            [
                "a message",
                _bytes(nats_configuration.MAX_PAYLOAD_BYTES),
                "the broker refuses it and ends the connection",
            ],
            [
                "a command, headers included",
                _bytes(nats_streams.COMMAND_BYTES_MAX),
                "JetStream refuses it",
            ],
            [
                "a subject",
                _bytes(nats_subjects.MAX_SUBJECT_BYTES),
                "the client refuses it",
            ],
            [
                f"stream `{commands.name}`",
                _bytes(commands.max_bytes),
                "JetStream refuses new commands until some are decided",
            ],
            [
                f"stream `{kept.name}`",
                _bytes(kept.max_bytes),
                "the oldest events leave the stream; the log has them",
            ],
            [
                "reports of one node that wait",
                str(mailbox.REPORTS_PER_NODE),
                "its oldest report is dropped; the kubelet repeats it",
            ],
            [
                "answers with output that one node gives at a time",
                str(logs_service.CONCURRENT_MAX),
                "an error in the answer",
            ],
            [
                "following output with one request",
                f"{logs_service.FOLLOW_MAX:g} s",
                "the answer ends; ask again",
            ],
        ],
    )


def _parts() -> str:
    tops = {each for channel in wire.channels() for each in channel.carries}
    tops |= {each for channel in wire.channels() for each in channel.answers}
    found = {part for top in tops for part in structs.parts(top)} - tops
    found |= {protocol.PodObservation, queries.QueryError}
    parts = []
    for kind in sorted(found, key=lambda each: each.__name__):
        if kind.__module__ not in _SHARED_MODULES:
            continue
        parts += [
            f"### {kind.__name__}",
            markdown.prose(structs.words(kind)),
            markdown.fields(kind),
            markdown.example(kind.__name__, wire.example(kind)),
        ]
    return "\n\n".join(parts)


def _angled(subject: str) -> str:
    return subject.replace("{", "<").replace("}", ">")


def _bytes(count: int | None) -> str:
    assert count, "a bound is a number"
    for unit, size in (("GiB", KIB**3), ("MiB", KIB**2), ("KiB", KIB)):
        if count >= size and count % size == 0:
            return f"{count // size} {unit}"
    return f"{count} bytes"


@cache
def known_structs() -> dict[str, structs.Kind]:
    """The structs that examples are shown of, by the names in their markers."""
    kinds = [each for channel in wire.channels() for each in channel.carries]
    kinds += [each for channel in wire.channels() for each in channel.answers]
    kinds += [*wire.bodies(), protocol.PodObservation]
    kinds += [part for kind in [*kinds] for part in structs.parts(kind)]
    known = {kind.__name__: kind for kind in kinds}
    for kind in catalogue.EVENTS:
        known[f"stored {kind.__name__}"] = catalogue.Stored[kind]  # type: ignore[valid-type]  # the type is a value here
    return known


def example_is_exact(name: str, data: bytes) -> bool:
    """Whether `data` is what the struct `name` would write: nothing unknown in it.

    Raises `msgspec.ValidationError` where the struct cannot read it.
    """
    kind = known_structs()[name]
    decoded = msgspec.json.decode(data, type=kind)
    return _plain(msgspec.json.encode(decoded)) == _plain(data)


def _plain(data: bytes) -> object:
    return msgspec.json.decode(data)
