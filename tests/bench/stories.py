"""Small logs for the audit: each event of a story is a step of its own."""

from adapters import eventlog, memory_log
from domain import catalogue, deployment, pod, replicaset
from domain.events import Event, Recorded
from domain.labels import LabelSelector
from domain.node import NodeBecameReady, NodeRegistered
from domain.objects import DeploymentSpec
from domain.podspec import PodTemplateSpec
from domain.protocol import NodeInfo, PodObservation
from rollbook.bench import audit

ROOM = {"cpu": "1", "memory": "1Gi", "pods": "5"}
OWNER = "replicaset/default/web-1"
KEY = "deployment/default/web"
READY = pod.PodReported(
    incarnation=1, sequence=1, seen=PodObservation(phase="Running", ready=True)
)
SCALED_DOWN = pod.PodTerminationRequested(why="a test", reason="ScaledDown")
COMPLETED = (KEY, deployment.RolloutCompleted(revision=1))

Story = list[tuple[str, Event]]


def node(name: str = "worker", pods: str = "5") -> Story:
    """A node that is ready, with room for so many pods."""
    info = NodeInfo(capacity=ROOM, allocatable={**ROOM, "pods": pods})
    registered = NodeRegistered(uid="n", boot_id="b", incarnation=1, info=info)
    return [(f"node/{name}", registered), (f"node/{name}", NodeBecameReady())]


def deployed(replicas: int) -> Story:
    """A Deployment and the ReplicaSet of its first revision."""
    spec = DeploymentSpec(replicas=replicas, selector=LabelSelector())
    created = replicaset.ReplicaSetCreated(
        uid="r", replicas=replicas, selector=LabelSelector(),
        template=PodTemplateSpec(), owner=KEY, owner_uid="d",
    )  # fmt: skip
    return [
        (KEY, deployment.DeploymentCreated(uid="d", spec=spec)),
        (OWNER, created),
        (KEY, deployment.RevisionStarted(revision=1, replicaset="web-1")),
    ]


def bound(*names: str, to: str = "worker") -> Story:
    """Pods of the Deployment that were created and bound."""
    story: Story = []
    for name in names:
        created = pod.PodCreated(uid=f"u-{name}", owner=OWNER)
        story += [(f"pod/default/{name}", created)]
        story += [(f"pod/default/{name}", pod.PodScheduled(node=to))]
    return story


def ready(*names: str) -> Story:
    """Reports that these pods are Ready."""
    return [(f"pod/default/{name}", READY) for name in names]


def audited(*story: tuple[str, Event]) -> audit.Audit:
    """The audit of a log that holds just this."""
    log = memory_log.MemoryLog()
    versions: dict[str, int] = {}
    rows = []
    for position, (stream, event) in enumerate(story, 1):
        versions[stream] = version = versions.get(stream, 0) + 1
        recorded = Recorded(
            position, stream, version, float(position), "test", 0, "", event
        )
        state = catalogue.encode(recorded)
        rows.append(eventlog.Row(position, stream, version, event.TOPIC, state))
    log.append(rows)
    found = audit.Audit(log, cpu_milli=100, memory=1)
    found.advance()
    return found
