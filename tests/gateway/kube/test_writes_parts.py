"""Parts, deletions and the other kinds, written over the Kubernetes API."""

import pytest

from gateway.kube.request import JSON
from tests.gateway.kube.simulated import (
    APPLY,
    DEPLOYMENTS,
    JSON_TYPE,
    MERGE,
    STRATEGIC,
    WEB,
    Api,
    web,
)

CORE = "/api/v1/namespaces/default"


# --- scale and eviction -----------------------------------------------------------


@pytest.mark.asyncio
async def test_the_scale_is_read_and_written(running: Api) -> None:
    """autoscaling/v1, by patch and by update; whoever scales owns the number."""
    done = await running.ask(
        "PATCH", f"{WEB}/scale?fieldManager=me", {"spec": {"replicas": 4}}, type_=MERGE
    )
    assert (done["kind"], done["spec.replicas"]) == ("Scale", 4)
    assert done["status.selector"] == "app=web"
    owners = {
        (each["manager"], each.get("subresource", ""))
        for each in (await running.get(WEB)).document["metadata"]["managedFields"]  # type: ignore[index]  # a document is JSON
    }
    assert ("me", "scale") in owners
    read = (await running.ask("GET", f"{WEB}/scale")).document
    put = await running.ask("PUT", f"{WEB}/scale", {**read, "spec": {}})
    assert (put.code, (await running.get(WEB))["spec.replicas"]) == (200, 0)
    stale = await running.ask("PUT", f"{WEB}/scale", read)
    assert (stale.code, stale["reason"]) == (409, "Conflict")


@pytest.mark.asyncio
async def test_an_eviction_ends_a_pod(running: Api) -> None:
    """201 Success, and the pod is on its way out; a binding is refused."""
    key = next(iter(running.reader.cluster.actual.pods))
    name = key.rpartition("/")[2]
    body = {"kind": "Eviction", "apiVersion": "policy/v1", "metadata": {"name": name}}
    done = await running.ask("POST", f"{CORE}/pods/{name}/eviction", body)
    assert (done.code, done["status"]) == (201, "Success")
    shown = await running.get(f"{CORE}/pods/{name}")
    assert shown["metadata.deletionTimestamp"]
    refused = await running.ask("POST", f"{CORE}/pods/{name}/binding", {})
    assert refused.code == 405


@pytest.mark.asyncio
async def test_the_image_of_a_replicaset_is_set(running: Api) -> None:
    """`kubectl set image rs/x` is the command of that name, and its Deployment rolls
    out its own template anew, with whoever did that as the reason."""
    rs = next(iter(running.reader.cluster.desired.replicasets)).rpartition("/")[2]
    path = f"/apis/apps/v1/namespaces/default/replicasets/{rs}"
    image = {"containers": [{"name": "c", "image": "nginx:7"}]}
    patch = {"spec": {"template": {"spec": image}}}
    done = await running.ask("PATCH", path, patch, type_=STRATEGIC)
    assert (done.code, running.sent[-1][0]) == (200, "set-image"), done.document
    shown = done["spec"]["template"]["spec"]["containers"][0]
    assert shown["image"] == "nginx:7"


@pytest.mark.asyncio
async def test_the_image_of_a_pod_is_set_and_little_else_of_it(running: Api) -> None:
    """`kubectl set image pod/x` is the command of that name; what a pod may not change
    is 422 in Kubernetes' words, and nothing of the patch happens (spec 1.7)."""
    pod = next(iter(running.reader.cluster.actual.pods)).rpartition("/")[2]
    path = f"{CORE}/pods/{pod}"
    image = {"spec": {"containers": [{"name": "c", "image": "nginx:7"}]}}
    done = await running.ask("PATCH", path, image, type_=STRATEGIC)
    assert (done.code, running.sent[-1][0]) == (200, "set-image"), done.document
    assert done["spec"]["containers"][0]["image"] == "nginx:7"
    other = {"spec": {"containers": [{"name": "c", "command": ["sleep"]}]}}
    refused = await running.ask("PATCH", path, other, type_=STRATEGIC)
    assert (refused.code, refused["reason"]) == (422, "Invalid")
    assert "pod updates may not change fields other than" in refused["message"]
    deadline = {"spec": {"activeDeadlineSeconds": 60}}
    done = await running.ask("PATCH", path, deadline, type_=MERGE)
    assert (done.code, running.sent[-1][0]) == (200, "replace"), done.document


# --- delete -----------------------------------------------------------------------


