"""Reads manifests: files, folders and text, YAML or JSON, into raw objects.

1. Nothing is judged here but the text itself: what the objects mean is decoded by
   `domain.objects`.
2. YAML is read as Kubernetes reads it (adapters/yaml_text.py), and a key that is
   written twice is refused.
3. Empty documents are skipped, and an object of kind `List` becomes its items.
4. PyYAML is imported when something is read, so that commands without files start fast.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

import msgspec

from domain import objects
from domain.errors import Rejected

if TYPE_CHECKING:
    from adapters import yaml_text

SUFFIXES: Final = (".json", ".yaml", ".yml")
STDIN: Final = "-"
SIZE_MAX: Final = 3 * 1024 * 1024


class LoadedManifest(msgspec.Struct, frozen=True, kw_only=True):
    """One object of a file, as parsed."""

    raw: dict[str, object]
    source: str
    """The file, or where else the text came from; for messages."""


def load(text: str, source: str) -> list[LoadedManifest]:
    """All objects in `text`, in order; `source` names the text in messages.

    Raises `Rejected("BadRequest")` when the text is no YAML, a document is no object,
    or a key is written twice in one map: every such key is named by its path.
    """
    from adapters import yaml_text

    if len(text) > SIZE_MAX:
        raise _bad(source, f"the text is longer than {SIZE_MAX} characters")
    try:
        return [
            LoadedManifest(raw=raw, source=source)
            for document in yaml_text.documents(text)
            for raw in _objects(document, source)
        ]
    except yaml_text.Unreadable as error:
        raise _bad(source, str(error)) from error


def load_files(
    paths: Sequence[str], *, recursive: bool = False, stdin: str = ""
) -> list[LoadedManifest]:
    """All objects of the files, folders and standard input (`-`, as `stdin`).

    A folder gives its .json, .yaml and .yml files, sorted by path, those of its folders
    only when `recursive`. Raises `Rejected("BadRequest")` when a path does not exist,
    cannot be read, or a folder holds no manifest.
    """
    loaded: list[LoadedManifest] = []
    for path in paths:
        if path == STDIN:
            loaded += load(stdin, "STDIN")
            continue
        if path.startswith(("http://", "https://")):
            how = f"curl -fsSL {path} | rollbook … -f -"
            raise _bad(path, f"nothing is fetched from the web: {how}")
        for file in _files(Path(path), recursive):
            loaded += load(_read(file), str(file))
    return loaded


def _files(path: Path, recursive: bool) -> Iterable[Path]:
    if not path.is_dir():
        return [path]
    found = path.rglob("*") if recursive else path.iterdir()
    files = sorted(each for each in found if each.suffix in SUFFIXES and each.is_file())
    if not files:
        raise _bad(str(path), f"no file ends in {', '.join(SUFFIXES)}")
    return files


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise _bad(str(path), "the path does not exist") from None
    except UnicodeDecodeError:
        raise _bad(str(path), "the file is not UTF-8 text") from None
    except OSError as error:
        raise _bad(str(path), f"cannot be read: {error.strerror}") from error


def _objects(document: "yaml_text.Document", source: str) -> list[dict[str, object]]:
    """The objects of one document: itself, or the items of a List."""
    raw = document.value
    if raw is None:
        return []
    if not isinstance(raw, dict):
        raise _bad(source, "a manifest must be an object with apiVersion and kind")
    if document.duplicates:
        _refuse_duplicates(raw, document.duplicates, source)
    items = raw.get("items")
    if raw.get("kind") != "List" or not isinstance(items, list | None):
        return [raw]
    for index, item in enumerate(items or []):
        if not isinstance(item, dict):
            raise _bad(source, f"items[{index}] must be an object")
    return list(items or [])


def _refuse_duplicates(
    raw: dict[str, object], duplicates: Sequence[str], source: str
) -> NoReturn:
    """Kubernetes' answer, which names the unknown fields of the same object too."""
    if (raw.get("apiVersion"), raw.get("kind")) in objects.KINDS:
        objects.decode_manifest(raw, duplicates=duplicates)
    listed = ", ".join(f'duplicate field "{path}"' for path in duplicates)
    raise _bad(source, f"strict decoding error: {listed}")


def _bad(source: str, text: str) -> Rejected:
    return Rejected("BadRequest", f"error parsing {source}: {text}")
