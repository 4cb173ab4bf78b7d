"""A user's day with kubectl: each command, and what it must say.

What is said is as kubectl 1.36 says it of Kubernetes 1.36. Where Rollbook differs, the
step tells what Kubernetes says there, and why it is not the same here.
"""

from typing import Final

import msgspec

_NGINX: Final = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: nginx-deployment
  labels: {app: nginx}
spec:
  replicas: 3
  selector: {matchLabels: {app: nginx}}
  template:
    metadata: {labels: {app: nginx}}
    spec:
      containers:
      - name: nginx
        image: nginx:1.7.9
        ports: [{containerPort: 80}]
"""


def changed(name: str, old: str, new: str) -> str:
    """The Deployment under another name, with one text replaced."""
    assert old in _NGINX
    return _NGINX.replace("nginx-deployment", name).replace(old, new)


MANIFESTS: Final = {
    "nginx-deployment.yaml": _NGINX,
    "bad-selector.yaml": changed(
        "bad-selector",
        "metadata: {labels: {app: nginx}}",
        "metadata: {labels: {app: x}}",
    ),
    "bad-surge.yaml": changed(
        "bad-surge",
        "  replicas: 3\n",
        "  replicas: 3\n  strategy:\n"
        "    rollingUpdate: {maxSurge: 0, maxUnavailable: 0}\n",
    ),
    "unknown-field.yaml": changed(
        "unknown-field", "  replicas: 3\n", "  replicas: 3\n  replicaz: 4\n"
    ),
}


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """A command line behind `kubectl`, and its answer.

    Several spaces count as one. HASH stands for a template's hash, POD for the end of a
    pod's name, AGE for a time that has passed, TIME for a moment, RELEASE for the
    version of Rollbook. SCALED are as many lines about scaled ReplicaSets as there are,
    and how far a rollout has come is left out (test_kubectl.py). `failed`: its exit
    status is 1.
    `older` are other words of older kubectls: up to which minor version, and what they
    say. A command that only reads is asked again until it says so. `editor` is the
    command of sed that `kubectl edit` is given.
    """

    words: str
    says: str
    failed: bool = False
    older: tuple[tuple[int, str, str], ...] = ()
    editor: str = ""
    kubernetes: str = ""
    why: str = ""


DEPLOYMENT: Final = "deployment/nginx-deployment"
_HEAD: Final = "deployment.apps/nginx-deployment\nREVISION CHANGE-CAUSE\n"
_RECORD: Final = (
    "Flag --record has been deprecated, --record will be removed in the future\n"
)
_CREATED: Final = "kubectl create --filename=nginx-deployment.yaml --record=true"
_SET: Final = f"kubectl set image {DEPLOYMENT} nginx=nginx:1.91 --record=true"
_CPU: Final = (
    "Flag --cpu-percent has been deprecated, Use --cpu with percentage or resource "
    "quantity format (e.g., '70%' for utilization or '500m' for milliCPU).\n"
)
_OWN_CAUSE: Final = (
    "a revision's CHANGE-CAUSE is that of its own change; Kubernetes lets the last one "
    "that was recorded stand for all that follow"
)

_PLACED: Final = "\nNode-Selectors: <none>\nTolerations: <none>"


def _revision(number: int, cause: str, image: str) -> str:
    """The page of a revision."""
    return (
        f"deployment.apps/nginx-deployment with revision #{number}\nPod Template:\n"
        "Labels: app=nginx\npod-template-hash=HASH\n"
        f"Annotations: kubernetes.io/change-cause: {cause}\nContainers:\nnginx:\n"
        f"Image: {image}\nPort: 80/TCP\nHost Port: 0/TCP\nEnvironment: <none>\n"
        f"Mounts: <none>\nVolumes: <none>{_PLACED}"
    )


_DESCRIBED: Final = """\
Name: nginx-deployment
Namespace: default
CreationTimestamp: TIME
Labels: app=nginx
Annotations: deployment.kubernetes.io/revision: 7
kubernetes.io/change-cause: image updated
Selector: app=nginx
Replicas: 2 desired | 2 updated | 2 total | 2 available | 0 unavailable
StrategyType: RollingUpdate
MinReadySeconds: 0
RollingUpdateStrategy: 25% max unavailable, 25% max surge
Pod Template:
Labels: app=nginx
Annotations: kubectl.kubernetes.io/restartedAt: TIME
Containers:
nginx:
Image: nginx:1.10
Port: 80/TCP
Host Port: 0/TCP
Limits:
cpu: 200m
memory: 512Mi
Environment: <none>
Mounts: <none>
Volumes: <none>
Node-Selectors: <none>
Tolerations: <none>
Conditions:
Type Status Reason
---- ------ ------
Available True MinimumReplicasAvailable
Progressing True NewReplicaSetAvailable
OldReplicaSets: nginx-deployment-HASH (0/0 replicas created), \
nginx-deployment-HASH (0/0 replicas created), \
nginx-deployment-HASH (0/0 replicas created), \
nginx-deployment-HASH (0/0 replicas created)
NewReplicaSet: nginx-deployment-HASH (2/2 replicas created)
Events:
Type Reason Age From Message
---- ------ ---- ---- -------
SCALED"""
_FOLDED: Final = (
    "\nNormal ScalingReplicaSet AGE (x15 over AGE) deployment-controller "
    "(combined from similar events): Scaled up replica set nginx-deployment-HASH "
    "from 3 to 4"
)
_ONE_BY_ONE: Final = (
    "events are kept, one by one; Kubernetes folds those that are alike into one line"
)
_NODES: Final = """\
NAME STATUS ROLES AGE VERSION
hollow-0 Ready <none> AGE
hollow-1 Ready <none> AGE
hollow-2 Ready <none> AGE"""

STORY: Final = (
    Step(
        words="create -f nginx-deployment.yaml --record",
        says=_RECORD + "deployment.apps/nginx-deployment created",
    ),
    Step(
        words="get deployments",
        says="NAME READY UP-TO-DATE AVAILABLE AGE\nnginx-deployment 3/3 3 3 AGE",
    ),
    Step(
        words="get deployments -o wide",
        says="NAME READY UP-TO-DATE AVAILABLE AGE CONTAINERS IMAGES SELECTOR\n"
        "nginx-deployment 3/3 3 3 AGE nginx nginx:1.7.9 app=nginx",
    ),
    Step(
        words="get rs",
        says="NAME DESIRED CURRENT READY AGE\nnginx-deployment-HASH 3 3 3 AGE",
    ),
    Step(
        words="get pods",
        says="NAME READY STATUS RESTARTS AGE\n"
        + "\n".join(["nginx-deployment-HASH-POD 1/1 Running 0 AGE"] * 3),
    ),
    Step(
        words="scale deployment nginx-deployment --replicas=4",
        says="deployment.apps/nginx-deployment scaled",
    ),
    Step(
        words="get deployment nginx-deployment",
        says="NAME READY UP-TO-DATE AVAILABLE AGE\nnginx-deployment 4/4 4 4 AGE",
    ),
    Step(
        words="get events --field-selector involvedObject.kind=Deployment",
        says="LAST SEEN TYPE REASON OBJECT MESSAGE\n"
        "AGE Normal ScalingReplicaSet deployment/nginx-deployment "
        "Scaled up replica set nginx-deployment-HASH from 0 to 3\n"
        "AGE Normal ScalingReplicaSet deployment/nginx-deployment "
        "Scaled up replica set nginx-deployment-HASH from 3 to 4",
    ),
    Step(
        words=f"set image {DEPLOYMENT} nginx=nginx:1.9.1",
        says="deployment.apps/nginx-deployment image updated",
    ),
    Step(
        words=f"rollout status {DEPLOYMENT}",
        says='deployment "nginx-deployment" successfully rolled out',
    ),
    Step(
        words="get rs",
        says="NAME DESIRED CURRENT READY AGE\nnginx-deployment-HASH 4 4 4 AGE\n"
        "nginx-deployment-HASH 0 0 0 AGE",
    ),
    Step(
        words=f"rollout history {DEPLOYMENT}",
        says=f"{_HEAD}1 {_CREATED}\n2 image nginx=nginx:1.7.9 → nginx:1.9.1",
        kubernetes=f"{_HEAD}1 {_CREATED}\n2 {_CREATED}",
        why=_OWN_CAUSE,
    ),
    Step(
        words=f"set image {DEPLOYMENT} nginx=nginx:1.91 --record",
        says=_RECORD + "deployment.apps/nginx-deployment image updated",
    ),
    Step(
        words="get rs",
        says="NAME DESIRED CURRENT READY AGE\nnginx-deployment-HASH 4 4 4 AGE\n"
        "nginx-deployment-HASH 0 0 0 AGE\nnginx-deployment-HASH 0 0 0 AGE",
    ),
    Step(
        words=f"rollout history {DEPLOYMENT}",
        says=f"{_HEAD}1 {_CREATED}\n2 image nginx=nginx:1.7.9 → nginx:1.9.1\n3 {_SET}",
        kubernetes=f"{_HEAD}1 {_CREATED}\n2 {_CREATED}\n3 {_SET}",
        why=_OWN_CAUSE,
    ),
    Step(
        words=f"rollout history {DEPLOYMENT} --revision=2",
        says=_revision(2, "image nginx=nginx:1.7.9 → nginx:1.9.1", "nginx:1.9.1"),
        older=((29, _PLACED, ""),),
        kubernetes=_revision(2, _CREATED, "nginx:1.9.1"),
        why=_OWN_CAUSE,
    ),
    Step(
        words=f"rollout history {DEPLOYMENT} --revision=3",
        says=_revision(3, _SET, "nginx:1.91"),
        older=((29, _PLACED, ""),),
    ),
    Step(
        words=f"rollout undo {DEPLOYMENT}",
        says="deployment.apps/nginx-deployment rolled back",
    ),
    Step(
        words=f"rollout history {DEPLOYMENT}",
        says=f"{_HEAD}1 {_CREATED}\n3 {_SET}\n4 rolled back to revision 2",
        kubernetes=f"{_HEAD}1 {_CREATED}\n3 {_SET}\n4 {_CREATED}",
        why=_OWN_CAUSE,
    ),
    Step(
        words=f"rollout undo {DEPLOYMENT} --to-revision=1",
        says="deployment.apps/nginx-deployment rolled back",
    ),
    Step(
        words=f"rollout history {DEPLOYMENT}",
        says=f"{_HEAD}3 {_SET}\n4 rolled back to revision 2\n"
        "5 rolled back to revision 1",
        kubernetes=f"{_HEAD}3 {_SET}\n4 {_CREATED}\n5 {_CREATED}",
        why=_OWN_CAUSE,
    ),
    Step(
        words=f"rollout undo {DEPLOYMENT} --to-revision=99",
        says="error: unable to find specified revision 99 in history",
        failed=True,
    ),
    Step(
        words=f"rollout undo {DEPLOYMENT} --to-revision=5",
        says="deployment.apps/nginx-deployment skipped rollback (current template "
        "already matches revision 5)",
    ),
    Step(
        words=f"rollout undo {DEPLOYMENT} --dry-run=server",
        says="deployment.apps/nginx-deployment rolled back (server dry run)",
    ),
    Step(
        words=f"rollout pause {DEPLOYMENT}",
        says="deployment.apps/nginx-deployment paused",
    ),
    Step(
        words=f"rollout pause {DEPLOYMENT}",
        says='error: deployments.apps "nginx-deployment" is already paused',
        failed=True,
    ),
    Step(
        words=f"rollout status {DEPLOYMENT} --timeout=20s",
        says='deployment "nginx-deployment" successfully rolled out',
    ),
    Step(
        words=f"rollout undo {DEPLOYMENT}",
        says="error: you cannot rollback a paused deployment; resume it first with "
        "'kubectl rollout resume' and try again",
        failed=True,
    ),
    Step(
        words=f"set image {DEPLOYMENT} nginx=nginx:1.10",
        says="deployment.apps/nginx-deployment image updated",
    ),
    Step(
        words=f"set resources {DEPLOYMENT} -c=nginx --limits=cpu=200m,memory=512Mi",
        says="deployment.apps/nginx-deployment resource requirements updated",
    ),
    Step(
        words=f"rollout resume {DEPLOYMENT}",
        says="deployment.apps/nginx-deployment resumed",
    ),
    Step(
        words=f"rollout resume {DEPLOYMENT}",
        says='error: deployments.apps "nginx-deployment" is not paused',
        failed=True,
    ),
    Step(
        words=f"rollout restart {DEPLOYMENT}",
        says="deployment.apps/nginx-deployment restarted",
    ),
    Step(
        words=f"rollout history {DEPLOYMENT}",
        says=f"{_HEAD}3 {_SET}\n4 rolled back to revision 2\n"
        "5 rolled back to revision 1\n"
        "6 image nginx=nginx:1.7.9 → nginx:1.10, resources of nginx changed\n"
        "7 restarted",
        kubernetes=f"{_HEAD}3 {_SET}\n"
        + "\n".join(f"{number} {_CREATED}" for number in (4, 5, 6, 7)),
        why=_OWN_CAUSE,
    ),
    Step(
        words=f"rollout history {DEPLOYMENT} --revision=42",
        says="error: unable to find the specified revision",
        failed=True,
    ),
    Step(
        words=f"annotate {DEPLOYMENT} 'kubernetes.io/change-cause=image updated'",
        says="deployment.apps/nginx-deployment annotated",
        older=((27, "annotated", "annotate"),),
    ),
    Step(
        words=f"rollout history {DEPLOYMENT}",
        says=f"{_HEAD}3 {_SET}\n4 rolled back to revision 2\n"
        "5 rolled back to revision 1\n"
        "6 image nginx=nginx:1.7.9 → nginx:1.10, resources of nginx changed\n"
        "7 image updated",
        kubernetes=f"{_HEAD}3 {_SET}\n"
        + "\n".join(f"{number} {_CREATED}" for number in (4, 5, 6))
        + "\n7 image updated",
        why=_OWN_CAUSE,
    ),
    Step(
        words=f"rollout history {DEPLOYMENT} --revision=7",
        says="deployment.apps/nginx-deployment with revision #7\nPod Template:\n"
        "Labels: app=nginx\npod-template-hash=HASH\n"
        "Annotations: kubectl.kubernetes.io/restartedAt: TIME\n"
        "kubernetes.io/change-cause: image updated\nContainers:\nnginx:\n"
        "Image: nginx:1.10\nPort: 80/TCP\nHost Port: 0/TCP\nLimits:\ncpu: 200m\n"
        "memory: 512Mi\nEnvironment: <none>\nMounts: <none>\nVolumes: <none>\n"
        "Node-Selectors: <none>\nTolerations: <none>",
        older=((29, _PLACED, ""),),
    ),
    Step(
        words="scale deployment nginx-deployment --replicas=2 --current-replicas=9",
        says="error: Expected replicas to be 9, was 4",
        failed=True,
    ),
    Step(
        words="scale deployment nginx-deployment --replicas=2 --current-replicas=4",
        says="deployment.apps/nginx-deployment scaled",
    ),
    Step(
        words="autoscale deployment nginx-deployment --min=2 --max=10 --cpu-percent=80",
        says=_CPU + "horizontalpodautoscaler.autoscaling/nginx-deployment autoscaled",
        older=((33, _CPU, ""),),
    ),
    Step(
        words="get hpa",
        says="NAME REFERENCE TARGETS MINPODS MAXPODS REPLICAS AGE\nnginx-deployment "
        "Deployment/nginx-deployment cpu: MEASURED/80% 2 10 SEEN AGE",
    ),
    Step(
        words="describe deployment nginx-deployment",
        says=_DESCRIBED,
        older=((29, _PLACED, ""),),
        kubernetes=_DESCRIBED + _FOLDED,
        why=_ONE_BY_ONE,
    ),
    Step(
        words="get deployment nothere",
        says='Error from server (NotFound): deployments.apps "nothere" not found',
        failed=True,
    ),
    Step(
        words="rollout status deployment/nothere",
        says='Error from server (NotFound): deployments.apps "nothere" not found',
        failed=True,
    ),
    Step(
        words=f"set image {DEPLOYMENT} nosuch=nginx:1.10",
        says='error: unable to find container named "nosuch"',
        failed=True,
    ),
    Step(
        words="scale deployment nginx-deployment --replicas=-1",
        says="error: The --replicas=COUNT flag is required, and COUNT must be greater "
        "than or equal to 0",
        failed=True,
    ),
    Step(
        words="apply -f bad-selector.yaml",
        says='The Deployment "bad-selector" is invalid: '
        'spec.template.metadata.labels: Invalid value: {"app":"x"}: `selector` does '
        "not match template `labels`",
        failed=True,
    ),
    Step(
        words="apply -f bad-surge.yaml",
        says='The Deployment "bad-surge" is invalid: '
        "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 "
        "when `maxSurge` is 0",
        failed=True,
    ),
    Step(
        words="apply -f unknown-field.yaml",
        says='Error from server (BadRequest): error when creating "unknown-field.yaml":'
        ' Deployment in version "v1" cannot be handled as a Deployment: strict '
        'decoding error: unknown field "spec.replicaz"',
        failed=True,
    ),
    Step(
        words="create -f nginx-deployment.yaml",
        says="Error from server (AlreadyExists): error when creating "
        '"nginx-deployment.yaml": deployments.apps "nginx-deployment" already exists',
        failed=True,
    ),
    Step(
        words="get deployments -l app=nginx",
        says="NAME READY UP-TO-DATE AVAILABLE AGE\nnginx-deployment 2/2 2 2 AGE",
    ),
    Step(
        words="get pods -l app=nginx,pod-template-hash -o name",
        says="pod/nginx-deployment-HASH-POD\npod/nginx-deployment-HASH-POD",
    ),
    Step(
        words="get nodes",
        says=_NODES.replace("<none> AGE", "<none> AGE rollbook-RELEASE"),
        kubernetes=_NODES,
        why="the version is that of Rollbook, whose kubelet runs there",
    ),
    Step(
        words="label deployment nginx-deployment tier=web",
        says="deployment.apps/nginx-deployment labeled",
    ),
    Step(
        words="""patch deployment nginx-deployment -p '{"spec":{"replicas":3}}'""",
        says="deployment.apps/nginx-deployment patched",
    ),
    Step(
        words="get deployment nginx-deployment "
        "-o 'jsonpath={.spec.replicas} {.status.readyReplicas}'",
        says="3 3",
    ),
    Step(
        words="drain hollow-0",
        says="node/hollow-0 cordoned\n"
        "evicting pod default/nginx-deployment-HASH-POD\n"
        "pod/nginx-deployment-HASH-POD evicted\nnode/hollow-0 drained",
    ),
    Step(
        words="get node hollow-0",
        says="NAME STATUS ROLES AGE VERSION\n"
        "hollow-0 Ready,SchedulingDisabled <none> AGE rollbook-RELEASE",
        kubernetes="NAME STATUS ROLES AGE VERSION\n"
        "hollow-0 Ready,SchedulingDisabled <none> AGE",
        why="the version is that of Rollbook, whose kubelet runs there",
    ),
    Step(
        words="get deployments",
        says="NAME READY UP-TO-DATE AVAILABLE AGE\nnginx-deployment 3/3 3 3 AGE",
    ),
    Step(words="uncordon hollow-0", says="node/hollow-0 uncordoned"),
    Step(
        words="delete deployment nginx-deployment",
        says='deployment.apps "nginx-deployment" deleted from default namespace',
        older=((33, " from default namespace", ""),),
    ),
    Step(
        words="get deployments",
        says="No resources found in default namespace.",
    ),
)
