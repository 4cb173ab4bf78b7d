"""The four ways to patch an object, with the examples of their specifications."""

from typing import Any

import pytest

from domain.errors import Rejected
from gateway.kube.patching import fields, json_patch, managers, merge_patch, strategic
from gateway.kube.patching.fields import JSON

POD: JSON = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "web", "labels": {"app": "web"}},
    "spec": {
        "containers": [
            {"name": "a", "image": "a:1", "env": [{"name": "X", "value": "1"}]},
            {"name": "b", "image": "b:1", "args": ["x", "y"]},
        ],
        "nodeSelector": {"disk": "ssd"},
    },
}


def _at(document: object, *path: str) -> Any:
    """What stands at a path."""
    for step in path:
        assert isinstance(document, dict)
        document = document[step]
    return document


# --- JSON patch (RFC 6902) ----------------------------------------------------------


@pytest.mark.parametrize(
    ("document", "patch", "result"),
    [
        ({"foo": "bar"}, [("add", "/baz", "qux")], {"baz": "qux", "foo": "bar"}),
        ({"foo": ["a", "c"]}, [("add", "/foo/1", "b")], {"foo": ["a", "b", "c"]}),
        ({"baz": 1, "foo": 2}, [("remove", "/baz", None)], {"foo": 2}),
        ({"baz": 1, "foo": 2}, [("replace", "/baz", 3)], {"baz": 3, "foo": 2}),
        ({"a/b": 1, "m~n": 2}, [("replace", "/a~1b", 5)], {"a/b": 5, "m~n": 2}),
        ({"foo": ["a"]}, [("add", "/foo/-", ["b"])], {"foo": ["a", ["b"]]}),
    ],
)
def test_operations_of_rfc_6902(
    document: JSON, patch: list[tuple[str, str, object]], result: JSON
) -> None:
    """Appendix A's examples come out as it says, and the document stays as it was."""
    before = repr(document)
    operations = [{"op": op, "path": path, "value": value} for op, path, value in patch]
    assert json_patch.apply(document, operations) == result
    assert repr(document) == before


@pytest.mark.parametrize(
    ("patch", "reason"),
    [
        ({"op": "add"}, "BadRequest"),
        ([1], "BadRequest"),
        ([{"op": "zap", "path": "/a"}], "BadRequest"),
        ([{"op": "add"}], "BadRequest"),
        ([{"op": "add", "path": "a", "value": 1}], "BadRequest"),
        ([{"op": "test", "path": "/kind", "value": "Node"}], "Invalid"),
        ([{"op": "remove", "path": "/nothing"}], "Invalid"),
        ([{"op": "replace", "path": "/metadata/labels/-", "value": 1}], "Invalid"),
        ([{"op": "add", "path": "/x/y", "value": 1}], "Invalid"),
        ([{"op": "add", "path": "", "value": 3}], "Invalid"),
        (
            [{"op": "add", "path": "/a", "value": 1}] * 10_001,
            "RequestEntityTooLarge",
        ),
    ],
)
def test_a_json_patch_that_cannot_be(patch: object, reason: str) -> None:
    """What is no patch is 400, what does not fit is 422, too much is 413."""
    with pytest.raises(Rejected) as refused:
        json_patch.apply(POD, patch)
    assert refused.value.reason == reason


# --- merge patch (RFC 7396) ---------------------------------------------------------


@pytest.mark.parametrize(
    ("document", "patch", "result"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merging_of_rfc_7396(document: JSON, patch: JSON, result: JSON) -> None:
    """The table of its appendix."""
    assert merge_patch.apply(document, patch) == result


def test_a_merge_patch_is_an_object() -> None:
    """A list cannot be merged into an object."""
    with pytest.raises(Rejected):
        merge_patch.apply({}, [1])


# --- strategic merge patch ----------------------------------------------------------


def test_a_container_is_patched_by_its_name() -> None:
    """The other container, and what the patch does not say, stay."""
    patched = strategic.apply(
        POD, {"spec": {"containers": [{"name": "b", "image": "b:2"}]}}
    )
    assert patched["spec"] == {
        "containers": [
            {"name": "a", "image": "a:1", "env": [{"name": "X", "value": "1"}]},
            {"name": "b", "image": "b:2", "args": ["x", "y"]},
        ],
        "nodeSelector": {"disk": "ssd"},
    }


def test_directives_in_items() -> None:
    """`$patch: delete` takes that item out; the others are merged as ever."""
    items = [{"name": "a", "$patch": "delete"}, {"name": "b", "image": "b:2"}]
    patched = strategic.apply(POD, {"spec": {"containers": items}})
    (left,) = _at(patched, "spec", "containers")
    assert left == {"name": "b", "image": "b:2", "args": ["x", "y"]}


def test_directives_in_maps() -> None:
    """A map can be replaced as a whole, or deleted; a list too."""
    spec = {"nodeSelector": {"$patch": "replace", "zone": "b"}}
    patched = strategic.apply(POD, {"spec": spec})
    assert _at(patched, "spec", "nodeSelector") == {"zone": "b"}
    patched = strategic.apply(POD, {"spec": {"nodeSelector": {"$patch": "delete"}}})
    assert "nodeSelector" not in _at(patched, "spec")
    whole = [{"$patch": "replace"}, {"name": "c", "image": "c:1"}]
    patched = strategic.apply(POD, {"spec": {"containers": whole}})
    assert _at(patched, "spec", "containers") == [{"name": "c", "image": "c:1"}]


def test_retained_keys() -> None:
    """A union keeps only the members that are named."""
    live: JSON = {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"a": 1}}}
    patch = {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}
    assert strategic.apply(live, patch) == {"strategy": {"type": "Recreate"}}


