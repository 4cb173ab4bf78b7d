"""Histories that compare with what was typed: cause, actor and time of each revision.

1. `NOTES` is the story of the notes, `SESSION` the recorded session of kubectl 1.36:
   what was typed, in order, with the cause that the user wrote (`--record`), and what
   the history says afterwards. kubectl shows the cause of another change where nothing
   was written; here it is what was changed.
2. Every step is taken by another user at another time, so that neither can be right by
   chance. It is played both ways: as commands, and as whole manifests whose annotation
   carries the cause, which is how kubectl says it.
"""

import itertools
from collections.abc import Mapping
from typing import NamedTuple

import msgspec
import pytest

from domain import deployment, deployment_decisions
from projections.rollouts import Revision
from tests.support.cluster import SimCluster
from workers.decisions import Target

KEY = "deployment/default/nginx-deployment"
NAME = "nginx-deployment"
GAP = 100.0
CREATE = "kubectl create --filename=nginx-deployment.yaml --record=true"
SET_191 = "kubectl set image deployment/nginx-deployment nginx=nginx:1.91 --record=true"


class Typed(NamedTuple):
    """One line that was typed: verb, body, the written cause; the revision it makes.

    `says` is the cause that the history shows for that revision, `result` the answer.
    """

    verb: str
    body: Mapping[str, object] = {}
    written: str = ""
    revision: int = 0
    says: str = ""
    result: str = "accepted"


def image(tag: str) -> dict[str, object]:
    """The body of `set image`."""
    return {"images": {"nginx": f"nginx:{tag}"}}


NOTES = (
    Typed("create", {}, "kubectl create -f nginx-deployment.yaml --record", 1,
          "kubectl create -f nginx-deployment.yaml --record"),
    Typed("scale", {"replicas": 4}),
    Typed("set-image", image("1.9.1"), "kubectl edit deployment/nginx-deployment", 2,
          "kubectl edit deployment/nginx-deployment"),
    Typed("set-image", image("1.91"),
          "kubectl set image deployment/nginx-deployment nginx=nginx:1.91", 3,
          "kubectl set image deployment/nginx-deployment nginx=nginx:1.91"),
    Typed("undo", {}, "", 4, "rolled back to revision 2"),
    Typed("undo", {"toRevision": 2}, result="unchanged"),
)  # fmt: skip

SESSION = (
    Typed("create", {}, CREATE, 1, CREATE),
    Typed("scale", {"replicas": 4}),
    Typed("set-image", image("1.9.1"), "", 2,
          "image nginx=nginx:1.7.9 → nginx:1.9.1"),
    Typed("set-image", image("1.91"), SET_191, 3, SET_191),
    Typed("undo", {}, "", 4, "rolled back to revision 2"),
    Typed("undo", {"toRevision": 1}, "", 5, "rolled back to revision 1"),
    Typed("undo", {"toRevision": 99}, result="rejected"),
    Typed("undo", {"toRevision": 5}, result="unchanged"),
    Typed("pause"),
    Typed("pause", result="rejected"),
    Typed("undo", result="rejected"),
    Typed("set-image", image("1.10")),
    Typed("set-resources", {"containers": ["nginx"],
                            "limits": {"cpu": "200m", "memory": "512Mi"}}, "", 6,
          "image nginx=nginx:1.7.9 → nginx:1.10, resources of nginx changed"),
    Typed("resume"),
    Typed("resume", result="rejected"),
    Typed("restart", {}, "", 7, "restarted"),
    Typed("annotate", {"changes": {deployment.CHANGE_CAUSE: "image updated to 1.16.1"},
                       "overwrite": True}, "", 7, "image updated to 1.16.1"),
    Typed("scale", {"replicas": 2, "currentReplicas": 9}, result="rejected"),
    Typed("scale", {"replicas": 2, "currentReplicas": 4}),
    Typed("set-image", {"images": {"nosuch": "nginx:1.10"}}, result="rejected"),
    Typed("label", {"changes": {"tier": "web"}}),
    Typed("annotate", {"changes": {"team": "web"}}),
)  # fmt: skip

