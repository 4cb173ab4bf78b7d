"""What a pod's machine asks for, carried out in order by `pods.py`; and the facts that
answer what no runtime answers: hooks and values (`chores.py`)."""

from typing import Literal

import msgspec

from kubelet import runtime
from kubelet.values import Values

HookKind = Literal["PostStart", "PreStop"]


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


class RunHook(msgspec.Struct, frozen=True, gc=False):
    """Run this hook of this run of the container; answered by `HookEnded`."""

    container: str
    attempt: int
    kind: HookKind


class FetchValues(msgspec.Struct, frozen=True, gc=False):
    """Get the pod's ConfigMaps and Secrets; answered by `ValuesFetched`."""

    container: str
    attempt: int


class HookEnded(runtime.Fact, frozen=True, kw_only=True, gc=False):
    """A hook is over; `message` says why it failed, and is empty otherwise."""

    container: str
    attempt: int
    kind: HookKind
    message: str = ""


class ValuesFetched(runtime.Fact, frozen=True, kw_only=True):
    """The pod's values, for a container that waits for them. With a `problem` its
    volumes cannot be made yet."""

    container: str
    attempt: int
    values: Values
    problem: str = ""


Fact = runtime.PodObservation | HookEnded | ValuesFetched

Effect = (
    StartSandbox
    | RemoveSandbox
    | PullImage
    | StartContainer
    | StopContainer
    | KillContainer
    | RunProbe
    | RunHook
    | FetchValues
)
