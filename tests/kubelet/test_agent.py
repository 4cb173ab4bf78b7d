"""The agent: given what it knows, when a message or time comes, then these effects."""

import itertools

import msgspec
import pytest

from domain import protocol
from kubelet import agent_effects, reporting
from tests.kubelet.builders import NODE, run, stop
from tests.kubelet.scene import Scene, reports, started, status, synced, syncs

# --- sync ---------------------------------------------------------------------------


def test_it_asks_for_the_full_list_when_it_is_connected() -> None:
    """The first thing said is a sync; no report before an incarnation is granted."""
    scene = Scene()
    effects = scene.did(scene.agent.on_connected(scene.now))
    assert effects == [
        agent_effects.SendSync(1, protocol.SyncRequest(boot_id="boot-1", node=NODE))
    ]
    assert reports(scene.after(60)) == []


def test_a_sync_without_an_answer_is_repeated() -> None:
    """After 1, 2, 4 … 60, 60 … seconds, and up to a quarter later, by the boot id: a
    control that is late is not asked by all its nodes at once."""
    scene = Scene().connect()
    waits, last = [], scene.now
    for _ in range(8):
        scene.after(scene.sent[-1].time - scene.now)  # type: ignore[union-attr]  # a WakeAt
        waits.append(scene.now - last)
        last = scene.now
    spread = waits[0]
    assert 1 < spread < 1.25
    wanted = [1, 2, 4, 8, 16, 32, 60, 60]
    assert waits == pytest.approx([spread * each for each in wanted])


def test_a_control_that_has_just_come_is_asked_at_once() -> None:
    """It tells every node it knows; nobody waits out what the one before it, or it
    itself while it was late, did not answer."""
    scene = Scene().connect()
    for _ in range(6):
        scene.after(scene.sent[-1].time - scene.now)  # type: ignore[union-attr]  # a WakeAt
    assert scene.sent[-1].time - scene.now > 30  # type: ignore[union-attr]  # a WakeAt
    scene.after(2)
    assert syncs(scene.assign(-1, -1, incarnation=0, resync=True)) == 1


def test_where_nobody_is_asked_the_next_try_is_near() -> None:
    """The broker says at once that there is no control: trying again costs nobody
    anything, and a cluster that starts late finds its nodes there."""
    scene = Scene().connect()
    for _ in range(6):
        scene.after(scene.sent[-1].time - scene.now)  # type: ignore[union-attr]  # a WakeAt
        scene.did(scene.agent.on_sync_failed(scene.now, scene.agent._sync_attempt))
    assert scene.sent[-1].time - scene.now < 12.5  # type: ignore[union-attr]  # a WakeAt


def test_a_sync_starts_pods_and_owes_a_full_report() -> None:
    """Every pod of the list is in the full report, also those not yet seen."""
    scene = Scene().connect()
    scene.sync(run=(run("a"), run("b")))
    assert started(scene.sent) == ["a", "b"]
    (report,) = reports(scene.sent)
    assert report.full
    assert [(pod.uid, pod.phase) for pod in report.pods] == [
        ("a", "Pending"),
        ("b", "Pending"),
    ]


def test_a_refused_sync_is_asked_again() -> None:
    """An answer with an error changes nothing."""
    scene = Scene().connect()
    reply = protocol.SyncReply(position=0, incarnation=0, error="not the writer")
    assert scene.did(scene.agent.on_sync_reply(scene.now, 1, reply)) == []
    assert scene.agent.incarnation == 0
    assert syncs(scene.after(1.25)) == 1


def test_an_answer_to_an_older_request_is_dropped() -> None:
    """Only the answer to the newest request counts."""
    scene = Scene().connect()
    scene.after(1.25)
    reply = protocol.SyncReply(position=5, incarnation=1, run=(run("a"),))
    assert scene.did(scene.agent.on_sync_reply(scene.now, 1, reply)) == []
    assert scene.agent.counters["stale sync reply"] == 1


def test_an_answer_that_was_overtaken_is_dropped() -> None:
    """The list of position 10 comes after the assignment to 12: it would go back."""
    scene = synced("a")
    scene.did(scene.agent.on_connected(scene.now))
    scene.assign(10, 12, run=(run("b"),))
    scene.sync(position=10, run=(run("a"),))
    assert scene.agent.position == 12
    assert scene.agent.running() == {"a", "b"}
    assert syncs(scene.after(1.25)) == 1


def test_a_full_report_stays_owed_until_it_is_confirmed() -> None:
    """A lost full report is repeated as a full one: absence says something too."""
    scene = Scene().connect().sync(run=(run("a"),))
    (again,) = reports(scene.after(1.0))
    assert again.full
    scene.assign(10, 10, confirmed=again.sequence)
    scene.saw(status("a"))
    (last,) = reports(scene.after(0.1))
    assert not last.full


