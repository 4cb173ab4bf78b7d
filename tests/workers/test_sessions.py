"""exec and attach as commands: recorded, refused, and granted to the pod's node."""

from typing import Any

import msgspec
import pytest

from domain.command import CommandAccepted, CommandRejected
from domain.protocol import Grant
from tests.support.cluster import SimCluster
from tests.workers.scenes import make, pod_manifest, solo
from workers.decisions import Target


@pytest.fixture
def sim() -> SimCluster:
    """One node, and the pod `solo` on it with one container, `main`."""
    found = SimCluster(1)
    make(found, pod_manifest())
    return found


def granted(sim: SimCluster) -> list[tuple[str, Grant]]:
    """What nodes were told of sessions."""
    return [grant for step in sim.steps for grant in step.grants]


@pytest.mark.parametrize(
    ("verb", "body", "command"),
    [
        ("exec", {"command": ["ls", "-l"], "stdin": True, "tty": True}, ("ls", "-l")),
        ("attach", {"stdin": True, "tty": True}, ()),
    ],
)
def test_a_session_is_in_the_log_before_its_node_is_told(
    sim: SimCluster, verb: str, body: dict[str, Any], command: tuple[str, ...]
) -> None:
    """The command stands in the log with all that it asks for; the grant, which goes
    to the pod's node alone, names its place, its user and this very pod."""
    answer = sim.ask("pod", "solo", verb, body)

    recorded = sim.of(CommandAccepted)[-1]
    assert isinstance(recorded.event, CommandAccepted)
    assert recorded.position == sim.log[-1].position
    assert msgspec.json.decode(bytes(recorded.event.body)) == body
    assert recorded.actor == "user/admin"
    assert (answer.result, answer.position) == ("accepted", recorded.position)
    assert granted(sim) == [
        (
            solo(sim).node,
            Grant(
                id=answer.id,
                user="admin",
                namespace="default",
                name="solo",
                uid=solo(sim).uid,
                container="main",
                position=recorded.position,
                command=command,
                stdin=True,
                tty=True,
            ),
        )
    ]


@pytest.mark.parametrize(
    ("name", "body", "reason", "text"),
    [
        ("nope", {"command": ["ls"]}, "NotFound", 'pods "nope" not found'),
        ("solo", {"command": []}, "BadRequest", "at least one command"),
        ("solo", {"command": [""]}, "BadRequest", "at least one command"),
        ("solo", {"command": ["a\0b"]}, "BadRequest", "NUL"),
        ("solo", {"command": ["x" * 70_000]}, "BadRequest", "65536 bytes"),
        ("solo", {"command": ["ls"], "container": "x"}, "BadRequest",
         "container x is not valid for pod solo"),
        ("solo", {}, "BadRequest", "missing required field `command`"),
    ],
)  # fmt: skip
def test_what_may_not_begin_is_refused_and_recorded(
    sim: SimCluster, name: str, body: dict[str, Any], reason: str, text: str
) -> None:
    """No grant, but who tried what is in the log."""
    answer = sim.ask("pod", name, "exec", body)

    assert (answer.result, answer.reason) == ("rejected", reason)
    assert text in answer.message
    assert len(sim.of(CommandRejected)) == 1
    assert granted(sim) == []


def test_of_several_containers_one_must_be_named() -> None:
    """As for logs; an init container can be named too."""
    sim = SimCluster(1)
    containers = [{"name": name, "image": "app:1"} for name in ("web", "side")]
    make(sim, pod_manifest(containers=containers))

    refused = sim.ask("pod", "solo", "exec", {"command": ["ls"]})
    assert "choose one of: [web side]" in refused.message
    named = {"command": ["ls"], "container": "side"}
    assert sim.ask("pod", "solo", "exec", named).result == "accepted"
    assert [grant.container for _, grant in granted(sim)] == ["side"]


def test_a_pod_without_a_node_has_nobody_to_run_it() -> None:
    """It is said so; the pod may get one later."""
    sim = SimCluster(0)
    make(sim, pod_manifest())

    answer = sim.ask("pod", "solo", "exec", {"command": ["ls"]})
    assert answer.message == "pod solo does not have a host assigned"


def test_a_dry_run_grants_nothing(sim: SimCluster) -> None:
    """It may begin, says the answer; nobody is told, and nothing is recorded."""
    last = sim.log[-1].position
    answer = sim.ask("pod", "solo", "exec", {"command": ["ls"]}, dry_run=True)

    assert answer.result == "accepted"
    assert granted(sim) == []
    assert sim.log[-1].position == last


def test_the_same_command_again_is_answered_and_not_granted_again(
    sim: SimCluster,
) -> None:
    """S3: one id, one session."""
    target = Target(namespace="default", kind="pod", name="solo", verb="exec")
    item = sim.command_input(target, {"command": ["ls"]})
    for _ in range(2):
        sim.step(item)
    assert len(granted(sim)) == 1
    assert len(sim.of(CommandAccepted)) == 2  # with that which made the pod
