"""What is printed and what is understood, without a cluster: the tables of spec 6.1."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import errors
from rollbook import conditions, durations, failures, jsonpath, printing, references
from rollbook.commands import change, get, metadata
from rollbook.failures import Failure

DAY = 24 * 3600

AGES = (
    (-2, "<invalid>"), (-1, "0s"), (-0.5, "0s"), (0, "0s"), (119.9, "119s"),
    (120, "2m"), (125, "2m5s"), (180, "3m"), (599, "9m59s"), (600, "10m"),
    (179 * 60 + 59, "179m"), (3 * 3600, "3h"), (3 * 3600 + 600, "3h10m"),
    (5 * 3600, "5h"), (8 * 3600, "8h"), (47 * 3600 + 3599, "47h"), (2 * DAY, "2d"),
    (2 * DAY + 3 * 3600, "2d3h"), (7 * DAY, "7d"), (8 * DAY, "8d"), (400 * DAY, "400d"),
    (2 * 365 * DAY, "2y"), (735 * DAY, "2y5d"), (9 * 365 * DAY, "9y"),
)  # fmt: skip


@pytest.mark.parametrize(("seconds", "text"), AGES)
def test_ages_are_kubectls(seconds: float, text: str) -> None:
    """The human duration of spec 6.1, each row at both ends."""
    assert durations.human(seconds) == text


def test_no_moment_has_no_age() -> None:
    """A zero timestamp is unknown (spec 6.1)."""
    assert durations.age(0, 100) == "<unknown>"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30), ("1h2m3s", 3723), ("1.5h", 5400), ("2d", 2 * DAY), ("100ms", 0.1),
     ("0", 0), ("-1s", -1)],
)  # fmt: skip
def test_durations_are_gos(text: str, seconds: float) -> None:
    """What kubectl's flags take, and days."""
    assert durations.parse(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "5", "s", "5x", "1h 2m", "--1s", "1hh"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    """The error quotes the text and gives an example."""
    with pytest.raises(Failure, match="for example"):
        durations.parse(text)


def test_a_moment_is_a_while_ago_or_a_time() -> None:
    """`5m` counts from now; a time says when."""
    assert durations.parse_moment("5m", 1000.0) == 700.0
    assert durations.parse_moment("1970-01-01T00:00:10Z", 1000.0) == 10.0


# --- tables

TABLES = (
    # (headers, rows, padding, lines): spec 6.2 and 6.4
    (
        ("NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE"),
        [("web", "3/4", "2", "3", "5m12s")],
        3,
        [
            "NAME   READY   UP-TO-DATE   AVAILABLE   AGE",
            "web    3/4     2            3           5m12s",
        ],
    ),
    (
        ("NAME", "DESIRED", "CURRENT", "READY", "AGE"),
        [("web-5d78c9869d", "3", "3", "3", "18s")],
        3,
        [
            "NAME             DESIRED   CURRENT   READY   AGE",
            "web-5d78c9869d   3         3         3       18s",
        ],
    ),
    (
        ("REVISION", "CHANGE-CAUSE"),
        [("1", "<none>"), ("10", "image 1.27")],
        2,
        ["REVISION  CHANGE-CAUSE", "1         <none>", "10        image 1.27"],
    ),
    (("A", "B"), [("1", "2")], 3, ["A     B", "1     2"]),  # at least six characters
)


@pytest.mark.parametrize(("headers", "rows", "padding", "lines"), TABLES)
def test_tables_are_kubectls(
    headers: tuple[str, ...],
    rows: list[tuple[str, ...]],
    padding: int,
    lines: list[str],
) -> None:
    """Padded to the widest cell, the last column not at all."""
    assert printing.table(headers, rows, padding=padding) == lines


@given(st.lists(st.tuples(*[st.text("ab ", max_size=9)] * 3), max_size=5))
def test_columns_stand_below_their_headers(rows: list[tuple[str, str, str]]) -> None:
    """Each cell of a row begins where its header does."""
    headers = ("ONE", "TWO", "THREE")

    lines = printing.table(headers, rows)

    starts = [lines[0].index(header) for header in headers]
    for line, row in zip(lines[1:], rows, strict=True):
        for start, cell in zip(starts, row, strict=True):
            assert line[start:].startswith(cell)


def test_yaml_is_sorted_and_texts_of_several_lines_are_blocks() -> None:
    """As kubectl prints it; a text that looks like a number stays one."""
    assert printing.as_yaml({"b": "1", "a": {"t": "x\ny\n"}, "c": [True, None]}) == (
        'a:\n  t: |\n    x\n    y\nb: "1"\nc:\n- true\n- null\n'
    )


def test_json_is_indented_by_four() -> None:
    """As kubectl prints it."""
    assert printing.as_json({"a": [1]}) == '{\n    "a": [\n        1\n    ]\n}'


# --- jsonpath

DOCUMENT = {
    "items": [
        {"metadata": {"name": "a", "annotations": {"k8s.io/x": "v"}}, "n": 1},
        {
            "metadata": {"name": "b"},
            "conditions": [{"type": "Ready", "ok": True}, {"type": "X", "ok": False}],
        },
    ],
    "spec": {"replicas": 3},
}


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{.spec.replicas}", "3"),
        (".spec.replicas", "3"),
        ("{.spec}", '{"replicas":3}'),
        ("{.spec.replicas} of {.items[0].n}", "3 of 1"),
        ("{.items[*].metadata.name}", "a b"),
        ("{.items[-1].metadata.name}", "b"),
        ("{.items[0:1].metadata.name}", "a"),
        ("{.items[0]['n']}", "1"),
        ("{.nothing.here}", ""),
        (r"{.items[0].metadata.annotations.k8s\.io/x}", "v"),
        ('{.items[1].conditions[?(@.type=="Ready")].ok}', "true"),
        ("{.items[1].conditions[?(@.type!='Ready')].type}", "X"),
        (r'{range .items[*]}{.metadata.name}{"\t"}{.n}{"\n"}{end}.', "a\t1\nb\t\n."),
        ("{range .items[*]}{range .conditions[*]}{.type}{end};{end}", ";ReadyX;"),
        ("{range .nothing[*]}x{end}", ""),
    ],
)
def test_jsonpath_is_kubectls(template: str, text: str) -> None:
    """Text, expressions, loops; what is not there is nothing."""
    assert jsonpath.render(template, DOCUMENT) == text


