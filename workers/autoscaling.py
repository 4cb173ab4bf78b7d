"""Autoscalers at work: when each is looked at, what it sees, and what comes of it.

1. Each is looked at once in a period, at a moment of its own. Nothing else wakes one:
   neither metrics nor changes do.
2. A new size is an event of the autoscaler and, caused by it, one of its target, in
   one step. A change of its conditions is an event too; a look that changes nothing is
   said live only (`State.readings`).
3. What it remembers (proposals, its own changes) and whom it selects is volatile: after
   a restart it is as if each was seen for the first time (spec 5.2). What nobody has
   had time to say since then is no news, and is not told.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

import msgspec

from domain import (
    autoscaler,
    deployment,
    events,
    labels,
    names,
    plain,
    pod,
    replicaset,
)
from domain.autoscaling import PodFacts, Sample
from domain.labels import LabelSelector
from domain.plain import PlainObject
from domain.plain_manifests import AutoscalerSpec
from domain.plans import autoscale
from domain.plans.autoscale_view import Autoscaler, Member, Scale
from domain.pod import Pod
from domain.protocol import AutoscalerReading
from workers.autoscalers import Autoscalers, Known, next_look
from workers.state import State

_KINDS: Final = {"Deployment": "deployment", "ReplicaSet": "replicaset"}
_GROUP: Final = "apps"


def look(state: State, key: str) -> None:
    """One reconcile of the autoscaler, if it is still there (spec 5.2)."""
    known = state.autoscalers
    held = state.cluster.plain.objects.get(key)
    if held is None or held.stage != plain.PRESENT:
        known.known.pop(key, None)
        known.selectors.forget(key)
        return
    every = state.settings.autoscale_every
    state.timers.set("autoscale", key, next_look(key, state.now, every))
    mine = _known(known, held)
    view = _View(state, mine)
    found = autoscale.plan(view, key, state.now)
    assert found is not None, "it is there"
    mine.memory = found.memory
    _carry_out(state, held, found, view.silent)
    state.readings.append(
        AutoscalerReading(
            key=key,
            uid=held.uid,
            at=state.now,
            current=found.current,
            desired=found.desired,
            metrics=msgspec.Raw(msgspec.json.encode(found.metrics or None)),
        )
    )


def _known(all_of: Autoscalers, held: PlainObject) -> Known:
    """What is remembered of it; of another object of its name nothing is."""
    asked = held.scaling.asked if held.scaling is not None else held.position
    mine = all_of.known.get(held.key)
    if mine is None or mine.uid != held.uid:
        mine = Known(held.uid, asked, _spec(held))
        all_of.known[held.key] = mine
    elif mine.asked != asked:
        mine.asked, mine.spec = asked, _spec(held)
    return mine


def _spec(held: PlainObject) -> AutoscalerSpec:
    return msgspec.convert(held.content.get("spec", {}), AutoscalerSpec)


def _carry_out(
    state: State, held: PlainObject, found: autoscale.Plan, silent: int
) -> None:
    """Rule 2; `silent` is how many measurements of pods there were not."""
    progress = held.scaling or autoscaler.Progress(asked=held.position)
    actor, cause = events.AUTOSCALER, progress.asked
    if found.rescale is not None:
        wanted = found.rescale
        decided = state.emit(
            held.key,
            autoscaler.AutoscalerRescaled(
                target=wanted.target,
                before=wanted.before,
                after=wanted.after,
                reason=wanted.reason,
                figures=wanted.figures,
            ),
            actor=actor,
            cause=cause,
        )
        scaled = _scaled(state, wanted)
        state.emit(wanted.target, scaled, actor=actor, cause=decided.position)
    if _is_early(state, progress, found, silent):
        return
    if not autoscaler.same(progress.conditions, found.conditions):
        changed = autoscaler.AutoscalerConditionsChanged(
            conditions=tuple(
                msgspec.structs.replace(each, changed_at=0.0)
                for each in found.conditions
            ),
            complaints=found.complaints,
        )
        state.emit(held.key, changed, actor=actor, cause=cause)


def _is_early(
    state: State, progress: autoscaler.Progress, found: autoscale.Plan, silent: int
) -> bool:
    """The metrics that it had before a restart, or some pods' share of them, have not
    been said again (rule 3)."""
    since = state.health.restarted_at
    if since is None or state.now > since + state.settings.measurements.fresh_for:
        return False
    before, after = _active(progress.conditions), _active(found.conditions)
    if before is None or after is None or found.rescale is not None:
        return False
    missing = after.status == "False" and after.reason.startswith("FailedGet")
    return before.status == "True" and (missing or silent > 0)


def _active(conditions: Iterable[autoscaler.Condition]) -> autoscaler.Condition | None:
    return next((each for each in conditions if each.type == "ScalingActive"), None)


def _scaled(state: State, wanted: autoscale.Rescale) -> events.Event:
    """The same event as if a user had scaled it (spec 2.9)."""
    if wanted.target in state.cluster.desired.deployments:
        return deployment.DeploymentScaled(before=wanted.before, after=wanted.after)
    target = state.cluster.desired.replicasets[wanted.target]
    return replicaset.ReplicaSetScaled(
        before=wanted.before,
        after=wanted.after,
        why="its autoscaler scaled it",
        desired=target.desired,
        maximum=target.maximum,
    )


class _View:
    """The state as the planner asks it (domain/plans/autoscale_view.py)."""

    def __init__(self, state: State, mine: Known) -> None:
        self._state = state
        self._mine = mine
        self.silent = 0

    def autoscaler(self, key: str) -> Autoscaler | None:
        held = self._state.cluster.plain.objects.get(key)
        if held is None:
            return None
        scaling = held.scaling
        return Autoscaler(
            namespace=held.namespace,
            name=held.name,
            spec=self._mine.spec,
            conditions=scaling.conditions if scaling is not None else (),
            memory=self._mine.memory,
        )

    def scale(self, held: Autoscaler) -> Scale | str:
        wanted = held.spec.scale_target_ref
        group = wanted.api_version.rpartition("/")[0]
        kind = _KINDS.get(wanted.kind)
        if kind is None or group != _GROUP:
            return f'no matches for kind "{wanted.kind}" in group "{group}"'
        key = names.key(kind, held.namespace, wanted.name)
        found = self._scale_of(key)
        return found or f'{kind}s/scale.{group} "{wanted.name}" not found'

    def rivals(self, held: Autoscaler, scale: Scale) -> Sequence[str]:
        key = names.key(autoscaler.KIND, held.namespace, held.name)
        selector = self._selector_of(scale.target) or LabelSelector()
        selectors = self._state.autoscalers.selectors
        selectors.put(key, held.namespace, selector)
        seen: dict[int, dict[str, str]] = {}
        for each in self._pods(scale.target):
            values = self._state.cluster.actual.labels_of(each)
            seen[id(values)] = values
        return selectors.others(key, held.namespace, seen.values())

    def pods(self, scale: Scale) -> Sequence[Member]:
        return [self._member(each) for each in self._pods(scale.target)]

    def usage(self, member: Member, resource: str, container: str) -> Sample | None:
        state = self._state
        found = state.metrics.usage(
            member.key, member.uid, resource, container, state.now
        )
        self.silent += found is None
        return found

    def pod_metric(
        self, namespace: str, metric: str, selector: LabelSelector | None
    ) -> Mapping[str, Sample]:
        state = self._state
        return _newest(
            state.metrics.values(namespace, metric, "pod", selector, state.now)
        )

    def object_metric(
        self, namespace: str, metric: str, subject: str, selector: LabelSelector | None
    ) -> Sample | None:
        state = self._state
        values = state.metrics.values(namespace, metric, "object", selector, state.now)
        return _newest(values).get(subject)

    def external_metric(
        self, namespace: str, metric: str, selector: LabelSelector | None
    ) -> Sample | None:
        state = self._state
        found = [
            sample
            for _, sample in state.metrics.values(
                namespace, metric, "external", selector, state.now
            )
        ]
        if not found:
            return None
        newest = max(found, key=lambda each: each.at)
        total = sum(each.value for each in found)
        return Sample(value=total, at=newest.at, window=newest.window)

    def _scale_of(self, key: str) -> Scale | None:
        desired, actual = self._state.cluster.desired, self._state.cluster.actual
        selector = labels.format_selector(self._selector_of(key))
        owner = desired.deployments.get(key)
        if owner is not None:
            there = sum(
                actual.tally(each.key).active for each in desired.replicasets_of(owner)
            )
            return Scale(
                target=key, replicas=owner.replicas, there=there, selector=selector
            )
        held = desired.replicasets.get(key)
        if held is None:
            return None
        there = actual.tally(key).active
        return Scale(target=key, replicas=held.replicas, there=there, selector=selector)

    def _selector_of(self, key: str) -> LabelSelector | None:
        desired = self._state.cluster.desired
        owner = desired.deployments.get(key)
        if owner is not None:
            return owner.spec.selector
        held = desired.replicasets.get(key)
        return held.selector if held is not None else None

    def _pods(self, target: str) -> Iterator[Pod]:
        """The pods that the target owns: those that its selector picks, but for such
        as are somebody else's, without a look at any other."""
        desired, actual = self._state.cluster.desired, self._state.cluster.actual
        owner = desired.deployments.get(target)
        keys = [target]
        if owner is not None:
            keys = [each.key for each in desired.replicasets_of(owner)]
        for key in keys:
            yield from actual.pods_of(key)

    def _member(self, held: Pod) -> Member:
        facts = self._state.cluster.desired.templates[held.template]
        started = held.scheduled_at if held.seen is not None else None
        return Member(
            key=held.key,
            uid=held.uid,
            facts=PodFacts(
                name=held.name,
                phase=held.phase,
                terminating=held.stage == pod.TERMINATING,
                ready=None if held.seen is None else held.ready,
                ready_changed_at=held.ready_at or held.scheduled_at,
                started_at=started,
            ),
            spec=facts.template.spec,
        )


def _newest(values: Iterator[tuple[str, Sample]]) -> dict[str, Sample]:
    """The newest value of each subject."""
    found: dict[str, Sample] = {}
    for subject, sample in values:
        known = found.get(subject)
        if known is None or known.at < sample.at:
            found[subject] = sample
    return found
