"""Which path means what."""

import pytest

from gateway.kube import routes
from gateway.kube.statuses import Failure


@pytest.mark.parametrize(
    ("method", "path", "params", "meant"),
    [
        ("GET", "/api/v1/pods", {}, ("list", "pods", "", "", "")),
        ("HEAD", "/api/v1/pods", {}, ("list", "pods", "", "", "")),
        ("GET", "/api/v1/pods", {"watch": "true"}, ("watch", "pods", "", "", "")),
        ("GET", "/api/v1/pods", {"watch": ""}, ("watch", "pods", "", "", "")),
        ("GET", "/api/v1/pods", {"watch": "yes"}, ("watch", "pods", "", "", "")),
        ("GET", "/api/v1/pods", {"watch": "False"}, ("list", "pods", "", "", "")),
        ("GET", "/api/v1/pods", {"watch": "0"}, ("list", "pods", "", "", "")),
        ("GET", "/api/v1/namespaces", {}, ("list", "namespaces", "", "", "")),
        ("GET", "/api/v1/namespaces/a", {}, ("get", "namespaces", "", "a", "")),
        (
            "GET",
            "/api/v1/namespaces/a/status",
            {},
            ("get", "namespaces", "", "a", "status"),
        ),
        ("GET", "/api/v1/namespaces/a/pods", {}, ("list", "pods", "a", "", "")),
        ("POST", "/api/v1/namespaces/a/pods", {}, ("create", "pods", "a", "", "")),
        (
            "POST",
            "/api/v1/namespaces/a/pods/b/eviction",
            {},
            ("create", "pods", "a", "b", "eviction"),
        ),
        ("PATCH", "/api/v1/nodes/n", {}, ("patch", "nodes", "", "n", "")),
        (
            "PUT",
            "/apis/apps/v1/namespaces/a/deployments/web/scale",
            {},
            ("update", "deployments", "a", "web", "scale"),
        ),
        (
            "DELETE",
            "/apis/apps/v1/namespaces/a/deployments",
            {},
            ("deletecollection", "deployments", "a", "", ""),
        ),
    ],
)
def test_paths(
    method: str, path: str, params: dict[str, str], meant: tuple[str, ...]
) -> None:
    """Verb, plural, namespace, name and part come out."""
    found = routes.find(method, path, params)
    assert (
        found.verb,
        found.resource.plural,
        found.namespace,
        found.name,
        found.subresource,
    ) == meant


@pytest.mark.parametrize(
    ("method", "path", "code", "reason"),
    [
        ("GET", "/apis/nope/v1/x", 404, ""),
        ("GET", "/apis/apps/v9/deployments", 404, ""),
        ("GET", "/apis/apps/v1/namespaces/default/nopes", 404, "NotFound"),
        ("GET", "/apis/apps/v1/deployments/web", 404, "NotFound"),
        ("GET", "/api/v1/namespaces/a/nodes", 404, "NotFound"),
        ("GET", "/api/v1/namespaces/a/pods/b/c/d", 404, "NotFound"),
        ("GET", "/api/v1/namespaces/a/pods/b/nope", 404, "NotFound"),
        ("PUT", "/apis/apps/v1/deployments", 405, "MethodNotAllowed"),
        ("POST", "/apis/apps/v1/deployments", 405, "MethodNotAllowed"),
        ("POST", "/api/v1/nodes", 405, "MethodNotAllowed"),
        ("POST", "/api/v1/namespaces/x/services", 405, "MethodNotAllowed"),
        ("PATCH", "/apis/batch/v1/namespaces/x/jobs/a", 405, "MethodNotAllowed"),
        ("GET", "/api/v1/namespaces/x/services/a/status", 404, "NotFound"),
        ("DELETE", "/api/v1/namespaces", 405, "MethodNotAllowed"),
        ("ZAP", "/api/v1/namespaces", 405, "MethodNotAllowed"),
    ],
)
def test_paths_that_lead_nowhere(
    method: str, path: str, code: int, reason: str
) -> None:
    """404 or 405 as the API server says it."""
    with pytest.raises(Failure) as failed:
        routes.find(method, path, {})
    assert (failed.value.code, failed.value.reason) == (code, reason)


@pytest.mark.parametrize(
    ("method", "path", "said"),
    [
        (
            "PATCH",
            "/apis/apps/v1/namespaces/default/deployments/web/status",
            "a status is what Rollbook has seen, and cannot be written",
        ),
        (
            "PUT",
            "/api/v1/namespaces/default/status",
            "a status is what Rollbook has seen, and cannot be written",
        ),
        (
            "POST",
            "/api/v1/namespaces/default/services",
            "services are not kept here: none can be created or changed",
        ),
        (
            "PUT",
            "/apis/apps/v1/deployments",
            "the server does not allow this method on the requested resource",
        ),
    ],
)
def test_what_cannot_be_done_says_why(method: str, path: str, said: str) -> None:
    """A 405 for what Rollbook does otherwise has a sentence of its own: kubectl shows
    nothing else."""
    with pytest.raises(Failure) as failed:
        routes.find(method, path, {})
    assert (failed.value.code, failed.value.message) == (405, said)
