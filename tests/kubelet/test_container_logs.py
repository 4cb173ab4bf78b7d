"""The files that containers' output is kept in."""

import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from kubelet import container_logs


def read(path: Path, **options: bool) -> bytes:
    """Everything in a log."""
    reader = container_logs.LogReader(path, timestamps=options.get("timestamps", False))
    data = reader.first()
    reader.close()
    return data


@given(st.lists(st.binary(max_size=40), max_size=20), st.integers(1, 50))
def test_what_is_written_is_read(pieces: list[bytes], size: int) -> None:
    """However it is cut into pieces: the same bytes, a newline at the end."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "0.log"
        writer = container_logs.LogWriter(path)
        data = b"".join(pieces)
        for piece in container_logs.chunks(data, size):
            writer.write("stdout", piece)
        writer.write("stdout", b"")
        writer.close()
        expected = data if not data or data.endswith(b"\n") else data + b"\n"
        assert read(path) == expected


def test_the_format_is_the_one_of_the_cri(tmp_path: Path) -> None:
    """Timestamp, stream, F or P, text."""
    writer = container_logs.LogWriter(tmp_path / "0.log")
    writer.write("stderr", b"oh no\n" + b"x" * 20_000 + b"\n")
    writer.close()
    lines = (tmp_path / "0.log").read_bytes().splitlines()
    assert [line.split(b" ", 3)[1:3] for line in lines] == [
        [b"stderr", b"F"],
        [b"stderr", b"P"],
        [b"stderr", b"F"],
    ]
    assert lines[0].split(b" ", 3)[3] == b"oh no"


def test_a_log_is_bounded(tmp_path: Path) -> None:
    """Two files of the limit at most; the newest lines are there, in order."""
    path = tmp_path / "0.log"
    writer = container_logs.LogWriter(path, limit=5_000)
    for number in range(1_000):
        writer.write("stdout", b"line %d\n" % number)
    writer.close()
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) <= 10_000
    lines = read(path).splitlines()
    assert lines == [b"line %d" % n for n in range(1_000 - len(lines), 1_000)]
    assert len(lines) > 50


def test_a_follower_survives_the_rotation(tmp_path: Path) -> None:
    """What is written after the file was moved is read too."""
    path = tmp_path / "0.log"
    writer = container_logs.LogWriter(path, limit=200)
    reader = container_logs.LogReader(path, timestamps=False)
    writer.write("stdout", b"0\n")
    seen = reader.first()
    for number in range(1, 40):
        writer.write("stdout", b"%d\n" % number)
        seen += reader.more()
    writer.close()
    reader.close()
    assert seen.splitlines() == [b"%d" % n for n in range(40)]


def test_lines_without_a_timestamp_are_read(tmp_path: Path) -> None:
    """A container that outlives its kubelet writes its file itself."""
    path = tmp_path / "0.log"
    path.write_bytes(b"plain\nmore words in a line here\n")
    assert read(path) == b"plain\nmore words in a line here\n"


def test_timestamps_have_nine_digits() -> None:
    """RFC 3339 with nanoseconds, in UTC."""
    text = container_logs.timestamp(1_700_000_000_000_000_042)
    assert text == "2023-11-14T22:13:20.000000042Z"
