"""What readers are told of watched rollouts: what is wanted, the step, the words."""

import msgspec
import pytest

from domain import analysis_run, deployment, protocol, queries
from gateway.explaining import words
from gateway.views import deployments, wanted
from gateway.views.scene import Scene, Templates
from projections.happenings import Happenings
from rollbook import rollouts
from tests.gateway.support import service_of
from tests.support.cluster import SimCluster
from tests.workers.scenes import owner, set_image
from tests.workers.watched import give_raw, measure_all, release, watched

CHECKS = """
- {name: error-rate, prometheus: rate, max: 0.05, interval: 10s, initialDelay: 5s}
- {name: health, check: {path: /healthz, port: 8080}, min: 1}
"""


@pytest.fixture
def sim() -> SimCluster:
    """A Deployment at its step `analyse`."""
    sim = SimCluster(3)
    watched(sim, steps="50%, analyse, pause 5m", checks=CHECKS, replicas=4)
    release(sim)
    return sim


def scene(sim: SimCluster) -> Scene:
    """The state for views."""
    return Scene(sim.cluster, Happenings(), Templates(), sim.now)


def test_what_is_wanted(sim: SimCluster) -> None:
    """Each check once, with how many there are, when the next is due, and the pods of
    the new revision where pods are asked."""
    found = wanted.answer(scene(sim), 900_000).wanted
    assert [each.check for each in found] == ["error-rate", "health"]
    rate, health = found
    run = owner(sim).run
    assert (rate.revision, rate.round, rate.taken) == (2, run.round, 0)
    assert rate.due_at == run.round_at + 5
    assert rate.source.prometheus == "rate"
    assert rate.targets == ()
    assert health.replicaset != ""


def test_an_answer_to_what_is_wanted_is_taken(sim: SimCluster) -> None:
    """The contract of the two processes, from the question to the event."""
    sim.run_for(10)
    (rate, _) = wanted.answer(scene(sim), 900_000).wanted
    said = protocol.Measurement(
        uid=rate.uid,
        revision=rate.revision,
        round=rate.round,
        check=rate.check,
        number=rate.taken + 1,
        value=0.01,
    )
    give_raw(sim, msgspec.json.encode(said))
    (again, _) = wanted.answer(scene(sim), 900_000).wanted
    assert again.taken == 1
    assert again.due_at == pytest.approx(sim.now + 10, abs=0.1)


def test_nothing_is_wanted_while_it_is_paused(sim: SimCluster) -> None:
    """Nor of a Deployment that has no checks, nor beyond the room of an answer."""
    assert not wanted.answer(scene(sim), 10).wanted
    sim.ask("deployment", "web", "pause")
    assert not wanted.answer(scene(sim), 900_000).wanted


def test_the_step_is_a_condition(sim: SimCluster) -> None:
    """The last one, while the rollout is among its steps, and gone afterwards."""
    shown = deployments.conditions(scene(sim), owner(sim))[-1]
    assert (shown.type, shown.reason) == ("RolloutStep", "WaitingForAnalysis")
    assert shown.message == "step 2 of 4: analysing, 0 of 6 measurements taken"
    sim.ask("deployment", "web", "promote", {"full": True})
    sim.settle()
    told = [each.type for each in deployments.conditions(scene(sim), owner(sim))]
    assert told == ["Available", "Progressing"]


def test_rollout_status_tells_the_step(sim: SimCluster) -> None:
    """With what is left of a pause, where the time is known."""
    sim.ask("deployment", "web", "promote")
    shown = deployments.document(scene(sim), owner(sim))
    head = 'Waiting for deployment "web" rollout to finish: step 3 of 4: waiting 5m'
    assert rollouts.stage(shown).text == f"{head}..."
    at = owner(sim).run.step_at + 61
    left = rollouts.stage(shown, now=at).text
    assert left.startswith(f"{head} (3m5"), left
    assert not rollouts.stage(shown, now=at).done


def test_every_event_of_it_has_words(sim: SimCluster) -> None:
    """The object first, and the figures."""
    measure_all(sim, None, 0.2)
    sim.ask("deployment", "web", "promote")
    set_image(sim, "app:3")
    sim.ask("deployment", "web", "abort")
    told = [
        words.tell(each)
        for each in sim.events
        if isinstance(each.event, analysis_run.EVENTS)
    ]
    assert all(each.startswith("Deployment web ") for each in told)
    for part in (
        "reached step 1 of 4 of the rollout of revision 2: 50%",
        "check error-rate of revision 2 gave no number: no answer",
        "check error-rate of revision 2 gave 0.2 (> 0.05, failed)",
        "failed the analysis of revision 2: error-rate 0.2 > 0.05 in 1 of 1",
        "was promoted past step 2 of the rollout of revision 2",
        "had the rollout of revision 3 aborted",
    ):
        assert any(part in each for each in told), (part, told)


@pytest.mark.asyncio
async def test_why_names_the_rollback_and_no_rejected_wish(sim: SimCluster) -> None:
    """What the writer decides by itself stands in the place of a wish: a chain that
    ends at a report names the rollback with its figures, not the template that was
    rejected by it (B45)."""
    give = "deployment", "web", "annotate"
    sim.ask(*give, {"changes": {"rollbook/auto-rollback": "analysis"}})
    measure_all(sim, 0.31)
    sim.settle()
    assert owner(sim).template.spec.containers[0].image == "app:1"
    completed = sim.of(deployment.RolloutCompleted)[-1]

    service = await service_of(sim)
    asked = msgspec.json.encode({"about": completed.position})
    answer = await service.answer("why", asked)
    (chain,) = msgspec.json.decode(answer, type=queries.WhyAnswer).chains
    told = [*chain.links, *chain.wish]
    assert "DeploymentTemplateChanged" not in [link.type for link in told]
    (back,) = [link for link in told if link.type == "DeploymentRolledBack"]
    assert "rolled back from revision 2: error-rate 0.31 > 0.05" in back.words
