"""Whose output there is, and the words where there is none (kubectl's)."""

import pytest

from domain.protocol import ContainerStatus, PodStatus, Termination
from kubelet import logs_service

LAST = Termination(exit_code=1, reason="Error")
WEB = ContainerStatus(name="web", state="running")
SIDECAR = ContainerStatus(name="sidecar", state="running")
SETUP = ContainerStatus(name="setup", state="terminated")


def pod(
    *containers: ContainerStatus, init: tuple[ContainerStatus, ...] = ()
) -> PodStatus:
    """The pod `web-1` with these containers."""
    return PodStatus(
        namespace="default", name="web-1", uid="u1",
        containers=containers, init_containers=init,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("state", "reason", "last", "previous", "text"),
    [
        ("waiting", "ContainerCreating", None, False,
         'container "web" in pod "web-1" is waiting to start: ContainerCreating'),
        ("waiting", "PodInitializing", None, False,
         'container "web" in pod "web-1" is waiting to start: PodInitializing'),
        ("waiting", "ErrImagePull", None, False,
         'container "web" in pod "web-1" is waiting to start: image can\'t be pulled'),
        ("waiting", "ImagePullBackOff", None, False,
         'container "web" in pod "web-1" is waiting to start: '
         "trying and failing to pull image"),
        ("waiting", "", None, False,
         'container "web" in pod "web-1" is waiting to start - no logs yet'),
        ("waiting", "CrashLoopBackOff", LAST, False, ""),
        ("waiting", "CrashLoopBackOff", LAST, True, ""),
        ("running", "", None, False, ""),
        ("running", "", None, True,
         'previous terminated container "web" in pod "web-1" not found'),
        ("running", "", LAST, True, ""),
        ("terminated", "Completed", None, False, ""),
        ("terminated", "Completed", None, True,
         'previous terminated container "web" in pod "web-1" not found'),
        ("waiting", "ContainerCreating", None, True,
         'previous terminated container "web" in pod "web-1" not found'),
    ],
)  # fmt: skip
def test_what_is_said_where_there_is_no_output(
    state: str, reason: str, last: Termination | None, previous: bool, text: str
) -> None:
    """The pod by its name, and what its container waits for; nothing where there is
    output of this run or, while the next one is waited for, of the last."""
    container = ContainerStatus(
        name="web",
        state=state,  # type: ignore[arg-type]  # one of the table's words
        reason=reason,
        last=last,
    )

    assert logs_service.refusal("web-1", container, previous=previous) == text


def test_the_container_is_chosen_by_its_name() -> None:
    """Init containers too; the only one needs no name."""
    both = pod(WEB, init=(SETUP,))

    assert logs_service.choose(both, "setup") == SETUP
    assert logs_service.choose(both, "web") == WEB
    assert logs_service.choose(pod(WEB), "") == WEB


@pytest.mark.parametrize(
    ("status", "name", "text"),
    [
        (pod(), "web", 'pod "web-1" is waiting to start - no logs yet'),
        (pod(WEB, SIDECAR), "",
         "a container name must be specified for pod web-1, choose one of: "
         "[web sidecar]"),
        (pod(WEB), "z", "container z is not valid for pod web-1"),
    ],
)  # fmt: skip
def test_a_choice_that_cannot_be_made_is_a_sentence(
    status: PodStatus, name: str, text: str
) -> None:
    """None yet, several without a name, and a name that none has."""
    with pytest.raises(LookupError) as refusal:
        logs_service.choose(status, name)

    assert refusal.value.args == (text,)