@pytest.mark.asyncio
async def test_a_deletion_answers_what_kubernetes_answers(running: Api) -> None:
    """A Status for what is gone, the object for what is on its way; 404 afterwards."""
    uid = (await running.get(WEB))["metadata.uid"]
    slow = await running.ask("DELETE", f"{WEB}?propagationPolicy=Foreground")
    assert (slow.code, slow["metadata.finalizers"]) == (200, ["foregroundDeletion"])
    gone = await running.ask("DELETE", WEB, {"propagationPolicy": "Background"})
    details = {"name": "web", "group": "apps", "kind": "deployments", "uid": uid}
    assert (gone.code, gone["status"], gone["details"]) == (200, "Success", details)
    assert (await running.ask("DELETE", WEB)).code == 404


HELD = {"name": "held", "finalizers": ["example.com/a"]}
CONFIGMAPS = f"{CORE}/configmaps"


@pytest.mark.asyncio
async def test_a_deletion_waits_for_the_finalizers(running: Api) -> None:
    """Spec 1.2: the object comes back on its way out, again and again; who takes the
    last finalizer away gets it once more, and then it is gone."""
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": HELD}
    made = await running.ask("POST", CONFIGMAPS, body)
    assert made["metadata.finalizers"] == ["example.com/a"]
    for _ in range(2):
        slow = await running.ask("DELETE", f"{CONFIGMAPS}/held")
        assert (slow.code, slow["metadata.deletionGracePeriodSeconds"]) == (200, 0)
        assert slow["metadata.deletionTimestamp"]
    taken = await running.ask("POST", CONFIGMAPS, body)
    assert (taken.code, taken["reason"]) == (409, "AlreadyExists")
    more = {"metadata": {"finalizers": ["example.com/a", "example.com/b"]}}
    refused = await running.ask("PATCH", f"{CONFIGMAPS}/held", more, type_=MERGE)
    assert (refused.code, refused["reason"]) == (422, "Invalid")
    none = {"metadata": {"finalizers": None}}
    last = await running.ask("PATCH", f"{CONFIGMAPS}/held", none, type_=MERGE)
    assert (last.code, last["metadata.uid"]) == (200, made["metadata.uid"])
    assert last["metadata.deletionTimestamp"] == slow["metadata.deletionTimestamp"]
    assert (await running.get(f"{CONFIGMAPS}/held")).code == 404


@pytest.mark.asyncio
async def test_only_plain_objects_have_finalizers(running: Api) -> None:
    """Nothing would wait for those of a workload: they are refused, by their field.
    What a foreground deletion shows may be sent back."""
    more = {"metadata": {"finalizers": ["example.com/a"]}}
    refused = await running.ask("PATCH", WEB, more, type_=MERGE)
    assert (refused.code, refused["details.causes"][0]["field"]) == (
        422,
        "metadata.finalizers",
    )
    slow = await running.ask("DELETE", f"{WEB}?propagationPolicy=Foreground")
    assert slow["metadata.finalizers"] == ["foregroundDeletion"]
    slow.document["metadata"]["labels"]["a"] = "b"  # type: ignore[index]  # a document is JSON
    assert (await running.ask("PUT", WEB, slow.document)).code == 200


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        (CONFIGMAPS, "ConfigMap"),
        (DEPLOYMENTS, "Deployment"),
        (DEPLOYMENTS.replace("deployments", "replicasets"), "ReplicaSet"),
        (f"{CORE}/pods", "Pod"),
    ],
)
@pytest.mark.asyncio
async def test_what_a_name_was_made_of_is_kept(
    running: Api, path: str, kind: str
) -> None:
    """Spec 1.5: generateName stays with the object, also after it has changed."""
    body: JSON = {**web(), "kind": kind, "metadata": {"generateName": "gen-"}}
    if kind == "ConfigMap":
        body = {"metadata": body["metadata"]}
    elif kind == "ReplicaSet":
        spec = web()["spec"]
        body["spec"] = {key: spec[key] for key in ("selector", "template")}  # type: ignore[index]  # a document is JSON
    elif kind == "Pod":
        body |= {"apiVersion": "v1", "spec": web()["spec"]["template"]["spec"]}  # type: ignore[index]  # a document is JSON
    made = await running.ask("POST", path, body)
    assert (made.code, made["metadata.generateName"]) == (201, "gen-"), made.document
    name = str(made["metadata.name"])
    assert name.startswith("gen-")
    label = {"metadata": {"labels": {"a": "b"}}}
    await running.ask("PATCH", f"{path}/{name}", label, type_=MERGE)
    again = await running.get(f"{path}/{name}")
    assert (again["metadata.generateName"], again["metadata.labels.a"]) == ("gen-", "b")


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"preconditions": {"uid": "other"}}, 409),
        ({"preconditions": {"resourceVersion": "1"}}, 409),
        ({"propagationPolicy": "Sometimes"}, 422),
        ({"propagationPolicy": "Orphan", "orphanDependents": True}, 422),
        ({"dryRun": ["All", "Some"]}, 422),
        ({"gracePeriodSeconds": "x"}, 400),
        ({"dryRun": ["All"]}, 200),
    ],
)
@pytest.mark.asyncio
async def test_what_does_not_hold_deletes_nothing(
    running: Api, options: JSON, code: int
) -> None:
    """Preconditions, options that are none, and a dry run leave the object there."""
    answered = await running.ask("DELETE", WEB, options)
    assert answered.code == code, answered.document
    assert (await running.get(WEB)).code == 200


