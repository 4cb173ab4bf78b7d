"""What the log says is wanted: Deployments, ReplicaSets and their templates.

1. A fold: it takes every event, in order, and never rejects one. An event that its
   object's table does not allow is set aside and counted, for the record is a fact.
2. A template is kept under the position of the event that holds it, for ever: pods
   name it, and every revision can be run again.
3. `last_versions` remembers the streams whose object is gone, so that an object of
   the same name continues its stream (only names that can come again are kept).
"""

from typing import Final

import msgspec

from domain import (
    deployment,
    labels,
    node,
    pod,
    podspec,
    replicaset,
    template,
    validation,
)
from domain.deployment import Deployment
from domain.events import Event, IllegalTransition, Recorded
from domain.metadata import ObjectMeta
from domain.objects import PodManifest
from domain.replicaset import ReplicaSet
from projections import references

VERSION: Final = 1


class TemplateFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of a template again and again, worked out once."""

    template: podspec.PodTemplateSpec
    cpu_milli: int
    memory: int
    grace: float
    labels: dict[str, str]
    annotations: dict[str, str]
    refusal: str
    """Why no pod can be made of it (spec 1.7: rules that only a pod has); empty if
    one can."""


class Desired:
    """The wanted state at `position`; `evolve` is the only thing that changes it."""

    def __init__(self) -> None:
        self.deployments: dict[str, Deployment] = {}
        self.replicasets: dict[str, ReplicaSet] = {}
        self.templates: dict[int, TemplateFacts] = {}
        self.last_versions: dict[str, int] = {}
        self.orphaning: dict[str, bool] = {}
        """Uids that are gone and may still own something: whether that is to stay."""
        self.references = references.Kept()
        """The owners that manifests named, of ReplicaSets and of pods."""
        self.set_aside: int = 0
        self._owned: dict[str, dict[str, None]] = {}
        self._loose: dict[str, None] = {}
        self._newest: dict[str, ReplicaSet | None] = {}
        self._named_pods: dict[str, int] = {}

    # --- questions ------------------------------------------------------------------

    def replicasets_of(self, owner: Deployment) -> list[ReplicaSet]:
        """The ReplicaSets that `owner` controls, oldest first (spec 2.3)."""
        found = [
            held
            for key in self._owned.get(owner.key, ())
            if (held := self.replicasets[key]).owner_uid == owner.uid
        ]
        # Never by position: that grows with each change, so that of two of one age the
        # one that was scaled last would be the younger, and "the new one" change hands.
        found.sort(key=lambda held: (held.created_at, held.name))
        return found

    def owned_by(self, key: str) -> list[ReplicaSet]:
        """The ReplicaSets that name the Deployment `key` as owner, of any uid."""
        return [self.replicasets[name] for name in self._owned.get(key, ())]

    def strays_of(self, key: str) -> list[ReplicaSet]:
        """The ReplicaSets whose owner was called `key` and is not there any more; one
        of the same name that came after it is another Deployment."""
        owner = self.deployments.get(key)
        uid = owner.uid if owner is not None else ""
        return [held for held in self.owned_by(key) if held.owner_uid != uid]

    def loose_replicasets(self) -> list[ReplicaSet]:
        """The ReplicaSets that nobody owns."""
        return [self.replicasets[key] for key in self._loose]

    def new_replicaset(self, owner: Deployment) -> ReplicaSet | None:
        """The oldest one whose template is the Deployment's, hash ignored (2.3)."""
        if owner.key in self._newest:
            return self._newest[owner.key]
        found = None
        for held in self.replicasets_of(owner):
            facts = self.templates[held.template]
            if template.equal_ignoring_hash(facts.template, owner.template):
                found = held
                break
        self._newest[owner.key] = found
        return found

    def owner_of(self, replicaset_key: str) -> Deployment | None:
        """The living Deployment that controls this ReplicaSet, if there is one."""
        held = self.replicasets.get(replicaset_key)
        if held is None or not held.owner:
            return None
        owner = self.deployments.get(held.owner)
        return owner if owner is not None and owner.uid == held.owner_uid else None

    def group_of(self, replicaset_key: str) -> tuple[str, ...]:
        """The ReplicaSets whose pods are siblings of this one's: all those of its
        Deployment, or itself alone (spec 3.6)."""
        held = self.replicasets.get(replicaset_key)
        if held is None or not held.owner:
            return (replicaset_key,)
        return tuple(self._owned[held.owner])

    def selects(self, held: ReplicaSet, pod_labels: dict[str, str]) -> bool:
        """The selector of `held` matches these labels."""
        return labels.matches(held.selector, pod_labels)

    def brings_template(self, pod_key: str) -> bool:
        """The pod runs by a template of its own: a user named it, or changed it."""
        return pod_key in self._named_pods

    # --- the fold -------------------------------------------------------------------

    def evolve(self, recorded: Recorded) -> None:
        """Afterwards the event is part of what is wanted."""
        stream = recorded.stream
        if stream.startswith("pod/"):  # most of a log
            self._pod(recorded)
            return
        kind = stream.partition("/")[0]
        if kind == "deployment":
            self._deployment(recorded)
        elif kind == "replicaset":
            self._replicaset(recorded)
        elif kind == "node":
            if isinstance(recorded.event, node.NodeRemoved):
                self.last_versions[recorded.stream] = recorded.version
            elif isinstance(recorded.event, node.NodeRegistered):
                self.last_versions.pop(recorded.stream, None)

    def concerns(self, event: Event) -> bool:
        """A pod's event changes what is kept of pods that a user named: it brings a
        template, or there are such pods, of which it may end one."""
        return bool(self._named_pods) or getattr(event, "own", None) is not None

    def _pod(self, recorded: Recorded) -> None:
        """Pods that a user named keep their own template, and their name may return.

        What a pod does not run by any more is let go of by `let_go`, when the pod has
        been taken out of every count.
        """
        own = pod.template_in(recorded.event)
        if own is not None:
            self.templates[recorded.position] = _facts(own)
            self.last_versions.pop(recorded.stream, None)
        elif (
            isinstance(recorded.event, pod.PodRemoved)
            and recorded.stream in self._named_pods
        ):
            self.last_versions[recorded.stream] = recorded.version

    def let_go(self, recorded: Recorded) -> None:
        """Afterwards the template that only this pod ran by before is not kept."""
        event = recorded.event
        brings = pod.template_in(event) is not None
        if brings or (self._named_pods and isinstance(event, pod.PodRemoved)):
            former = self._named_pods.pop(recorded.stream, None)
            if former is not None:
                del self.templates[former]
        if brings:
            self._named_pods[recorded.stream] = recorded.position

    def _deployment(self, recorded: Recorded) -> None:
        key = recorded.stream
        try:
            after = deployment.evolve(self.deployments.get(key), recorded)
        except IllegalTransition:
            self.set_aside += 1
            return
        if deployment.template_in(recorded.event) is not None:
            self._newest.pop(key, None)
        if after is None:
            assert isinstance(recorded.event, deployment.DeploymentDeleted)
            gone = self.deployments.pop(key)
            if key in self._owned:
                self.orphaning[gone.uid] = recorded.event.propagation == "orphan"
            self._newest.pop(key, None)
            self.last_versions[key] = recorded.version
        else:
            self.deployments[key] = after
            self.last_versions.pop(key, None)

    def _replicaset(self, recorded: Recorded) -> None:
        key = recorded.stream
        before = self.replicasets.get(key)
        try:
            after = replicaset.evolve(before, recorded)
        except IllegalTransition:
            self.set_aside += 1
            return
        held = replicaset.template_in(recorded.event)
        if held is not None:
            self.templates[recorded.position] = _facts(held)
        self._index(key, before, after)
        if before is not None:
            self.references.evolve(key, recorded.event, before.owner_uid)
        if after is None:
            assert isinstance(recorded.event, replicaset.ReplicaSetDeleted)
            gone = self.replicasets.pop(key)
            self.references.forget(key)
            if recorded.event.orphan:
                self.orphaning[gone.uid] = True
            self.last_versions[key] = recorded.version
        else:
            self.replicasets[key] = after
            self.last_versions.pop(key, None)

    def _index(
        self, key: str, before: ReplicaSet | None, after: ReplicaSet | None
    ) -> None:
        for owner in {state.owner for state in (before, after) if state is not None}:
            self._newest.pop(owner, None)
        was = before.owner if before is not None else None
        now = after.owner if after is not None else None
        if was == now:
            return
        if was is not None:
            holder = self._owned[was] if was else self._loose
            del holder[key]
            if was and not holder:
                del self._owned[was]
            if before is not None and was and not self._owns(was, before.owner_uid):
                self.orphaning.pop(before.owner_uid, None)
        if now is not None:
            holder = self._owned.setdefault(now, {}) if now else self._loose
            holder[key] = None

    def _owns(self, owner: str, uid: str) -> bool:
        """Something in the charge of `owner` is that of this very uid."""
        held = (self.replicasets[key] for key in self._owned.get(owner, ()))
        return any(each.owner_uid == uid for each in held)


def _facts(held: podspec.PodTemplateSpec) -> TemplateFacts:
    needs = template.requests(held.spec)
    grace = held.spec.termination_grace_period_seconds
    return TemplateFacts(
        template=held,
        cpu_milli=needs.cpu_milli,
        memory=needs.memory_bytes,
        grace=30.0 if grace is None else float(grace),
        labels=held.metadata.labels,
        annotations=held.metadata.annotations,
        refusal=_refusal(held),
    )


def _refusal(held: podspec.PodTemplateSpec) -> str:
    if not held.metadata.labels:
        return "unable to create pods, no labels"
    named = ObjectMeta(name="pod", namespace="default", labels=held.metadata.labels)
    broken = validation.pod_errors(PodManifest(metadata=named, spec=held.spec))
    texts = list(dict.fromkeys(str(error) for error in broken))
    return texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]" if texts else ""
