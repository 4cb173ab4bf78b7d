"""Writes the documents that are made from the code: `python docs/generate.py`.

1. `documents` is every generated file with its text; the same code gives the same
   text. docs/nats.md is half by hand: its marked regions alone are written.
2. `--check` writes nothing: it names the files that differ and exits with 1. A schema
   that nobody generates any more counts as stale too, and is deleted without it.
"""

import argparse
import sys
from pathlib import Path
from typing import Final

# So that it runs as a script, whatever is installed.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from docs._generate import asyncapi, facts, machines, pages, schemas

FOLDER: Final = Path(__file__).resolve().parent
NATS: Final = "nats.md"
SCHEMAS: Final = "schemas"


def documents(folder: Path) -> dict[str, str]:
    """The text of each generated file, by its path relative to `folder`.

    `folder` must hold docs/nats.md, for what is written by hand in it. Raises
    `ValueError` where a subject has no place there.
    """
    found = {
        NATS: pages.nats((folder / NATS).read_text("utf-8")),
        "events.md": facts.document(),
        "states.md": machines.document(),
        "environment.md": pages.environment(),
        "asyncapi.json": asyncapi.document(),
    }
    found |= {f"{SCHEMAS}/{name}": text for name, text in schemas.documents().items()}
    return found


def stale(folder: Path) -> list[str]:
    """The files of `folder` that are not what the code generates, sorted."""
    return _differing(folder, documents(folder))


def write(folder: Path) -> list[str]:
    """Afterwards nothing in `folder` is stale; the files that were changed, sorted."""
    wanted = documents(folder)
    changed = _differing(folder, wanted)
    for name in changed:
        path = folder / name
        if name in wanted:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(wanted[name], "utf-8")
        else:
            path.unlink()
    return changed


def main(arguments: list[str] | None = None) -> int:
    """The command; returns its exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--check", action="store_true", help="only say which files are stale"
    )
    parser.add_argument("--folder", type=Path, default=FOLDER, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    try:
        return _run(options.folder, check=options.check)
    except ValueError as error:
        print(f"cannot write the documents: {error}", file=sys.stderr)
        return 1


def _run(folder: Path, *, check: bool) -> int:
    if check:
        found = stale(folder)
        for name in found:
            print(f"stale: {name}; run `make docs`")
        return 1 if found else 0
    for name in write(folder):
        print(f"wrote {name}")
    return 0


def _differing(folder: Path, wanted: dict[str, str]) -> list[str]:
    """The files that are not as wanted, and the schemas that nobody wants any more."""
    there = {f"{SCHEMAS}/{path.name}" for path in (folder / SCHEMAS).glob("*.json")}
    differing = {name for name, text in wanted.items() if _read(folder / name) != text}
    return sorted(differing | (there - wanted.keys()))


def _read(path: Path) -> str | None:
    return path.read_text("utf-8") if path.exists() else None


if __name__ == "__main__":
    sys.exit(main())
