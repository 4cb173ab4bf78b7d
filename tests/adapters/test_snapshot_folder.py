"""Snapshots as files: what the contract of the event log cannot say of them."""

import os
import pathlib
import stat

import pytest

from adapters.snapshot_folder import SnapshotFolder
from domain import errors


def test_a_snapshot_is_for_its_owner_alone(tmp_path: pathlib.Path) -> None:
    """It holds what the log holds: nobody else may read the folder or the file."""
    path = tmp_path / "log.db.snapshots"
    SnapshotFolder(path).save("cluster", 7, 1, b"seven")

    (file,) = path.iterdir()
    assert file.name == "cluster-00000000000000000007-1.snapshot"
    assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_what_a_crash_left_unfinished_is_never_loaded(tmp_path: pathlib.Path) -> None:
    """It has another name until it is whole, and the next one clears it away."""
    folder = SnapshotFolder(tmp_path)
    left = tmp_path / "cluster-00000000000000000009-1.snapshot.unfinished"
    left.write_bytes(b"ni")
    (tmp_path / "notes.txt").write_text("not ours")

    assert folder.load("cluster", 1, None) is None
    folder.save("cluster", 7, 1, b"seven")

    assert folder.load("cluster", 1, None) == (7, b"seven")
    assert not left.exists()
    assert (tmp_path / "notes.txt").exists()


def test_a_snapshot_that_cannot_be_read_is_an_empty_one(tmp_path: pathlib.Path) -> None:
    """Its reader finds it damaged, and goes on with an older one."""
    folder = SnapshotFolder(tmp_path)
    folder.save("cluster", 3, 1, b"three")
    (tmp_path / "cluster-00000000000000000009-1.snapshot").mkdir()

    assert folder.load("cluster", 1, None) == (9, b"")
    folder.discard("cluster", 9, 1)
    assert folder.load("cluster", 1, 8) == (3, b"three")


def test_a_folder_that_cannot_be_made_is_said_so(tmp_path: pathlib.Path) -> None:
    """The error names the folder and what to do; loading finds nothing there."""
    (tmp_path / "file").write_text("")
    folder = SnapshotFolder(tmp_path / "file" / "log.db.snapshots")

    with pytest.raises(errors.Permanent, match="no snapshot can be kept there"):
        folder.save("cluster", 1, 1, b"")

    assert folder.load("cluster", 1, None) is None
    assert os.listdir(tmp_path) == ["file"]
