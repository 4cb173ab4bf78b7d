"""The rollback that the annotation `deprecated.deployment.rollback.to` asks for (spec
2.2 step 8, 2.5 and 2.15): Kubernetes' own tests of it, told to this writer."""

from typing import Any

import pytest

from domain import deployment, events
from projections.happenings import lines
from tests.support.cluster import SimCluster, manifest
from tests.workers.scenes import (
    counted,
    deploy,
    frozen,
    give,
    newest,
    owned,
    owner,
    set_image,
)

ASK = deployment.ROLLBACK_TO
CAUSE = deployment.CHANGE_CAUSE


@pytest.fixture
def sim() -> SimCluster:
    """Three nodes, and a Deployment with the revisions 1 (`app:1`) and 2 (`app:2`)."""
    sim = SimCluster(3)
    deploy(sim)
    set_image(sim, "app:2")
    sim.settle()
    return sim


def ask(sim: SimCluster, revision: str) -> int:
    """The annotation; everything comes to rest. Returns the position before it."""
    position = len(sim.log)
    body = {"changes": {ASK: revision}, "overwrite": True}
    answer = sim.ask("deployment", "web", "annotate", body)
    assert answer.result == "accepted", answer.message
    sim.settle()
    return position


def image(sim: SimCluster) -> str:
    """The image that the Deployment asks for."""
    return owner(sim).template.spec.containers[0].image


def told(sim: SimCluster, since: int) -> list[tuple[str, str, str]]:
    """The lines of `get events` about rollbacks: type, reason and message."""
    found = [
        line
        for kind in (
            deployment.DeploymentRolledBack,
            deployment.DeploymentRollbackDeclined,
        )
        for each in sim.of(kind, since)
        for line in lines(each, None, sim.cluster)
    ]
    return [(line.type, line.reason, line.message) for line in found]


@pytest.mark.parametrize("revision", ["0", "1", "+1"])
def test_going_back(sim: SimCluster, revision: str) -> None:
    """To the revision, 0 being the last one: a new revision with the old template, by
    the old ReplicaSet; the request is gone, and one line tells."""
    (old, _) = owned(sim)
    since = ask(sim, revision)
    assert image(sim) == "app:1"
    assert (newest(sim).uid, newest(sim).former_revisions) == (old.uid, (1,))
    assert newest(sim).revision == owner(sim).revision == 3
    assert counted(sim) == (3, 3, 3, 3, 0)
    assert ASK not in owner(sim).annotations
    message = 'Rolled back deployment "web" to revision 1'
    assert told(sim, since) == [("Normal", "DeploymentRollback", message)]


@pytest.mark.parametrize(
    ("revision", "reason", "message"),
    [
        ("7", "RevisionNotFound", "Unable to find the revision to rollback to."),
        ("-1", "RevisionNotFound", "Unable to find the revision to rollback to."),
        (
            "2",
            "TemplateUnchanged",
            "The rollback revision contains the same template as current deployment "
            '"web"',
        ),
    ],
)
def test_what_cannot_be_gone_back_to(
    sim: SimCluster, revision: str, reason: str, message: str
) -> None:
    """Spec 2.15: told once; the request is gone, and nothing else changed."""
    since = ask(sim, revision)
    assert told(sim, since) == [("Warning", f"DeploymentRollback{reason}", message)]
    assert ASK not in owner(sim).annotations
    assert (image(sim), owner(sim).revision) == ("app:2", 2)
    assert not sim.of(deployment.DeploymentTemplateChanged, since)


def test_the_first_revision_has_none_before_it() -> None:
    """Spec 2.15: `Unable to find last revision.`"""
    sim = SimCluster(3)
    deploy(sim)
    since = ask(sim, "0")
    expected = "Unable to find last revision."
    assert told(sim, since) == [
        ("Warning", "DeploymentRollbackRevisionNotFound", expected)
    ]
    assert ASK not in owner(sim).annotations


@pytest.mark.parametrize("text", ["", "last", "1.0", "1 ", "9" * 19, "9" * 4000])
def test_what_is_no_revision_is_no_request(sim: SimCluster, text: str) -> None:
    """Spec 2.2, step 8: only an integer of 64 bits asks; another text stays."""
    since = ask(sim, text)
    assert owner(sim).annotations[ASK] == text
    assert not told(sim, since)
    assert image(sim) == "app:2"


def test_a_paused_deployment_waits(sim: SimCluster) -> None:
    """Spec 2.2: paused comes before it; carried out when it is resumed."""
    sim.ask("deployment", "web", "pause")
    since = ask(sim, "1")
    assert (image(sim), owner(sim).annotations[ASK]) == ("app:2", "1")
    sim.ask("deployment", "web", "resume")
    sim.settle()
    assert (image(sim), ASK in owner(sim).annotations) == ("app:1", False)
    assert len(told(sim, since)) == 1


def test_a_change_at_the_same_time_is_a_revision_first(sim: SimCluster) -> None:
    """Spec 2.2: the new ReplicaSet is there before the rollback is looked at, so the
    last revision is the one that ran until now."""
    raw: dict[str, Any] = manifest("web", "app:3")
    raw["metadata"]["annotations"] = {ASK: "0"}
    raw["spec"]["selector"] = {"matchLabels": {"app": "web"}}
    raw["spec"]["template"]["metadata"]["labels"] = {"app": "web"}
    assert give(sim, "replace", raw).result == "accepted"
    sim.settle()
    assert image(sim) == "app:2"
    assert owner(sim).revision == 4
    assert len(sim.of(deployment.RevisionStarted)) == 4
    assert counted(sim) == (3, 3, 3, 3, 0)


def test_the_annotations_come_back_with_the_template(sim: SimCluster) -> None:
    """Spec 2.5: those of the revision's ReplicaSet, the change-cause too; what a
    ReplicaSet never has stays, and no other revision's cause is rewritten."""
    for number, text in ((1, "one"), (2, "two")):
        ask(sim, str(number))
        body = {"changes": {CAUSE: text, "team": text}, "overwrite": True}
        sim.ask("deployment", "web", "annotate", body)
        sim.settle()
    causes = [
        each.cause for each in sim.cluster.rollouts.by_key[owner(sim).key].revisions
    ]
    ask(sim, "0")
    rollout = sim.cluster.rollouts.by_key[owner(sim).key]
    assert owner(sim).annotations == {CAUSE: "one", "team": "one"}
    assert [each.cause for each in rollout.revisions] == [*causes, "one"]
    assert rollout.revisions[-1].origin == "revision 3"


def test_it_is_a_compensating_event_with_its_cause(sim: SimCluster) -> None:
    """S14: by the controller, because of the annotation; the generation grows once."""
    before = owner(sim).generation
    since = ask(sim, "1")
    (back,) = sim.of(deployment.DeploymentRolledBack, since)
    assert back.actor == events.DEPLOYMENT_CONTROLLER
    asked, cleared = sim.of(deployment.DeploymentAnnotated, since)
    assert back.cause == cleared.cause == asked.position
    assert owner(sim).generation == before + 2, "the request, and what came of it"


def test_one_that_is_being_deleted_goes_nowhere(sim: SimCluster) -> None:
    """Spec 2.2, step 5: nothing but its end."""
    sim.ask("deployment", "web", "delete", {"propagation": "foreground"})
    frozen(sim, 0.01)
    body = {"changes": {ASK: "1"}}
    sim.ask("deployment", "web", "annotate", body)
    sim.settle()
    assert not sim.of(deployment.DeploymentRolledBack)
    assert not sim.cluster.desired.deployments
