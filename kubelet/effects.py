"""What a pod's machine asks of the runtime; carried out in order by `pods.py`."""

import msgspec

from kubelet import runtime


class StartSandbox(msgspec.Struct, frozen=True, gc=False):
    """Set the pod up."""


class RemoveSandbox(msgspec.Struct, frozen=True, gc=False):
    """Take the pod down."""


class PullImage(msgspec.Struct, frozen=True, gc=False):
    """Fetch this container's image."""

    container: str


class StartContainer(msgspec.Struct, frozen=True, gc=False):
    """Run this container."""

    container: str
    attempt: int


class StopContainer(msgspec.Struct, frozen=True, gc=False):
    """Ask this container to end."""

    container: str


class KillContainer(msgspec.Struct, frozen=True, gc=False):
    """End this container now."""

    container: str


class RunProbe(msgspec.Struct, frozen=True, gc=False):
    """Ask this probe of this run of the container."""

    container: str
    attempt: int
    kind: runtime.ProbeKind


Effect = (
    StartSandbox
    | RemoveSandbox
    | PullImage
    | StartContainer
    | StopContainer
    | KillContainer
    | RunProbe
)