def test_assignments_that_come_before_the_list_are_not_lost() -> None:
    """Control answers and assigns at once; the wire may turn the two around."""
    scene = Scene().connect()
    assert scene.assign(10, 11, run=(run("b"),)) == []
    scene.sync(position=10, run=(run("a"),))
    assert started(scene.sent) == ["a", "b"]
    assert scene.agent.position == 11
    assert scene.agent.synced


# --- assignments --------------------------------------------------------------------


def test_an_assignment_that_continues_the_chain_is_obeyed() -> None:
    """Start what is to run, stop what is to stop, remember the position."""
    scene = synced("a")
    effects = scene.assign(10, 15, run=(run("b"),), stop=(stop("a", 7),))
    assert started(effects) == ["b"]
    assert agent_effects.StopPod("a", 7) in effects
    assert scene.agent.position == 15


def test_a_gap_asks_for_the_full_list() -> None:
    """Nothing of the message is obeyed: what is missing may contradict it."""
    scene = synced("a")
    scene.now += 10
    effects = scene.assign(12, 15, run=(run("b"),))
    assert (started(effects), syncs(effects)) == ([], 1)
    scene.sync(position=15, run=(run("a"), run("b")))
    assert scene.agent.running() == {"a", "b"}


@pytest.mark.parametrize(("start", "end"), [(10, 15), (3, 15), (3, 9), (14, 15)])
def test_a_repeated_assignment_is_ignored(start: int, end: int) -> None:
    """What is known already changes nothing and asks for nothing."""
    scene = synced()
    scene.assign(10, 15, run=(run("a"),))
    assert scene.assign(start, end, run=(run("x"),)) == []
    assert scene.agent.counters["repeated assignment"] == 1


@pytest.mark.parametrize("incarnation", [0, 2])
def test_another_incarnation_asks_for_the_full_list(incarnation: int) -> None:
    """It is for another life of this node."""
    scene = synced("a")
    scene.now += 5
    effects = scene.assign(10, 15, stop=(stop("a"),), incarnation=incarnation)
    assert (syncs(effects), len(effects)) == (1, 1)


def test_resync_asks_for_the_full_list_but_not_in_a_storm() -> None:
    """Control says: sync. Said a hundred times in a second, it is asked once."""
    scene = synced("a")
    scene.now += 10
    count = 0
    for _ in range(100):
        effects = scene.assign(0, 0, incarnation=0, resync=True)
        count += syncs(effects)
        if syncs(effects):
            scene.sync(run=(run("a"),))
    assert count == 1


def test_an_unknown_template_asks_for_the_full_list() -> None:
    """The pod cannot be started, and the chain stays where it was."""
    scene = synced()
    scene.now += 10
    effects = scene.assign(10, 11, run=(run("a", "unknown"),))
    assert (started(effects), syncs(effects), scene.agent.position) == ([], 1, 10)


def test_a_template_is_remembered() -> None:
    """A later assignment may name a template that an earlier one carried."""
    scene = synced("a")
    assert started(scene.assign(10, 11, run=(run("b"),), templates=False)) == ["b"]


# --- pods ---------------------------------------------------------------------------


def test_a_pod_that_control_does_not_know_is_stopped_and_reported() -> None:
    """It runs, but is in neither list of the answer: stop it, say when it is gone."""
    scene = synced("a", "b")
    scene.did(scene.agent.on_connected(scene.now))
    scene.sent.clear()
    scene.did(scene.agent.on_connection_lost(scene.now))
    scene.did(scene.agent.on_connected(scene.now))
    scene.sync(position=20, run=(run("a"),))
    assert agent_effects.StopPod("b", 30) in scene.sent
    scene.saw(status("b", removed=True))
    last = reports(scene.after(0.2))[-1]
    assert [(pod.uid, pod.removed) for pod in last.pods] == [("b", True)]


def test_a_stop_for_what_does_not_run_is_answered_with_removed() -> None:
    """At once, without a runtime: there is nothing to stop."""
    scene = synced()
    scene.now += 1
    effects = scene.assign(10, 11, stop=(stop("ghost"),))
    (report,) = reports(effects)
    assert [(pod.uid, pod.removed) for pod in report.pods] == [("ghost", True)]