def test_the_order_of_elements() -> None:
    """Named items come as the order says, others stay where they were between them."""
    live: JSON = {"containers": [{"name": n} for n in ("a", "x", "b", "c")]}
    patch = {
        "$setElementOrder/containers": [{"name": n} for n in ("c", "b", "new", "a")],
        "containers": [{"name": "new"}, {"name": "b", "image": "2"}],
    }
    assert strategic.apply(live, patch) == {
        "containers": [
            {"name": "x"},
            {"name": "c"},
            {"name": "b", "image": "2"},
            {"name": "new"},
            {"name": "a"},
        ]
    }


def test_lists_of_values() -> None:
    """Finalizers are added to and taken from; any other list of values is replaced."""
    live: JSON = {"metadata": {"finalizers": ["a", "b"]}, "args": ["x"]}
    patch = {
        "metadata": {"finalizers": ["c"], "$deleteFromPrimitiveList/finalizers": ["a"]},
        "args": ["y"],
    }
    assert strategic.apply(live, patch) == {
        "metadata": {"finalizers": ["b", "c"]},
        "args": ["y"],
    }


@pytest.mark.parametrize(
    "patch",
    [
        [],
        {"spec": {"containers": [{"image": "x"}]}},
        {"spec": {"containers": [1]}},
        {"spec": {"$patch": "explode"}},
        {"spec": {"$retainKeys": ["a"], "b": 1}},
        {"spec": {"$setElementOrder/containers": 3, "containers": [{"name": "a"}]}},
        {"metadata": {"$deleteFromPrimitiveList/finalizers": "a"}},
    ],
)
def test_a_strategic_patch_that_cannot_be(patch: object) -> None:
    """It is a bad request with a reason, not a failure."""
    with pytest.raises(Rejected) as refused:
        strategic.apply(POD, patch)
    assert refused.value.reason == "BadRequest"


# --- managed fields and server-side apply -------------------------------------------


def _writer(name: str) -> managers.Writer:
    return managers.Writer(manager=name, api_version="apps/v1", now=0.0)


def _deployment(replicas: int | None = 3, image: str = "web:1") -> JSON:
    spec: JSON = {
        "template": {
            "spec": {
                "containers": [
                    {
                        "name": "web",
                        "image": image,
                        "ports": [{"containerPort": 80, "protocol": "TCP"}],
                        "resources": {},
                    }
                ]
            }
        }
    }
    if replicas is not None:
        spec["replicas"] = replicas
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "labels": {"app": "web"}},
        "spec": spec,
    }


def test_the_form_of_managed_fields() -> None:
    """A create by kubectl owns what it set, written as Kubernetes writes it."""
    (entry,) = managers.updated((), None, _deployment(), _writer("kubectl-create"))
    (shown,) = managers.encode([entry])
    container = 'k:{"name":"web"}'
    port = 'k:{"containerPort":80,"protocol":"TCP"}'
    assert shown == {
        "manager": "kubectl-create",
        "operation": "Update",
        "apiVersion": "apps/v1",
        "time": "1970-01-01T00:00:00Z",
        "fieldsType": "FieldsV1",
        "fieldsV1": {
            "f:metadata": {"f:labels": {".": {}, "f:app": {}}},
            "f:spec": {
                "f:replicas": {},
                "f:template": {
                    "f:spec": {
                        "f:containers": {
                            container: {
                                ".": {},
                                "f:image": {},
                                "f:name": {},
                                "f:ports": {
                                    ".": {},
                                    port: {
                                        ".": {},
                                        "f:containerPort": {},
                                        "f:protocol": {},
                                    },
                                },
                                "f:resources": {},
                            }
                        }
                    }
                },
            },
        },
    }


def test_the_form_is_read_back() -> None:
    """What was written is the same set again."""
    entries = managers.updated((), None, _deployment(), _writer("a"))
    assert managers.decode(managers.encode(entries)) == entries


