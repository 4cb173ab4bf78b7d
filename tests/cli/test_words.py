"""What the command line says and exits with, end to end: kubectl's words (spec 6).

Each row is a command line, the server's answer to it, and what a person then reads.
The console script runs as a process of its own, on a real broker.
"""

from collections.abc import Callable
from typing import NamedTuple

import pytest

from domain.protocol import Answer
from tests.cli.service import Service
from tests.cli.world import refused, with_nginx

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Said(NamedTuple):
    """A command line, and what comes of it."""

    line: str
    out: str
    verb: str = ""
    body: str = ""


DONE = (
    Said("scale deployment nginx --replicas=4", "deployment.apps/nginx scaled",
         "scale", '{"replicas":4}'),
    Said("scale deploy nginx --replicas=2 --current-replicas=4",
         "deployment.apps/nginx scaled", "scale", '{"replicas":2,"currentReplicas":4}'),
    Said("set image deployment/nginx nginx=nginx:1.9.1",
         "deployment.apps/nginx image updated", "set-image",
         '{"images":{"nginx":"nginx:1.9.1"}}'),
    Said("set resources deployment/nginx -c=nginx --limits=cpu=200m,memory=512Mi",
         "deployment.apps/nginx resource requirements updated", "set-resources",
         '{"containers":["nginx"],"limits":{"cpu":"200m","memory":"512Mi"}}'),
    Said("annotate deployment/nginx kubernetes.io/change-cause=x team-",
         "deployment.apps/nginx annotated", "annotate",
         '{"changes":{"kubernetes.io/change-cause":"x","team":null},"overwrite":false}'),
    Said("label deployment nginx tier=web --overwrite", "deployment.apps/nginx labeled",
         "label", '{"changes":{"tier":"web"},"overwrite":true}'),
    Said("label deployments.apps nginx app-", "deployment.apps/nginx unlabeled",
         "label", '{"changes":{"app":null},"overwrite":false}'),
    Said("rollout pause deployment/nginx", "deployment.apps/nginx paused",
         "pause", "{}"),
    Said("rollout resume deployment/nginx", "deployment.apps/nginx resumed",
         "resume", "{}"),
    Said("rollout restart deployment/nginx", "deployment.apps/nginx restarted",
         "restart", "{}"),
    Said("rollout undo deployment/nginx --to-revision=1",
         "deployment.apps/nginx rolled back", "undo", '{"toRevision":1}'),
    Said("rollout undo deployment/nginx --dry-run=server",
         "deployment.apps/nginx rolled back (server dry run)", "undo", "{}"),
    Said("delete deployment nginx --no-wait --cascade=orphan",
         'deployment.apps "nginx" deleted from default namespace', "delete",
         '{"propagation":"orphan"}'),
    Said("delete pod web-1 --no-wait --now",
         'pod "web-1" deleted from default namespace', "delete", '{"grace":1}'),
    Said("delete pod web-1 --grace-period=0 --no-wait",
         'pod "web-1" deleted from default namespace', "delete", '{"grace":1}'),
    Said("delete node worker-1 --no-wait", 'node "worker-1" deleted', "delete", "{}"),
    Said("cordon worker-1", "node/worker-1 cordoned", "cordon", "{}"),
    Said("uncordon worker-1", "node/worker-1 uncordoned", "uncordon", "{}"),
    Said("scale deployment nginx --replicas=4 -o name", "deployment.apps/nginx",
         "scale"),
    Said("create deployment web --image=nginx:1.27 --replicas=2 --port=80",
         "deployment.apps/web created", "create"),
    Said("rollout status deployment/nginx",
         'deployment "nginx" successfully rolled out'),
    Said("wait --for=jsonpath={.status.phase}=Running pod/web-1",
         "pod/web-1 condition met"),
    Said("get deployments", "NAME    DESIRED   AGE\nnginx   1         9s"),
    Said("get deploy,po",
         "NAME                    DESIRED   AGE\n"
         "deployment.apps/nginx   1         9s\n\n"
         "NAME        DESIRED   AGE\npod/web-1   1         9s"),
    Said("get pods -o name", "pod/web-1"),
    Said("get pods --no-headers", "web-1   1     9s"),
    Said("get deploy -A", "NAMESPACE   NAME    DESIRED   AGE\n"
         "default     nginx   1         9s"),
    Said("get deploy nginx --show-labels",
         "NAME    DESIRED   AGE   LABELS\nnginx   1         9s    app=nginx"),
    Said("get deploy nginx -o jsonpath={.spec.replicas}/{.status.replicas}", "3/3"),
    Said("get pods -o custom-columns=N:.metadata.name,ON:.spec.nodeName",
         "N       ON\nweb-1   worker-1"),
    Said("-n default get pods -o name", "pod/web-1"),
    Said("rollout -n default pause deployment/nginx", "deployment.apps/nginx paused",
         "pause", "{}"),
)  # fmt: skip


