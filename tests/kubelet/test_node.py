"""When a node says what has changed: what follows at once is waited for, no end is."""

from pathlib import Path

import pytest

from domain import protocol
from kubelet import node
from tests.kubelet.builders import stop
from tests.kubelet.processes import true
from tests.kubelet.test_adoption import Life

pytestmark = pytest.mark.asyncio


def told(life: Life) -> list[str]:
    """What was reported of pod `a`'s container, and of its run before a restart."""
    found: list[str] = []
    for report in life.wire.reports:
        for pod in report.pods:
            for each in pod.containers:
                found.append(each.state)
                found += ["ended"] if each.last is not None else []
    return found


async def test_an_end_that_nobody_asked_for_is_told_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nothing follows quickly it does not wait for anything; a start does."""
    monkeypatch.setattr(node, "SETTLE", 1_000.0)
    life = Life(tmp_path, "one")
    life.node._ends_at_once = True
    await life.begin(1, "a")
    await true(lambda: [*tmp_path.glob("n1/pods/*/web/root/here")])
    assert "running" not in told(life)
    life.node.runtime.kill_container("a", "web")
    await true(lambda: {"ended", "terminated"} & {*told(life)})
    monkeypatch.undo()
    await life.end(keep=False)


async def test_an_end_that_was_asked_for_waits_for_what_follows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pod that is told to stop ends in one report: its removal follows."""
    life = Life(tmp_path, "one")
    life.node._ends_at_once = True
    await life.begin(1, "a")
    await life.ready("a")
    monkeypatch.setattr(node, "SETTLE", 1_000.0)
    before = len(life.wire.reports)
    assert not life.node.agent.is_ending("a")
    message = protocol.Assignment(
        from_position=1,
        to_position=2,
        incarnation=1,
        confirmed=tuple(report.sequence for report in life.wire.reports),
        stop=(stop("a", 60),),
    )
    life.node.on_assignment(message)
    assert life.node.agent.is_ending("a")
    await true(lambda: not life.node.runtime.list())
    assert [r.pods for r in life.wire.reports[before:] if r.pods] == []
    await life.end()
