"""Every other way to change things with kubectl, after the story of a Deployment.

Apply on either side, edits, patches, dry runs, plain objects, nodes and deletions; the
steps are as those of kubectl_story.py.
"""

from typing import Final

from tests.e2e.kubectl_story import DEPLOYMENT, Step

MANIFESTS: Final = {
    "generated.yaml": """\
apiVersion: v1
kind: ConfigMap
metadata: {generateName: generated-, labels: {app: pruned}}
""",
    "held.yaml": """\
apiVersion: v1
kind: ConfigMap
metadata: {name: held, finalizers: [example.com/hold]}
""",
    "foo.yaml": """\
apiVersion: example.com/v1
kind: Foo
metadata: {name: foo}
""",
}

AFTERWARDS: Final = (
    Step(
        words="apply -f nginx-deployment.yaml",
        says="deployment.apps/nginx-deployment created",
    ),
    Step(
        words="apply -f nginx-deployment.yaml",
        says="deployment.apps/nginx-deployment unchanged",
    ),
    Step(
        words=f"set image {DEPLOYMENT} nginx=nginx:1.8",
        says="deployment.apps/nginx-deployment image updated",
    ),
    Step(
        words="apply -f nginx-deployment.yaml",
        says="deployment.apps/nginx-deployment configured",
    ),
    Step(words="diff -f nginx-deployment.yaml", says=""),
    Step(
        words="apply --server-side -f nginx-deployment.yaml",
        says="deployment.apps/nginx-deployment serverside-applied",
    ),
    Step(
        words="patch deployment nginx-deployment --field-manager=other --type=json "
        """-p '[{"op":"replace","path":"/spec/replicas","value":5}]'""",
        says="deployment.apps/nginx-deployment patched",
    ),
    Step(
        words="apply --server-side -f nginx-deployment.yaml",
        says='error: Apply failed with 1 conflict: conflict with "other" using '
        "apps/v1: .spec.replicas",
        failed=True,
    ),
    Step(
        words="apply --server-side --force-conflicts -f nginx-deployment.yaml",
        says="deployment.apps/nginx-deployment serverside-applied",
    ),
    Step(
        words="""patch deployment nginx-deployment -p '{"spec":{"replicas":-3}}'""",
        says='The Deployment "nginx-deployment" is invalid: spec.replicas: Invalid '
        "value: -3: must be greater than or equal to 0",
        failed=True,
    ),
    Step(
        words="patch deployment nginx-deployment --type=merge "
        """-p '{"metadata":{"resourceVersion":"1"}}'""",
        says="Error from server (Conflict): Operation cannot be fulfilled on "
        'deployments.apps "nginx-deployment": the object has been modified; please '
        "apply your changes to the latest version and try again",
        failed=True,
    ),
    Step(
        words="replace -f nginx-deployment.yaml",
        says="deployment.apps/nginx-deployment replaced",
    ),
    Step(
        words="create deployment tmp --image=busybox:1 --dry-run=server -o name",
        says="deployment.apps/tmp",
    ),
    Step(
        words="get deployment tmp",
        says='Error from server (NotFound): deployments.apps "tmp" not found',
        failed=True,
    ),
    Step(
        words=f"edit {DEPLOYMENT}",
        editor="s/replicas: 3/replicas: 2/",
        says="deployment.apps/nginx-deployment edited",
    ),
    Step(
        words=f"edit {DEPLOYMENT}",
        editor="s/replicas: 7/replicas: 2/",
        says="Edit cancelled, no changes made.",
    ),
    Step(
        words=f"get {DEPLOYMENT} -o jsonpath={{.spec.replicas}}",
        says="2",
    ),
    Step(
        words="explain deployment.spec.replicas",
        says="GROUP: apps\nKIND: Deployment\nVERSION: v1\n\n"
        "FIELD: replicas <integer>\n\n\n"
        "DESCRIPTION:\n<empty>",
        older=((29, "\n\n\nDESCRIPTION", "\n\nDESCRIPTION"),),
        kubernetes="GROUP: apps\nKIND: Deployment\nVERSION: v1\n\n"
        "FIELD: replicas <integer>\n\n\nDESCRIPTION:\nwhat the field is for",
        why="fields are described by their types and rules; what they are for is told "
        "for whole kinds only",
    ),
    Step(
        words="explain deployment.spec.strategy --recursive",
        says="GROUP: apps\nKIND: Deployment\nVERSION: v1\n\n"
        "FIELD: strategy <DeploymentStrategy>\n\n\n"
        "DESCRIPTION:\n`RollingUpdate` or `Recreate`.\n\nFIELDS:\n"
        "rollingUpdate <RollingUpdateDeployment>\n"
        "maxSurge <IntOrString>\nmaxUnavailable <IntOrString>\ntype <string>",
        older=((29, "\n\n\nDESCRIPTION", "\n\nDESCRIPTION"),),
        kubernetes="GROUP: apps\nKIND: Deployment\nVERSION: v1\n\n"
        "FIELD: strategy <DeploymentStrategy>\n\n\n"
        "DESCRIPTION:\nwhat the field is for\n\nFIELDS:\n"
        "rollingUpdate <RollingUpdateDeployment>\n"
        "maxSurge <IntOrString>\nmaxUnavailable <IntOrString>\ntype <string>\n"
        "enum: Recreate, RollingUpdate",
        why="fields are described by their types and rules; what they are for is told "
        "for whole kinds only",
    ),
    Step(
        words="get deployment nginx-deployment --subresource=scale",
        says="NAME DESIRED AVAILABLE AGE\nnginx-deployment 2 2 AGE",
    ),
    Step(
        words="patch deployment nginx-deployment --type=json "
        """-p '[{"op":"test","path":"/spec/replicas","value":99}]'""",
        says='The Deployment "nginx-deployment" is invalid: /spec/replicas: Invalid '
        "value: operation 'test': it is not 99",
        failed=True,
        kubernetes="The request is invalid: the server rejected our request due to an "
        "error in our request",
        why="that is the message here too; its causes, which kubectl shows instead, "
        "say which operation it was",
    ),
    Step(
        words="patch deployment nginx-deployment --subresource=status --type=merge "
        """-p '{"status":{"replicas":9}}'""",
        says="Error from server (MethodNotAllowed): a status is what Rollbook has "
        "seen, and cannot be written",
        failed=True,
        kubernetes="deployment.apps/nginx-deployment patched",
        why="a status is counted from what runs, and nobody writes it",
    ),
    Step(
        words="get pods --as=bob",
        says='Error from server (Forbidden): users "bob" is forbidden: User "admin" '
        'cannot impersonate resource "users" in API group "" at the cluster scope',
        failed=True,
        kubernetes='Error from server (Forbidden): pods is forbidden: User "bob" '
        'cannot list resource "pods" in API group "" in the namespace "default"',
        why="every user has a login at the broker, and an administrator has none of "
        "theirs; Kubernetes says this to who may not impersonate",
    ),
    Step(
        words="port-forward deployment/nginx-deployment :80",
        says="error: error upgrading connection: ports of pods are not forwarded: a "
        "pod's address (kubectl get pods -o wide) can be reached from its node",
        failed=True,
        kubernetes="Forwarding from 127.0.0.1:PORT -> 80",
        why="nothing is tunnelled: pods have addresses on their node",
    ),
    Step(
        words="apply -f foo.yaml",
        says='error: resource mapping not found for name: "foo" namespace: "" from '
        '"foo.yaml": no matches for kind "Foo" in version "example.com/v1"\n'
        "ensure CRDs are installed first",
        failed=True,
    ),
    Step(words="get crd", says="No resources found"),
    Step(words="create configmap cm --from-literal=a=b", says="configmap/cm created"),
    Step(
        words="create configmap cm --from-literal=a=b",
        says='error: failed to create configmap: configmaps "cm" already exists',
        failed=True,
    ),
    Step(
        words="""patch configmap cm -p '{"data":{"c":"d"}}'""",
        says="configmap/cm patched",
    ),
    Step(words="get configmap cm -o jsonpath={.data}", says='{"a":"b","c":"d"}'),
    Step(words="create -f held.yaml", says="configmap/held created"),
    Step(
        words="delete configmap held --wait=false",
        says='configmap "held" deleted from default namespace',
        older=((33, " from default namespace", ""),),
    ),
    Step(
        words="get configmap held -o jsonpath={.metadata.finalizers}",
        says='["example.com/hold"]',
    ),
    Step(
        words="patch configmap held --type=merge "
        """-p '{"metadata":{"finalizers":null}}'""",
        says="configmap/held patched",
    ),
    Step(
        words="get configmap held",
        says='Error from server (NotFound): configmaps "held" not found',
        failed=True,
    ),
    Step(
        words="get services,jobs,ingresses",
        says="No resources found in default namespace.",
    ),
    Step(
        words="create service clusterip x --tcp=80:80",
        says="error: failed to create ClusterIP service: services are not kept here: "
        "none can be created or changed",
        failed=True,
        kubernetes="service/x created",
        why="there is no network to serve: kinds that tools look for are known, empty",
    ),
    Step(words="create namespace foo", says="namespace/foo created"),
    Step(words="create serviceaccount sa -n foo", says="serviceaccount/sa created"),
    Step(
        words="create deployment x --image=busybox:1 -n nothere",
        says='error: failed to create deployment: namespaces "nothere" not found',
        failed=True,
    ),
    Step(words="run one --image=busybox:1 --restart=Never", says="pod/one created"),
    Step(words="label pod one a=b", says="pod/one labeled"),
    Step(words="set image pod/one one=busybox:2", says="pod/one image updated"),
    Step(
        words="get pod one -o 'jsonpath={.spec.containers[0].image} "
        "{.status.containerStatuses[0].restartCount}'",
        says="busybox:2 1",
    ),
    Step(words="taint nodes hollow-0 k=v:NoSchedule", says="node/hollow-0 tainted"),
    Step(words="taint nodes hollow-0 k-", says="node/hollow-0 untainted"),
    Step(words="label nodes hollow-0 disk=ssd", says="node/hollow-0 labeled"),
    Step(words="cordon hollow-0", says="node/hollow-0 cordoned"),
    Step(words="uncordon hollow-0", says="node/hollow-0 uncordoned"),
    Step(
        words=f"wait --for=condition=available {DEPLOYMENT} --timeout=60s",
        says="deployment.apps/nginx-deployment condition met",
    ),
    Step(
        words=f"wait --for=jsonpath='{{.status.readyReplicas}}'=2 {DEPLOYMENT}",
        says="deployment.apps/nginx-deployment condition met",
    ),
    Step(
        words=f"wait --for=delete {DEPLOYMENT} --timeout=3s",
        says="error: timed out waiting for the condition on "
        "deployments/nginx-deployment",
        failed=True,
    ),
    Step(
        words=f"events --for {DEPLOYMENT} --types=Warning",
        says="No events found in default namespace.",
    ),
    Step(words="logs one", says=""),
    Step(
        words="logs one -c two",
        says="error: container two is not valid for pod one",
        failed=True,
    ),
    Step(
        words="auth whoami",
        says="ATTRIBUTE VALUE\nUsername admin\nGroups [system:authenticated]",
    ),
    Step(words="auth can-i create deployments", says="yes"),
    Step(
        words="create -f generated.yaml -o jsonpath={.metadata.generateName}",
        says="generated-",
    ),
    Step(
        words="delete pod one --grace-period=1",
        says='pod "one" deleted from default namespace',
        older=((33, " from default namespace", ""),),
    ),
    Step(
        words="delete deployment nginx-deployment --cascade=foreground",
        says='deployment.apps "nginx-deployment" deleted from default namespace',
        older=((33, " from default namespace", ""),),
    ),
    Step(words="delete namespace foo", says='namespace "foo" deleted'),
)
"""The other ways to change things, after the story."""
