"""Creating, changing and deleting over the Kubernetes API: what is answered, which
command it becomes, and what the history says of it."""

import pytest

from gateway.kube.request import JSON
from tests.gateway.kube.simulated import (
    APPLY,
    DEPLOYMENTS,
    JSON_PATCH,
    MERGE,
    STRATEGIC,
    WEB,
    Api,
    web,
)

CAUSE = "kubernetes.io/change-cause"
POINTER = "/metadata/annotations"
CORE = "/api/v1/namespaces/default"


def image(text: str) -> JSON:
    """The strategic merge patch of `kubectl set image`."""
    containers = [{"name": "c", "image": text}]
    return {"spec": {"template": {"spec": {"containers": containers}}}}


# --- create -----------------------------------------------------------------------


@pytest.mark.asyncio
async def test_a_create_gives_back_the_object_as_it_is(api: Api) -> None:
    """201, defaults and status included, and the manager owns what it made."""
    made = await api.ask("POST", f"{DEPLOYMENTS}?fieldManager=maker", web())
    assert made.code == 201
    assert made["spec.progressDeadlineSeconds"] == 600
    assert made["status.replicas"] == 3
    (entry,) = made["metadata.managedFields"]
    assert (entry["manager"], entry["operation"]) == ("maker", "Update")
    assert entry["fieldsV1"]["f:spec"]["f:replicas"] == {}
    seen = await api.get(WEB)
    assert seen["metadata.uid"] == made["metadata.uid"]


@pytest.mark.asyncio
async def test_a_generated_name_is_made_by_the_gateway(api: Api) -> None:
    """Five characters of Kubernetes' alphabet behind it, others each time."""
    names = []
    for _ in range(2):
        body = web()
        body["metadata"] = {"generateName": "web-", "labels": {"app": "web"}}
        names.append((await api.ask("POST", DEPLOYMENTS, body))["metadata.name"])
    assert all(name.startswith("web-") and len(name) == 9 for name in names)
    assert names[0] != names[1]


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        (
            {"metadata": {"name": "web", "namespace": "other"}},
            400,
            "the namespace of the provided object does not match the namespace sent "
            "on the request",
        ),
        (
            {"metadata": {"name": "web", "resourceVersion": "7"}},
            400,
            "resourceVersion should not be set on objects to be created",
        ),
        (
            {"metadata": {}},
            422,
            'Deployment.apps "" is invalid: metadata.name: Required value: name or '
            "generateName is required",
        ),
        (
            {"kind": "Pod"},
            400,
            'Pod in version "v1" cannot be handled as a Deployment: the path is that '
            "of a Deployment",
        ),
        (
            {"apiVersion": "v1"},
            400,
            "the API version in the data (v1) does not match the expected API version "
            "(apps/v1)",
        ),
    ],
)
@pytest.mark.asyncio
async def test_a_body_must_fit_its_path(
    api: Api, change: JSON, code: int, message: str
) -> None:
    """Another namespace, kind or version, or no name, is refused in Kubernetes' words,
    before any command is sent."""
    refused = await api.ask("POST", DEPLOYMENTS, {**web(), **change})
    assert (refused.code, refused["message"]) == (code, message)
    assert api.sent == []


@pytest.mark.asyncio
async def test_strict_validation_names_every_field(api: Api) -> None:
    """Unknown and repeated fields are 400 together; Warn warns, Ignore is silent."""
    body = (
        b'{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"x"},'
        b'"spec":{"replicaz":1,"replicas":1,"replicas":2}}'
    )
    refused = await api.ask("POST", f"{DEPLOYMENTS}?fieldValidation=Strict", body)
    assert refused.code == 400
    assert refused["message"] == (
        'Deployment in version "v1" cannot be handled as a Deployment: strict decoding '
        'error: unknown field "spec.replicaz", duplicate field "spec.replicas"'
    )
    found = {**web(), "spek": 1}
    warned = await api.ask("POST", DEPLOYMENTS, found)
    assert (warned.code, warned.warnings) == (201, ('unknown field "spek"',))
    quiet = await api.ask("PUT", f"{WEB}?fieldValidation=Ignore", {**web(), "spek": 1})
    assert (quiet.code, quiet.warnings) == (200, ())


