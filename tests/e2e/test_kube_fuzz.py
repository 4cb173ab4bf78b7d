"""Requests made of our own OpenAPI documents, and of anything: no 5xx, no hang.

`KUBE_FUZZ_EXAMPLES=2000` tries more of them.
"""

import json
import os
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import quote, urlencode

import pytest
from hypothesis import HealthCheck, Phase, event, given, settings
from hypothesis import strategies as st

from tests.support import kubeapi, system
from tests.support.kubeapi import Answer, Api
from tests.support.system import System

pytestmark = pytest.mark.e2e

EXAMPLES: Final = int(os.environ.get("KUBE_FUZZ_EXAMPLES", "150"))
ALLOWED: Final = frozenset({503, 504})
"""Of the codes from 500 on: not now (a command's answer is late), not yet."""
_FUZZ: Final = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    phases=(Phase.generate, Phase.shrink),
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """Two hollow nodes."""
    folder = tmp_path_factory.mktemp("fuzz")
    with system.running(folder / "c", "--runtime", "hollow", "--nodes", "2") as found:
        yield found
        log = (found.folder / "logs" / "api.log").read_text()
        assert "Traceback" not in log, log[-3_000:]


class _Described:
    """The API with what its documents say of it."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.schemas: dict[str, Any] = {}
        self.operations: list[tuple[str, str, Any, Any]] = []
        """Path, method, the path's parameters, the operation."""
        index = api.ask("GET", "/openapi/v3").document
        for told in index["paths"].values():
            document = api.ask("GET", told["serverRelativeURL"]).document
            self.schemas |= document["components"]["schemas"]
            for path, at in document["paths"].items():
                self.operations += [
                    (path, method, at["parameters"], operation)
                    for method, operation in at.items()
                    if method != "parameters"
                ]

    def valid(self, schema: Any, depth: int = 0) -> st.SearchStrategy[Any]:
        """Values that the schema describes, and now and then one that it does not."""
        made = self._described(schema, depth)
        return st.one_of(made, made, made, made, made, made, ANYTHING)

    def _described(self, schema: Any, depth: int) -> st.SearchStrategy[Any]:
        for several in ("allOf", "oneOf", "anyOf"):
            if several in schema:
                return st.one_of([self.valid(each, depth) for each in schema[several]])
        if "$ref" in schema:
            named = self.schemas[schema["$ref"].rpartition("/")[2]]
            return self._described(named, depth)
        match schema.get("type"):
            case "object" if depth > 6:
                return st.just({})
            case "object" if "properties" in schema:
                inside = schema["properties"]
                fields = {
                    name: self._later(each, depth) for name, each in inside.items()
                }
                return st.fixed_dictionaries({}, optional=fields)
            case "object":
                inside = schema.get("additionalProperties") or {}
                return st.dictionaries(WORDS, self._later(inside, depth), max_size=3)
            case "array" if depth > 6:
                return st.just([])
            case "array":
                return st.lists(self._later(schema["items"], depth), max_size=2)
            case "integer":
                return st.one_of(st.integers(-2, 5), st.integers())
            case "number":
                return st.floats(allow_nan=False, allow_infinity=False)
            case "boolean":
                return st.booleans()
            case "string":
                return WORDS
        return ANYTHING

    def one_thing(self, schema: Any, inside: Any, data: Any) -> Any:
        """`inside`, which the schema describes, with one thing in it otherwise."""
        while "$ref" in schema or "allOf" in schema:
            named = schema.get("$ref") or schema["allOf"][0]["$ref"]
            schema = self.schemas[named.rpartition("/")[2]]
        there = inside if isinstance(inside, dict) else {}
        others = dict.fromkeys(there, schema.get("additionalProperties") or {})
        fields = schema.get("properties") or others
        if isinstance(inside, list) and inside and data.draw(_MOSTLY):
            first = self.one_thing(schema.get("items", {}), inside[0], data)
            return [first, *inside[1:]]
        if isinstance(inside, dict) and fields and data.draw(_MOSTLY):
            name = data.draw(st.sampled_from(sorted(fields)))
            return {
                **inside,
                name: self.one_thing(fields[name], inside.get(name), data),
            }
        return data.draw(st.one_of(self.valid(schema), ANYTHING))

    def _later(self, schema: Any, depth: int) -> st.SearchStrategy[Any]:
        """Schemas hold themselves: what is inside is made when it is drawn."""
        return st.deferred(lambda: self.valid(schema, depth + 1))


