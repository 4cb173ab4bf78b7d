"""What a container's machine shows: its status, and what is said of it. Pure.

Spec 4.1 and 4.4 to the letter.
"""

from typing import TYPE_CHECKING

from domain import podspec, protocol
from kubelet import backoff, runtime

if TYPE_CHECKING:
    from kubelet.containers import ContainerMachine


def status(
    machine: "ContainerMachine", waiting_reason: str
) -> protocol.ContainerStatus:
    """What `get pods` shows; `waiting_reason` where nothing better is known."""
    if machine.runs:
        return protocol.ContainerStatus(
            name=machine.spec.name,
            state="running",
            ready=machine.ready,
            started=machine.started,
            restarts=machine.restarts,
            started_at=machine.started_at,
            container_id=machine.container_id,
            last=machine.last,
        )
    ended = machine.ended
    if ended is None or machine.state in ("CrashLoop", "PullFailed", "StartFailed"):
        return protocol.ContainerStatus(
            name=machine.spec.name,
            state="waiting",
            reason=machine.reason or waiting_reason,
            message=machine.message,
            restarts=machine.restarts,
            container_id=machine.container_id,
            last=ended or machine.last,
        )
    return protocol.ContainerStatus(
        name=machine.spec.name,
        state="terminated",
        reason=ended.reason,
        message=ended.message,
        restarts=machine.restarts,
        started_at=ended.started_at,
        finished_at=ended.finished_at,
        exit_code=ended.exit_code,
        signal=ended.signal,
        container_id=machine.container_id,
        last=machine.last,
    )


def pulled(image: str, fact: runtime.ImagePulled) -> str:
    """The text of the note `Pulled`."""
    if fact.present:
        return (
            f'Container image "{image}" already present on machine and can be '
            "accessed by the pod"
        )
    took = backoff.go_duration(round(fact.seconds, 3))
    return f'Successfully pulled image "{image}" in {took} ({took} including waiting)'


def restarts(spec: podspec.Container, policy: str, exit_code: int) -> bool:
    """Whether a container that ended runs again (spec 4.4): by the first matching
    rule, else by its own policy, else by `policy`, the pod's."""
    for rule in spec.restart_policy_rules:
        codes = rule.exit_codes
        if codes is not None and (
            (exit_code in codes.values) == (codes.operator == "In")
        ):
            return True
    policy = spec.restart_policy or policy
    return policy == "Always" or (policy == "OnFailure" and exit_code != 0)
