"""The log for other programs: as lines of text, or as Parquet.

1. It is streamed: what is held is one batch of rows, however long the log is.
2. A file appears whole or not at all, mode 0600: written beside its place, renamed.
3. Parquet has the columns of the CSV, with types, and needs pyarrow, which is imported
   only then.
"""

import contextlib
import importlib
import os
import secrets
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, Final, Protocol

import msgspec

from domain import queries, times
from rollbook import printing, telling
from rollbook.failures import Failure

BATCH_ROWS: Final = 10_000
TELL_EVERY: Final = 2_000
_MICROSECONDS: Final = 1_000_000

Form = Callable[[queries.LogRow], str]
Progress = Callable[[int, int], None]


class Sink(Protocol):
    """Where the rows go."""

    def add(self, row: queries.LogRow) -> None:
        """Afterwards the row is written, or will be with its batch."""


class _Lines:
    """Each row as one line."""

    def __init__(self, say: Callable[[str], None], form: Form) -> None:
        self._say, self._form = say, form

    def add(self, row: queries.LogRow) -> None:
        self._say(self._form(row))


class _Parquet:
    """Rows in batches; each batch is a row group."""

    def __init__(self, file: IO[bytes]) -> None:
        self._arrow, parquet = _pyarrow()
        arrow = self._arrow
        self._schema = arrow.schema(
            [
                ("position", arrow.int64()),
                ("at", arrow.timestamp("us", tz="UTC")),
                ("stream", arrow.string()),
                ("version", arrow.int64()),
                ("type", arrow.string()),
                ("actor", arrow.string()),
                ("cause", arrow.int64()),
                ("command", arrow.string()),
                ("words", arrow.string()),
                ("event", arrow.string()),
            ]
        )
        self._writer = parquet.ParquetWriter(file, self._schema, compression="zstd")
        self._tell = telling.Teller().tell
        self._rows: list[tuple[object, ...]] = []

    def add(self, row: queries.LogRow) -> None:
        at = round(times.parse(row.at) * _MICROSECONDS) if row.at else None
        fact = msgspec.json.format(bytes(row.event), indent=-1).decode()
        start = (row.position, at, row.stream, row.version, row.type, row.actor)
        self._rows.append((*start, row.cause, row.command, self._tell(row), fact))
        if len(self._rows) >= BATCH_ROWS:
            self._flush()

    def close(self) -> None:
        """Afterwards the file is complete."""
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        if not self._rows:
            return
        columns: Sequence[Sequence[object]] = list(zip(*self._rows, strict=True))
        arrays = [
            self._arrow.array(column, type=field.type)
            for column, field in zip(columns, self._schema, strict=True)
        ]
        batch = self._arrow.record_batch(arrays, schema=self._schema)
        self._writer.write_batch(batch)
        self._rows = []


@contextlib.contextmanager
def begun(form: Form | None, header: str, path: Path | None) -> Iterator[Sink]:
    """Where to add rows: lines of `form` below `header`, or Parquet for no `form`.

    To `path`, or to standard output. Raises `Failure` where that cannot be written.
    """
    if form is not None and path is None:
        if header:
            printing.say(header)
        yield _Lines(printing.say, form)
        return
    if form is None and path is None and sys.stdout.isatty():
        raise Failure("error: Parquet is no text: name a file with --to FILE")
    with _file(path) as file:
        if form is None:
            table = _Parquet(file)
            yield table
            table.close()
            return

        def say(line: str) -> None:
            file.write(line.encode() + b"\n")

        if header:
            say(header)
        yield _Lines(say, form)


@contextlib.contextmanager
def _file(path: Path | None) -> Iterator[IO[bytes]]:
    """Rule 2; standard output for no path."""
    if path is None:
        yield sys.stdout.buffer
        return
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(descriptor)
        temporary.replace(path)
    except OSError as error:
        raise Failure(
            f"error: {path} cannot be written: {error.strerror or error}"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def _pyarrow() -> tuple[Any, Any]:
    try:
        return importlib.import_module("pyarrow"), importlib.import_module(
            "pyarrow.parquet"
        )
    except ImportError as error:
        raise Failure(
            "error: Parquet needs pyarrow, which is not installed: "
            "pip install 'rollbook[parquet]'"
        ) from error
