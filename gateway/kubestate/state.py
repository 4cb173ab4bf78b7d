"""All objects of the cluster as metrics: which rows there are, and their families."""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from functools import partial

from domain.pod import Pod
from gateway.kubestate import autoscalers, nodes, pods, rendering, replicas
from gateway.kubestate.autoscalers import Reading
from gateway.kubestate.rendering import Family, Form
from gateway.views.scene import Templates
from projections.cluster import Cluster

_Kind = tuple[tuple[Family, ...], Callable[..., object], Sequence[object]]
"""The families of a kind, what makes a row of an object, and the objects."""


class KubeState:
    """Renders the cluster that `cluster()` returns, as it is at each scrape.

    `reading` is what an autoscaler measured last, None where that is not known.
    """

    def __init__(
        self, cluster: Callable[[], Cluster], reading: Reading = lambda _: None
    ) -> None:
        self._cluster = cluster
        self._reading = reading
        self._of: Cluster | None = None
        self._templates = Templates()

    async def pages(self, form: Form) -> AsyncIterator[bytes]:
        """The families in pieces. An object's lines are of one moment; those of two
        objects may be some events apart."""
        at = self._cluster()
        if at is not self._of:  # another log has other templates
            self._of, self._templates = at, Templates()
        for families, make, held in self._kinds(at):
            found = await rendering.rows(make, held)
            async for piece in rendering.pieces(families, found, form):
                yield piece

    def _kinds(self, at: Cluster) -> Iterator[_Kind]:
        held_nodes = [use.node for use in at.actual.node_list]
        yield nodes.FAMILIES, nodes.row, held_nodes
        deployments = [*at.desired.deployments.values()]
        yield replicas.DEPLOYMENTS, partial(replicas.deployment_row, at), deployments
        replicasets = [*at.desired.replicasets.values()]
        yield replicas.REPLICASETS, partial(replicas.replicaset_row, at), replicasets
        hpas = [*at.plain.of(autoscalers.KIND)]
        yield autoscalers.FAMILIES, partial(autoscalers.row, self._reading), hpas
        held_pods = [*at.actual.pods.values()]
        yield pods.FAMILIES, partial(_pod_row, at, self._templates), held_pods


def _pod_row(at: Cluster, templates: Templates, held: Pod) -> pods.Row:
    return pods.row(at, templates.of(at, held.template), held)