@pytest.mark.asyncio
async def test_a_collection_is_deleted_by_its_selector(running: Api) -> None:
    """What is selected goes, the rest stays."""
    other = {**web(), "metadata": {"name": "other", "labels": {"app": "other"}}}
    await running.ask("POST", DEPLOYMENTS, other)
    done = await running.ask("DELETE", f"{DEPLOYMENTS}?labelSelector=app%3Dweb")
    items = done["items"]
    assert (done["kind"], len(items)) == ("DeploymentList", 1)
    assert (await running.get(WEB)).code == 404
    assert (await running.get(f"{DEPLOYMENTS}/other")).code == 200


@pytest.mark.asyncio
async def test_the_owners_end_with_their_object(running: Api) -> None:
    """An object of the same name begins with its own managers."""
    await running.ask("DELETE", WEB)
    made = await running.ask("POST", f"{DEPLOYMENTS}?fieldManager=second", web())
    managers = [each["manager"] for each in made["metadata.managedFields"]]
    assert managers == ["second"]


# --- other kinds ------------------------------------------------------------------


@pytest.mark.asyncio
async def test_plain_objects_are_written_as_any_other(api: Api) -> None:
    """Create, patch, replace and delete of a ConfigMap, and 404 for a namespace that
    is not there."""
    path = f"{CORE}/configmaps"
    body = {"metadata": {"name": "cm"}, "data": {"a": "b"}}
    assert (await api.ask("POST", path, body)).code == 201
    done = await api.ask("PATCH", f"{path}/cm", {"data": {"c": "d"}}, type_=MERGE)
    assert done["data"] == {"a": "b", "c": "d"}
    put = await api.ask("PUT", f"{path}/cm", {**body, "data": {"x": "y"}})
    assert put["data"] == {"x": "y"}
    assert (await api.ask("DELETE", f"{path}/cm")).code == 200
    refused = await api.ask("POST", "/api/v1/namespaces/nothere/configmaps", body)
    assert (refused.code, refused["message"]) == (
        404,
        'namespaces "nothere" not found',
    )


@pytest.mark.asyncio
async def test_a_lease_is_won_by_its_version(api: Api) -> None:
    """An update without one is refused, one of an old one is a conflict, and one of
    nothing creates the lease."""
    path = "/apis/coordination.k8s.io/v1/namespaces/default/leases/l"
    body: JSON = {"metadata": {"name": "l"}, "spec": {"holderIdentity": "a"}}
    made = await api.ask("PUT", path, body)
    assert made.code == 201, made.document
    refused = await api.ask("PUT", path, body)
    assert refused.code == 422
    won = await api.ask("PUT", path, {**made.document, "spec": {"holderIdentity": "b"}})
    assert (won.code, won["spec.holderIdentity"]) == (200, "b")
    lost = await api.ask(
        "PUT", path, {**made.document, "spec": {"holderIdentity": "c"}}
    )
    assert lost.code == 409


@pytest.mark.asyncio
async def test_an_autoscaler_of_version_1_is_kept_as_version_2(api: Api) -> None:
    """Its CPU percentage is a metric there, and comes back as it was."""
    base = "/apis/autoscaling/{}/namespaces/default/horizontalpodautoscalers"
    body = {
        "metadata": {"name": "h"},
        "spec": {
            "scaleTargetRef": {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "name": "w",
            },
            "maxReplicas": 3,
            "targetCPUUtilizationPercentage": 70,
        },
    }
    made = await api.ask("POST", base.format("v1"), body)
    assert made.code == 201, made.document
    newer = await api.get(base.format("v2") + "/h")
    (metric,) = newer["spec.metrics"]
    assert metric["resource"]["target"]["averageUtilization"] == 70
    patched = await api.ask(
        "PATCH", base.format("v1") + "/h", {"spec": {"maxReplicas": 5}}, type_=MERGE
    )
    assert patched["spec.targetCPUUtilizationPercentage"] == 70
    assert patched["spec.maxReplicas"] == 5


