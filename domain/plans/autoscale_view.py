"""What the planner of autoscalers must see (domain/plans/autoscale.py)."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from domain import plain_manifests as m
from domain.autoscaler import Condition
from domain.autoscaling import Memory, PodFacts, Sample
from domain.labels import LabelSelector
from domain.podspec import PodSpec


class Autoscaler(msgspec.Struct, frozen=True, kw_only=True):
    """An autoscaler; `memory` is None the first time that it is looked at."""

    namespace: str
    name: str
    spec: m.AutoscalerSpec
    conditions: tuple[Condition, ...] = ()
    memory: Memory | None = None


class Scale(msgspec.Struct, frozen=True, kw_only=True):
    """The size of a target (a key): wanted, and there; `selector` is that of its pods,
    as text."""

    target: str
    replicas: int
    there: int
    selector: str


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """A pod that the target's selector picks."""

    key: str
    uid: str
    facts: PodFacts
    spec: PodSpec


class View(Protocol):
    """What the planner may ask; each is asked only where it is needed."""

    def autoscaler(self, key: str) -> Autoscaler | None:
        """The autoscaler; None where there is none."""

    def scale(self, held: Autoscaler) -> Scale | str:
        """The target's size, or why it cannot be had, in Kubernetes' words."""

    def rivals(self, held: Autoscaler, scale: Scale) -> Sequence[str]:
        """The other autoscalers that select a pod of this one's (spec 5.4)."""

    def pods(self, scale: Scale) -> Sequence[Member]:
        """The pods that the selector picks, terminating ones too."""

    def usage(self, member: Member, resource: str, container: str) -> Sample | None:
        """What a pod, or one container of it, uses."""

    def pod_metric(
        self, namespace: str, metric: str, selector: LabelSelector | None
    ) -> Mapping[str, Sample]:
        """A custom metric by the names of pods."""

    def object_metric(
        self, namespace: str, metric: str, subject: str, selector: LabelSelector | None
    ) -> Sample | None:
        """A custom metric of the object `kind/name`."""

    def external_metric(
        self, namespace: str, metric: str, selector: LabelSelector | None
    ) -> Sample | None:
        """All values of an external metric together."""