_MOSTLY: Final = st.integers(0, 7).map(bool)
NAMES: Final = ("web", "a", "default", "hollow-0", "kube-root-ca.crt")
WORDS: Final = st.one_of(
    st.sampled_from(
        [*NAMES, "", "*", ">", "a.b", "A", "x" * 254, "1", "100m", "-1", "50%", "200%",
         "Always", "RollingUpdate", "nginx:1", "2026-01-01T00:00:00Z", "app", "a/b",
         "\x00", "ü", "😀", "a=b", "!a", "a in (b)", "metadata.name=web", "null"]
    ),
    st.text(max_size=12),
)  # fmt: skip
ANYTHING: Final[st.SearchStrategy[Any]] = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(allow_nan=False, allow_infinity=False),
        WORDS,
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(WORDS, inner, max_size=3)
    ),
    max_leaves=6,
)
QUERY: Final = st.dictionaries(
    st.sampled_from(
        ["limit", "continue", "resourceVersion", "resourceVersionMatch", "pretty",
         "labelSelector", "fieldSelector", "dryRun", "fieldManager", "fieldValidation",
         "propagationPolicy", "gracePeriodSeconds", "force", "sendInitialEvents",
         "allowWatchBookmarks", "watch", "includeObject", "x"]
    ),
    st.one_of(
        st.sampled_from(["All", "true", "false", "Exact", "NotOlderThan", "Strict",
                         "Foreground", "0", "1", "5", "-1", "1e9", "9" * 30]),
        WORDS,
    ),
    max_size=4,
)  # fmt: skip
ACCEPTS: Final = st.sampled_from(
    ["application/json", "*/*", "", "application/yaml", "text/html;q=x",
     "application/json;as=Table;v=v1;g=meta.k8s.io,application/json",
     "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io",
     "application/json;as=Nonsense;v=v9;g=none",
     "application/vnd.kubernetes.protobuf"]
)  # fmt: skip
_PATCH_KINDS: Final = (
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
)
POINTERS: Final = st.one_of(
    st.sampled_from(
        ["", "/", "/spec", "/spec/replicas", "/metadata/labels", "/metadata/name",
         "/spec/template/spec/containers/0", "/spec/template/spec/containers/-",
         "/metadata/labels/a~1b", "/data/~", "/data/00", "/status"]
    ),
    st.text(max_size=8).map(lambda text: f"/{text}"),
)  # fmt: skip
JSON_PATCHES: Final = st.lists(
    st.fixed_dictionaries(
        {"op": st.sampled_from(["add", "remove", "replace", "move", "copy", "test"])},
        optional={"path": POINTERS, "from": POINTERS, "value": ANYTHING},
    ),
    max_size=4,
)


PLAIN: Final = (
    (
        "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers",
        {
            "kind": "HorizontalPodAutoscaler",
            "apiVersion": "autoscaling/v2",
            "metadata": {"name": "web"},
            "spec": {
                "scaleTargetRef": {
                    "apiVersion": "apps/v1", "kind": "Deployment", "name": "web",
                },
                "maxReplicas": 3,
            },
        },
    ),
    (
        "/apis/coordination.k8s.io/v1/namespaces/default/leases",
        {
            "kind": "Lease",
            "apiVersion": "coordination.k8s.io/v1",
            "metadata": {"name": "web"},
            "spec": {"holderIdentity": "a", "leaseDurationSeconds": 5},
        },
    ),
    (
        "/api/v1/namespaces/default/serviceaccounts",
        {
            "kind": "ServiceAccount",
            "apiVersion": "v1",
            "metadata": {"name": "web"},
            "imagePullSecrets": [{"name": "web"}],
        },
    ),
    (
        "/api/v1/namespaces/default/secrets",
        {
            "kind": "Secret",
            "apiVersion": "v1",
            "metadata": {"name": "web"},
            "data": {"a": "YQ=="},
        },
    ),
)  # fmt: skip


