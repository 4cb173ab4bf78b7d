"""What was ever stored can be read for ever: golden documents, one class at a time."""

from collections.abc import Callable

import msgspec
import pytest

from domain import catalogue, deployment
from domain.errors import Permanent
from domain.events import Event, Recorded
from tests.domain import golden

GOLDEN = golden.load()
BY_TOPIC = {kind.TOPIC: kind for kind in catalogue.EVENTS}
PAUSED = deployment.DeploymentPaused.TOPIC


def of(topic: str) -> golden.Golden:
    """The first golden document of a topic."""
    return next(line for line in GOLDEN if line.topic == topic)


def decoded(line: golden.Golden) -> Recorded:
    """The event of a golden document, at some place of the log."""
    return catalogue.decode(7, line.stream, 3, line.topic, bytes(line.state))


@pytest.mark.parametrize("line", GOLDEN, ids=lambda line: line.topic)
def test_an_old_document_is_read_and_written_again_to_the_byte(
    line: golden.Golden,
) -> None:
    """Decoding a golden document gives its event, and nothing of it gets lost."""
    recorded = decoded(line)

    assert (recorded.position, recorded.stream, recorded.version) == (7, line.stream, 3)
    if BY_TOPIC[line.topic] in catalogue.UPCASTS:
        assert type(recorded.event) not in catalogue.UPCASTS, "it is brought up to date"
        return
    assert type(recorded.event) is BY_TOPIC[line.topic]
    assert catalogue.encode(recorded) == bytes(line.state)


@pytest.mark.parametrize("kind", catalogue.EVENTS, ids=lambda kind: kind.TOPIC)
def test_every_event_has_golden_documents_with_all_its_fields(
    kind: type[Event],
) -> None:
    """No event is added, and no field of one, without a document that shows it.

    `python tests/domain/golden.py --add` appends the document of a new event.
    """
    shown = [golden.fields(line) for line in GOLDEN if line.topic == kind.TOPIC]

    assert shown, f"{kind.TOPIC} has no golden document: {golden.__doc__}"
    names = {field.encode_name for field in msgspec.structs.fields(kind)}
    assert frozenset().union(*shown) == names


def test_no_golden_document_is_of_a_forgotten_topic() -> None:
    """A topic is never removed from the catalogue: logs hold its events."""
    assert {line.topic for line in GOLDEN} == set(BY_TOPIC)
    assert not golden.missing()


def test_topics_are_unique_and_each_class_names_its_own() -> None:
    """No class inherits its topic, and no two share one; `<object>.<fact>.v<n>`."""
    assert len(BY_TOPIC) == len(catalogue.EVENTS)
    for kind in catalogue.EVENTS:
        assert "TOPIC" in vars(kind), kind
        thing, _, rest = kind.TOPIC.partition(".")
        assert thing.isalpha()
        assert rest.partition(".v")[2].isdecimal(), kind.TOPIC


def test_every_event_class_is_in_the_catalogue() -> None:
    """An event that `decide` can return can be stored and read."""
    assert _leaves(Event) == set(catalogue.EVENTS)


def _leaves(kind: type[Event]) -> set[type[Event]]:
    below = kind.__subclasses__()
    found = set().union(*map(_leaves, below)) if below else {kind}
    # What other tests define is theirs.
    return {each for each in found if each.__module__.startswith("domain.")}


def test_an_unknown_topic_is_told_with_its_position() -> None:
    """The log of a newer Rollbook: which event, where, and that nothing is guessed."""
    with pytest.raises(Permanent, match=r'position 41 .*"deployment\.sung\.v1"'):
        catalogue.decode(41, "deployment/default/web", 2, "deployment.sung.v1", b"{}")


@pytest.mark.parametrize(
    "state",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b"{}",
        b"\xff\xfe",
        b'{"at":"2026-11-23T06:18:47.000123Z","actor":"system"}',
        b'{"at":"2026-11-23T06:18:47.000123Z","actor":"system","event":[]}',
        b'{"at":"2026-11-23T06:18:47.000123Z","actor":1,"event":{}}',
        b'{"at":"yesterday","actor":"system","event":{}}',
        b'{"at":"2026-11-23T06:18:47.000123","actor":"system","event":{}}',
    ],
)
def test_a_damaged_document_is_told_with_its_position(state: bytes) -> None:
    """Cut, of another type, without a field, with no time or none with a zone."""
    with pytest.raises(Permanent, match=r"position 41 .*default/web.*paused"):
        catalogue.decode(41, "deployment/default/web", 2, PAUSED, state)


@pytest.mark.parametrize("line", GOLDEN, ids=lambda line: line.topic)
def test_every_cut_of_a_document_is_damage(line: golden.Golden) -> None:
    """However much of a document was lost at its end, it is not taken for another."""
    state = bytes(line.state)
    for end in range(0, len(state), 7):
        with pytest.raises(Permanent, match="position 1 "):
            catalogue.decode(1, line.stream, 1, line.topic, state[:end])


@pytest.mark.parametrize(
    "micros", [0, 1, 999_999, 1_795_414_727_000_123, 4_102_444_799_999_999]
)
def test_a_timestamp_is_kept_to_the_microsecond(micros: int) -> None:
    """What the writer's clock said is what a replay says."""
    recorded = msgspec.structs.replace(decoded(of(PAUSED)), timestamp=micros / 1e6)

    state = catalogue.encode(recorded)
    again = catalogue.decode(7, recorded.stream, 3, PAUSED, state)

    assert again == recorded
    assert round(again.timestamp * 1e6) == micros


def test_an_old_event_is_brought_up_to_date_when_it_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An upcast turns the stored event into the newer one, again and again."""
    resumed, deleted = deployment.DeploymentResumed(), deployment.DeploymentDeleted()
    upcasts: dict[type[Event], Callable[[Event], Event]] = {
        deployment.DeploymentPaused: lambda _: resumed,
        deployment.DeploymentResumed: lambda _: deleted,
    }
    monkeypatch.setattr(catalogue, "UPCASTS", upcasts)

    assert decoded(of(PAUSED)).event == deleted
