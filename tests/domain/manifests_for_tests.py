"""Small manifests to start from, shared by the tests of the core's values."""

import copy
from collections.abc import Mapping

from domain import objects

NGINX: dict[str, object] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "nginx-deployment", "labels": {"app": "nginx"}},
    "spec": {
        "replicas": 3,
        "selector": {"matchLabels": {"app": "nginx"}},
        "template": {
            "metadata": {"labels": {"app": "nginx"}},
            "spec": {
                "containers": [
                    {
                        "name": "nginx",
                        "image": "nginx:1.7.9",
                        "ports": [{"containerPort": 80}],
                    }
                ]
            },
        },
    },
}

ABSENT = object()
"""As a value in `changed`: the field is taken away."""


def changed(raw: Mapping[str, object], **changes: object) -> dict[str, object]:
    """A copy of `raw` with the values at dotted paths replaced.

    `spec__replicas=0` sets `spec.replicas`; a number is an index of a list, and the
    index behind the last adds an element.
    """
    result = copy.deepcopy(dict(raw))
    for path, value in changes.items():
        *parents, last = path.split("__")
        target: object = result
        for step in parents:
            if isinstance(target, list):
                target = target[int(step)]
            else:
                assert isinstance(target, dict)
                target = target.setdefault(step, {})
        if isinstance(target, list):
            index = int(last)
            target[index : index + 1] = [value]
        elif value is ABSENT:
            assert isinstance(target, dict)
            del target[last]
        else:
            assert isinstance(target, dict)
            target[last] = value
    return result


def deployment(**changes: object) -> objects.DeploymentManifest:
    """The nginx Deployment of the specification with `changes` (see `changed`)."""
    manifest = objects.decode_manifest(changed(NGINX, **changes))
    assert isinstance(manifest, objects.DeploymentManifest)
    return manifest


def replicaset(**changes: object) -> objects.ReplicaSetManifest:
    """A ReplicaSet with the nginx template and `changes`."""
    raw = changed(NGINX, kind="ReplicaSet", **changes)
    manifest = objects.decode_manifest(raw)
    assert isinstance(manifest, objects.ReplicaSetManifest)
    return manifest


def pod(**changes: object) -> objects.PodManifest:
    """A Pod with the nginx container and `changes`."""
    base = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "nginx"},
        "spec": {"containers": [{"name": "nginx", "image": "nginx:1.7.9"}]},
    }
    manifest = objects.decode_manifest(changed(base, **changes))
    assert isinstance(manifest, objects.PodManifest)
    return manifest
