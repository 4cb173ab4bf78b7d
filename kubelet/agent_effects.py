"""What the agent wants to be done: to be sent, started, stopped or woken for.

`agent.py` says what each is for, and `node.py` (or a simulated node) does it.
"""

import msgspec

from domain import podspec, protocol


class SendReport(msgspec.Struct, frozen=True, gc=False):
    """Publish this report; losing it is harmless."""

    report: protocol.Report


class SendSync(msgspec.Struct, frozen=True, gc=False):
    """Request the full list; hand `attempt` back with the answer."""

    attempt: int
    request: protocol.SyncRequest


class StartPod(msgspec.Struct, frozen=True, gc=False):
    """Start this pod; its status comes back by `Agent.on_runtime`."""

    pod: protocol.PodRun
    template: podspec.PodTemplateSpec


class UpdatePod(msgspec.Struct, frozen=True, gc=False):
    """The pod is of this template now; what changed in it is run anew."""

    uid: str
    template: podspec.PodTemplateSpec


class StopPod(msgspec.Struct, frozen=True, gc=False):
    """Stop the pod within `grace` seconds; a second one can only shorten that."""

    uid: str
    grace: float


class KillPod(msgspec.Struct, frozen=True, gc=False):
    """Stop the pod at once."""

    uid: str


class WakeAt(msgspec.Struct, frozen=True, gc=False):
    """Call `on_tick` at `time`, unless a later `WakeAt` says otherwise."""

    time: float


Effect = SendReport | SendSync | StartPod | UpdatePod | StopPod | KillPod | WakeAt
