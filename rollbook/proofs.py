"""The proof of one event: a text that can be checked without the log.

1. The first part is C2SP's tlog-proof: index, audit path, checkpoint. Its `extra` line
   holds the event itself, as the tree hashes it (domain/seals.py, rule 4), in base64.
2. A checker needs the proof and the public key, nothing else: the event gives the leaf,
   leaf and path give the root, and the root must be the one that was signed.
"""

import base64
import binascii
from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from adapters import checkpoints
from adapters.checkpoints import Checkpoint, Damaged, PublicKey
from domain import seals
from domain.seals import Stored

HEADER: Final = "c2sp.org/tlog-proof@v1"
_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Stored).decode


class Proved(NamedTuple):
    """What a proof shows: `row` is an event of the log that `checkpoint` speaks of."""

    row: Stored
    checkpoint: Checkpoint


def write(row: Stored, leaves: Sequence[bytes], note: str) -> str:
    """The proof that `row` is in the log; `leaves` are all that the note speaks of."""
    index = row[0] - 1
    extra = base64.b64encode(_encode(row)).decode()
    path = [base64.b64encode(each).decode() for each in seals.path_of(leaves, index)]
    lines = [HEADER, f"extra {extra}", f"index {index}", *path]
    return "\n".join(lines) + "\n\n" + note


def check(text: str, key: PublicKey) -> Proved:
    """What the proof shows. Raises `Damaged`, which says what is wrong with it."""
    head, _, note = text.partition("\n\n")
    lines = head.splitlines()
    if len(lines) < 3 or lines[0] != HEADER:
        raise Damaged(f"this is not a proof: its first line is not {HEADER}")
    extra, index = lines[1].split(" "), lines[2].split(" ")
    if extra[0] != "extra" or index[0] != "index" or len(extra) != 2 != len(index):
        raise Damaged("a proof has a line `extra` and a line `index`")
    try:
        row = _decode(base64.b64decode(extra[-1], validate=True))
        path = [base64.b64decode(each, validate=True) for each in lines[3:]]
    except (binascii.Error, ValueError, msgspec.MsgspecError) as error:
        raise Damaged(f"the proof cannot be read: {error}") from None
    signed = checkpoints.opened(note, key)
    if index[-1] != str(row[0] - 1):
        raise Damaged(f"the proof is of index {index[-1]}, its event of {row[0] - 1}")
    leaf = seals.leaf_hashes([row])[0]
    try:
        root = seals.root_by_path(leaf, row[0] - 1, signed.size, path)
    except ValueError as error:
        raise Damaged(f"the proof is not one of this checkpoint: {error}") from None
    if root != signed.root:
        raise Damaged("the event is not in the log that was signed")
    return Proved(row, signed)
