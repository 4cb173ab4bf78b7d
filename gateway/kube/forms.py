"""In which form objects go out: whole, as rows of a table, or their metadata alone.

1. `Accept` names forms in the order of preference; the first that is served is taken.
   kubectl asks for tables, controllers for metadata, most clients for objects.
2. An object is encoded once, whatever the number of those who get it; a form only
   wraps what is encoded.
"""

from collections.abc import Mapping, Sequence
from typing import Final, Literal, NamedTuple, cast

import msgspec

from gateway.kube import tables
from gateway.kube.resources import Resource
from gateway.kube.statuses import Failure
from gateway.kube.tables import Include, Table

JSON = dict[str, object]
Shape = Literal["object", "metadata", "table"]
META: Final = "meta.k8s.io"
_INCLUDES: Final = ("Metadata", "Object", "None")
_JSON_TYPES: Final = frozenset({"application/json", "application/*", "*/*", ""})
_encode = msgspec.json.Encoder().encode


class Form(NamedTuple):
    """A form; `version` is that of meta.k8s.io, `include` what a table's rows carry."""

    shape: Shape = "object"
    version: str = "v1"
    include: Include = "Metadata"


WHOLE: Final = Form()


class Shown(NamedTuple):
    """An object as it is shown: encoded, its metadata, and its cells if wanted.

    `metadata` may be encoded too; it is empty where the form does not show it.
    """

    raw: bytes
    metadata: JSON | msgspec.Raw
    version: int
    cells: tuple[object, ...] = ()


def wanted(accept: str, params: Mapping[str, str]) -> Form:
    """The form that a request asks for. Raises `Failure` 406 where none is served."""
    for part in accept.split(",") if accept else [""]:
        media, *options = (each.strip() for each in part.split(";"))
        told = dict(each.partition("=")[::2] for each in options)
        if media not in _JSON_TYPES:
            continue
        version, as_ = told.get("v", "v1"), told.get("as", "")
        if not as_:
            return WHOLE
        if told.get("g") != META or version not in ("v1", "v1beta1"):
            continue
        if as_ == "Table":
            return Form("table", version, _include(params))
        if as_ in ("PartialObjectMetadata", "PartialObjectMetadataList"):
            return Form("metadata", version)
    raise Failure(
        406,
        "NotAcceptable",
        "only the following media types are accepted: application/json",
        details={},
    )


def one(form: Form, table: Table, shown: Shown) -> bytes:
    """The answer to a request for one object."""
    if form.shape == "object":
        return shown.raw + b"\n"
    if form.shape == "metadata":
        return _encode(tables.partial(shown.metadata, f"{META}/{form.version}")) + b"\n"
    about: JSON = {"resourceVersion": str(shown.version)}
    return _encode(_table(form, table, [shown], about)) + b"\n"


def many(
    form: Form,
    resource: Resource,
    table: Table,
    shown: Sequence[Shown],
    metadata: JSON,
) -> bytes:
    """The answer to a request for a list; `metadata` is that of the list."""
    if form.shape == "table":
        return _encode(_table(form, table, shown, metadata)) + b"\n"
    if form.shape == "metadata":
        version = f"{META}/{form.version}"
        kind = "PartialObjectMetadataList"
        items = [_encode(tables.partial(each.metadata, version)) for each in shown]
    else:
        version, kind = resource.api_version, f"{resource.kind}List"
        items = [each.raw for each in shown]
    head = _encode({"kind": kind, "apiVersion": version, "metadata": metadata})
    return head[:-1] + b',"items":[' + b",".join(items) + b"]}\n"


def event(
    form: Form, table: Table, type_: str, shown: Shown, *, headed: bool = False
) -> bytes:
    """One event of a watch; a table is `headed` in the first one only."""
    if form.shape == "object":
        body = shown.raw
    elif form.shape == "metadata":
        body = _encode(tables.partial(shown.metadata, f"{META}/{form.version}"))
    else:
        about: JSON = {"resourceVersion": str(shown.version)}
        body = _encode(_table(form, table, [shown], about, headed=headed))
    return b'{"type":"%b","object":%b}\n' % (type_.encode(), body)


def bookmark(
    form: Form, resource: Resource, position: int, annotations: JSON | None = None
) -> bytes:
    """The event that says: everything up to `position` has been told."""
    metadata: JSON = {"resourceVersion": str(position), "creationTimestamp": None}
    if annotations:
        metadata["annotations"] = annotations
    kind, version = resource.kind, resource.api_version
    found: JSON = {"kind": kind, "apiVersion": version, "metadata": metadata}
    if form.shape == "metadata":
        found = tables.partial(metadata, f"{META}/{form.version}")
    elif form.shape == "table":
        found = tables.document([], metadata, f"{META}/{form.version}")
    return _encode({"type": "BOOKMARK", "object": found}) + b"\n"


def _table(
    form: Form,
    table: Table,
    shown: Sequence[Shown],
    metadata: JSON,
    *,
    headed: bool = True,
) -> JSON:
    version = f"{META}/{form.version}"
    rows: list[JSON] = []
    for each in shown:
        row: JSON = {"cells": each.cells}
        if form.include == "Metadata":
            row["object"] = tables.partial(each.metadata, version)
        elif form.include == "Object":
            row["object"] = msgspec.Raw(each.raw)
        rows.append(row)
    return tables.document(rows, metadata, version, table if headed else None)


def _include(params: Mapping[str, str]) -> Include:
    text = params.get("includeObject", "") or "Metadata"
    if text not in _INCLUDES:
        raise Failure(
            400,
            "BadRequest",
            f'unrecognized includeObject value: "{text}": use None, Metadata or Object',
        )
    return cast(Include, text)