MANIFEST: dict[str, object] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": NAME, "labels": {"app": "nginx"}},
    "spec": {
        "replicas": 3,
        "selector": {"matchLabels": {"app": "nginx"}},
        "template": {
            "metadata": {"labels": {"app": "nginx"}},
            "spec": {
                "containers": [
                    {
                        "name": "nginx",
                        "image": "nginx:1.7.9",
                        "ports": [{"containerPort": 80}],
                    }
                ]
            },
        },
    },
}


def revisions(sim: SimCluster) -> list[Revision]:
    """The history as it is remembered."""
    return sim.cluster.rollouts.by_key[KEY].revisions


def ask(sim: SimCluster, typed: Typed, user: str, *, annotated: bool) -> str:
    """Send the line, and return what it was answered.

    `annotated`: the cause is an annotation beside the change, in a whole manifest.
    """
    body = dict(typed.body)
    verb, cause = typed.verb, typed.written
    if verb == "create":
        body = {"manifest": msgspec.json.decode(msgspec.json.encode(MANIFEST))}
    elif verb == "set-image" and annotated and cause:
        held = sim.cluster.desired.deployments[KEY]
        raw = msgspec.to_builtins(deployment_decisions.manifest_of(held))
        images = typed.body["images"]
        assert isinstance(images, dict)
        raw["spec"]["template"]["spec"]["containers"][0]["image"] = images["nginx"]
        verb, body = "replace", {"manifest": raw}
    if annotated and cause:
        manifest = body["manifest"]
        assert isinstance(manifest, dict)
        about = manifest.setdefault("metadata", {})
        about.setdefault("annotations", {})[deployment.CHANGE_CAUSE] = cause
        cause = ""
    target = Target(namespace="default", kind="deployment", name=NAME, verb=verb)
    item = sim.command_input(target, body, cause=cause)
    subject = item.subject.replace(f".{item.user}.", f".{user}.")
    sim.step(msgspec.structs.replace(item, user=user, subject=subject))
    return sim.said[-1].result


@pytest.mark.parametrize("annotated", [False, True], ids=["commands", "manifests"])
@pytest.mark.parametrize("story", [NOTES, SESSION], ids=["notes", "session"])
def test_every_revision_tells_what_was_typed_by_whom_and_when(
    story: tuple[Typed, ...], annotated: bool
) -> None:
    """S10: cause, actor and time are those of the change itself, of no other one."""
    sim = SimCluster(nodes=1)
    wanted: dict[int, tuple[str, str, float]] = {}
    for number, typed in enumerate(story):
        sim.jump(GAP)
        user, before = f"user-{number}", len(sim.log)
        answered = ask(sim, typed, user, annotated=annotated)
        assert answered == typed.result, typed
        if typed.revision and typed.verb == "annotate":
            _, who, when = wanted[typed.revision]
            wanted[typed.revision] = (typed.says, who, when)
        elif typed.revision:
            changed = next(
                each
                for kind in (
                    deployment.DeploymentCreated,
                    deployment.DeploymentTemplateChanged,
                    deployment.DeploymentRolledBack,
                )
                for each in sim.of(kind, before)
            )
            wanted[typed.revision] = (typed.says, f"user/{user}", changed.timestamp)
        sim.settle()
    found = {each.revision: (each.cause, each.who, each.started_at)
             for each in revisions(sim)}  # fmt: skip
    assert found == wanted
    moments = [when for _, _, when in wanted.values()]
    assert all(b - a >= GAP for a, b in itertools.pairwise(moments))


def test_a_cause_is_never_given_to_a_revision_that_ran_before() -> None:
    """An annotation that comes with a new template is about that template.

    The one before kept its words, even while the new one waited for a resume.
    """
    sim = SimCluster(nodes=1)
    for typed in (
        Typed("create"),
        Typed("pause"),
        Typed("set-image", image("1.9.1"), "second"),
    ):
        ask(sim, typed, "admin", annotated=True)
        sim.settle()
    assert [each.cause for each in revisions(sim)] == [
        "created with image nginx=nginx:1.7.9"
    ]
    sim.ask("deployment", NAME, "resume")
    sim.settle()
    assert [each.cause for each in revisions(sim)][1:] == ["second"]