@pytest.mark.parametrize("template", ["{.a", "{.a[}", "{range .a}", "{end}", "a}"])
def test_a_bad_template_is_refused(template: str) -> None:
    """With kubectl's words."""
    with pytest.raises(Failure, match="error parsing jsonpath"):
        jsonpath.render(template, DOCUMENT)


# --- references


@pytest.mark.parametrize(
    ("words", "keys"),
    [
        (["deployment/web"], ["deployment/ns/web"]),
        (["deploy/web", "po/a"], ["deployment/ns/web", "pod/ns/a"]),
        (["deployments", "web", "api"], ["deployment/ns/web", "deployment/ns/api"]),
        (["deployment.apps/web"], ["deployment/ns/web"]),
        (["Deployments.v1.apps", "web"], ["deployment/ns/web"]),
        (["no", "n1"], ["node/n1"]),
        (["rs/a"], ["replicaset/ns/a"]),
    ],
)
def test_objects_are_named_as_in_kubectl(words: list[str], keys: list[str]) -> None:
    """All the forms of spec 6.1; a node has no namespace."""
    selection = references.parse_selection(words, "ns")

    assert [each.key for each in selection.references] == keys


def test_kinds_alone_select_all_of_them() -> None:
    """Several types, each once; `all` stands for three."""
    assert references.parse_selection(["po,deploy,pods"], "ns").kinds == (
        references.POD,
        references.DEPLOYMENT,
    )
    assert references.parse_selection(["all"], "ns").kinds == references.ALL


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["foo"], 'the server doesn\'t have a resource type "foo"'),
        (["deploy", "a/b"], "there is no need to specify a resource type"),
        (["deploy/a", "b"], "there is no need to specify a resource type"),
        (["deploy,po", "a"], "you may only specify a single resource type"),
        (["deploy/"], "is not an object"),
        (["deploy/a/b"], "is not an object"),
    ],
)
def test_what_names_no_object_is_refused(words: list[str], text: str) -> None:
    """With kubectl's words where it has some."""
    with pytest.raises(Failure, match=text):
        references.parse_selection(words, "ns")