@pytest.mark.parametrize("said", DONE, ids=lambda said: said.line)
async def test_success_is_told_in_kubectls_words(service: Service, said: Said) -> None:
    """The line goes to standard output, nothing to standard error, and the status is 0;
    the server received just this command."""
    with_nginx(service)

    ran = await service.run(*said.line.split())

    assert (ran.out.rstrip("\n"), ran.err, ran.status) == (said.out, "", 0)
    if said.verb:
        [(subject, message)] = service.commands
        assert subject.verb == said.verb
        assert message.source == f"rollbook {said.line}"
        if said.body:
            assert bytes(message.body).decode() == said.body


class Failed(NamedTuple):
    """A command line, the server's answer, and what stands on standard error."""

    line: str
    decide: Callable[..., Answer] | None
    err: str
    status: int = 1


FAILED = (
    Failed("get deployment nothere", None,
           'Error from server (NotFound): deployments.apps "nothere" not found'),
    Failed("rollout status deployment/nothere", None,
           'Error from server (NotFound): deployments.apps "nothere" not found'),
    Failed("get pod nothere -o custom-columns=N:.metadata.name", None,
           'Error from server (NotFound): pods "nothere" not found'),
    Failed("get foo", None, 'error: the server doesn\'t have a resource type "foo"'),
    Failed("get pods -o nonsense", None,
           "error: unable to match a printer suitable for the output format "
           '"nonsense", '
           "allowed formats are: custom-columns,json,jsonpath,name,wide,yaml"),
    Failed("set image deployment/nginx nosuch=nginx:1.10",
           refused("BadRequest", 'unable to find container named "nosuch"'),
           'error: unable to find container named "nosuch"'),
    Failed("set image deployment/nginx", None,
           "error: at least one image update is required"),
    Failed("set image nginx=nginx:1", None,
           "error: one or more resources must be specified as <resource> <name> or "
           "<resource>/<name>"),
    Failed("set image deploy/nginx *=a b=c", None,
           "error: all containers are already specified by *, but saw more than one "
           "container_name=container_image pairs"),
    Failed("scale deployment nginx --replicas=-1", None,
           "error: The --replicas=COUNT flag is required, and COUNT must be greater "
           "than or equal to 0"),
    Failed("scale deployment nginx --replicas=2 --current-replicas=9",
           refused("Conflict", "Expected replicas to be 9, was 4"),
           "error: Expected replicas to be 9, was 4"),
    Failed("scale deployment nothere --replicas=2",
           refused("NotFound", 'deployments.apps "nothere" not found'),
           'Error from server (NotFound): deployments.apps "nothere" not found'),
    Failed("rollout pause deployment/nginx",
           refused("BadRequest", 'deployments.apps "nginx" is already paused'),
           'error: deployments.apps "nginx" is already paused'),
    Failed("rollout undo deployment/nginx --to-revision=99",
           refused("NotFound", "unable to find specified revision 99 in history"),
           "error: unable to find specified revision 99 in history"),
    Failed("rollout undo deployment/nginx --to-revision=-1", None,
           "error: unable to find specified revision -1 in history"),
    Failed("rollout restart deployment/nginx",
           refused("BadRequest", "if restart has already been triggered within"),
           "error: failed to create patch for nginx: if restart has already been "
           "triggered within"),
    Failed("rollout status", None, "error: required resource not specified"),
    Failed("create deployment web", None, 'error: required flag(s) "image" not set'),
    Failed("create deployment web --image=x",
           refused("AlreadyExists", 'deployments.apps "web" already exists'),
           'error: failed to create deployment: deployments.apps "web" already exists'),
    Failed("wait --for=condition=Available deploy/nginx --timeout=0", None,
           "error: timed out waiting for the condition on deployments/nginx"),
    Failed("delete deployment nothere --no-wait",
           refused("NotFound", 'deployments.apps "nothere" not found'),
           'Error from server (NotFound): deployments.apps "nothere" not found'),
    Failed("wait pod/web-1", None,
           "error: you must specify what to wait for with --for"),
    Failed("get deployment/nginx pods", None,
           "error: there is no need to specify a resource type as a separate argument "
           "when passing arguments in resource/name form (e.g. 'rollbook get "
           "resource/<resource_name>' instead of 'rollbook get resource "
           "resource/<resource_name>')"),
)  # fmt: skip


@pytest.mark.parametrize("failed", FAILED, ids=lambda failed: failed.line)
async def test_failure_is_told_in_kubectls_words(
    service: Service, failed: Failed
) -> None:
    """The text goes to standard error, nothing to standard output; the status is 1."""
    with_nginx(service)
    if failed.decide is not None:
        service.decide = failed.decide

    ran = await service.run(*failed.line.split())

    assert (ran.out, ran.err.rstrip("\n"), ran.status) == (
        "",
        failed.err,
        failed.status,
    )