def test_a_cause_that_is_left_from_another_change_says_nothing() -> None:
    """The annotation of the first revision stays on the Deployment; another annotation
    beside it does not make it the cause of the second."""
    sim = SimCluster(nodes=1)
    ask(sim, Typed("create", {}, CREATE), "admin", annotated=True)
    sim.settle()
    ask(sim, Typed("set-image", image("1.9.1")), "admin", annotated=True)
    sim.settle()
    sim.ask("deployment", NAME, "annotate", {"changes": {"team": "web"}})
    sim.settle()
    held = sim.cluster.desired.deployments[KEY]
    assert held.annotations[deployment.CHANGE_CAUSE] == CREATE
    assert [each.cause for each in revisions(sim)] == [
        CREATE,
        "image nginx=nginx:1.7.9 → nginx:1.9.1",
    ]


@pytest.mark.parametrize(
    ("verb", "body", "done"),
    [
        ("set-image", {"images": {"*": "nginx:7"}}, "was given another template"),
        ("delete", {}, "was deleted"),
        ("delete", {"orphan": True}, "was deleted"),
        ("delete", {"foreground": True}, "was deleted"),
        ("label", {"changes": {"app": "mine"}, "overwrite": True}, "was let go"),
    ],
    ids=["template", "deleted", "orphaning", "foreground", "released"],
)
def test_a_revision_that_a_replicaset_made_necessary_says_so(
    verb: str, body: dict[str, object], done: str
) -> None:
    """Spec 2.4: where the ReplicaSet that runs is no longer fit, another one begins
    with the same template. Its cause, actor and time are those of what was done to the
    ReplicaSet, and nothing of the revision before."""
    sim = SimCluster(nodes=1)
    ask(sim, Typed("create", {}, "the first one"), "ann", annotated=False)
    sim.settle()
    (first,) = revisions(sim)
    sim.jump(GAP)
    target = Target(
        namespace="default", kind="replicaset", name=first.replicaset, verb=verb
    )
    item = sim.command_input(target, body)
    subject = item.subject.replace(f".{item.user}.", ".ben.")
    sim.step(msgspec.structs.replace(item, user="ben", subject=subject))
    assert sim.said[-1].result == "accepted"
    sim.settle()

    before, new = revisions(sim)
    assert before.cause == "the first one"
    assert new.cause == f"ReplicaSet {first.replicaset} {done}"
    by_itself = verb == "label"  # the controller lets go of what does not match
    assert new.who == ("controller/deployment" if by_itself else "user/ben")
    assert new.started_at >= before.started_at + GAP
    assert (new.origin, new.result) == (f"revision {before.revision}", "complete")


def test_an_undo_goes_to_a_revision_whose_replicaset_is_long_gone() -> None:
    """With one old ReplicaSet kept, the first of many templates runs again."""
    sim = SimCluster(nodes=1)
    raw = msgspec.json.decode(msgspec.json.encode(MANIFEST))
    raw["spec"]["revisionHistoryLimit"] = 1
    sim.ask("deployment", NAME, "create", {"manifest": raw})
    sim.settle()
    first = sim.cluster.desired.deployments[KEY].template
    for number in range(2, 9):
        sim.ask("deployment", NAME, "set-image", image(str(number)))
        sim.settle()
        sim.jump(365 * 86_400.0)
    kept = {held.name for held in sim.cluster.desired.replicasets.values()}
    gone = revisions(sim)[0].replicaset
    assert gone not in kept
    sim.crash_control()
    answer = sim.ask("deployment", NAME, "undo", {"toRevision": 1})
    sim.settle()
    assert (answer.result, answer.revision) == ("accepted", 9)
    assert sim.cluster.desired.deployments[KEY].template == first
    last = revisions(sim)[-1]
    assert (last.replicaset, last.cause, last.origin, last.result) == (
        gone,
        "rolled back to revision 1",
        "revision 1",
        "complete",
    )


# --- tags -------------------------------------------------------------------------


class Tagging(NamedTuple):
    """A command about tags after `stable` was put on revision 1; 2 is current."""

    body: dict[str, object]
    result: str
    said: str
    tags: dict[str, int]


