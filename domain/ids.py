"""Names and uids that are made, not given: derived from a position, so never twice.

1. A position is unique, and each function here maps positions one-to-one: two pods
   of one ReplicaSet can never be given the same name, however many there were (S8),
   and nobody has to remember the names that were used.
2. No dice: the same log makes the same names, and a step needs no randomness.
"""

from hashlib import blake2b
from typing import Final

from domain.names import BASE_LENGTH_MAX, SUFFIX_ALPHABET, SUFFIX_LENGTH

_BASE: Final = len(SUFFIX_ALPHABET)
# A multiplier prime to 27 permutes the numbers below any power of 27; one near the
# golden ratio of the range scatters neighbours, so names look unrelated.
_MULTIPLIER: Final = 8_866_243
assert _MULTIPLIER % 3 != 0, "a multiple of 3 would not permute"


def suffix_at(position: int) -> str:
    """Five characters of Kubernetes' alphabet (spec 1.5), unique to `position`.

    From position 27**5 (14.3 million) on it is six, and so on: names of different
    lengths differ.
    """
    length, size = SUFFIX_LENGTH, _BASE**SUFFIX_LENGTH
    while position >= size:
        length, size = length + 1, size * _BASE
    number = position * _MULTIPLIER % size
    characters = []
    for _ in range(length):
        number, digit = divmod(number, _BASE)
        characters.append(SUFFIX_ALPHABET[digit])
    return "".join(characters)


def name_at(base: str, position: int) -> str:
    """`base` as a generateName (cut to 58 characters) with the suffix of `position`."""
    return base[:BASE_LENGTH_MAX] + suffix_at(position)


def uid_at(seed: str, position: int) -> str:
    """A UUID (version 8, RFC 9562) of the cluster `seed`'s event at `position`."""
    digest = blake2b(f"{seed}:{position}".encode(), digest_size=16).hexdigest()
    return (
        f"{digest[:8]}-{digest[8:12]}-8{digest[13:16]}-a{digest[17:20]}-{digest[20:]}"
    )
