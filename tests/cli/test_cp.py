"""Archives out of a container are believed in nothing; and what `cp` is given."""

import io
import tarfile
from collections.abc import Iterable
from pathlib import Path

import pytest

from rollbook import streaming_archive
from rollbook.commands import cp
from rollbook.failures import Failure


def archive(*members: tuple[str, bytes | str]) -> io.BytesIO:
    """A tar of these: name and content; `->x` is a link to x, `/` a folder."""
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w") as made:
        for name, content in members:
            info = tarfile.TarInfo(name)
            if content == "/":
                info.type = tarfile.DIRTYPE
                made.addfile(info)
            elif isinstance(content, str):
                info.type = tarfile.SYMTYPE
                info.linkname = content.removeprefix("->")
                made.addfile(info)
            else:
                info.size = len(content)
                made.addfile(info, io.BytesIO(content))
    held.seek(0)
    return held


def files(folder: Path) -> dict[str, bytes]:
    """All that is below a folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def unpack(
    members: Iterable[tuple[str, bytes | str]], target: Path, prefix: str = "d"
) -> list[str]:
    """The warnings."""
    said: list[str] = []
    streaming_archive.unpack(archive(*members), target, prefix, said.append)
    return said


def test_a_folder_goes_there_and_back(tmp_path: Path) -> None:
    """Names, contents and modes, nothing else; who had it is not told."""
    source = tmp_path / "source"
    (source / "deep" / "er").mkdir(parents=True)
    (source / "a").write_bytes(b"one")
    (source / "deep" / "er" / "b").write_bytes(b"")
    (source / "a").chmod(0o755)
    packed = tmp_path / "packed.tar"
    streaming_archive.pack(source, "d", packed.open("wb"))
    with tarfile.open(packed) as held:
        assert {(each.uid, each.uname) for each in held} == {(0, "")}

    said: list[str] = []
    made = streaming_archive.unpack(
        packed.open("rb"), tmp_path / "target", "d", said.append
    )
    assert made == 2
    assert said == []
    assert files(tmp_path / "target") == {"a": b"one", "deep/er/b": b""}
    assert (tmp_path / "target" / "a").stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize(
    "member",
    [
        ("/etc/passwd", b"x"),
        ("../x", b"x"),
        ("d/../../x", b"x"),
        ("d/sub/../../../x", b"x"),
        ("other/x", b"x"),
        ("x", b"x"),
        ("d/link", "->/etc"),
        ("d/link", "->../.."),
    ],
)
def test_nothing_is_made_outside_of_the_target(
    tmp_path: Path, member: tuple[str, bytes | str]
) -> None:
    """Absolute names, `..`, what was not asked for, and links: skipped and told; what
    comes after it is made."""
    target = tmp_path / "in" / "target"
    target.mkdir(parents=True)
    said = unpack([member, ("d/good", b"yes")], target)
    assert len(said) == 1
    assert files(tmp_path) == {"in/target/good": b"yes"}


def test_a_link_that_is_here_already_leads_nowhere(tmp_path: Path) -> None:
    """A link in the target, of a folder or of a file, is not followed out of it."""
    outside, target = tmp_path / "outside", tmp_path / "target"
    outside.mkdir()
    target.mkdir()
    (outside / "kept").write_bytes(b"mine")
    (target / "out").symlink_to(outside)
    (target / "file").symlink_to(outside / "kept")
    said = unpack([("d/out/evil", b"x"), ("d/out/deep/evil", b"x")], target)
    assert len(said) == 2
    with pytest.raises(OSError, match="symbolic link"):
        unpack([("d/file", b"x")], target)
    assert files(outside) == {"kept": b"mine"}


def test_a_single_file_becomes_the_target(tmp_path: Path) -> None:
    """What was asked for is a file: it is called as the user says."""
    assert unpack([("./f.txt", b"text")], tmp_path / "g", prefix="f.txt") == []
    assert files(tmp_path) == {"g": b"text"}


def test_what_is_no_archive_is_an_error(tmp_path: Path) -> None:
    """Also one that ends in the middle."""
    whole = archive(("d/a", b"x" * 5000)).getvalue()
    for data in (b"no tar" * 200, whole[:2000]):
        with pytest.raises(tarfile.TarError):
            streaming_archive.unpack(io.BytesIO(data), tmp_path, "d", print)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("web-1:/tmp/x", ("web-1", "/tmp/x")),
        ("staging/web-1:x", ("staging/web-1", "x")),
        ("web-1:", ("web-1", "")),
        ("./a:b", None),
        ("/a/b:c", None),
        ("file.txt", None),
        ("a/b/c:d", None),
    ],
)
def test_which_of_both_is_in_a_container(
    text: str, place: tuple[str, str] | None
) -> None:
    """[NAMESPACE/]POD:PATH, as kubectl reads it; a path of this machine otherwise."""
    assert cp._place(text) == place


def test_a_place_without_a_pod_is_refused() -> None:
    """With the form that it should have."""
    with pytest.raises(Failure, match="canonical format"):
        cp._place(":/tmp")