@pytest.mark.asyncio
async def test_a_node_is_cordoned_by_a_patch(api: Api) -> None:
    """As kubectl does it; and back again."""
    path = "/api/v1/nodes/worker-1"
    for wanted, verb in ((True, "cordon"), (None, "uncordon")):
        patch = {"spec": {"unschedulable": wanted}}
        done = await api.ask("PATCH", path, patch, type_=STRATEGIC)
        assert done.code == 200, done.document
        assert api.sent[-1][0] == verb
        assert done["spec.unschedulable"] is wanted


@pytest.mark.asyncio
async def test_what_every_namespace_has_is_there_for_a_create_and_a_delete(
    running: Api,
) -> None:
    """A create is 409, dry or not; a delete 403, and a collection leaves it out."""
    account = "/api/v1/namespaces/default/serviceaccounts"
    for query in ("", "?dryRun=All"):
        body = {"metadata": {"name": "default"}}
        refused = await running.ask("POST", account + query, body)
        assert (refused.code, refused["reason"]) == (409, "AlreadyExists")
        assert refused["message"] == 'serviceaccounts "default" already exists'
    refused = await running.ask("DELETE", f"{account}/default")
    assert (refused.code, refused["reason"]) == (403, "Forbidden")
    assert "goes with its namespace" in refused["message"]
    assert (await running.ask("DELETE", account))["items"] == []
    assert [verb for verb, _ in running.sent] == ["create"], "the Deployment's"


@pytest.mark.asyncio
@pytest.mark.parametrize("type_", [MERGE, STRATEGIC, APPLY, ""])
async def test_a_change_of_what_every_namespace_has_creates_it(
    running: Api, type_: str
) -> None:
    """It is real then, keeps what was said, and can be changed and deleted like any
    other; behind it the one that every namespace has is there again."""
    path = "/api/v1/namespaces/default/serviceaccounts/default"
    was = await running.get(path)
    body: JSON = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "default"},
        "imagePullSecrets": [{"name": "registry"}],
    }
    method, sent_as = ("PATCH", type_) if type_ else ("PUT", JSON_TYPE)
    query = "?fieldManager=t"
    dry = await running.ask(method, f"{path}{query}&dryRun=All", body, type_=sent_as)
    assert dry.code == 200, dry.document
    assert (await running.get(path)).document == was.document
    done = await running.ask(method, path + query, body, type_=sent_as)
    assert done.code == 200, done.document
    assert done["imagePullSecrets"] == [{"name": "registry"}]
    assert done["metadata.uid"] != was["metadata.uid"]
    labels = {"metadata": {"labels": {"a": "b"}}}
    more = await running.ask("PATCH", path, labels, type_=MERGE)
    assert more["metadata.uid"] == done["metadata.uid"]
    assert (await running.ask("DELETE", path)).code == 200
    assert (await running.get(path))["metadata.uid"] == was["metadata.uid"]


@pytest.mark.asyncio
async def test_two_who_change_what_every_namespace_has_both_count(running: Api) -> None:
    """Who comes second is worked out anew, as with any object; one who has named the
    version that it has read is told of the conflict."""
    path = "/api/v1/namespaces/default/configmaps/kube-root-ca.crt"

    def meanwhile() -> None:
        wanted = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "kube-root-ca.crt"},
            "data": {"first": "1"},
        }
        answer = running.sim.ask(
            "configmap", "kube-root-ca.crt", "create", {"manifest": wanted}
        )
        assert answer.result == "accepted", answer

    running.between.append(meanwhile)
    done = await running.ask("PATCH", path, {"data": {"second": "2"}}, type_=MERGE)
    assert (done.code, done["data"]) == (200, {"first": "1", "second": "2"})
    assert (await running.ask("DELETE", path)).code == 200
    was = await running.get(path)
    running.between.append(meanwhile)
    lost = await running.ask("PUT", path, {**was.document, "data": {"third": "3"}})
    assert (lost.code, lost["reason"]) == (409, "Conflict")
    assert (await running.get(path))["data"] == {"first": "1"}