@pytest.fixture(scope="module")
def described(cluster: System) -> _Described:
    """There are objects to be asked for and changed."""
    api = Api(cluster.folder / "kubeconfig")
    for path, body in (
        ("/apis/apps/v1/namespaces/default/deployments", kubeapi.deployment("web", 2)),
        ("/api/v1/namespaces/default/configmaps", kubeapi.configmap("web", a="1")),
        ("/api/v1/namespaces/default/configmaps", kubeapi.configmap("a", a="1")),
        *PLAIN,
    ):
        made = api.ask("POST", path, body)
        assert made.code == 201, made
    return _Described(api)


def _answered(api: Api, method: str, path: str, answer: Answer) -> None:
    told = f"{method} {path}: {answer.code} {answer.body[:600]!r}"
    assert answer.code < 500 or answer.code in ALLOWED, told
    if answer.code >= 400 and answer.document is not None:
        kubeapi.status(answer)
    elif answer.code < 300:
        assert answer.body, told
    assert api.ask("GET", "/readyz").code == 200, told


@_FUZZ
@given(data=st.data())
def test_no_described_request_is_a_5xx(described: _Described, data: Any) -> None:
    """Each operation of the documents, with bodies and parameters of their types, and
    of others: an answer below 500, a Status where it is refused."""
    path, method, _, operation = data.draw(st.sampled_from(described.operations))
    url = path.replace("{namespace}", "default")
    name = data.draw(st.one_of(st.sampled_from(NAMES), WORDS.filter(bool)))
    url = url.replace("{name}", quote(name, safe=""))
    query = {key: value for key, value in data.draw(QUERY).items() if key != "watch"}
    content_type, body = kubeapi.JSON, None
    if method == "patch":
        content_type = data.draw(st.sampled_from(_PATCH_KINDS))
    if content_type == _PATCH_KINDS[0]:
        body = data.draw(JSON_PATCHES)
    elif method in ("post", "put", "patch"):
        whole = (
            operation["requestBody"]["content"]["application/json"]["schema"]
            if "application/json" in operation["requestBody"]["content"]
            else {}
        )
        body = data.draw(described.valid(whole))
        if isinstance(body, dict) and data.draw(st.booleans()):
            about = operation["x-kubernetes-group-version-kind"]
            group = about["group"] + "/" if about["group"] else ""
            body |= {"kind": about["kind"], "apiVersion": group + about["version"]}
            if isinstance(body.get("metadata", {}), dict):
                body["metadata"] = {**body.get("metadata", {}), "name": name}
    elif method == "delete":
        query["dryRun"] = "All"
        body = data.draw(st.one_of(st.none(), ANYTHING))
    url = f"{url}?{urlencode(query, errors='replace')}" if query else url
    raw = None if body is None else json.dumps(body).encode()
    answer = described.api.ask(
        method.upper(), url, raw, content_type=content_type,
        headers={"Accept": data.draw(ACCEPTS)},
    )  # fmt: skip
    _answered(described.api, method, url, answer)


