"""How far a rollout is, and which pods may leave a node: pure tables."""

from collections.abc import AsyncIterator

import pytest

from rollbook import draining, progress, rollouts
from rollbook.conditions import Object
from rollbook.failures import Failure

HEAD = 'Waiting for deployment "web" rollout to finish: '


def deployment(
    *,
    replicas: int = 4,
    total: int = 4,
    updated: int = 4,
    available: int = 4,
    observed: int = 2,
    reason: str = "NewReplicaSetAvailable",
) -> Object:
    """A Deployment of generation 2 at revision 3, by default at rest."""
    return {
        "metadata": {
            "name": "web",
            "generation": 2,
            "annotations": {rollouts.REVISION_ANNOTATION: "3"},
        },
        "spec": {"replicas": replicas},
        "status": {
            "replicas": total,
            "updatedReplicas": updated,
            "availableReplicas": available,
            "observedGeneration": observed,
            "conditions": [{"type": "Progressing", "reason": reason}],
        },
    }


STAGES = (
    # In the order of the checks of spec 6.3, rows 1 and 3 to 6.
    (deployment(observed=1), "Waiting for deployment spec update to be observed..."),
    (
        # Row 1 is looked at before the deadline (the note of spec 6.3).
        deployment(observed=1, reason="ProgressDeadlineExceeded"),
        "Waiting for deployment spec update to be observed...",
    ),
    (
        deployment(updated=2),
        f"{HEAD}2 out of 4 new replicas have been updated...",
    ),
    (deployment(total=5), f"{HEAD}1 old replicas are pending termination..."),
    (deployment(available=3), f"{HEAD}3 of 4 updated replicas are available..."),
    (deployment(), 'deployment "web" successfully rolled out'),
    (
        deployment(replicas=0, total=0, updated=0, available=0),
        'deployment "web" successfully rolled out',
    ),
)


@pytest.mark.parametrize(("found", "text"), STAGES)
def test_each_stage_has_its_sentence(found: Object, text: str) -> None:
    """kubectl's words; only the last sentence ends the watch."""
    stage = rollouts.stage(found)

    assert stage.text == text
    assert stage.done is text.endswith("successfully rolled out")


@pytest.mark.parametrize(
    ("found", "revision", "text"),
    [
        (
            deployment(reason="ProgressDeadlineExceeded", updated=1),
            0,
            'error: deployment "web" exceeded its progress deadline',
        ),
        (
            deployment(observed=1),
            2,
            "error: desired revision (2) is different from the running revision (3)",
        ),
    ],
)
def test_a_rollout_that_failed_is_an_error(
    found: Object, revision: int, text: str
) -> None:
    """Rows 0 and 2 of spec 6.3."""
    with pytest.raises(Failure) as raised:
        rollouts.stage(found, revision=revision)

    assert str(raised.value) == text


# --- draining


def pod(
    name: str, *, managed: bool = True, storage: bool = False, phase: str = "Running"
) -> Object:
    """A pod of the node."""
    owners = [{"controller": True}] if managed else []
    return {
        "metadata": {"namespace": "ns", "name": name, "ownerReferences": owners},
        "spec": {"volumes": [{"emptyDir": {}}] if storage else []},
        "status": {"phase": phase},
    }


def test_a_pod_that_nothing_replaces_needs_force() -> None:
    """Without it the whole node is refused, with it there is a warning."""
    pods = [pod("a"), pod("b", managed=False), pod("c", managed=False)]

    kept = draining.choose(pods, force=False, delete_emptydir_data=False)
    lost = draining.choose(pods, force=True, delete_emptydir_data=False)

    assert kept.refusal == (
        "cannot delete cannot delete Pods that declare no controller (use --force to "
        "override): ns/b, ns/c"
    )
    assert lost.refusal == ""
    assert lost.warning == "deleting Pods that declare no controller: ns/b, ns/c"
    assert [each.name for each in lost.evict] == ["a", "b", "c"]


def test_data_in_an_emptydir_is_not_lost_by_mistake() -> None:
    """It needs its own word."""
    pods = [pod("a", storage=True)]

    kept = draining.choose(pods, force=True, delete_emptydir_data=False)
    lost = draining.choose(pods, force=False, delete_emptydir_data=True)

    assert kept.refusal == (
        "cannot delete Pods with local storage (use --delete-emptydir-data to "
        "override): ns/a"
    )
    assert (lost.refusal, lost.warning) == (
        "",
        "deleting Pods with local storage: ns/a",
    )


def test_a_finished_pod_always_goes() -> None:
    """There is nothing left that could be lost."""
    pods = [pod("a", managed=False, storage=True, phase="Succeeded")]

    choice = draining.choose(pods, force=False, delete_emptydir_data=False)

    assert (choice.refusal, choice.warning) == ("", "")
    assert [each.name for each in choice.evict] == ["a"]


async def _stages() -> AsyncIterator[rollouts.Stage]:
    for found in (deployment(updated=2), deployment()):
        yield rollouts.stage(found)


@pytest.mark.asyncio
async def test_the_bar_leaves_the_last_sentence(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The bar itself is gone in the end; what stays is what a pipe would have got."""
    await progress.draw("web", _stages(), color=False)

    assert capsys.readouterr().out.splitlines()[-1] == (
        'deployment "web" successfully rolled out'
    )