KEPT = {"stable": 1}
LABEL = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or "
    "'-', and must start and end with an alphanumeric character (e.g. 'my-name',  or "
    "'123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
INVALID = f'Deployment.apps "{NAME}" is invalid: tag: Invalid value: '
TAGGINGS = (
    Tagging({"tag": "new"}, "accepted", "", {"stable": 1, "new": 2}),
    Tagging({"tag": "old", "revision": 1}, "accepted", "", {"stable": 1, "old": 1}),
    Tagging({"tag": "stable", "revision": 1}, "unchanged", "", KEPT),
    Tagging({"tag": "stable"}, "rejected",
            "tag 'stable' already has a value (1), and --overwrite is false", KEPT),
    Tagging({"tag": "stable", "overwrite": True}, "accepted", "", {"stable": 2}),
    Tagging({"tag": "stable", "remove": True}, "accepted", "", {}),
    Tagging({"tag": "stable", "remove": True, "revision": 2}, "rejected",
            'tag "stable" is on revision 1, not on 2', KEPT),
    Tagging({"tag": "x", "remove": True}, "rejected",
            'unable to find specified tag "x" in history', KEPT),
    Tagging({"tag": "x", "revision": 9}, "rejected",
            "unable to find specified revision 9 in history", KEPT),
    Tagging({"tag": "Bad_"}, "rejected", f'{INVALID}"Bad_": {LABEL}', KEPT),
    Tagging({"tag": "7"}, "rejected",
            f'{INVALID}"7": must not be a number, which is that of a revision', KEPT),
)  # fmt: skip


@pytest.mark.parametrize("case", TAGGINGS)
def test_a_tag_names_one_revision_of_its_deployment(case: Tagging) -> None:
    """Accepted, unchanged, and each refusal, after which nothing has changed."""
    sim = two_revisions()
    sim.ask("deployment", NAME, "tag", {"tag": "stable", "revision": 1})
    answer = sim.ask("deployment", NAME, "tag", case.body)
    assert (answer.result, answer.message) == (case.result, case.said)
    assert sim.cluster.desired.deployments[KEY].tags == case.tags
    sim.crash_control()
    assert sim.cluster.desired.deployments[KEY].tags == case.tags


def test_a_tag_starts_no_rollout_and_needs_no_reconciling() -> None:
    """The generation, the revisions and the pods are as they were."""
    sim = two_revisions()
    before = sim.cluster.desired.deployments[KEY].generation
    position = len(sim.log)
    sim.ask("deployment", NAME, "tag", {"tag": "stable"})
    sim.settle()
    assert sim.kinds(position) == ["CommandAccepted", "RevisionTagged"]
    assert sim.cluster.desired.deployments[KEY].generation == before


@pytest.mark.parametrize(
    ("body", "result", "said"),
    [
        ({"to": "stable"}, "accepted", ""),
        ({"to": "now"}, "unchanged",
         "skipped rollback (current template already matches revision 2)"),
        ({"to": "x"}, "rejected", 'unable to find specified tag "x" in history'),
        ({"to": "stable", "toRevision": 1}, "rejected",
         'a rollback goes to revision 1 or to tag "stable": give only one of both'),
    ],
)  # fmt: skip
def test_an_undo_to_a_tag(body: dict[str, object], result: str, said: str) -> None:
    """The template that the tag stands for runs again, under a new number."""
    sim = two_revisions()
    sim.ask("deployment", NAME, "tag", {"tag": "stable", "revision": 1})
    sim.ask("deployment", NAME, "tag", {"tag": "now"})
    answer = sim.ask("deployment", NAME, "undo", body)
    sim.settle()
    assert (answer.result, answer.message) == (result, said)
    last = revisions(sim)[-1]
    if result == "accepted":
        assert (last.revision, last.cause) == (3, "rolled back to revision 1")
    else:
        assert last.revision == 2


def two_revisions() -> SimCluster:
    """The notes' Deployment with two images after each other."""
    sim = SimCluster(nodes=1)
    sim.ask("deployment", NAME, "create", {"manifest": MANIFEST})
    sim.settle()
    sim.ask("deployment", NAME, "set-image", image("1.9.1"))
    sim.settle()
    return sim
