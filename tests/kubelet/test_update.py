"""A pod that is changed in its place: another image is run anew (spec 1.7, 4.4)."""

import msgspec
import pytest

from domain import podspec, protocol
from kubelet import agent_effects, lifecycle
from tests.kubelet.builders import Driven, container, run, template
from tests.kubelet.scene import Scene, started, synced


def of_image(image: str, pod: Driven) -> podspec.PodSpec:
    """The pod's specification with another image in its first container."""
    spec = pod.machine.pod.spec
    first = msgspec.structs.replace(spec.containers[0], image=image)
    return msgspec.structs.replace(spec, containers=(first, *spec.containers[1:]))


def update(pod: Driven, image: str) -> list[lifecycle.Effect]:
    """When: the pod is told of another image."""
    pod.take()
    pod._take(pod.machine.update(pod.now, of_image(image, pod)))
    return pod.take()


@pytest.mark.parametrize("policy", ["Always", "OnFailure", "Never"])
def test_another_image_ends_the_container_and_begins_it_anew(policy: str) -> None:
    """Given a running container, then it is stopped, and started again at once whatever
    its restart policy; the pod stays what it is."""
    pod = Driven(template(restart_policy=policy))
    pod.started()
    assert update(pod, "web:2") == [lifecycle.StopContainer("web")]
    assert pod.notes[-1].message == (
        "Container web definition changed, will be restarted"
    )
    pod.exited(0)
    assert pod.take() == [lifecycle.StartContainer("web", 1)]
    pod.started()
    assert (pod.web.state, pod.web.restarts) == ("running", 1)
    pod.exited(0)
    ended = pod.status.phase == "Succeeded"
    assert ended is (policy != "Always")


def test_the_same_image_changes_nothing() -> None:
    """Given a running container, what else changes in the pod does not end it."""
    pod = Driven(template())
    pod.started()
    image = pod.machine.pod.spec.containers[0].image
    assert update(pod, image) == []


def test_a_pod_that_is_being_removed_gets_no_sandbox_again() -> None:
    """Given a pod whose sandbox is on its way out, a change makes no new one, which
    nobody would remove."""
    pod = Driven(template())
    pod.started()
    pod.stop(0)
    pod.exited(137)
    assert pod.machine.removed
    assert pod.machine.update(pod.now, of_image("web:3", pod)) == []


def test_only_the_container_that_changed_is_run_anew() -> None:
    """Given two containers, the other one runs on."""
    pod = Driven(template(container("web"), container("side")))
    pod.started("web")
    pod.started("side")
    assert update(pod, "web:2") == [lifecycle.StopContainer("web")]


def test_an_image_that_could_not_be_pulled_is_tried_at_once() -> None:
    """Given ImagePullBackOff, a good image is pulled without waiting."""
    pod = Driven(template(container("web", image="bad:1")), frozenset({"bad:1"}))
    assert pod.web.reason == "ErrImagePull"
    pod._images["web"] = "good:1"
    assert update(pod, "good:1") == [lifecycle.StartContainer("web", 0)]


def test_a_crash_loop_ends_with_another_image() -> None:
    """Spec 4.4: the image is part of the back-off's key, so it starts afresh."""
    pod = Driven(template())
    for _ in range(3):
        pod.started()
        pod.exited(1)
        pod.pass_time(0)
        if pod.web.reason == "CrashLoopBackOff":
            break
    assert pod.web.reason == "CrashLoopBackOff"
    (start,) = update(pod, "web:2")
    assert isinstance(start, lifecycle.StartContainer)


def test_a_pod_that_ends_is_not_changed_any_more() -> None:
    """Given a pod that was told to stop, another image starts nothing."""
    pod = Driven(template())
    pod.started()
    pod.stop(30)
    assert update(pod, "web:2") == []


def test_the_agent_changes_a_pod_once_and_never_starts_it_again() -> None:
    """Given a running pod, told again with another template it is changed; told the
    same again, nothing follows."""
    scene: Scene = synced("a")
    at = scene.agent.position
    effects = assigned(scene, at, at + 1)
    assert [e.uid for e in effects if isinstance(e, agent_effects.UpdatePod)] == ["a"]
    assert started(effects) == []

    again = assigned(scene, at + 1, at + 2)
    assert not [e for e in again if isinstance(e, agent_effects.UpdatePod)]


def assigned(scene: Scene, start: int, end: int) -> list[agent_effects.Effect]:
    """When: the pod is assigned again, with another template."""
    message = protocol.Assignment(
        from_position=start,
        to_position=end,
        incarnation=1,
        templates={"changed": template()},
        run=(run("a", "changed"),),
    )
    return scene.did(scene.agent.on_assignment(scene.now, message))