def test_a_second_stop_can_only_shorten() -> None:
    """30 s, again 30 s (nothing), 5 s, 0 (kill)."""
    scene = synced("a")
    assert agent_effects.StopPod("a", 30) in scene.assign(10, 11, stop=(stop("a", 30),))
    assert scene.assign(11, 12, stop=(stop("a", 30),)) == []
    assert agent_effects.StopPod("a", 5) in scene.assign(12, 13, stop=(stop("a", 5),))
    assert agent_effects.KillPod("a") in scene.assign(13, 14, stop=(stop("a", 0),))


@pytest.mark.parametrize("confirmed", [False, True])
def test_a_removed_uid_is_never_started_again(confirmed: bool) -> None:
    """A late message wants it back: it is reported removed once more instead."""
    scene = synced("a")
    scene.assign(10, 11, stop=(stop("a"),))
    scene.saw(status("a", removed=True))
    scene.after(0.2)
    if confirmed:
        scene.assign(11, 11, confirmed=scene.agent.sequence)
        assert scene.agent.statuses() == ()
    scene.sent.clear()
    scene.assign(11, 12, run=(run("a"),))
    scene.did(scene.agent.on_connected(scene.now))
    scene.sync(position=12, run=(run("a"),))
    scene.after(0.2)
    assert started(scene.sent) == []
    last = reports(scene.sent)[-1]
    assert [(pod.uid, pod.removed) for pod in last.pods] == [("a", True)]


def test_a_stopping_pod_is_not_started_again() -> None:
    """A run that comes while the pod ends changes nothing."""
    scene = synced("a")
    scene.assign(10, 11, stop=(stop("a"),))
    assert scene.assign(11, 12, run=(run("a"),)) == []


def test_while_cut_off_the_last_assignment_is_obeyed() -> None:
    """Nothing is stopped and nothing is sent; what happened is said on return."""
    scene = synced("a")
    scene.did(scene.agent.on_connection_lost(scene.now))
    scene.saw(status("a", ready=False))
    assert scene.after(600) == []
    assert scene.agent.running() == {"a"}
    scene.did(scene.agent.on_connected(scene.now))
    scene.sync(position=30, run=(run("a"),))
    full = reports(scene.sent)[-1]
    assert [(pod.uid, pod.ready) for pod in full.pods] == [("a", False)]


# --- reports ------------------------------------------------------------------------


def test_at_most_one_report_in_a_hundred_milliseconds() -> None:
    """Changes in between go together into the next one, the last status wins."""
    scene = synced("a", "b")
    scene.now += 1
    first = reports(scene.saw(status("a", ready=False)))
    assert [pod.uid for report in first for pod in report.pods] == ["a"]
    for ready in (True, False, True):
        assert reports(scene.saw(status("a", ready=ready), status("b"))) == []
    assert reports(scene.after(0.09)) == []
    (second,) = reports(scene.after(0.02))
    assert {pod.uid: pod.ready for pod in second.pods} == {"a": True, "b": True}


def test_an_idle_node_sends_heartbeats() -> None:
    """Every ten seconds an empty report, and nothing else."""
    scene = synced("a")
    beats = reports(scene.after(60))
    assert len(beats) == 6
    assert all(not (b.pods or b.full or b.node) for b in beats)
    numbers = [b.sequence for b in beats]
    assert numbers == list(range(numbers[0], numbers[0] + 6))


def test_what_is_not_confirmed_is_repeated() -> None:
    """After 1, 2, 4, 8, 10, 10 seconds; a confirmation ends it."""
    scene = synced("a")
    scene.now += 1
    sent_at = [scene.now]
    scene.saw(status("a", ready=False))
    while len(sent_at) < 7:
        repeated = [r for r in reports(scene.after(0.5)) if r.pods]
        sent_at += [scene.now for _ in repeated]
    waits = [b - a for a, b in itertools.pairwise(sent_at)]
    assert waits == pytest.approx([1, 2, 4, 8, 10, 10])
    scene.assign(10, 10, confirmed=scene.agent.sequence)
    assert [r for r in reports(scene.after(60)) if r.pods] == []


def test_a_confirmation_of_an_older_status_is_not_one_of_the_newer() -> None:
    """Report 2 is confirmed, report 3 was lost: the status of 3 is repeated."""
    scene = synced("a")
    scene.now += 1
    scene.saw(status("a", ready=False))
    older = scene.agent.sequence
    scene.now += 0.5
    scene.saw(status("a", reason="newer"))
    scene.assign(10, 10, confirmed=older)
    assert scene.agent.unconfirmed == {"a"}
    repeated = [p for r in reports(scene.after(2)) for p in r.pods]
    assert [pod.reason for pod in repeated] == ["newer"]


