"""The revisions that a Deployment can go back to, as a decision sees them."""

from collections.abc import Iterator, Mapping

from domain import podspec, template
from projections import rollouts
from workers.state import State


def revisions(state: State, key: str) -> Mapping[int, podspec.PodTemplateSpec]:
    """The templates that the Deployment `key` can go back to, by their revision."""
    rollout = state.cluster.rollouts.by_key.get(key)
    return _Templates(state, rollout) if rollout is not None else {}


def fallback(state: State, key: str) -> int:
    """The last revision of the Deployment `key` that was complete and is not the
    present one, nor has its template, nor was given up; 0 where there is none."""
    rollout = state.cluster.rollouts.by_key.get(key)
    owner = state.cluster.desired.deployments.get(key)
    if rollout is None or owner is None:
        return 0
    templates = revisions(state, key)
    for held in reversed(rollout.revisions):
        if not held.completed or held.revision == owner.run.revision:
            continue
        if held.failed or held.result != "complete":
            continue
        if templates[held.revision] != owner.template:
            return held.revision
    return 0


class _Templates(Mapping[int, podspec.PodTemplateSpec]):
    """The templates of all revisions, each made when it is looked at: most commands
    look at none, and there may be thousands."""

    def __init__(self, state: State, rollout: rollouts.Rollout) -> None:
        self._templates = state.cluster.desired.templates
        self._rollout = rollout

    def __getitem__(self, revision: int) -> podspec.PodTemplateSpec:
        held = self._rollout.find(revision)
        if held is None:
            raise KeyError(revision)
        return template.without_hash(self._templates[held.template].template)

    def __iter__(self) -> Iterator[int]:
        return (held.revision for held in self._rollout.revisions)

    def __len__(self) -> int:
        return len(self._rollout.revisions)
