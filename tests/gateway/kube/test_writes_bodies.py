"""Bodies of requests: what is read, what is refused, and in which words."""

import pytest

from domain.errors import Rejected
from gateway.kube import autoscaling, bodies
from gateway.kube.request import JSON
from gateway.kube.statuses import Failure


@pytest.mark.parametrize("media", ["", "application/json", "application/json; x=y"])
def test_json_with_or_without_its_media_type(media: str) -> None:
    """Old clients send none with a POST or a DELETE."""
    assert bodies.decode(b'{"a":[1,null]}', media, "Pod").value == {"a": [1, None]}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: 1\nb: [x, 'y', 0x10, 010, 1_000]", {"a": 1, "b": ["x", "y", 16, 8, 1000]}),
        ("a: yes\nb: null\nc: ~\nd: off",
         {"a": True, "b": None, "c": None, "d": False}),
        ("a: 12:30\nb: 2026-11-23\nc: 1.5",
         {"a": "12:30", "b": "2026-11-23", "c": 1.5}),
        ("a: &x {b: 1}\nc: *x\nd: {<<: *x, e: 2}",
         {"a": {"b": 1}, "c": {"b": 1}, "d": {"b": 1, "e": 2}}),
        ('{"a": "json too"}', {"a": "json too"}),
        ("{a: flow}", {"a": "flow"}),
    ],
)  # fmt: skip
def test_yaml_as_kubernetes_reads_it(text: str, value: JSON) -> None:
    """YAML 1.1 for numbers and truth values; dates and times of day are texts."""
    found = bodies.decode(text.encode(), "application/yaml", "Pod")
    assert found.value == value


@pytest.mark.parametrize(
    ("body", "media"),
    [
        (b'{"spec":{"a":1,"a":2,"l":[{"b":1,"b":2}]}}', "application/json"),
        (b"spec: {a: 1, a: 2, l: [{b: 1, b: 2}]}", "application/yaml"),
    ],
)
def test_keys_that_are_written_twice_are_told(body: bytes, media: str) -> None:
    """By their path; the last one counts."""
    found = bodies.decode(body, media, "Pod")
    assert found.duplicates == ("spec.a", "spec.l[0].b")
    assert found.value == {"spec": {"a": 2, "l": [{"b": 2}]}}


@pytest.mark.parametrize(
    ("body", "media"),
    [
        (b"", "application/json"),
        (b"{", "application/json"),
        (b"[]", "application/json"),
        (b"NaN", "application/json"),
        (b'{"a":"\xff"}', "application/json"),
        (b'{"a":' + b"[" * 70 + b"]" * 70 + b"}", "application/json"),
        (b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "application/json"),
        (b"", "application/yaml"),
        (b"a: [", "application/yaml"),
        (b"a: !!python/object:os.system x", "application/yaml"),
        (b"a: .nan", "application/yaml"),
        (b"a: " + b"[" * 100_000, "application/yaml"),
        (b"a: &x [*x]", "application/yaml"),
        (
            b"a: &a [x,x,x,x,x,x,x,x,x,x]\n"
            + b"".join(
                b"%c: &%c [%s]\n" % (key, key, b",".join([b"*%c" % (key - 1)] * 10))
                for key in range(ord("b"), ord("j"))
            ),
            "application/yaml",
        ),
        (b"k8s\x00broken", "application/vnd.kubernetes.protobuf"),
    ],
)
def test_a_broken_body_is_a_bad_request(body: bytes, media: str) -> None:
    """Whatever it is: too deep, endless, not UTF-8, or no object at all."""
    with pytest.raises(Rejected) as refused:
        bodies.decode(body, media, "Pod")
    assert refused.value.reason == "BadRequest"


def test_another_media_type_is_415() -> None:
    """With the types that are taken."""
    with pytest.raises(Failure) as refused:
        bodies.decode(b"<a/>", "text/xml", "Pod")
    assert refused.value.code == 415
    assert "application/yaml" in refused.value.message


def test_a_map_as_go_prints_it() -> None:
    """Sorted, without quotes, nothing as <nil>."""
    shown = bodies.go_text({"b": [1, True, None], "a": {"x": "y z"}})
    assert shown == "map[a:map[x:y z] b:[1 true <nil>]]"


def test_an_autoscaler_survives_both_versions() -> None:
    """v2 told as v1 and taken back is what it was (other metrics and behavior too)."""
    newer: JSON = {
        "apiVersion": "autoscaling/v2",
        "metadata": {"name": "h", "annotations": {"k": "v"}},
        "spec": {
            "maxReplicas": 5,
            "metrics": [
                {
                    "type": "Resource",
                    "resource": {
                        "name": "cpu",
                        "target": {"type": "Utilization", "averageUtilization": 70},
                    },
                },
                {"type": "Pods", "pods": {"metric": {"name": "qps"}}},
            ],
            "behavior": {"scaleUp": {"selectPolicy": "Max"}},
        },
    }
    older = autoscaling.to_v1(newer)
    spec = older["spec"]
    assert isinstance(spec, dict)
    assert spec[autoscaling.TARGET] == 70
    assert "metrics" not in spec
    assert autoscaling.to_v2(older) == newer