@pytest.mark.asyncio
async def test_what_control_refuses_comes_back_as_a_status(running: Api) -> None:
    """A name that is taken is 409, with the name and the resource in the details."""
    refused = await running.ask("POST", DEPLOYMENTS, web())
    assert refused.code == 409
    assert refused["details"] == {
        "name": "web",
        "group": "apps",
        "kind": "deployments",
    }


# --- which command a change is ----------------------------------------------------


@pytest.mark.parametrize(
    ("patch", "verb"),
    [
        ({"spec": {"replicas": 5}}, "scale"),
        ({"spec": {"paused": True}}, "pause"),
        (image("nginx:1.9.1"), "set-image"),
        ({"metadata": {"labels": {"x": "y"}}}, "label"),
        ({"metadata": {"annotations": {"x": "y"}}}, "annotate"),
        ({"spec": {"minReadySeconds": 3}}, "replace"),
        ({"spec": {"replicas": 5, "minReadySeconds": 3}}, "replace"),
        ({"metadata": {"annotations": {CAUSE: "a"}}, **image("b:1")}, "replace"),
        ({}, "replace"),
    ],
)
@pytest.mark.asyncio
async def test_a_change_is_sent_as_the_command_that_it_is(
    running: Api, patch: JSON, verb: str
) -> None:
    """A change that has a verb of its own goes as that; and it is carried out."""
    done = await running.ask("PATCH", WEB, patch, type_=STRATEGIC)
    assert done.code == 200, done.document
    assert running.sent[-1][0] == verb
    spec = patch.get("spec", {})
    assert isinstance(spec, dict)
    for key in spec.keys() & {"replicas", "paused", "minReadySeconds"}:
        assert done[f"spec.{key}"] == spec[key]


@pytest.mark.asyncio
async def test_a_write_that_changes_nothing_changes_no_version(running: Api) -> None:
    """The object comes back as it is (spec 1.2)."""
    before = await running.get(WEB)
    done = await running.ask("PATCH", WEB, {"spec": {"replicas": 3}}, type_=MERGE)
    assert done.document == before.document


# --- the change cause -------------------------------------------------------------


@pytest.mark.asyncio
async def test_every_revision_has_the_cause_of_its_own_change(running: Api) -> None:
    """What was written by that change, else what was changed; never what was left from
    another one, not by a rollback either (spec 2.5)."""
    recorded = f"kubectl set image {WEB} --record=true"
    written = {"metadata": {"annotations": {CAUSE: recorded}}, **image("c:2")}
    await running.ask("PATCH", WEB, written, type_=STRATEGIC)
    await running.ask("PATCH", WEB, image("c:3"), type_=STRATEGIC)
    before = await running.get(WEB)
    replicasets = "/apis/apps/v1/namespaces/default/replicasets"
    template = {**before["spec.template"]}
    template["spec"] = {**template["spec"]}
    template["spec"]["containers"] = [
        {**template["spec"]["containers"][0], "image": "nginx:1.7.9"}
    ]
    undo = [
        {"op": "replace", "path": "/spec/template", "value": template},
        {"op": "replace", "path": POINTER, "value": {CAUSE: "created with image"}},
    ]
    done = await running.ask("PATCH", WEB, undo, type_=JSON_PATCH)
    assert done.code == 200, done.document
    assert running.sent[-1][0] == "undo"
    assert await running.history() == {
        1: "created with image c=nginx:1.7.9",
        2: recorded,
        3: "image c=c:2 → c:3",
        4: "rolled back to revision 1",
    }
    name = running.reader.cluster.rollouts.by_key["deployment/default/web"]
    shown = await running.get(f"{replicasets}/{name.revisions[1].replicaset}")
    assert shown["metadata.annotations"][CAUSE] == recorded


@pytest.mark.asyncio
async def test_the_source_is_the_command_line(running: Api) -> None:
    """What kubectl has recorded, else what it says of itself, else the program."""
    written = {"metadata": {"annotations": {CAUSE: "kubectl x --record"}}}
    await running.ask("PATCH", WEB, {**written, **image("b:1")}, type_=STRATEGIC)
    await running.ask(
        "PATCH", WEB, image("b:2"), type_=STRATEGIC, command_line="kubectl set image"
    )
    await running.ask("PATCH", WEB, image("b:3"), type_=STRATEGIC, agent="me/1 (x)")
    sources = [each.source for each in running.accepted()[1:]]
    assert sources == ["kubectl x --record", "kubectl set image", "me/1"]


