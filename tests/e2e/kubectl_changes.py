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
        says="error: failed to create ClusterIP service: services are not kept here, "
        "and there is never one to change",
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
