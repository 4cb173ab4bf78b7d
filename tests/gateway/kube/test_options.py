"""What a query may say beside which objects it means: nothing that is not known, for a
dry run that is spelt otherwise must change nothing."""

import pytest

from gateway.kube import objects
from gateway.kube.request import JSON
from gateway.kube.statuses import Failure
from tests.gateway.eventful import eventful
from tests.gateway.kube import watching
from tests.gateway.kube.simulated import (
    APPLY,
    DEPLOYMENTS,
    JSON_PATCH,
    JSON_TYPE,
    MERGE,
    WEB,
    Api,
    web,
)
from tests.gateway.support import Written

SCALED = {"spec": {"replicas": 7}}
LONG = "m" * 129
_STAGES = 'dryRun: Unsupported value: ["Foo"]: supported values: "All"'


@pytest.mark.parametrize(
    ("method", "query", "body", "type_", "kind", "said"),
    [
        ("POST", "dryRun=Foo", web(), JSON_TYPE, "CreateOptions", _STAGES),
        ("PUT", "dryRun=Foo", web(), JSON_TYPE, "UpdateOptions", _STAGES),
        ("PATCH", "dryRun=Foo", SCALED, MERGE, "PatchOptions", _STAGES),
        ("DELETE", "dryRun=Foo", b"", JSON_TYPE, "DeleteOptions", _STAGES),
        ("DELETE", "", {"dryRun": ["Foo"]}, JSON_TYPE, "DeleteOptions", _STAGES),
        (
            "POST",
            f"fieldManager={LONG}",
            web(),
            JSON_TYPE,
            "CreateOptions",
            "fieldManager: Too long: may not be more than 128 bytes",
        ),
        (
            "PATCH",
            "fieldManager=a%00",
            SCALED,
            MERGE,
            "PatchOptions",
            'fieldManager: Invalid value: "a\\u0000": invalid character U+0000 (at '
            "position 1)",
        ),
        (
            "PUT",
            "fieldValidation=Foo",
            web(),
            JSON_TYPE,
            "UpdateOptions",
            'fieldValidation: Unsupported value: "Foo": supported values: "", '
            '"Ignore", "Strict", "Warn"',
        ),
        (
            "PATCH",
            "force=true",
            SCALED,
            MERGE,
            "PatchOptions",
            "force: Forbidden: may not be specified for non-apply patch",
        ),
        (
            "PATCH",
            "force=true",
            {**web(), "kind": "Deployment", "apiVersion": "apps/v1"},
            APPLY,
            "PatchOptions",
            "fieldManager: Required value: is required for apply patch",
        ),
        (
            "DELETE",
            "",
            {"propagationPolicy": "Orphan", "orphanDependents": True},
            JSON_TYPE,
            "DeleteOptions",
            'propagationPolicy: Invalid value: "Orphan": orphanDependents and '
            "deletionPropagation cannot be both set",
        ),
        (
            "DELETE",
            "propagationPolicy=Sometimes",
            b"",
            JSON_TYPE,
            "DeleteOptions",
            'propagationPolicy: Unsupported value: "Sometimes": supported values: '
            '"Foreground", "Background", "Orphan", "nil"',
        ),
    ],
)
@pytest.mark.asyncio
async def test_what_is_not_known_is_refused_before_anything_is_done(
    running: Api,
    method: str,
    query: str,
    body: object,
    type_: str,
    kind: str,
    said: str,
) -> None:
    """422 in the API server's words, of the options of that verb; nothing is sent."""
    sent = len(running.sent)
    path = DEPLOYMENTS if method == "POST" else WEB
    refused = await running.ask(method, f"{path}?{query}", body, type_=type_)
    assert (refused.code, refused["reason"]) == (422, "Invalid"), refused.document
    assert refused["message"] == f'{kind}.meta.k8s.io "" is invalid: {said}'
    field, _, message = said.partition(": ")
    (cause,) = refused["details.causes"]
    assert (cause["field"], cause["message"]) == (field, message)
    details = refused["details"]
    assert (details["group"], details["kind"]) == ("meta.k8s.io", kind)
    assert len(running.sent) == sent


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            {"preconditions": {"uid": "other"}},
            "the UID in the precondition (other) does not match the UID in record "
            "({uid}). The object might have been deleted and then recreated",
        ),
        (
            {"preconditions": {"resourceVersion": "1"}},
            "the ResourceVersion in the precondition (1) does not match the "
            "ResourceVersion in record ({version}). The object might have been "
            "modified",
        ),
    ],
)
@pytest.mark.asyncio
async def test_a_deletion_of_another_object_is_a_conflict(
    running: Api, options: JSON, said: str
) -> None:
    """409 that names both, in the API server's words; nothing is sent."""
    there = (await running.get(WEB)).document["metadata"]
    assert isinstance(there, dict)
    sent = len(running.sent)
    refused = await running.ask("DELETE", WEB, options)
    said = said.format(uid=there["uid"], version=there["resourceVersion"])
    assert (refused.code, refused["message"]) == (
        409,
        f'Operation cannot be fulfilled on Deployment.apps "web": {said}',
    )
    assert len(running.sent) == sent


@pytest.mark.asyncio
async def test_a_grace_period_below_0_is_the_least_there_is(running: Api) -> None:
    """One second, as the API server takes it."""
    pod = next(iter(running.reader.cluster.actual.pods)).rpartition("/")[2]
    path = f"/api/v1/namespaces/default/pods/{pod}"
    done = await running.ask("DELETE", path, {"gracePeriodSeconds": -5})
    assert (done.code, done["metadata.deletionGracePeriodSeconds"]) == (200, 1)


@pytest.mark.parametrize(
    ("operation", "why"),
    [
        (
            {"op": "test", "path": "/spec/replicas", "value": 99},
            "operation 'test': it is not 99",
        ),
        (
            {"op": "remove", "path": "/metadata/labels/nothing"},
            "operation 'remove': can't remove a non-existent object 'nothing'",
        ),
    ],
)
@pytest.mark.asyncio
async def test_a_json_patch_that_does_not_fit_says_which_operation(
    running: Api, operation: JSON, why: str
) -> None:
    """The API server's one sentence for all of them, and in the causes, which kubectl
    prints, the operation that could not be carried out."""
    fits = {"op": "test", "path": "/kind", "value": "Deployment"}
    refused = await running.ask("PATCH", WEB, [fits, operation], type_=JSON_PATCH)
    assert (refused.code, refused["message"]) == (
        422,
        "the server rejected our request due to an error in our request",
    )
    (cause,) = refused["details.causes"]
    assert (cause["field"], cause["message"]) == (
        operation["path"],
        f"Invalid value: {why}",
    )


@pytest.mark.asyncio
async def test_a_list_takes_no_options_of_a_watch() -> None:
    """`sendInitialEvents` is 422 for a list; a page names no version of its own, for
    `continue` carries it."""
    api = watching.Api(Written(eventful(1)), 0.0)
    await api.fold()
    with pytest.raises(Failure) as raised:
        await api.list("pods", sendInitialEvents="false")
    assert (raised.value.code, raised.value.message) == (
        422,
        'ListOptions.meta.k8s.io "" is invalid: sendInitialEvents: Forbidden: '
        "sendInitialEvents is forbidden for list",
    )
    with pytest.raises(Failure) as raised:
        objects.asked_state({"continue": "x", "resourceVersion": "5"}, listing=True)
    assert (raised.value.code, raised.value.message) == (
        400,
        "specifying resource version is not allowed when using continue",
    )
    assert objects.asked_state({"continue": "x", "resourceVersion": "0"}, listing=True)
    api.close()