@_FUZZ
@given(data=st.data())
def test_no_object_with_one_thing_wrong_is_a_5xx(
    described: _Described, data: Any
) -> None:
    """Objects that are there, with something else in one place: created, replaced and
    patched, as a dry run."""
    api = described.api
    single = [each for each in described.operations if each[1] == "put"]
    path, _, _, operation = data.draw(st.sampled_from(single))
    inside = path.removesuffix("/{name}").replace("{namespace}", "default")
    found = api.ask("GET", inside).document
    assert found["items"], inside
    held = data.draw(st.sampled_from(found["items"][:3]))
    held |= {"kind": found["kind"].removesuffix("List")}
    held |= {"apiVersion": found["apiVersion"]}
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    changed = described.one_thing(schema, held, data)
    if data.draw(st.booleans()):
        changed = described.one_thing(schema, changed, data)
    kind = data.draw(st.sampled_from(["POST", "PUT", *_PATCH_KINDS[1:]]))
    method = kind if kind in ("POST", "PUT") else "PATCH"
    name = held["metadata"]["name"]
    if isinstance(changed, dict) and isinstance(changed.get("metadata"), dict):
        about = changed["metadata"]
        about = {k: v for k, v in about.items() if k != "managedFields"}
        if method == "POST":
            about = {k: v for k, v in about.items() if k not in ("uid", "name")}
            about |= {"name": "new", "resourceVersion": ""}
        changed["metadata"] = about
    url = inside if method == "POST" else f"{inside}/{name}"
    url += (
        "?dryRun=All&fieldManager=fuzz&force=true" if "apply" in kind else "?dryRun=All"
    )
    answer = api.ask(
        method, url, changed, content_type=kind if method == "PATCH" else kubeapi.JSON
    )
    event(f"{method} {answer.code}")
    _answered(api, method, url, answer)


@settings(parent=_FUZZ, max_examples=EXAMPLES // 5)
@given(query=QUERY, accept=ACCEPTS, data=st.data())
def test_no_watch_is_a_5xx(
    described: _Described, query: dict[str, str], accept: str, data: Any
) -> None:
    """A watch with any parameters is refused, or it ends when it shall."""
    lists = [
        path
        for path, method, _, _ in described.operations
        if method == "get" and "{name}" not in path
    ]
    path = data.draw(st.sampled_from(lists)).replace("{namespace}", "default")
    asked = {**query, "watch": "1", "timeoutSeconds": "1"}
    url = f"{path}?{urlencode(asked, errors='replace')}"
    answer = described.api.ask("GET", url, headers={"Accept": accept})
    told = f"{url}: {answer.code} {answer.body[:600]!r}"
    assert answer.code < 500 or answer.code in ALLOWED, told
    if answer.code == 200:
        for line in answer.body.splitlines():
            assert json.loads(line)["type"] in (
                "ADDED", "MODIFIED", "DELETED", "BOOKMARK",
            ), told  # fmt: skip
    else:
        kubeapi.status(answer)


@_FUZZ
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "FOO"]),
    parts=st.lists(
        st.one_of(
            st.sampled_from(["api", "apis", "v1", "apps", "namespaces", "default",
                             "pods", "deployments", "web", "status", "scale", "log",
                             "eviction", "binding", "exec", "proxy", "openapi", "v3",
                             "watch", "..", "", "metrics", "version"]),
            st.text(max_size=6),
        ),
        max_size=8,
    ),
    body=st.binary(max_size=64),
    content_type=st.sampled_from(
        [kubeapi.JSON, *_PATCH_KINDS, "", "application/vnd.kubernetes.protobuf"]
    ),
)  # fmt: skip
def test_no_path_at_all_is_a_5xx(
    described: _Described, method: str, parts: list[str], body: bytes,
    content_type: str,
) -> None:  # fmt: skip
    """Any method on any path with any bytes: refused, not broken."""
    path = "/" + "/".join(quote(each, safe="", errors="replace") for each in parts)
    answer = described.api.ask(
        method, f"{path}?timeoutSeconds=1", body, content_type=content_type
    )
    told = f"{method} {path}: {answer.code} {answer.body[:600]!r}"
    assert answer.code < 500 or answer.code in ALLOWED, told


@_FUZZ
@given(body=st.binary(max_size=200))
def test_no_protobuf_is_a_5xx(described: _Described, body: bytes) -> None:
    """Any bytes behind protobuf's mark: 4xx, or an object."""
    answer = described.api.ask(
        "POST", "/api/v1/namespaces/default/configmaps?dryRun=All", b"k8s\x00" + body,
        content_type="application/vnd.kubernetes.protobuf",
    )  # fmt: skip
    assert answer.code < 500 or answer.code in ALLOWED, answer
