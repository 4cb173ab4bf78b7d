"""Checkpoints: signed sentences about how far the log was, and what it said.

1. A checkpoint is a note of C2SP (signed-note, tlog-checkpoint): the log's origin, the
   number of its events, the root of RFC 6962's tree over them in base64, an empty line,
   and a signature line. Any tool that knows these formats can check one.
2. The signature is Ed25519 over the lines before the empty one. The signature line
   names the key: the origin, and four bytes that are a hash of origin and key.
3. The public key is one line, `origin+id+key`, as Go's note package writes it.
4. A file of checkpoints is only ever appended to; an empty line separates them.
"""

import base64
import binascii
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from cryptography import exceptions
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from adapters import private_files
from domain import errors, seals

KEY_FILE: Final = "checkpoint.key"
PUBLIC_FILE: Final = "checkpoint.pub"
NOTES_FILE: Final = "checkpoints"
_ED25519: Final = b"\1"
_DASH: Final = "— "
_ID_BYTES: Final = 4
_KEY_BYTES: Final = 32


class Damaged(ValueError):
    """This is no checkpoint, or not one of this key; the text says why."""


class Checkpoint(NamedTuple):
    """What was signed: the log `origin` had `size` events, and their tree `root`."""

    origin: str
    size: int
    root: bytes


class PublicKey(NamedTuple):
    """Whose word counts: the name on the signature line, and the key."""

    name: str
    key: bytes

    @property
    def id(self) -> bytes:
        """The four bytes that the signature line names the key by."""
        named = self.name.encode() + b"\n" + _ED25519 + self.key
        return hashlib.sha256(named).digest()[:_ID_BYTES]

    def __str__(self) -> str:
        encoded = base64.b64encode(_ED25519 + self.key).decode()
        return f"{self.name}+{self.id.hex()}+{encoded}"


class Signer:
    """The private key of one log."""

    def __init__(self, key: ed25519.Ed25519PrivateKey) -> None:
        self._key = key

    def public_key(self, origin: str) -> PublicKey:
        """What is needed to check this signer's notes."""
        raw = self._key.public_key().public_bytes(
            serialization.Encoding.Raw, serialization.PublicFormat.Raw
        )
        return PublicKey(origin, raw)

    def sign(self, checkpoint: Checkpoint) -> str:
        """The note, which ends with a newline."""
        text = body(checkpoint)
        name = checkpoint.origin
        signature = self.public_key(name).id + self._key.sign(text.encode())
        return f"{text}\n{_DASH}{name} {base64.b64encode(signature).decode()}\n"


def origin_of(cluster_uid: str) -> str:
    """The name of a cluster's log."""
    return f"rollbook/{cluster_uid}"


def body(checkpoint: Checkpoint) -> str:
    """The lines that are signed."""
    root = base64.b64encode(checkpoint.root).decode()
    return f"{checkpoint.origin}\n{checkpoint.size}\n{root}\n"


def load_signer(path: Path) -> Signer:
    """The key in the file `path`, mode 0600; made there if there is none.

    Raises `Permanent` where the file holds no key, or cannot be made.
    """
    try:
        if not path.exists():
            made = ed25519.Ed25519PrivateKey.generate()
            private_files.write(
                path,
                made.private_bytes(
                    serialization.Encoding.PEM,
                    serialization.PrivateFormat.PKCS8,
                    serialization.NoEncryption(),
                ),
            )
        key = serialization.load_pem_private_key(path.read_bytes(), None)
    except (OSError, ValueError, TypeError) as error:
        raise errors.Permanent(
            f"the key of checkpoints {path} cannot be used: {error}. Put a good copy "
            "back, or delete it: then a new one is made, and what the old one signed "
            "is checked with the old public key"
        ) from error
    if not isinstance(key, ed25519.Ed25519PrivateKey):
        raise errors.Permanent(f"{path} is not an Ed25519 key: delete it")
    return Signer(key)


def parse_key(text: str) -> PublicKey:
    """The public key that `str` of one writes. Raises `Damaged`."""
    name, _, rest = text.strip().partition("+")
    id_, _, encoded = rest.partition("+")
    raw = _base64(encoded)
    key = PublicKey(name, raw[1:])
    if raw[:1] != _ED25519 or len(raw) != 1 + _KEY_BYTES or key.id.hex() != id_:
        raise Damaged("this is not a public key of checkpoints: origin+id+key")
    return key


def opened(note: str, key: PublicKey) -> Checkpoint:
    """What a note says, if `key` has signed it. Raises `Damaged`."""
    text, _, signatures = note.rpartition("\n\n")
    text += "\n"
    found = parse_body(text)
    for line in signatures.splitlines():
        name, _, encoded = line.removeprefix(_DASH).rpartition(" ")
        if not line.startswith(_DASH) or name != key.name:
            continue
        raw = _base64(encoded)
        if raw[:_ID_BYTES] != key.id:
            continue
        try:
            public = ed25519.Ed25519PublicKey.from_public_bytes(key.key)
            public.verify(raw[_ID_BYTES:], text.encode())
        except (exceptions.InvalidSignature, ValueError):
            raise Damaged("its signature is not good") from None
        return found
    raise Damaged("it is not signed by this key")


def parse_body(text: str) -> Checkpoint:
    """What the lines say that are signed. Raises `Damaged`."""
    lines = text.splitlines()
    if len(lines) < 3 or not lines[0]:
        raise Damaged("a checkpoint has three lines: origin, size and root")
    size, root = lines[1], _base64(lines[2])
    good = size.isascii() and size.isdecimal() and str(int(size[:20])) == size
    if not good or len(root) != seals.HASH_BYTES:
        raise Damaged("the second line is a number, the third a hash in base64")
    return Checkpoint(lines[0], int(size), root)


def split(text: str) -> Iterator[str]:
    """The notes of a file of checkpoints, in order, as they stand there.

    What a crash has torn is a note of its own, which nobody has signed.
    """
    note: list[str] = []
    signed = False
    for line in text.splitlines():
        is_signature = line.startswith(_DASH)
        torn = bool(note) and note[-1] == "\n" and line != ""
        if note and not is_signature and (signed or torn):
            yield "".join(note)
            note = []
        if line or note:
            note.append(line + "\n")
        signed = is_signature
    if note:
        yield "".join(note)


def append(path: Path, note: str) -> None:
    """Afterwards the file ends with `note`, on disk. Raises `OSError`."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        size = os.fstat(descriptor).st_size
        # What a crash has torn must not spoil what comes after it.
        torn = size and os.pread(descriptor, 1, size - 1) != b"\n"
        os.write(descriptor, ("\n\n" if torn else "\n" if size else "").encode())
        os.write(descriptor, note.encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Damaged("a hash or a signature is not in base64") from None