# --- what is waited for


@pytest.mark.parametrize(
    ("text", "found", "so"),
    [
        ("delete", None, True),
        ("delete", {}, False),
        ("create", {}, True),
        ("condition=Available", None, False),
        ("condition=available", {"type": "Available", "status": "True"}, True),
        ("condition=Available=False", {"type": "Available", "status": "True"}, False),
    ],
)
def test_conditions_are_looked_up(
    text: str, found: dict[str, object] | None, so: bool
) -> None:
    """By name in any case; True is meant where no status is named."""
    document = {"status": {"conditions": [found]}} if found else found

    assert conditions.parse(text)(document) is so


def test_a_value_is_waited_for() -> None:
    """Any value, or this one."""
    running = {"status": {"phase": "Running"}}

    assert conditions.parse("jsonpath={.status.phase}=Running")(running)
    assert conditions.parse("jsonpath={.status.phase}")(running)
    assert not conditions.parse("jsonpath={.status.phase}=Failed")(running)
    assert not conditions.parse("jsonpath={.status.ip}")(running)


@pytest.mark.parametrize(
    "text", ["nonsense", "condition=", "jsonpath=x", "jsonpath={.a}b"]
)
def test_an_unknown_condition_is_refused(text: str) -> None:
    """Nobody waits for what can never be."""
    with pytest.raises(Failure):
        conditions.parse(text)


# --- words of the command line


def test_images_are_pairs_behind_the_resources() -> None:
    """Split at the first equals sign only."""
    assert change.split_images(("deploy/a", "c=x:1", "d=r/y@sha256:0=")) == (
        ("deploy/a",),
        {"c": "x:1", "d": "r/y@sha256:0="},
    )
    with pytest.raises(Failure, match="all resources must be specified before"):
        change.split_images(("c=x", "deploy/a"))


def test_changes_of_labels_set_and_remove() -> None:
    """`key-` removes; both at once for one key is a mistake."""
    words = ("node", "n1", "a=b", "c-")

    assert metadata.split_changes(words, False, "label") == (
        ("node", "n1"),
        {"a": "b", "c": None},
    )
    with pytest.raises(Failure, match="can not both modify and remove"):
        metadata.split_changes(("po/a", "b=c", "b-"), False, "label")
    with pytest.raises(Failure, match="all resources must be specified before"):
        metadata.split_changes(("po/a", "b=c", "po/d"), False, "label")


def test_objects_sort_by_any_field() -> None:
    """Numbers as numbers, and what has none comes first."""
    found: list[dict[str, object]] = [{"n": 10}, {"n": 9}, {}, {"n": "a"}]

    ordered = sorted(found, key=lambda each: get.sort_key(each, ".n"))

    assert ordered == [{}, {"n": 9}, {"n": 10}, {"n": "a"}]


# --- errors


def test_errors_are_told_as_kubectl_tells_them() -> None:
    """The forms of spec 6.1; `error: ` is never doubled."""
    cause = errors.FieldError(reason="x", message="Required value", field="spec.a")
    twice = errors.Rejected(
        "Invalid", 'Pod "p" is invalid: [a, b]', causes=(cause, cause)
    )
    assert failures.describe(twice) == 'The Pod "p" is invalid: spec.a: Required value'
    assert failures.describe(errors.not_found("pods", "p")) == (
        'Error from server (NotFound): pods "p" not found'
    )
    assert failures.describe(errors.Permanent("no")) == "error: no"
    assert failures.describe(errors.Permanent("error: no")) == "error: no"
    assert failures.describe(Failure("error: as it is")) == "error: as it is"
