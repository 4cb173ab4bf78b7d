"""The commands of the client: one method for each verb.

The rules, and what every command may say besides, are in rollbook/client.py. Each
method returns the answer once its effect is committed, and raises `Rejected` with
Kubernetes' words where there is none.
"""

import random
from collections.abc import Mapping, Sequence
from typing import Unpack

import msgspec

from domain import (
    analysis_run,
    command,
    deployment,
    names,
    node,
    plain,
    pod,
    podspec,
    replicaset,
)
from domain.errors import Rejected
from domain.protocol import Answer
from rollbook import conditions
from rollbook.references import NODE, PLAIN, POD, REPLICASET
from rollbook.session import Manifest, Propagation, Said, Session, Target


class Commands(Session):
    """What one can ask of a cluster."""

    # --- commands about manifests

    async def create(self, manifest: Manifest, **said: Unpack[Said]) -> Answer:
        """Create the object of this manifest; `AlreadyExists` if it is there."""
        return await self._about(manifest, "create", **said)

    async def apply(self, manifest: Manifest, **said: Unpack[Said]) -> Answer:
        """Make the object what this manifest says, creating it if need be."""
        return await self._about(manifest, "apply", **said)

    async def replace(self, manifest: Manifest, **said: Unpack[Said]) -> Answer:
        """Put this manifest in the object's place; `Conflict` if it is out of date."""
        return await self._about(manifest, "replace", **said)

    async def _about(
        self, manifest: Manifest, verb: str, **said: Unpack[Said]
    ) -> Answer:
        manifest = _named(manifest, verb)
        reference = self.of_manifest(manifest, said.get("namespace"))
        kind = command.VERBS.get((reference.kind.name, verb))
        if kind is None:
            text = f"a {reference.kind.title} cannot be given by a manifest: {verb}"
            raise Rejected("MethodNotAllowed", text)
        body = msgspec.convert({"manifest": dict(manifest)}, type=kind)
        return await self.command(verb, reference, body, **said)

    # --- commands about Deployments, ReplicaSets and pods

    async def scale(
        self,
        target: Target,
        replicas: int,
        *,
        current_replicas: int | None = None,
        **said: Unpack[Said],
    ) -> Answer:
        """Run `replicas` pods; refused unless it is at `current_replicas`, if given."""
        reference = self.reference(target, said.get("namespace"))
        scale = (
            replicaset.ScaleReplicaSet
            if reference.kind == REPLICASET
            else deployment.ScaleDeployment
        )
        body = scale(replicas=replicas, current_replicas=current_replicas)
        return await self.command("scale", reference, body, **said)

    async def set_image(
        self, target: Target, images: Mapping[str, str], **said: Unpack[Said]
    ) -> Answer:
        """Run these images: container name (`*` for all) to image."""
        reference = self.reference(target, said.get("namespace"))
        body: pod.SetPodImage | replicaset.SetReplicaSetImage | deployment.SetImage
        if reference.kind == POD:
            body = pod.SetPodImage(images=dict(images))
        elif reference.kind == REPLICASET:
            body = replicaset.SetReplicaSetImage(images=dict(images))
        else:
            body = deployment.SetImage(images=dict(images))
        return await self.command("set-image", reference, body, **said)

    async def set_resources(
        self,
        target: Target,
        *,
        limits: Mapping[str, str] | None = None,
        requests: Mapping[str, str] | None = None,
        containers: Sequence[str] = (),
        **said: Unpack[Said],
    ) -> Answer:
        """Give these containers (none: all) these limits and requests."""
        body = deployment.SetResources(
            containers=tuple(containers),
            limits=dict(limits or {}),
            requests=dict(requests or {}),
        )
        return await self.command("set-resources", target, body, **said)

    async def pause(self, target: Target, **said: Unpack[Said]) -> Answer:
        """Start no rollout until resumed."""
        return await self.command("pause", target, deployment.PauseDeployment(), **said)

    async def resume(self, target: Target, **said: Unpack[Said]) -> Answer:
        """Roll out what was changed meanwhile."""
        body = deployment.ResumeDeployment()
        return await self.command("resume", target, body, **said)

    async def restart(self, target: Target, **said: Unpack[Said]) -> Answer:
        """Replace all pods by new ones, as a rolling update."""
        body = deployment.RestartDeployment()
        return await self.command("restart", target, body, **said)

    async def promote(
        self, target: Target, *, full: bool = False, **said: Unpack[Said]
    ) -> Answer:
        """End the step at which a rollout waits; with `full` leave out all others."""
        body = analysis_run.PromoteRollout(full=full)
        return await self.command("promote", target, body, **said)

    async def abort(self, target: Target, **said: Unpack[Said]) -> Answer:
        """Give a rollout up: back to the last revision that was complete."""
        body = analysis_run.AbortRollout()
        return await self.command("abort", target, body, **said)

    async def undo(
        self,
        target: Target,
        *,
        to_revision: int = 0,
        to: str = "",
        **said: Unpack[Said],
    ) -> Answer:
        """Run the template of a revision again, by number (0: the one before) or tag
        (`to`)."""
        body = deployment.RollbackDeployment(to_revision=to_revision, to=to)
        return await self.command("undo", target, body, **said)

    async def tag(
        self,
        target: Target,
        tag: str,
        *,
        revision: int = 0,
        overwrite: bool = False,
        **said: Unpack[Said],
    ) -> Answer:
        """Call a revision (0: the current one) `tag`, a DNS label; one that stands for
        another revision needs `overwrite`."""
        body = deployment.TagRevision(tag=tag, revision=revision, overwrite=overwrite)
        return await self.command("tag", target, body, **said)

    async def untag(
        self, target: Target, tag: str, *, revision: int = 0, **said: Unpack[Said]
    ) -> Answer:
        """Take a tag away; refused where it is on another revision, if one is given."""
        body = deployment.TagRevision(tag=tag, revision=revision, remove=True)
        return await self.command("tag", target, body, **said)

    async def delete(
        self,
        target: Target,
        *,
        propagation: Propagation = "background",
        grace: int | None = None,
        uid: str = "",
        **said: Unpack[Said],
    ) -> Answer:
        """Remove the object; `grace` is for a pod, `propagation` for what owns pods."""
        reference = self.reference(target, said.get("namespace"))
        body: msgspec.Struct = deployment.DeleteDeployment(
            propagation=propagation, uid=uid
        )
        if reference.kind == REPLICASET:
            body = replicaset.DeleteReplicaSet(
                orphan=propagation == "orphan",
                foreground=propagation == "foreground",
                uid=uid,
            )
        elif reference.kind == POD:
            body = pod.DeletePod(grace=grace, uid=uid)
        elif reference.kind == NODE:
            body = node.DeleteNode()
        elif reference.kind in PLAIN:
            body = plain.DeleteObject(uid=uid)
        return await self.command("delete", reference, body, **said)

    async def evict(
        self, target: Target, *, grace: int | None = None, **said: Unpack[Said]
    ) -> Answer:
        """End a pod because its node is being drained."""
        return await self.command("evict", target, pod.EvictPod(grace=grace), **said)

    # --- commands about every kind, and about nodes

    async def label(
        self,
        target: Target,
        changes: Mapping[str, str | None],
        *,
        overwrite: bool = False,
        **said: Unpack[Said],
    ) -> Answer:
        """Set labels, or remove those whose value is None."""
        body = command.LabelObject(changes=dict(changes), overwrite=overwrite)
        return await self.command("label", target, body, **said)

    async def annotate(
        self,
        target: Target,
        changes: Mapping[str, str | None],
        *,
        overwrite: bool = False,
        **said: Unpack[Said],
    ) -> Answer:
        """Set annotations, or remove those whose value is None."""
        body = command.AnnotateObject(changes=dict(changes), overwrite=overwrite)
        return await self.command("annotate", target, body, **said)

    async def cordon(self, target: Target, **said: Unpack[Said]) -> Answer:
        """Let no new pod be bound to the node."""
        return await self.command("cordon", target, node.CordonNode(), **said)

    async def uncordon(self, target: Target, **said: Unpack[Said]) -> Answer:
        """Let pods be bound to the node again."""
        return await self.command("uncordon", target, node.UncordonNode(), **said)

    async def taint(
        self, target: Target, taints: Sequence[podspec.Taint], **said: Unpack[Said]
    ) -> Answer:
        """Give the node these taints, all of them, in place of those it has."""
        body = node.TaintNode(taints=tuple(taints))
        return await self.command("taint", target, body, **said)


def _named(manifest: Manifest, verb: str) -> Manifest:
    """The manifest with a name of its own where it has but a generateName (spec 1.5).

    Raises `Rejected` for any verb but `create`: another time it would be another name.
    """
    prefix = conditions.text_at(manifest, "metadata", "generateName")
    if not prefix or conditions.text_at(manifest, "metadata", "name"):
        return manifest
    if verb != "create":
        text = f"from {prefix}: cannot use generate name with {verb}"
        raise Rejected("BadRequest", text)
    name = names.generate_name(prefix, random.Random())  # noqa: S311  # a name, no secret
    metadata = {**conditions.map_at(manifest, "metadata"), "name": name}
    return {**manifest, "metadata": metadata}
