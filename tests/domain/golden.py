"""The golden documents: what the log of an older Rollbook may hold, byte for byte.

1. `golden.jsonl` has at least one line for each event class, `Golden` as JSON. Where an
   event has optional fields there are two: with as few as possible, and with all.
2. A line is never changed or removed: logs with such documents are on people's disks.
   An event that gets a new form gets a new class, a new topic and new lines.
3. `python tests/domain/golden.py --add` appends lines for events that have none.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

# So that it runs as a script, whatever is installed.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from docs._generate import examples
from domain import catalogue
from domain.events import Event

FILE: Final = Path(__file__).with_name("golden.jsonl")

# Values for optional fields that the examples of the documents leave away.
_OPTIONAL: Final[dict[str, object]] = {
    "agent": "kubectl/v1.33.1 (linux/amd64)",
    "annotations": {"team": "web"},
    "complaints": [{"reason": "SelectorRequired", "message": "selector is required"}],
    "content": {"data": {"color": "blue"}},
    "bound": "> 0.05",
    "desired": 4,
    "error": "no answer",
    "finalizers": ["example.com/hold"],
    "figures": [
        {
            "type": "Resource",
            "name": "cpu",
            "value": "143%",
            "target": "80%",
            "pods": 4,
            "at": 1795414727.0,
            "window": 15.0,
            "replicas": 7,
        }
    ],
    "generate_name": "ng",
    "full": True,
    "field_manager": "kubectl-client-side-apply",
    "grace": 2.5,
    "labels": {"app": "nginx"},
    "managed_fields": [{"manager": "kubectl-client-side-apply"}],
    "maximum": 5,
    "measured_at": 1795421927.5,
    "min_ready_seconds": 5,
    "orphan": True,
    "owner_references": [examples.SPECIMENS["OwnerReference"]],
    "passed": True,
    "own": examples.SPECIMENS["PodTemplateSpec"],
    "propagation": "orphan",
    "revision": 2,
    "value": 0.25,
    "source": "rollbook scale deployment/nginx --replicas=4",
    "why": "it is not wanted any more",
}


class Golden(msgspec.Struct, frozen=True, kw_only=True):
    """One line: a document as it is stored, and under which topic."""

    topic: str
    stream: str
    state: msgspec.Raw


def load() -> list[Golden]:
    """All golden documents, in the order of the file; none if there is no file."""
    if not FILE.exists():
        return []
    lines = FILE.read_bytes().splitlines()
    return [msgspec.json.decode(line, type=Golden) for line in lines]


def fields(golden: Golden) -> frozenset[str]:
    """The names of the event's fields that the document shows."""
    document = msgspec.json.decode(golden.state, type=dict[str, msgspec.Raw])
    return frozenset(msgspec.json.decode(document["event"], type=dict[str, object]))


def missing() -> list[Golden]:
    """The lines that the file needs and does not have."""
    shown: dict[str, frozenset[str]] = {}
    for golden in load():
        shown[golden.topic] = shown.get(golden.topic, frozenset()) | fields(golden)
    lines: list[Golden] = []
    for kind in catalogue.EVENTS:
        if kind.TOPIC not in shown:
            lines += _lines(kind)
        elif shown[kind.TOPIC] != _names(kind):
            lines += [*_lines(kind)][1:]  # fields are new: those of before have theirs
    return lines


def _names(kind: type[Event]) -> frozenset[str]:
    return frozenset(field.encode_name for field in msgspec.structs.fields(kind))


def _lines(kind: type[Event]) -> Iterator[Golden]:
    """An example of the event, and one with all fields if that is another one."""
    state = msgspec.Raw(examples.stored(kind))
    some = Golden(topic=kind.TOPIC, stream=examples.stream(kind), state=state)
    yield some
    rest = {
        field.encode_name: _OPTIONAL[field.name]
        for field in msgspec.structs.fields(kind)
        if field.encode_name not in fields(some)
    }
    if rest:
        document = msgspec.json.decode(state)
        document["event"] |= rest
        # Through the codec, which orders the fields as it stores them.
        recorded = catalogue.decode(
            1, some.stream, 1, kind.TOPIC, msgspec.json.encode(document)
        )
        full = msgspec.Raw(catalogue.encode(recorded))
        yield msgspec.structs.replace(some, state=full)


def main() -> int:
    """Append what is missing with `--add`; else only say what that is."""
    parser = argparse.ArgumentParser(description="the golden documents of all events")
    parser.add_argument("--add", action="store_true", help="append what is missing")
    wanted = parser.parse_args()
    lines = missing()
    if wanted.add:
        with FILE.open("ab") as file:
            file.writelines(msgspec.json.encode(line) + b"\n" for line in lines)
    for line in lines:
        sys.stdout.write(f"{'added' if wanted.add else 'missing'} {line.topic}\n")
    return 0 if wanted.add else bool(lines)


if __name__ == "__main__":
    sys.exit(main())
