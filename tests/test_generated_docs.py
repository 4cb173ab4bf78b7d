"""The generated documents are fresh, complete, and true to the code.

1. Every event and every subject has its place; every example is read by its struct.
2. Each rule is shown to be able to fail, on a copy or on a planted text.

The command lines of docs/nats.md, the AsyncAPI document and the schemas have tests of
their own, in tests/test_wire_docs.py.
"""

import inspect
import json
import re
import shutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from adapters import nats_configuration, nats_subjects
from adapters.eventlog import Row
from docs import generate
from docs._generate import (
    emitters,
    examples,
    machines,
    markdown,
    pages,
    structs,
    wire,
)
from domain import catalogue, command, events
from rollbook import settings
from workers import relay

DOCS = generate.FOLDER
PAGES = ("nats.md", "events.md")
EVENT_IDS = [kind.__name__ for kind in catalogue.EVENTS]

# A parsed JSON document has no better type than this.
Document = dict[str, Any]


@cache
def page(name: str) -> str:
    """The text of a document."""
    return (DOCS / name).read_text("utf-8")


@cache
def asyncapi() -> Document:
    """docs/asyncapi.json, parsed."""
    found: Document = json.loads(page("asyncapi.json"))
    return found


# ── fresh ─────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the documents that a test may spoil."""
    target = tmp_path / "docs"
    shutil.copytree(DOCS, target, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    return target


def test_nothing_is_stale() -> None:
    """`make docs` would change nothing."""
    assert generate.stale(DOCS) == []


def test_stale_files_are_named(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A changed, a missing and a left-over file are each named, and the check fails."""
    (copy / "events.md").write_text(page("events.md") + "more\n", "utf-8")
    (copy / "states.md").unlink()
    (copy / "schemas" / "NobodyWritesThis.json").write_text("{}", "utf-8")

    assert generate.main(["--check", "--folder", str(copy)]) == 1
    said = capsys.readouterr().out.splitlines()
    assert [line.split(";")[0] for line in said] == [
        "stale: events.md",
        "stale: schemas/NobodyWritesThis.json",
        "stale: states.md",
    ]


def test_writing_makes_everything_fresh(copy: Path) -> None:
    """Afterwards nothing is stale, and the left-over schema is gone."""
    (copy / "events.md").write_text("old", "utf-8")
    (copy / "schemas" / "NobodyWritesThis.json").write_text("{}", "utf-8")

    assert generate.main(["--folder", str(copy)]) == 0
    assert generate.main(["--check", "--folder", str(copy)]) == 0
    assert (copy / "events.md").read_text("utf-8") == page("events.md")
    assert not (copy / "schemas" / "NobodyWritesThis.json").exists()


def test_what_is_written_by_hand_stays(copy: Path) -> None:
    """In nats.md the regions are the code's, and all around them is the author's."""
    nats = copy / "nats.md"
    text = page("nats.md").replace("## Limits\n", "## Limits\n\nA sentence.\n")
    nats.write_text(text, "utf-8")
    assert generate.stale(copy) == []

    nats.write_text(text.replace("| 1 MiB |", "| 2 MiB |"), "utf-8")
    assert generate.write(copy) == ["nats.md"]
    assert nats.read_text("utf-8") == text


def test_a_subject_without_a_place_is_an_error() -> None:
    """A region for each subject must be there, and no region for what is not."""
    text = page("nats.md")
    with pytest.raises(ValueError, match="add a region for: channel report"):
        pages.nats(text.replace("<!-- generated: channel report -->", ""))
    with pytest.raises(ValueError, match="unknown region: nonsense"):
        pages.nats(text + "<!-- generated: nonsense -->\n<!-- end -->")


def test_a_question_without_a_place_gets_one(copy: Path) -> None:
    """A question is documented from the code alone until somebody writes about it."""
    nats = copy / "nats.md"
    text = page("nats.md")
    section = re.compile(
        r"### Question `status`\n.*?(?=<!-- generated: other)", re.DOTALL
    )
    nats.write_text(section.sub("", text), "utf-8")

    assert generate.write(copy) == ["nats.md"]
    assert "\n### Question `status`\n" in nats.read_text("utf-8")
    assert "$ nats req rollbook.query.status '{}'" in nats.read_text("utf-8")


# ── complete ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", catalogue.EVENTS, ids=EVENT_IDS)
def test_every_event_is_documented(kind: type[events.Event]) -> None:
    """It has a heading, its topic, its fields, an example, a schema and a message."""
    name = kind.__name__
    section = page("events.md").partition(f"\n### {name}\n")[2].partition("\n### ")[0]

    assert f"`{kind.TOPIC}`" in section
    assert f"<!-- example: stored {name} -->" in section
    for field in structs.fields(kind):
        assert f"| `{field.name}` |" in section
    assert (DOCS / "schemas" / f"{name}.json").exists()
    assert name in asyncapi()["channels"]["event"]["messages"]


@pytest.mark.parametrize("kind", catalogue.EVENTS, ids=EVENT_IDS)
def test_an_example_of_an_event_is_read_from_the_log(kind: type[events.Event]) -> None:
    """What events.md shows is what the catalogue decodes, by topic, as that event."""
    stream, stored = examples.stream(kind), examples.stored(kind)
    recorded = catalogue.decode(42, stream, 5, kind.TOPIC, stored)

    assert type(recorded.event) is kind
    assert recorded.event == examples.of(kind)


@pytest.mark.parametrize("kind", catalogue.EVENTS, ids=EVENT_IDS)
def test_the_published_form_is_the_relay_s(kind: type[events.Event]) -> None:
    """The example and the schema of a published event are what the relay sends."""
    stream = examples.stream(kind)
    row = Row(42, stream, 5, kind.TOPIC, examples.stored(kind))
    _, position, data = relay._message(row)

    assert (position, data) == (42, wire.published_example(kind))
    assert msgspec.json.decode(data, type=wire.Published).type == kind.__name__
    assert msgspec.json.decode(data, type=wire.published(kind))


def subject_functions() -> list[str]:
    """The subjects that adapters/nats_subjects.py can make, with names in braces."""
    found = [each for each in vars(nats_subjects).values() if _is_subject(each)]
    for name, make in inspect.getmembers(nats_subjects, inspect.isfunction):
        if not name.endswith("_subject") or name.startswith(("_", "parse_")):
            continue
        parameters = inspect.signature(make).parameters
        if name == "query_subject":
            found += [make(verb) for verb in wire.questions()]
        elif name == "node_subject":
            found += [make("{node}", what) for what in ("logs", "grant")]
        else:
            found.append(make(*(f"{{{each}}}" for each in parameters)))
    return found


def _is_subject(value: object) -> bool:
    return isinstance(value, str) and value.startswith("rollbook.")


def test_every_subject_is_documented() -> None:
    """Each subject that the code can make has a section and a channel."""
    documented = {each.subject for each in wire.channels()}
    addresses = {each["address"] for each in asyncapi()["channels"].values()}

    assert set(subject_functions()) == documented
    assert documented <= addresses
    for subject in documented:
        angled = subject.replace("{", "<").replace("}", ">")
        assert f"| subject | `{angled}` |" in page("nats.md")


@pytest.mark.parametrize("login", ["control", "api", "node-worker-1", "admin"])
def test_permissions_and_subjects_agree(login: str) -> None:
    """A login may use no subject of ours that is not documented; all are shown."""
    allowed = nats_configuration.permissions(login)
    channels = [re.sub(r"\{\w+\}", "x", each.subject) for each in wire.channels()]
    for pattern in (*allowed.publish, *allowed.subscribe):
        if pattern.startswith("rollbook."):
            loose = pattern.replace("worker-1", "x").replace("admin", "x")
            assert any(wire.covers(loose, channel) for channel in channels), pattern
        shown = pattern.replace("worker-1", "NODE").replace("admin", "USER")
        assert f"`{shown}`" in page("nats.md")


def test_every_verb_is_documented() -> None:
    """Each row of the table of verbs has a row, a section and a message."""
    messages = asyncapi()["channels"]["command"]["messages"]
    for (kind, verb), body in command.VERBS.items():
        assert f"| {kind} | `{verb}` | `{body.__name__}` |" in page("nats.md")
        assert f"\n#### {body.__name__}\n" in page("nats.md")
        assert f"{kind}-{verb}" in messages


def test_every_variable_is_documented() -> None:
    """docs/environment.md has a row for each variable of the settings."""
    for name, words in settings.ENVIRONMENT.items():
        assert f"| `{name}` | {words} |" in page("environment.md")


@pytest.mark.parametrize("machine", machines.machines(), ids=lambda it: it.kind)
def test_every_transition_is_drawn(machine: machines.Machine) -> None:
    """Each cell of a transition table is a letter on an arrow, and explained."""
    section = page("states.md").partition(f"\n## {machine.title}\n")[2]
    section = section.partition("\n## ")[0]
    arrows = re.findall(r"^    (\w+) --> (\w+) : (.*)$", section, re.MULTILINE)
    drawn = {
        (before, letter, after)
        for before, after, letters in arrows
        for letter in letters.split()
    }
    letters = machines.letters(machine.table)

    assert drawn == {
        (before, letters[kind], after)
        for before, row in machine.table.items()
        for kind, after in row.items()
    }
    for kind, letter in letters.items():
        assert f"| {letter} | [{kind.__name__}](" in section


def test_every_object_with_a_table_is_drawn() -> None:
    """The four kinds of objects have their machines."""
    kinds = [machine.kind for machine in machines.machines()]

    assert {"deployment", "replicaset", "pod", "node"} <= set(kinds)


def test_makers_of_events_are_found() -> None:
    """A call is found, a class handed to a call too, a question about types is not."""
    found = emitters.emitters()

    assert ("workers/intake.py", "_pod_status") in {
        (each.path, each.function) for each in found["PodReported"]
    }
    assert found["CommandAccepted"]
    assert "evolve" not in {each.function for rows in found.values() for each in rows}


# ── true: examples ────────────────────────────────────────────────────────────────────


class Example(NamedTuple):
    """A JSON block of a document; `name` is empty where no marker names a struct."""

    name: str
    data: str


def json_blocks(text: str) -> Iterator[Example]:
    """The JSON blocks of a document with what the markers before them say."""
    pattern = r"(?:<!-- example: ([^>]+) -->\n\n)?```json\n(.*?)\n```"
    for found in re.finditer(pattern, text, re.DOTALL):
        yield Example(found[1] or "", found[2])


def wrong_example(found: Example) -> str | None:
    """Why a block is no example of the struct that its marker names."""
    try:
        exact = pages.example_is_exact(found.name, found.data.encode())
    except (KeyError, msgspec.MsgspecError) as error:
        return f"{found.name}: {error!r}"
    return None if exact else f"{found.name}: it has fields that its struct has not"


@pytest.mark.parametrize("name", PAGES)
def test_every_example_is_read_by_its_struct(name: str) -> None:
    """Each JSON block names its struct, and is exactly what that struct writes."""
    blocks = list(json_blocks(page(name)))

    assert len(blocks) > 20
    assert [wrong for each in blocks if (wrong := wrong_example(each))] == []


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("", "{}"),
        ("NoSuchStruct", "{}"),
        ("Answer", '{"id": "1"}'),
        ("Answer", '{"id": "1", "result": "accepted", "misspelt": 1}'),
        ("stored PodScheduled", '{"at": "", "actor": "", "event": {}}'),
    ],
)
def test_a_wrong_example_is_found(name: str, data: str) -> None:
    """No marker, an unknown struct, a missing and an unknown field are found."""
    assert wrong_example(Example(name, data))


# ── the pieces ────────────────────────────────────────────────────────────────────────


class Sample(msgspec.Struct, kw_only=True, rename="camel"):
    """A struct for the tests; `first_one` is a field, `second_one` is none."""

    first_one: int
    other: dict[str, tuple[str, ...]] | None = None
    """What it is for."""


def test_fields_are_told_in_the_words_of_json() -> None:
    """Names as encoded, types of JSON, defaults, and the words behind a field."""
    assert [
        tuple(msgspec.structs.astuple(each)) for each in structs.fields(Sample)
    ] == [
        ("firstOne", "integer", "", ""),
        ("other", "map to list of string, or null", "null", "What it is for."),
    ]


def test_docstrings_name_fields_as_in_json() -> None:
    """A reader of JSON never sees the name that a field has in Python."""
    assert structs.summary(Sample) == (
        "A struct for the tests; `firstOne` is a field, `second_one` is none."
    )


def test_a_region_is_filled_and_the_rest_is_kept() -> None:
    """Only what stands between the marks changes; twice changes nothing more."""
    text = "by hand\n<!-- generated: a -->\nold\n<!-- end -->\nby hand\n"
    once = markdown.fill(text, lambda name: f"new {name}")

    assert once == (
        "by hand\n<!-- generated: a -->\n\nnew a\n\n<!-- end -->\nby hand\n"
    )
    assert markdown.fill(once, lambda name: f"new {name}") == once
