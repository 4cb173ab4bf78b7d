"""What the tests of the command line start from: the notes' Deployment, and answers."""

from collections.abc import Callable

from domain import errors
from domain.protocol import Answer
from tests.cli.service import Service

STATUS = {
    "replicas": 3,
    "updatedReplicas": 3,
    "availableReplicas": 3,
    "observedGeneration": 1,
}
NGINX: dict[str, object] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "nginx", "generation": 1},
    "spec": {"replicas": 3, "selector": {"matchLabels": {"app": "nginx"}}},
    "status": STATUS,
}


def with_nginx(service: Service) -> None:
    """The notes' Deployment and one pod, at rest."""
    fields = {key: NGINX[key] for key in ("spec", "status")}
    metadata = {"generation": 1, "labels": {"app": "nginx"}}
    service.add("deployment", "nginx", metadata=metadata, **fields)
    service.add(
        "pod", "web-1", spec={"nodeName": "worker-1"}, status={"phase": "Running"}
    )
    service.add("node", "worker-1")


def unchanged(text: str = "") -> Callable[..., Answer]:
    """It was so already."""
    return lambda _, message: Answer(id=message.id, result="unchanged", message=text)


def refused(reason: errors.Reason, text: str, *fields: str) -> Callable[..., Answer]:
    """It breaks a rule; a cause for each of `fields`."""
    causes = tuple(
        errors.FieldError(
            reason="FieldValueInvalid", message="Invalid value: 0", field=f
        )
        for f in fields
    )
    return lambda _, message: Answer(
        id=message.id, result="rejected", reason=reason, message=text, causes=causes
    )