def test_an_update_takes_what_it_changes() -> None:
    """The changed field has one owner, the others keep theirs; no change, no owner."""
    first = managers.updated((), None, _deployment(), _writer("a"))
    second = managers.updated(first, _deployment(), _deployment(5), _writer("b"))
    owned = {entry.manager: entry.owned for entry in second}
    replicas = ("f:spec", "f:replicas")
    assert owned["b"] == {replicas}
    assert replicas not in owned["a"]
    same = managers.updated(second, _deployment(5), _deployment(5), _writer("c"))
    assert same == second


def test_an_apply_that_disagrees_is_a_conflict() -> None:
    """It names the field and who has set it; with force it takes the field over."""
    live = _deployment(3)
    entries = managers.updated((), None, live, _writer("kubectl-scale"))
    wanted: JSON = {"spec": {"replicas": 4}, "apiVersion": "apps/v1"}
    with pytest.raises(Rejected) as refused:
        managers.applied(entries, live, wanted, _writer("me"), force=False)
    assert refused.value.reason == "Conflict"
    assert refused.value.message == (
        'Apply failed with 1 conflict: conflict with "kubectl-scale" using apps/v1: '
        ".spec.replicas"
    )
    (cause,) = refused.value.causes
    assert (cause.reason, cause.field) == ("FieldManagerConflict", ".spec.replicas")
    merged, after = managers.applied(entries, live, wanted, _writer("me"), force=True)
    assert _at(merged, "spec", "replicas") == 4
    owners = {e.manager for e in after if ("f:spec", "f:replicas") in e.owned}
    assert owners == {"me"}


def test_several_conflicts_are_listed() -> None:
    """One line for each field, under its owner."""
    live = _deployment(3)
    entries = managers.updated((), None, live, _writer("a"))
    with pytest.raises(Rejected) as refused:
        managers.applied(entries, live, _deployment(4, "web:2"), _writer("b"), False)
    assert refused.value.message == (
        'Apply failed with 2 conflicts: conflicts with "a" using apps/v1:\n'
        "- .spec.replicas\n"
        '- .spec.template.spec.containers[name="web"].image'
    )


def test_an_apply_that_agrees_shares_the_field() -> None:
    """Both own it; when one gives it up the value stays for the other."""
    live = _deployment(3)
    entries = managers.updated((), None, live, _writer("a"))
    wanted: JSON = {"spec": {"replicas": 3}}
    merged, after = managers.applied(entries, live, wanted, _writer("b"), force=False)
    merged, last = managers.applied(after, merged, {}, _writer("b"), force=False)
    assert _at(merged, "spec", "replicas") == 3
    assert {e.manager for e in last} == {"a"}


def test_what_an_apply_gives_up_goes() -> None:
    """A field or an item that nobody else owns is removed with its last owner."""
    config = _deployment()
    merged, entries = managers.applied((), None, config, _writer("a"), force=False)
    smaller = _deployment(None)
    smaller["metadata"] = {"name": "web"}
    merged, entries = managers.applied(
        entries, merged, smaller, _writer("a"), force=False
    )
    assert "replicas" not in _at(merged, "spec")
    assert merged["metadata"] == {"name": "web", "labels": {}}


def test_an_applied_item_keeps_what_others_added() -> None:
    """Items of keyed lists are merged; a foreign container stays."""
    live = _deployment()
    containers = _at(live, "spec", "template", "spec", "containers")
    containers.append({"name": "sidecar", "image": "s:1"})
    entries = managers.updated((), None, live, _writer("injector"))
    wanted: JSON = {
        "spec": {"template": {"spec": {"containers": [{"name": "web", "tty": True}]}}}
    }
    merged, _ = managers.applied(entries, live, wanted, _writer("me"), force=False)
    names = [
        each["name"] for each in _at(merged, "spec", "template", "spec", "containers")
    ]
    assert names == ["web", "sidecar"]


@pytest.mark.parametrize(
    "listed",
    [
        3,
        [3],
        [{"operation": "Apply", "fieldsV1": 3}],
        [{"operation": "Zap"}],
        [{"operation": "Apply", "fieldsV1": {"x:y": {}}}],
        [{"operation": "Apply", "manager": 3}],
        [{"operation": "Apply", "fieldsType": "FieldsV2"}],
    ],
)
def test_managed_fields_that_are_none(listed: object) -> None:
    """They are refused with their place."""
    with pytest.raises(Rejected, match=r"metadata\.managedFields"):
        managers.decode(listed)


def test_paths_as_people_read_them() -> None:
    """Fields with dots, items by their keys, values by themselves."""
    path = ("f:spec", 'k:{"containerPort":80,"protocol":"TCP"}', "f:hostPort")
    assert fields.pretty(path) == '.spec[containerPort=80,protocol="TCP"].hostPort'
    assert fields.pretty(("f:metadata", 'v:"a/b"')) == '.metadata[="a/b"]'