# --- concurrency ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "type_"),
    [
        ({"metadata": {"resourceVersion": "1"}}, MERGE),
        (
            [{"op": "replace", "path": "/metadata/resourceVersion", "value": "1"}],
            JSON_PATCH,
        ),
    ],
)
@pytest.mark.asyncio
async def test_a_stale_version_is_a_conflict(
    running: Api, body: object, type_: str
) -> None:
    """409 in Kubernetes' words, and nothing is sent (spec 1.2)."""
    sent = len(running.sent)
    refused = await running.ask("PATCH", WEB, body, type_=type_)
    assert refused.code == 409
    assert refused["message"] == (
        'Operation cannot be fulfilled on deployments.apps "web": the object has been '
        "modified; please apply your changes to the latest version and try again"
    )
    assert len(running.sent) == sent


@pytest.mark.asyncio
async def test_a_patch_is_worked_out_anew_when_it_was_too_late(running: Api) -> None:
    """Somebody else changes the object in between: both changes are there."""

    def meanwhile() -> None:
        running.sim.ask("deployment", "web", "scale", {"replicas": 7})

    running.between.append(meanwhile)
    done = await running.ask(
        "PATCH", WEB, {"spec": {"minReadySeconds": 2}}, type_=MERGE
    )
    assert done.code == 200, done.document
    assert (done["spec.replicas"], done["spec.minReadySeconds"]) == (7, 2)


@pytest.mark.asyncio
async def test_an_update_of_a_version_is_not_tried_again(running: Api) -> None:
    """The version that was named is gone when the command arrives: 409."""
    body = (await running.get(WEB)).document
    running.between.append(
        lambda: running.sim.ask("deployment", "web", "scale", {"replicas": 7})
    )
    refused = await running.ask("PUT", WEB, body)
    assert (refused.code, refused["reason"]) == (409, "Conflict")


@pytest.mark.asyncio
async def test_an_update_of_what_was_read_is_carried_out(running: Api) -> None:
    """Read, change, write: the whole object goes back, its version included."""
    body = (await running.get(WEB)).document
    spec = body["spec"]
    assert isinstance(spec, dict)
    done = await running.ask("PUT", WEB, {**body, "spec": {**spec, "paused": True}})
    assert (done.code, done["spec.paused"]) == (200, True)
    assert running.sent[-1][0] == "pause"


# --- dry run ----------------------------------------------------------------------


@pytest.mark.asyncio
async def test_a_dry_run_shows_what_would_be_and_changes_nothing(running: Api) -> None:
    """The version and the uid stay; nothing is in the log; a refusal is a refusal."""
    before, events = await running.get(WEB), len(running.sim.events)
    shown = await running.ask(
        "PATCH", f"{WEB}?dryRun=All", {"spec": {"replicas": 8}}, type_=MERGE
    )
    assert shown["spec.replicas"] == 8
    assert shown["metadata.uid"] == before["metadata.uid"]
    assert shown["metadata.resourceVersion"] == before["metadata.resourceVersion"]
    new = await running.ask("POST", f"{DEPLOYMENTS}?dryRun=All", web(replicas=-1))
    assert new.code == 409
    body = {**web(), "metadata": {"name": "new"}}
    made = await running.ask("POST", f"{DEPLOYMENTS}?dryRun=All", body)
    assert (made.code, made["spec.revisionHistoryLimit"]) == (201, 10)
    assert made["metadata.resourceVersion"] is None
    assert len(running.sim.events) == events


# --- patches ----------------------------------------------------------------------


@pytest.mark.asyncio
async def test_an_unknown_type_of_patch_is_415(running: Api) -> None:
    """As the API server answers a plain JSON patch body."""
    refused = await running.ask("PATCH", WEB, {})
    assert (refused.code, refused["message"]) == (415, "415: Unsupported Media Type")


