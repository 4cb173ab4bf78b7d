"""`create namespace`, `serviceaccount`, `configmap` and `secret generic`.

1. The words, the options and what is said are kubectl's (spec 6.9).
2. A file is a key of its name, or of the name before its `=`; a folder is all the files
   in it whose names can be keys.
3. What is no UTF-8 is kept in base64; of a Secret everything is.
"""

import base64
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click

from domain import errors
from rollbook.client import Cluster, Object
from rollbook.commands import common, flags, options
from rollbook.failures import Failure
from rollbook.references import (
    CONFIGMAP,
    NAMESPACE,
    SECRET,
    SERVICEACCOUNT,
    Kind,
    at,
)

_KEY: Final = re.compile(r"[-._a-zA-Z0-9]+")
_KEY_LENGTH_MAX: Final = 253
_NAMES: Final = click.argument("names", nargs=-1, metavar="NAME")
_LITERALS: Final = click.option(
    "--from-literal", "literals", multiple=True, metavar="KEY=VALUE",
    help="A key and its value.",
)  # fmt: skip
_FILES: Final = click.option(
    "--from-file", "sources", multiple=True, metavar="[KEY=]PATH",
    help="A file whose content is the value, or a folder of such files.",
)  # fmt: skip


@click.command(cls=flags.Command)
@_NAMES
@common.changing
@options.everywhere
def namespace(names: tuple[str, ...], change: common.Change) -> None:
    """Create a namespace.

    \b
    Examples:
      rollbook create namespace shop
    """
    _create(NAMESPACE, names, {}, change)


@click.command(cls=flags.Command)
@_NAMES
@common.changing
@options.namespaced
def serviceaccount(names: tuple[str, ...], change: common.Change) -> None:
    """Create a ServiceAccount.

    \b
    Examples:
      rollbook create serviceaccount builder
    """
    _create(SERVICEACCOUNT, names, {}, change)


@click.command(cls=flags.Command)
@_NAMES
@_LITERALS
@_FILES
@common.changing
@options.namespaced
def configmap(
    names: tuple[str, ...],
    literals: tuple[str, ...],
    sources: tuple[str, ...],
    change: common.Change,
) -> None:
    """Create a ConfigMap from words and files.

    \b
    Examples:
      rollbook create configmap web --from-literal=color=blue
      rollbook create configmap web --from-file=nginx.conf --from-file=robots=r.txt
    """
    found: dict[str, dict[str, str]] = {"data": {}, "binaryData": {}}
    for key, value in _values(literals, sources):
        if any(key in each for each in found.values()):
            raise Failure(
                f'error: cannot add key "{key}", another key by that name already '
                f'exists in Data for ConfigMap "{"".join(names[:1])}"'
            )
        try:
            found["data"][key] = value.decode()
        except UnicodeDecodeError:
            found["binaryData"][key] = _base64(value)
    content: Object = {part: values for part, values in found.items() if values}
    _create(CONFIGMAP, names, content, change)


@click.group(cls=flags.Group)
def secret() -> None:
    """Create a Secret."""


@secret.command(cls=flags.Command)
@_NAMES
@_LITERALS
@_FILES
@click.option(
    "--type", "type_", default="Opaque", show_default=True, help="The Secret's type."
)
@common.changing
@options.namespaced
def generic(
    names: tuple[str, ...],
    literals: tuple[str, ...],
    sources: tuple[str, ...],
    type_: str,
    change: common.Change,
) -> None:
    """Create a Secret from words and files.

    \b
    Examples:
      rollbook create secret generic web --from-literal=password=hunter2
      rollbook create secret generic web --from-file=key.pem
    """
    data: dict[str, str] = {}
    for key, value in _values(literals, sources):
        if key in data:
            raise Failure(
                f"error: cannot add key {key}, another key by that name already exists"
            )
        data[key] = _base64(value)
    content: Object = {"type": type_}
    if data:
        content["data"] = data
    _create(SECRET, names, content, change)


def _create(
    kind: Kind, names: tuple[str, ...], content: Object, change: common.Change
) -> None:
    """The object is created, and that is said. Raises `Failure` in kubectl's words."""
    if len(names) != 1:
        path = click.get_current_context().command_path
        raise Failure(
            f"error: exactly one NAME is required, got {len(names)}\n"
            f"See '{path} -h' for help and examples"
        )
    (name,) = names
    manifest: Object = {
        "apiVersion": kind.api_version,
        "kind": kind.title,
        "metadata": {"name": name},
        **content,
    }

    async def work(cluster: Cluster) -> None:
        reference = at(kind, name, cluster.namespace if kind.namespaced else "")
        answer = None
        try:
            if change.dry_run != "client":
                answer = await cluster.create(manifest, **change.said)
        except errors.Rejected as error:
            what = f"failed to create {kind.name}"
            raise Failure(f"error: {what}: {error.message}") from error
        await common.done(cluster, change, reference, "created", answer)

    common.run(work)


def _values(
    literals: tuple[str, ...], sources: tuple[str, ...]
) -> Iterator[tuple[str, bytes]]:
    """The keys and values in the order of the command line; files come first."""
    for source in sources:
        if source.count("=") > 1:
            raise Failure("error: key names or file paths cannot contain '='")
        key, equals, path = source.rpartition("=")
        if equals and not (key and path):
            what = "key name" if path else "file path"
            where = f"{what} for file path" if path else f"{what} for key name"
            raise Failure(f"error: {where} {path or key} missing")
        yield from _files(key, Path(path))
    for literal in literals:
        key, equals, value = literal.partition("=")
        if not (key and equals):
            raise Failure(
                f"error: invalid literal source {literal}, expected key=value"
            )
        yield _checked(key), value.encode()


def _files(key: str, path: Path) -> Iterator[tuple[str, bytes]]:
    """Rule 2. Raises `Failure` for what cannot be read."""
    try:
        if not path.is_dir():
            yield _checked(key or path.name), path.read_bytes()
            return
        if key:
            raise Failure(
                "error: cannot give a key name for a directory path; it has many files"
            )
        for each in sorted(path.iterdir()):
            if each.is_file() and _is_key(each.name):
                yield each.name, each.read_bytes()
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise Failure(f"error: error reading {path}: {why}") from error


def _checked(key: str) -> str:
    if not _is_key(key):
        raise Failure(
            f'error: "{key}" is not a valid key name: a valid config key must consist '
            "of alphanumeric characters, '-', '_' or '.'"
        )
    return key


def _is_key(text: str) -> bool:
    return (
        _KEY.fullmatch(text) is not None
        and len(text) <= _KEY_LENGTH_MAX
        and text not in (".", "..")
    )


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()
