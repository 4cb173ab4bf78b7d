"""Reading: objects and lists of now and of any position, in every form."""

import asyncio

import pytest

from domain.errors import Rejected
from gateway.kube import forms, objects
from gateway.kube.statuses import Failure
from tests.gateway.eventful import eventful
from tests.gateway.kube.watching import AUTHORITY, Api, Told, key, steps
from tests.gateway.support import Written, two_namespaces
from tests.support.cluster import SimCluster, manifest

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
OLD_TABLE = "application/json;as=Table;v=v1beta1;g=meta.k8s.io"


async def opened(sim: SimCluster) -> Api:
    """An api that has folded everything."""
    api = Api(Written(sim), sim.now)
    await api.fold()
    return api


@pytest.mark.asyncio
async def test_a_list_comes_in_order_and_carries_the_position_of_its_state() -> None:
    """In order of namespace and name; all namespaces, or one."""
    api = await opened(two_namespaces())
    listed = await api.list("deployments")
    assert listed["kind"] == "DeploymentList"
    assert listed["apiVersion"] == "apps/v1"
    assert listed["metadata"] == {"resourceVersion": str(api.reader.position)}
    names = [key(each) for each in listed["items"]]
    assert names == [("default", "a"), ("default", "b"), ("other", "a")]
    inside = await api.list("deployments", "other")
    assert [key(each) for each in inside["items"]] == [("other", "a")]
    one = await api.get("deployments", "other", "a")
    assert one == inside["items"][0]
    with pytest.raises(Rejected, match=r'deployments.apps "x" not found'):
        await api.get("deployments", "other", "x")
    api.close()


@pytest.mark.asyncio
async def test_the_pages_of_a_list_are_of_one_state_whatever_happens_meanwhile() -> (
    None
):
    """`continue` carries the position; what comes behind a page is counted."""
    sim = two_namespaces()
    written = Written(sim)
    api = Api(written, sim.now)
    await api.fold()
    whole = await api.list("pods")
    first = await api.list("pods", limit="2")
    assert first["metadata"]["remainingItemCount"] == len(whole["items"]) - 2
    found = first["items"]
    position = first["metadata"]["resourceVersion"]
    token = first["metadata"]["continue"]
    body = {"manifest": manifest("later", replicas=3)}
    sim.ask("deployment", "later", "create", body)
    sim.settle()
    written.append(sim)
    await api.reader.catch_up()
    while token:
        page = await api.list("pods", limit="2", **{"continue": token})
        assert page["metadata"]["resourceVersion"] == position
        found += page["items"]
        token = page["metadata"].get("continue", "")
    assert [key(each) for each in found] == [key(each) for each in whole["items"]]
    assert [each["spec"] for each in found] == [e["spec"] for e in whole["items"]]
    some = await api.list("pods", limit="1", labelSelector="app=a")
    assert "remainingItemCount" not in some["metadata"]
    api.close()


@pytest.mark.asyncio
async def test_every_state_of_the_past_can_be_listed() -> None:
    """`resourceVersionMatch=Exact` gives what a list gave then, versions apart."""
    sim = eventful(4)
    written = Written()
    api = Api(written, sim.now)
    await api.fold()
    then: dict[str, Told] = {}
    for rows in steps(sim.log):
        written.add(rows)
        await api.reader.catch_up()
        then[str(api.reader.position)] = await api.list("deployments")
    for position, was in [*then.items()][::9]:
        found = await api.list(
            "deployments", resourceVersion=position, resourceVersionMatch="Exact"
        )
        assert without_versions(found) == without_versions(was)
        for each in was["items"]:
            namespace, name = key(each)
            one = await api.get(
                "deployments",
                namespace,
                name,
                resourceVersion=position,
                resourceVersionMatch="Exact",
            )
            assert without_versions({"items": [one]})["items"] == [
                without_versions({"items": [each]})["items"][0]
            ]
    api.close()


def without_versions(listed: Told) -> Told:
    """The list without the versions of its objects: those of the past are told by what
    is left of it."""
    items = [
        {**each, "metadata": {**each["metadata"], "resourceVersion": ""}}
        for each in listed["items"]
    ]
    return {**listed, "items": items}


@pytest.mark.asyncio
async def test_a_request_without_a_version_sees_all_that_was_committed_before() -> None:
    """The store is asked, so a commit that nobody has announced is seen; and any number
    of requests at once ask it a few times only."""
    sim = two_namespaces()
    written = Written(sim)
    api = Api(written, sim.now)
    await api.fold()
    sim.ask("deployment", "a", "scale", {"replicas": 7})
    written.append(sim)
    stale = await api.list("deployments", resourceVersion="0")
    answers = await asyncio.gather(*(api.list("deployments") for _ in range(20)))
    assert stale["items"][0]["spec"]["replicas"] == 2
    assert {each["items"][0]["spec"]["replicas"] for each in answers} == {7}
    api.close()