def test_a_confirmation_says_nothing_about_the_reports_before_it() -> None:
    """Report 2 was lost, report 3 about another pod came through: 2 is repeated."""
    scene = synced("a", "b")
    scene.now += 1
    scene.saw(status("a", ready=False))
    scene.now += 0.5
    scene.saw(status("b", ready=False))
    scene.assign(10, 10, confirmed=scene.agent.sequence)
    assert scene.agent.unconfirmed == {"a"}
    repeated = [p.uid for r in reports(scene.after(2)) for p in r.pods]
    assert repeated == ["a"]


def test_an_older_confirmation_does_not_forget_a_removal() -> None:
    """Report 2 is confirmed, report 3 with the last word was lost: it is repeated."""
    scene = synced("a")
    scene.now += 1
    note = protocol.Note(reason="R", message="one")
    scene.saw(status("a", ready=False, notes=(note,)))
    older = scene.agent.sequence
    scene.now += 0.5
    scene.saw(status("a", removed=True))
    scene.assign(10, 10, confirmed=older)
    repeated = [p for r in reports(scene.after(2)) for p in r.pods]
    assert [(pod.uid, pod.removed) for pod in repeated] == [("a", True)]
    assert repeated[0].notes == (note,)


@pytest.mark.parametrize("confirmed", [-1, 10**9])
def test_an_impossible_confirmation_is_ignored(confirmed: int) -> None:
    """A number that was never sent confirms nothing."""
    scene = synced("a")
    scene.now += 1
    scene.saw(status("a", ready=False))
    scene.assign(10, 10, confirmed=confirmed)
    assert scene.agent.unconfirmed == {"a"}


def test_notes_are_kept_until_they_are_confirmed_and_then_never_sent_again() -> None:
    """Batched statuses lose no note; the bound drops the oldest."""
    scene = synced("a")
    scene.now += 1

    def note(text: str) -> tuple[protocol.Note, ...]:
        return (protocol.Note(reason="R", message=text),)

    scene.saw(status("a", notes=note("one")))
    scene.saw(status("a", notes=note("two")))
    scene.saw(status("a", notes=note("three")))
    (second,) = reports(scene.after(0.1))
    assert [n.message for n in second.pods[0].notes] == ["one", "two", "three"]
    scene.assign(10, 10, confirmed=second.sequence)
    scene.now += 1
    (third,) = reports(scene.saw(status("a", notes=note("four"))))
    assert [n.message for n in third.pods[0].notes] == ["four"]
    for number in range(100):
        scene.saw(status("a", notes=note(str(number))))
    kept = reports(scene.after(0.1))[-1].pods[0].notes
    assert [n.message for n in kept] == [
        str(n) for n in range(100 - reporting.NOTES_MAX, 100)
    ]


def test_a_change_of_the_node_is_reported_until_it_is_confirmed() -> None:
    """And not any longer."""
    scene = synced()
    scene.now += 1
    bigger = msgspec.structs.replace(NODE, address="127.0.0.9")
    (report,) = reports(scene.did(scene.agent.on_node_changed(scene.now, bigger)))
    assert report.node == bigger
    (again,) = [r for r in reports(scene.after(1.5)) if r.node]
    scene.assign(10, 10, confirmed=again.sequence)
    assert [r for r in reports(scene.after(60)) if r.node] == []


def test_a_large_node_reports_in_pieces() -> None:
    """A message has a largest size: 600 changes are three reports."""
    scene = synced()
    scene.assign(10, 11, run=tuple(run(f"u{n}") for n in range(600)))
    scene.now += 1
    first = scene.saw(*(status(f"u{n}") for n in range(600)))
    sizes = [len(r.pods) for r in reports(first) + reports(scene.after(0.5))]
    assert sizes == [250, 250, 100]


def test_a_status_of_an_unknown_pod_is_counted() -> None:
    """The runtime is late: nothing is reported."""
    scene = synced()
    assert scene.saw(status("ghost")) == []
    assert scene.agent.counters["status of a pod that is gone"] == 1


def test_a_new_incarnation_says_everything_again() -> None:
    """What was confirmed to another incarnation does not count."""
    scene = synced("a")
    scene.did(scene.agent.on_connected(scene.now))
    scene.sync(position=50, run=(run("a"),), incarnation=2)
    scene.after(0.2)
    (report,) = [r for r in reports(scene.sent) if r.incarnation == 2]
    assert report.full
    assert [pod.uid for pod in report.pods] == ["a"]


def test_an_older_incarnation_is_never_accepted() -> None:
    """It only grows."""
    scene = Scene().connect().sync(incarnation=5)
    scene.did(scene.agent.on_connected(scene.now))
    scene.sync(position=50, incarnation=4)
    assert (scene.agent.incarnation, scene.agent.position) == (5, 10)
