"""Files of manifests become raw objects, as Kubernetes would read them (spec 8.2)."""

from pathlib import Path

import pytest

from adapters import yaml_text
from domain import objects
from domain.errors import Rejected
from rollbook import manifests


def raws(text: str) -> list[dict[str, object]]:
    return [each.raw for each in manifests.load(text, "f.yaml")]


def test_documents_are_read_in_order_and_empty_ones_are_skipped() -> None:
    """`---` separates; comments and nulls are no objects."""
    assert raws("a: 1\n---\n\n---\n# only a comment\n---\nnull\n---\nb: 2\n") == [
        {"a": 1},
        {"b": 2},
    ]
    assert raws("") == []


def test_json_is_read_too() -> None:
    """Escapes, numbers and null."""
    assert raws('{"a": "\\u00e9\\n", "b": [1, 2.5, true, null]}') == [
        {"a": "é\n", "b": [1, 2.5, True, None]}
    ]


def test_a_list_becomes_its_items() -> None:
    """`kind: List`, as `kubectl get -o yaml` writes it; empty is nothing."""
    assert raws("kind: List\nitems:\n- kind: A\n- kind: B\n") == [
        {"kind": "A"},
        {"kind": "B"},
    ]
    assert raws("kind: List\nitems: []") == []
    assert raws("kind: List") == []


SCALARS: list[tuple[str, object]] = [
    ("yes", True),
    ("off", False),
    ("y", "y"),
    ("true", True),
    ('"true"', "true"),
    ("~", None),
    ("", None),
    ("3", 3),
    ("-3", -3),
    ("0644", 420),
    ("0o644", 420),
    ("0x1F", 31),
    ("1_000", 1000),
    ("08", 8.0),
    ("1.5", 1.5),
    ("1e3", 1000.0),
    ("500m", "500m"),
    ("1.2.3", "1.2.3"),
    ("22:22", "22:22"),
    ("2024-01-01", "2024-01-01"),
    ("2024-01-01T00:00:00Z", "2024-01-01T00:00:00Z"),
    ("80%", "80%"),
    ("=", "="),
]


@pytest.mark.parametrize(("text", "value"), SCALARS)
def test_plain_scalars_mean_what_they_mean_to_kubernetes(
    text: str, value: object
) -> None:
    """No clock times, no dates, both ways to write octal."""
    (raw,) = raws(f"a: {text}")
    assert raw == {"a": value}
    assert type(raw["a"]) is type(value)


def test_keys_are_texts() -> None:
    """As they are in JSON."""
    assert raws("1: a\ntrue: b") == [{"1": "a", "true": "b"}]


def test_anchors_and_merges_are_followed() -> None:
    """The object's own keys win, then the first of several; that is no duplicate."""
    text = "a: &a {x: 1, y: 2}\nb: &b {x: 3, z: 3}\nc: {<<: [*a, *b], y: 9}"
    assert raws(text)[0]["c"] == {"x": 1, "y": 9, "z": 3}


DEPLOYMENT = "apiVersion: apps/v1\nkind: Deployment\n"
STRICT = (
    'Deployment in version "v1" cannot be handled as a Deployment: '
    "strict decoding error: "
)
REFUSED = [
    (
        DEPLOYMENT + "spec: {replicas: 1, replicas: 2}",
        STRICT + 'duplicate field "spec.replicas"',
    ),
    (
        DEPLOYMENT + "spec: {replicaz: 1, replicas: 1, replicas: 2}",
        STRICT + 'unknown field "spec.replicaz", duplicate field "spec.replicas"',
    ),
    (
        "x:\n- a: 1\n  a: 2\nx: 3",
        'error parsing f.yaml: strict decoding error: duplicate field "x[0].a", '
        'duplicate field "x"',
    ),
    (
        "- 1",
        "error parsing f.yaml: a manifest must be an object with apiVersion and kind",
    ),
    ("just text", "error parsing f.yaml: a manifest must be an object with apiVersion"),
    ("kind: List\nitems: [1]", "error parsing f.yaml: items[0] must be an object"),
    ("a: [", "error parsing f.yaml: while parsing a flow node"),
    ("a: b: c", "error parsing f.yaml: mapping values are not allowed"),
    ("a: *b", "error parsing f.yaml: found undefined alias"),
    ("a: !foo b", "error parsing f.yaml: the tag !foo is not supported"),
    ("!!python/name:os.system {}", "error parsing f.yaml: the document: the tag"),
    ("a: !!int x", 'error parsing f.yaml: "x" is not a number'),
    ("a: .inf", 'error parsing f.yaml: ".inf" is not a number of JSON'),
    ("a: 0b_", 'error parsing f.yaml: "0b_" is not a number'),
    ("? [a]\n: 1", "error parsing f.yaml: a key must be a text"),
    ("<<: 1", "error parsing f.yaml: <<: only an object can be merged"),
    ("a: \x00", "error parsing f.yaml: "),
    ("a: &a [*a]", "error parsing f.yaml: the text is nested too deeply"),
    ("a: " + "[" * 100_000, "error parsing f.yaml: the text is nested more than 64"),
    ("{a: " * 100_000, "error parsing f.yaml: the text is nested more than 64"),
    ("a" * (manifests.SIZE_MAX + 1), "error parsing f.yaml: the text is longer than"),
]