@pytest.mark.asyncio
async def test_a_version_that_is_not_there_yet_is_waited_for_and_then_refused() -> None:
    """504 Timeout with the cause by which clients know it."""
    api = await opened(two_namespaces())
    current = api.reader.position
    with pytest.raises(Failure) as raised:
        await api.list("pods", resourceVersion=str(current + 1))
    assert raised.value.document() == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": (
            f"Timeout: Too large resource version: {current + 1}, current: {current}"
        ),
        "reason": "Timeout",
        "details": {
            "causes": [
                {
                    "reason": "ResourceVersionTooLarge",
                    "message": "Too large resource version",
                }
            ],
            "retryAfterSeconds": 1,
        },
        "code": 504,
    }
    api.close()


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (
            {"resourceVersionMatch": "Exact"},
            "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless "
            "resourceVersion is provided",
        ),
        (
            {"resourceVersionMatch": "Exact", "resourceVersion": "0"},
            'resourceVersionMatch: Forbidden: resourceVersionMatch "exact" is '
            'forbidden for resourceVersion "0"',
        ),
        (
            {"resourceVersionMatch": "x", "resourceVersion": "1"},
            'resourceVersionMatch: Unsupported value: "x": supported values: "", '
            '"Exact", "NotOlderThan"',
        ),
        (
            {
                "resourceVersionMatch": "Exact",
                "resourceVersion": "1",
                "continue": "x",
            },
            "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden when "
            "continue is provided",
        ),
    ],
)
def test_parameters_that_do_not_go_together_are_422(
    params: dict[str, str], message: str
) -> None:
    """The API server's own rules and texts for the parameters of a list."""
    with pytest.raises(Failure) as raised:
        objects.asked_state(params, listing=True)
    assert raised.value.code == 422
    assert raised.value.details is not None
    assert raised.value.details["kind"] == "ListOptions"
    whole = f'ListOptions.meta.k8s.io "" is invalid: {message}'
    assert raised.value.message == whole


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("plural", "field", "message"),
    [
        ("pods", "spec.x", "field label not supported: spec.x"),
        ("nodes", "spec.x", "field label not supported: spec.x"),
        (
            "deployments",
            "spec.x",
            '"spec.x" is not a known field selector: only "metadata.name", '
            '"metadata.namespace"',
        ),
    ],
)
async def test_a_field_that_cannot_be_selected_by_is_400(
    plural: str, field: str, message: str
) -> None:
    """With the API server's text, which differs between the groups."""
    api = await opened(two_namespaces())
    with pytest.raises(Failure) as raised:
        await api.list(plural, fieldSelector=f"{field}=1")
    assert (raised.value.code, raised.value.message) == (400, message)
    api.close()


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("plural", "params", "count"),
    [
        ("pods", {"fieldSelector": "metadata.namespace=other"}, 1),
        ("pods", {"fieldSelector": "metadata.namespace!=other"}, 5),
        ("pods", {"fieldSelector": "status.phase=Running"}, 6),
        ("pods", {"fieldSelector": "status.phase!=Running,spec.nodeName!="}, 0),
        ("pods", {"labelSelector": "app in (a)"}, 3),
        ("deployments", {"fieldSelector": "metadata.name=a"}, 2),
        ("nodes", {"fieldSelector": "spec.unschedulable=true"}, 0),
        ("namespaces", {"fieldSelector": "metadata.name=default"}, 1),
        ("events", {"fieldSelector": "involvedObject.kind=Node"}, 4),
    ],
)
async def test_selectors_pick_by_labels_and_by_the_fields_of_each_kind(
    plural: str, params: dict[str, str], count: int
) -> None:
    """spec 6: the fields that kubectl selects by."""
    api = await opened(two_namespaces())
    assert len((await api.list(plural, **params))["items"]) == count
    api.close()


