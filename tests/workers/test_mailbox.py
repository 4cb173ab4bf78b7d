"""What a step takes: all in order, nobody's share at the cost of the others."""

import pytest

from workers import mailbox
from workers.intake import ReportInput, SyncInput
from workers.mailbox import Mailbox


def sync(node: str, reply: str) -> SyncInput:
    """A sync whose content is of no interest here."""
    return SyncInput(node=node, data=b"", reply=reply)


def no_pods(_: str) -> int:
    return 0


@pytest.mark.asyncio
async def test_of_a_nodes_syncs_only_the_newest_is_answered() -> None:
    """Whoever repeats itself does not make a late writer later; nor does it lose its
    place to those who came after its first question."""
    box = Mailbox()
    for item in (sync("n1", "old"), sync("n2", "only"), sync("n1", "new")):
        box.put_sync(item)
    taken = await box.take(10, 0.0, no_pods)
    assert taken == [sync("n1", "new"), sync("n2", "only")]
    assert box.syncs_repeated == 1
    assert await box.take(10, 0.0, no_pods) == []


@pytest.mark.asyncio
async def test_a_step_lists_a_bounded_number_of_pods() -> None:
    """The other nodes' lists are those of the steps that follow at once."""
    box = Mailbox()
    for number in range(10):
        box.put_sync(sync(f"n{number}", ""))
    sizes: list[int] = []
    while taken := await box.take(10, None if len(sizes) < 5 else 0.0, lambda _: 1_980):
        sizes.append(len(taken))
    assert sizes == [2, 2, 2, 2, 2]


@pytest.mark.asyncio
async def test_reports_are_taken_in_turn() -> None:
    """A node's reports keep their order; a step takes a bounded amount, and who had to
    wait is first in the next one."""
    box = Mailbox()
    data = bytes(mailbox.REPORT_BYTES_PER_STEP // 4)
    for number in range(2):
        for node in ("n1", "n2", "n3", "n4", "n5"):
            box.put_report(ReportInput(node=node, data=data[number:]))
    turns = []
    for _ in range(3):
        taken = await box.take(10, 0.0, no_pods)
        reports = [each for each in taken if isinstance(each, ReportInput)]
        turns.append([(each.node, len(data) - len(each.data)) for each in reports])
    assert turns == [
        [("n1", 0), ("n1", 1), ("n2", 0), ("n2", 1), ("n3", 0), ("n3", 1)][:6],
        [("n4", 0), ("n4", 1), ("n5", 0), ("n5", 1)],
        [],
    ]
