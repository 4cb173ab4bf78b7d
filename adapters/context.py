"""The context: where a cluster listens, and with which secret one talks to it.

1. A context is one TOML file of mode 0600, written by `rollbook up` and read by the
   command line and the Python client.
2. The first place that holds one wins: `--context FILE`, then `ROLLBOOK_CONTEXT`,
   then `.rollbook/context.toml` in the current folder or one above it, then
   `~/.config/rollbook/context.toml`.
3. A file that somebody named must be there: nothing is guessed in its place.
"""

import json
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from adapters import private_files
from domain import errors

VARIABLE: Final = "ROLLBOOK_CONTEXT"
_NAME: Final = "context.toml"


class Context(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is needed to talk to one cluster. Exactly one of the secrets is given."""

    nats_url: str
    user: str
    secret: str = ""
    secret_file: str = ""
    """A file with the secret; relative to the folder of the context's file."""
    store_url: str = ""
    api_address: str = ""
    """`host:port` of the HTTP API, empty where there is none."""
    data_folder: str = ""

    def __repr__(self) -> str:
        return f"Context({self.user} at {self.nats_url})"  # never shows the secret


def write_context(path: Path, context: Context) -> None:
    """Afterwards `path` holds `context`, mode 0600, replaced in one step."""
    lines = [
        f"{field} = {_quoted(value)}\n"
        for field in context.__struct_fields__
        if (value := getattr(context, field))
    ]
    private_files.write(path, "".join(lines).encode())


def load_context(
    explicit: str | None,
    env: Mapping[str, str],
    *,
    folder: Path | None = None,
) -> Context:
    """The context by the rules above, its `secret` filled in.

    `folder` is where the search upwards starts, the current one by default. Raises
    `Permanent`, which names the places that were searched, or the field that is
    wrong, and says what to do.
    """
    named = explicit or env.get(VARIABLE)
    if named:
        path = Path(named).expanduser()
        if not path.is_file():
            origin = "--context" if explicit else VARIABLE
            raise errors.Permanent(
                f"{origin} names {path}, but there is no such file: correct it, or "
                "leave it away to search for a context"
            )
        return _read(path)
    places = _places(env, folder or Path.cwd())
    for place in places:
        if place.is_file():
            return _read(place)
    listed = "\n".join(f"  {place}" for place in places)
    raise errors.Permanent(
        f"no cluster found. Searched, in this order:\n{listed}\n"
        "Start one here with `rollbook up`, or name its context with --context FILE "
        f"or {VARIABLE}=FILE."
    )


def _places(env: Mapping[str, str], folder: Path) -> list[Path]:
    start = folder.absolute()
    places = [each / ".rollbook" / _NAME for each in (start, *start.parents)]
    home = env.get("HOME") or os.path.expanduser("~")
    return [*places, Path(home) / ".config" / "rollbook" / _NAME]


def _read(path: Path) -> Context:
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
        context = msgspec.convert(document, Context, strict=True)
    except (OSError, ValueError) as error:  # includes msgspec's and tomllib's errors
        raise errors.Permanent(
            f"the context {path} cannot be used: {error}. "
            "`rollbook up` writes a good one."
        ) from error
    if bool(context.secret) == bool(context.secret_file):
        raise errors.Permanent(
            f"the context {path} must give exactly one of `secret` and `secret_file`"
        )
    if context.secret:
        return context
    file = path.parent / Path(context.secret_file).expanduser()
    try:
        secret = file.read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        raise errors.Permanent(
            f"the context {path} names the secret file {file}, which cannot be read: "
            f"{error}"
        ) from error
    if not secret:
        raise errors.Permanent(f"the secret file {file} is empty")
    return msgspec.structs.replace(context, secret=secret, secret_file="")


def _quoted(value: str) -> str:
    """`value` as a TOML basic string, which JSON's is but for the character DEL."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
