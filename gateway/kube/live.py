"""The objects as they are now, for those who are about to change them.

1. What is read includes everything that was committed before it was asked for
   (objects.py), with the position of the whole state.
2. An object comes with its version, and with the managed fields that it has.
"""

from collections.abc import Iterator

from domain import errors, names, podspec, template
from gateway import derived
from gateway.kube import kinds, managing, manifests, objects
from gateway.kube.objects import Objects
from gateway.kube.request import JSON, Request
from gateway.kube.resources import Resource
from gateway.reader import Reader


class Live:
    """Reads what `reader` has folded; every method runs in its loop."""

    def __init__(self, found: Objects, reader: Reader) -> None:
        self._objects = found
        self._reader = reader

    async def get(
        self, resource: Resource, namespace: str, name: str
    ) -> tuple[JSON, int]:
        """The object, and the position at which it was read.

        Raises `Rejected` (NotFound), and `Transient` where the store is away.
        """
        state = await self._objects.current()
        kind = kinds.of(resource)
        held = kind.find(state.scene, namespace, name)
        if held is None:
            raise errors.not_found(resource.qualified, name)
        document = manifests.as_json(kind.document(state.scene, held))
        metadata = document["metadata"]
        assert isinstance(metadata, dict), "every object has metadata"
        version = state.version(kind.object_key(namespace, name), held)
        metadata["resourceVersion"] = str(version)
        listed = self.managed(resource, namespace, name)
        return managing.attach(document, listed), state.position

    def managed(self, resource: Resource, namespace: str, name: str) -> bytes | None:
        """The list of the object's managed fields, as JSON."""
        return self._reader.managed.of(names.key(resource.own, namespace, name))

    def is_derived(self, resource: Resource, namespace: str, name: str) -> bool:
        """Whether the object is there without having been created (gateway/derived.py),
        in the state that was read last."""
        key = names.key(resource.own, namespace, name)
        return derived.is_derived(self._reader.cluster, key)

    async def has_derived(self, resource: Resource, namespace: str, name: str) -> bool:
        """The same, of everything that was committed before this was called."""
        if derived.NAMES.get(resource.own) != name:
            return False
        await self._objects.current()
        return self.is_derived(resource, namespace, name)

    async def chosen(self, request: Request) -> list[tuple[str, str]]:
        """Namespace and name of each object that the request selects, in order."""
        kind = kinds.of(request.resource)
        picked = kinds.picked(kind, request.namespace, request.params)
        state = await self._objects.current()
        return sorted(kind.key(held) for held in objects.chosen(kind, state, picked))

    def revisions(
        self, namespace: str, name: str
    ) -> Iterator[tuple[int, podspec.PodTemplateSpec]]:
        """What the Deployment can go back to, the newest revision first."""
        cluster = self._reader.cluster
        rollout = cluster.rollouts.by_key.get(names.deployment_key(namespace, name))
        for held in reversed(rollout.revisions if rollout is not None else ()):
            facts = cluster.desired.templates.get(held.template)
            if facts is not None:
                yield held.revision, template.without_hash(facts.template)