@pytest.mark.asyncio
async def test_an_unknown_field_of_a_strict_patch_is_422(running: Api) -> None:
    """The message prints a strategic patch as Go prints a map."""
    refused = await running.ask(
        "PATCH",
        f"{WEB}?fieldValidation=Strict",
        {"spec": {"replicaz": 9}},
        type_=STRATEGIC,
    )
    assert refused.code == 422
    assert refused["message"] == (
        ' "" is invalid: patch: Invalid value: "map[spec:map[replicaz:9]]": strict '
        'decoding error: unknown field "spec.replicaz"'
    )


# --- server-side apply ------------------------------------------------------------


def config(**spec: object) -> JSON:
    """What an applier says."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "spec": spec,
    }


@pytest.mark.asyncio
async def test_an_apply_creates_what_is_not_there(api: Api) -> None:
    """201, and the applier owns what it applied and no default."""
    body = web()
    made = await api.ask("PATCH", f"{WEB}?fieldManager=me", body, type_=APPLY)
    assert made.code == 201, made.document
    (entry,) = made["metadata.managedFields"]
    assert (entry["manager"], entry["operation"]) == ("me", "Apply")
    assert "f:progressDeadlineSeconds" not in entry["fieldsV1"]["f:spec"]


@pytest.mark.asyncio
async def test_a_field_of_somebody_else_is_a_conflict(running: Api) -> None:
    """409 that names field and owner; forced, the field changes hands; left out by its
    last owner, it is gone."""
    body = config(minReadySeconds=4)
    await running.ask(
        "PATCH", f"{WEB}?fieldManager=x", {"spec": {"minReadySeconds": 3}}, type_=MERGE
    )
    refused = await running.ask("PATCH", f"{WEB}?fieldManager=me", body, type_=APPLY)
    assert refused.code == 409
    assert refused["message"] == (
        'Apply failed with 1 conflict: conflict with "x" using apps/v1: '
        ".spec.minReadySeconds"
    )
    forced = f"{WEB}?fieldManager=me&force=true"
    taken = await running.ask("PATCH", forced, body, type_=APPLY)
    assert (taken.code, taken["spec.minReadySeconds"]) == (200, 4)
    left = await running.ask("PATCH", forced, config(), type_=APPLY)
    assert (left.code, left["spec.minReadySeconds"]) == (200, None)


@pytest.mark.parametrize(
    ("params", "change", "code", "message"),
    [
        (
            "",
            {},
            422,
            'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is '
            "required for apply patch",
        ),
        (
            "?fieldManager=me",
            {"metadata": {"name": "web", "managedFields": []}},
            400,
            "metadata.managedFields must be nil",
        ),
        (
            "?fieldManager=me",
            {"spec": {"replicaz": 1}},
            400,
            "failed to create typed patch object (default/web; apps/v1, "
            "Kind=Deployment): .spec.replicaz: field not declared in schema",
        ),
    ],
)
@pytest.mark.asyncio
async def test_an_apply_that_cannot_be(
    running: Api, params: str, change: JSON, code: int, message: str
) -> None:
    """Without a manager, with owners in it, or with a field that is none."""
    body = {**config(), **change}
    refused = await running.ask("PATCH", WEB + params, body, type_=APPLY)
    assert (refused.code, refused["message"]) == (code, message)


@pytest.mark.asyncio
async def test_what_the_command_line_made_belongs_to_nobody_yet(api: Api) -> None:
    """The first apply finds its fields with `before-first-apply`."""
    api.sim.ask("deployment", "web", "create", {"manifest": web()})
    body = config(replicas=4)
    refused = await api.ask("PATCH", f"{WEB}?fieldManager=me", body, type_=APPLY)
    assert refused.code == 409
    assert 'conflict with "before-first-apply"' in refused["message"]


@pytest.mark.asyncio
async def test_managed_fields_can_be_written_themselves(running: Api) -> None:
    """As kubectl does when it moves from one way of applying to the other."""
    entries = (await running.get(WEB)).document
    patch = [{"op": "replace", "path": "/metadata/managedFields", "value": [{}]}]
    await running.ask("PATCH", WEB, {"metadata": {"labels": {"a": "b"}}}, type_=MERGE)
    done = await running.ask("PATCH", f"{WEB}?fieldManager=w", patch, type_=JSON_PATCH)
    assert done.code == 200
    assert entries["spec"] == done["spec"]
    assert done["metadata.managedFields"] in (None, [])