@pytest.mark.asyncio
async def test_a_table_has_kubernetes_columns_and_typed_cells() -> None:
    """spec 6.2; its rows carry metadata, whole objects or nothing."""
    api = await opened(two_namespaces())
    listed = await api.list("deployments", "other", TABLE)
    assert listed["kind"] == "Table"
    assert listed["apiVersion"] == "meta.k8s.io/v1"
    named = [(each["name"], each["priority"]) for each in listed["columnDefinitions"]]
    assert named == [
        ("Name", 0),
        ("Ready", 0),
        ("Up-to-date", 0),
        ("Available", 0),
        ("Age", 0),
        ("Containers", 1),
        ("Images", 1),
        ("Selector", 1),
    ]
    (row,) = listed["rows"]
    assert row["cells"][:4] == ["a", "1/1", 1, 1]
    assert row["object"]["kind"] == "PartialObjectMetadata"
    assert row["object"]["metadata"]["name"] == "a"
    whole = await api.list("deployments", "other", TABLE, includeObject="Object")
    assert whole["rows"][0]["object"]["spec"]["replicas"] == 1
    bare = await api.list("deployments", "other", OLD_TABLE, includeObject="None")
    assert bare["apiVersion"] == "meta.k8s.io/v1beta1"
    assert "object" not in bare["rows"][0]
    api.close()


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("", forms.WHOLE),
        ("*/*", forms.WHOLE),
        ("application/json", forms.WHOLE),
        ("application/vnd.kubernetes.protobuf,application/json", forms.WHOLE),
        (f"{TABLE},{OLD_TABLE},application/json", forms.Form("table")),
        (f"application/yaml, {OLD_TABLE}", forms.Form("table", "v1beta1")),
        (
            "application/json;as=Table;v=v9;g=meta.k8s.io,application/json",
            forms.WHOLE,
        ),
        (
            "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1",
            forms.Form("metadata"),
        ),
    ],
)
def test_the_first_form_that_is_served_is_taken(accept: str, form: forms.Form) -> None:
    """Accept names forms in the order of preference."""
    assert forms.wanted(accept, {}) == form


@pytest.mark.parametrize(
    "accept", ["text/html", "application/vnd.kubernetes.protobuf", "image/*"]
)
def test_a_form_that_is_not_served_is_406(accept: str) -> None:
    """And the answer says what is."""
    with pytest.raises(Failure) as raised:
        forms.wanted(accept, {})
    assert raised.value.code == 406
    assert "application/json" in raised.value.message


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("plural", "name", "content"),
    [
        ("serviceaccounts", "default", {}),
        ("configmaps", "kube-root-ca.crt", {"data": {"ca.crt": AUTHORITY}}),
    ],
)
async def test_every_namespace_has_an_account_and_the_certificate_of_the_authority(
    plural: str, name: str, content: Told
) -> None:
    """Nothing was recorded of them: version and time are their namespace's, uids are
    their own and stay; they are selected and paged as all others are."""
    api = await opened(two_namespaces())
    spaces = {e["metadata"]["name"]: e for e in (await api.list("namespaces"))["items"]}
    listed = (await api.list(plural))["items"]
    assert [key(each) for each in listed] == [(space, name) for space in spaces]
    for each in listed:
        about, beside = each["metadata"], spaces[each["metadata"]["namespace"]]
        for field in ("resourceVersion", "creationTimestamp"):
            assert about[field] == beside["metadata"][field]
        assert {k: each[k] for k in each if k == "data"} == content
        assert each == await api.get(plural, about["namespace"], name)
    uids = {each["metadata"]["uid"] for each in listed}
    assert len(uids | {e["metadata"]["uid"] for e in spaces.values()}) == 2 * len(uids)
    again = await opened(two_namespaces())
    assert (await again.list(plural))["items"] == listed
    again.close()

    assert await names_of(api, plural, fieldSelector="metadata.namespace=other") == [
        ("other", name)
    ]
    assert await names_of(api, plural, labelSelector="app") == []
    page = await api.list(plural, limit="2")
    rest = await api.list(plural, **{"continue": page["metadata"]["continue"]})
    assert page["items"] + rest["items"] == listed
    row = (await api.list(plural, "other", TABLE))["rows"][0]
    assert row["cells"][:2] == [name, str(len(content))]
    with pytest.raises(Rejected, match="not found"):
        await api.get(plural, "nowhere", name)
    api.close()


@pytest.mark.asyncio
async def test_a_real_object_takes_the_place_of_the_one_that_every_namespace_has() -> (
    None
):
    """There is one of the name at any time; the past keeps what was there then."""
    sim = two_namespaces()
    before = sim.log[-1].position
    wanted = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "default", "labels": {"a": "b"}},
    }
    body = {"manifest": wanted}
    sim.ask("serviceaccount", "default", "create", body, namespace="other")
    api = await opened(sim)
    assert await names_of(api, "serviceaccounts", "other") == [("other", "default")]
    real = await api.get("serviceaccounts", "other", "default")
    assert real["metadata"]["labels"] == {"a": "b"}
    exact = {"resourceVersion": str(before), "resourceVersionMatch": "Exact"}
    (then,) = (await api.list("serviceaccounts", "other", **exact))["items"]
    assert then["metadata"]["uid"] != real["metadata"]["uid"]
    api.close()


async def names_of(
    api: Api, plural: str, namespace: str = "", **params: str
) -> list[tuple[str, str]]:
    """Namespace and name of each object that a list gives."""
    return [key(e) for e in (await api.list(plural, namespace, **params))["items"]]
