"""`-o custom-columns=…`: kubectl's tables of one's own (spec 6.2)."""

import pytest

from rollbook import custom_columns
from rollbook.failures import Failure

WEB = {
    "metadata": {"name": "web-1"},
    "spec": {"nodeName": "worker-1", "containers": [{"image": "a"}, {"image": "b"}]},
    "status": {"ready": None, "restarts": 2},
}


def cells(spec: str) -> list[str]:
    """What stands in the row of WEB."""
    columns = custom_columns.parse(custom_columns.FORMAT + spec)
    [row] = custom_columns.lines(columns, [WEB], headers=False)
    return row.split()


@pytest.mark.parametrize(
    ("path", "cell"),
    [
        (".metadata.name", "web-1"),
        ("metadata.name", "web-1"),
        ("{.metadata.name}", "web-1"),
        (".spec.containers[*].image", "a,b"),
        (".status.restarts", "2"),
        (".status.ready", "<none>"),
        (".spec.nothing", "<none>"),
    ],
)
def test_a_cell_shows_the_values_of_its_path(path: str, cell: str) -> None:
    """Several have commas between them; what is not there is `<none>`."""
    assert cells(f"X:{path}") == [cell]


def test_a_table_has_the_headers_that_were_typed() -> None:
    """As they were typed, above columns of kubectl's width; without them only rows."""
    columns = custom_columns.parse(
        "custom-columns=Name:.metadata.name,ON:.spec.nodeName"
    )

    assert custom_columns.lines(columns, [WEB]) == [
        "Name    ON",
        "web-1   worker-1",
    ]
    assert cells("NAME:.metadata.name,ON:.spec.nodeName") == ["web-1", "worker-1"]


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ("", "no custom columns given"),
        ("NAME", "unexpected custom-columns spec: NAME, expected"),
        ("NAME:", "unexpected custom-columns spec: NAME:, expected"),
        ("A:.b:.c", "unexpected custom-columns spec: A:.b:.c, expected"),
        ("A:.b[", "jsonpath"),
    ],
)
def test_what_is_no_column_is_refused(spec: str, told: str) -> None:
    """With kubectl's words, before anybody is asked."""
    with pytest.raises(Failure, match=told.replace("[", r"\[")):
        custom_columns.parse(custom_columns.FORMAT + spec)
