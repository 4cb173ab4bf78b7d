"""Signed checkpoints (adapters/checkpoints.py): C2SP's formats, keys and files."""

import base64
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

from adapters import checkpoints
from adapters.checkpoints import Checkpoint, Damaged
from domain import errors

# The example of c2sp.org/signed-note and the Go module golang.org/x/mod/sumdb/note.
GO_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_NOTE = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
    "\n"
    "— PeterNeumann "
    "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
SAID = Checkpoint("rollbook/uid-1", 42, bytes(range(32)))


def signer() -> checkpoints.Signer:
    """A key of its own."""
    return checkpoints.Signer(ed25519.Ed25519PrivateKey.generate())


def test_what_is_signed_is_read_back() -> None:
    """The note says origin, size and root, and the key's name and id stand below."""
    mine = signer()
    key = mine.public_key(SAID.origin)

    note = mine.sign(SAID)

    assert checkpoints.opened(note, key) == SAID
    root = base64.b64encode(SAID.root).decode()
    assert note.startswith(f"rollbook/uid-1\n42\n{root}\n\n— rollbook/uid-1 ")
    assert checkpoints.parse_key(f"{key}\n") == key


def test_keys_are_those_of_go() -> None:
    """The id of a key is worked out as Go's note package does."""
    assert str(checkpoints.parse_key(GO_KEY)) == GO_KEY


def test_a_signature_of_go_is_good() -> None:
    """A signature that another program made over a note is checked the same way; that
    its text is no checkpoint is what is wrong with it, nothing else."""
    key = checkpoints.parse_key(GO_KEY)
    text, _, line = GO_NOTE.partition("\n\n")
    signature = base64.b64decode(line.split(" ")[2])
    public = ed25519.Ed25519PublicKey.from_public_bytes(key.key)

    public.verify(signature[4:], f"{text}\n".encode())

    assert signature[:4] == key.id
    with pytest.raises(Damaged, match="three lines"):
        checkpoints.opened(GO_NOTE, key)


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("\n42\n", "\n43\n", "signature is not good"),
        ("\n42\n", "\n042\n", "second line"),
        ("\n42\n", "\n-1\n", "second line"),
        ("\n42\n", "\n" + "9" * 5000 + "\n", "second line"),
        ("AAEC", "AAED", "signature is not good"),
        ("AAEC", "????", "base64"),
        ("uid-1\n42", "uid-2\n42", "signature is not good"),
        ("— rollbook/uid-1", "— rollbook/uid-2", "not signed by this key"),
        ("\n\n— ", "\n— ", "three lines"),
    ],
)
def test_what_was_changed_is_refused(old: str, new: str, why: str) -> None:
    """Not one character of what was signed may be another."""
    mine = signer()
    note = mine.sign(SAID)
    assert old in note

    with pytest.raises(Damaged, match=why):
        checkpoints.opened(note.replace(old, new), mine.public_key(SAID.origin))


def test_another_key_does_not_count() -> None:
    """A note is only worth the key that one knows, whatever name stands on it."""
    with pytest.raises(Damaged, match="not signed by this key"):
        checkpoints.opened(signer().sign(SAID), signer().public_key(SAID.origin))


def test_signatures_of_others_stand_beside_ours() -> None:
    """A witness may add its line; lines of unknown keys are passed over."""
    mine = signer()
    note = mine.sign(SAID) + "— witness.example AAAAAAAA\n"

    assert checkpoints.opened(note, mine.public_key(SAID.origin)) == SAID


def test_the_key_is_made_once_and_is_private(tmp_path: Path) -> None:
    """The file has mode 0600, and the next start signs with the same key."""
    path = tmp_path / "d" / checkpoints.KEY_FILE
    first = checkpoints.load_signer(path).public_key("x")

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert checkpoints.load_signer(path).public_key("x") == first


def test_a_damaged_key_is_told(tmp_path: Path) -> None:
    """Nothing is signed with a key that cannot be read, and none is made silently."""
    path = tmp_path / checkpoints.KEY_FILE
    path.write_text("no key")

    with pytest.raises(errors.Permanent, match="cannot be used"):
        checkpoints.load_signer(path)
    assert path.read_text() == "no key"


def test_files_of_notes(tmp_path: Path) -> None:
    """Notes are appended, and come apart again, also behind one that a crash tore."""
    mine, path = signer(), tmp_path / checkpoints.NOTES_FILE
    notes = [mine.sign(SAID._replace(size=size)) for size in (1, 2, 3)]
    checkpoints.append(path, notes[0])
    checkpoints.append(path, notes[1])
    path.write_text(path.read_text() + "\nrollbook/uid-1\n9")
    checkpoints.append(path, notes[2])

    found = list(checkpoints.split(path.read_text()))

    assert found[:2] == notes[:2]
    key = mine.public_key(SAID.origin)
    good = []
    for each in found:
        try:
            good.append(checkpoints.opened(each, key).size)
        except Damaged:
            good.append(0)
    assert good == [1, 2, 0, 3]