@pytest.mark.parametrize(("text", "message"), REFUSED)
def test_a_bad_text_is_refused_with_its_source_and_reason(
    text: str, message: str
) -> None:
    """Whatever is in a file ends with an answer, never with a traceback."""
    with pytest.raises(Rejected) as refused:
        manifests.load(text, "f.yaml")
    assert refused.value.message.startswith(message)
    assert "<unicode string>" not in refused.value.message, "lines are of the source"
    assert refused.value.reason == "BadRequest"


def test_nesting_is_bounded() -> None:
    """64 levels are read, 65 are not: deeper ones would end the process in C."""
    deepest = yaml_text.DEPTH_MAX
    assert raws("a: " + "[" * (deepest - 1) + "]" * (deepest - 1))
    with pytest.raises(Rejected, match="nested more than 64 deep"):
        raws("a: " + "[" * deepest + "]" * deepest)


def test_a_short_text_with_a_huge_meaning_is_refused() -> None:
    """Aliases of aliases: nine levels of nine would be hundreds of millions."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    for level in range(1, 9):
        aliases = ", ".join([f"*a{level - 1}"] * 9)
        lines.append(f"a{level}: &a{level} [{aliases}]")
    with pytest.raises(Rejected, match="means more than 100000 values"):
        manifests.load("\n".join(lines), "f.yaml")


def test_files_folders_and_standard_input(tmp_path: Path) -> None:
    """A folder's manifests in order of path, deeper ones only when asked for."""
    (tmp_path / "b.yaml").write_text("n: b")
    (tmp_path / "a.json").write_text('{"n": "a"}')
    (tmp_path / "notes.txt").write_text("no manifest")
    deeper = tmp_path / "c"
    deeper.mkdir()
    (deeper / "d.yml").write_text("n: d")
    folder = str(tmp_path)

    flat = manifests.load_files([folder])
    assert [each.raw["n"] for each in flat] == ["a", "b"]
    assert [Path(each.source).name for each in flat] == ["a.json", "b.yaml"]
    deep = manifests.load_files([folder], recursive=True)
    assert [each.raw["n"] for each in deep] == ["a", "b", "d"]
    mixed = manifests.load_files(["-", str(deeper / "d.yml")], stdin="n: in")
    assert [each.raw["n"] for each in mixed] == ["in", "d"]
    assert mixed[0].source == "STDIN"


def test_a_path_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """Missing files, empty folders, bytes that are no text."""
    with pytest.raises(Rejected, match=r"missing\.yaml: the path does not exist"):
        manifests.load_files([str(tmp_path / "missing.yaml")])
    with pytest.raises(Rejected, match="no file ends in"):
        manifests.load_files([str(tmp_path)])
    (tmp_path / "x.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(Rejected, match="the file is not UTF-8 text"):
        manifests.load_files([str(tmp_path)])


def test_what_is_loaded_decodes() -> None:
    """The nginx Deployment of Kubernetes' documentation, from text to struct."""
    text = DEPLOYMENT + (
        "metadata:\n  name: nginx-deployment\n  labels: {app: nginx}\n"
        "spec:\n  replicas: 3\n  selector: {matchLabels: {app: nginx}}\n"
        "  template:\n    metadata: {labels: {app: nginx}}\n    spec:\n"
        "      containers:\n      - name: nginx\n        image: nginx:1.7.9\n"
        "        ports: [{containerPort: 80}]\n"
    )
    (loaded,) = manifests.load(text, "nginx.yaml")
    manifest = objects.decode_manifest(loaded.raw)
    assert isinstance(manifest, objects.DeploymentManifest)
    assert manifest.spec.replicas == 3


def test_nothing_is_fetched_from_the_web() -> None:
    """An address is no path; the message says what does it."""
    address = "https://example.com/web.yaml"
    with pytest.raises(Rejected, match=r"curl -fsSL https://example\.com/web\.yaml \|"):
        manifests.load_files([address])
