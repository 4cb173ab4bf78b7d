"""Images for a machine without a container engine: a catalogue of TOML files.

1. An image's name is normalised as Docker does it: `nginx` is
   `docker.io/library/nginx:latest`.
2. One file per name and tag:

       image = "nginx:1.7.9"
       aliases = ["nginx:1.7"]       # optional: further names
       command = ["{python}", …]     # what to run
       args = []                     # optional: replaced by the container's `args`
       ports = [80]                  # optional: where it listens if nothing is said
       [env]                         # optional
       [files]                       # optional: path below {root} = content

   In `command`, `args` and `env`: `{python}`, `{images}` (the folder of the file),
   `{root}` (the folder with `files`), `{ip}`, `{port}`, `{pod}`.
3. Several folders are searched, the user's first. A file that cannot be read is
   logged and left out; the others stay.
4. A miss reads the folders again: an image that was added is there at the next pull.
"""

import logging
import re
import sys
from pathlib import Path
from typing import Final

import msgspec

SHIPPED: Final = Path(__file__).parent / "images"
_TAG: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_PATH: Final = re.compile(
    r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*"
)
_DOMAIN: Final = re.compile(
    r"[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?"
    r"(\.[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?)*(:[0-9]+)?"
)
_DIGEST: Final = re.compile(r"[a-z0-9]+([+._-][a-z0-9]+)*:[0-9a-f]{32,}")

_log = logging.getLogger(__name__)


class Image(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One entry of the catalogue; see rule 2."""

    image: str
    command: tuple[str, ...]
    args: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()
    env: dict[str, str] = {}
    files: dict[str, str] = {}


class Filled(msgspec.Struct, frozen=True, kw_only=True):
    """An image for one container: nothing in it is a placeholder any more."""

    command: tuple[str, ...]
    env: dict[str, str]


class Catalogue:
    """All images in some folders."""

    def __init__(self, folders: tuple[Path, ...] = ()) -> None:
        self._folders = (*folders, SHIPPED)
        self._images: dict[str, tuple[Image, Path]] = {}

    def find(self, name: str) -> tuple[Image, Path] | None:
        """The image with its folder, or None.

        Raises `ValueError` if `name` is not a name of an image.
        """
        full = normalise(name)
        if full not in self._images:
            self._images = self._read()
        return self._images.get(full)

    def _read(self) -> dict[str, tuple[Image, Path]]:
        found: dict[str, tuple[Image, Path]] = {}
        for folder in self._folders:
            for path in sorted(folder.glob("*.toml")):
                try:
                    image = msgspec.toml.decode(path.read_bytes(), type=Image)
                    names = [normalise(n) for n in (image.image, *image.aliases)]
                except (OSError, ValueError) as error:
                    _log.warning("image file %s is left out: %s", path, error)
                    continue
                for name in names:
                    found.setdefault(name, (image, folder))
        return found


def normalise(name: str) -> str:
    """The full name, registry and tag (or digest) included.

    Raises `ValueError` with Docker's sentence if it is not a name of an image.
    """
    rest, _, digest = name.partition("@")
    if digest and not _DIGEST.fullmatch(digest):
        raise ValueError(f'couldn\'t parse image name "{name}": invalid digest format')
    slash = rest.rfind("/")
    colon = rest.rfind(":")
    tag = ""
    if colon > slash:
        rest, tag = rest[:colon], rest[colon + 1 :]
        if not _TAG.fullmatch(tag):
            raise ValueError(
                f'couldn\'t parse image name "{name}": invalid reference format'
            )
    first, _, path = rest.partition("/")
    if not path or not ("." in first or ":" in first or first == "localhost"):
        first, path = "docker.io", rest
    if first in ("docker.io", "index.docker.io"):
        first = "docker.io"
        path = path if "/" in path else f"library/{path}"
    if not (_PATH.fullmatch(path) and _DOMAIN.fullmatch(first)):
        why = "invalid reference format"
        if _PATH.fullmatch(path.lower()):
            why += f": repository name ({path}) must be lowercase"
        raise ValueError(f'couldn\'t parse image name "{name}": {why}')
    if digest:
        return f"{first}/{path}@{digest}"
    return f"{first}/{path}:{tag or 'latest'}"


def not_found(name: str) -> str:
    """What a registry says about an image that it does not have."""
    full = normalise(name)
    return (
        f'failed to pull and unpack image "{full}": failed to resolve reference '
        f'"{full}": {full}: not found'
    )


def fill(
    image: Image, folder: Path, *, args: tuple[str, ...], values: dict[str, str]
) -> Filled:
    """`image` with its placeholders replaced; `args` of the container win."""
    known = {"python": sys.executable, "images": str(folder), **values}

    def filled(text: str) -> str:
        return re.sub(r"\{(\w+)\}", lambda match: known.get(match[1], match[0]), text)

    return Filled(
        command=(*map(filled, image.command), *(args or map(filled, image.args))),
        env={name: filled(text) for name, text in image.env.items()},
    )
