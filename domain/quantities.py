"""Kubernetes quantities: `500m`, `1.5Gi`, `1e3`.

1. A quantity is a decimal number with a suffix: n u m (none) k M G T P E are powers of
   1000, Ki Mi Gi Ti Pi Ei powers of 1024, e2 or E2 an exponent of ten.
2. Nothing is finer than a billionth: smaller parts round up, away from zero. Nothing
   is larger than 2^63 - 1: larger numbers are cut to it.
3. Two texts mean the same when their numbers are equal. `canonical` keeps the family of
   suffixes as Kubernetes prints it; `shortest` gives every number exactly one text.
"""

import re
from decimal import Context, Decimal
from fractions import Fraction
from functools import lru_cache
from typing import Final

PATTERN: Final = r"^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$"
"""The pattern that Kubernetes quotes when it refuses a text."""
_GRAMMAR: Final = re.compile(
    r"(?P<number>[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+))"
    r"(?P<suffix>(?:[KMGTPE]i|[numkMGTPE])?|[eE][+-]?[0-9]{1,2})",
    re.ASCII,
)
_DECIMAL: Final = {
    "n": -9,
    "u": -6,
    "m": -3,
    "": 0,
    "k": 3,
    "M": 6,
    "G": 9,
    "T": 12,
    "P": 15,
    "E": 18,
}
_BINARY: Final = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_SUFFIX_BY_POWER: Final = {power: suffix for suffix, power in _DECIMAL.items()}
_NANOS: Final = 10**9
_LENGTH_MAX: Final = 64
_INT64_MAX: Final = 2**63 - 1
_EXACT: Final = Context(prec=256)


def parse(text: str) -> Decimal:
    """The number that `text` means, in units (cores, bytes, pieces).

    Raises ValueError with Kubernetes' sentence when `text` is not a quantity.
    """
    return Decimal(_parsed(text)[0]).scaleb(-9, _EXACT)


def canonical(text: str) -> str:
    """Kubernetes' canonical text: `0.5` → `500m`, `1024Ki` → `1Mi`, `1.5Gi` → `1536Mi`.

    The value is unchanged (rule 2 aside), there is no fraction, and the suffix is the
    largest that allows it. A binary suffix stays binary unless the value is below 1024
    or not whole.
    """
    return _canonical(text)


def shortest(text: str) -> str:
    """One text for each number: the shorter of the decimal and the binary form.

    So equal texts are equal numbers (spec 2.3); of two of the same length the binary
    one is taken.
    """
    return _shortest(text)


def cpu_milli(text: str) -> int:
    """Thousandths of a core, rounded up, at most 2^63 - 1."""
    return min(-(-_parsed(text)[0] // 10**6), _INT64_MAX)


def whole(text: str) -> int:
    """Bytes or pieces, rounded up."""
    return -(-_parsed(text)[0] // _NANOS)


@lru_cache(maxsize=4096)
def _parsed(text: str) -> tuple[int, str]:
    """`text` as whole billionths, and the suffix that it was written with."""
    found = _GRAMMAR.fullmatch(text)
    if found is None or len(text) > _LENGTH_MAX:
        raise ValueError(
            f"quantities must match the regular expression '{PATTERN}', got \"{text}\""
        )
    exact, suffix = Fraction(found["number"]) * _NANOS, found["suffix"]
    if suffix in _BINARY:
        exact *= 2 ** _BINARY[suffix]
    else:
        power = _DECIMAL[suffix] if suffix in _DECIMAL else int(suffix[1:])
        exact *= Fraction(10) ** power
    nanos = -(-abs(exact).numerator // exact.denominator)
    nanos = min(nanos, _INT64_MAX * _NANOS)
    return (-nanos if exact < 0 else nanos), suffix


@lru_cache(maxsize=4096)
def _canonical(text: str) -> str:
    nanos, suffix = _parsed(text)
    if suffix in _BINARY:
        return _binary(nanos) or _decimal(nanos)
    if suffix[:1] in ("e", "E") and suffix not in _DECIMAL:
        return _exponent(nanos)
    return _decimal(nanos)


@lru_cache(maxsize=4096)
def _shortest(text: str) -> str:
    nanos, _ = _parsed(text)
    decimal, binary = _decimal(nanos), _binary(nanos)
    return binary if binary and len(binary) <= len(decimal) else decimal


def _thousands(nanos: int) -> tuple[int, int]:
    """(digits, power of ten), the power a multiple of 3 between -9 and 18."""
    digits, power = nanos, -9
    while digits and digits % 1000 == 0 and power < 18:
        digits, power = digits // 1000, power + 3
    return (digits, power) if digits else (0, 0)


def _decimal(nanos: int) -> str:
    digits, power = _thousands(nanos)
    return f"{digits}{_SUFFIX_BY_POWER[power]}"


def _exponent(nanos: int) -> str:
    digits, power = _thousands(nanos)
    return f"{digits}e{power}" if power else str(digits)


def _binary(nanos: int) -> str:
    """The binary form, or empty when the number is not whole or is below 1024."""
    digits, rest = divmod(nanos, _NANOS)
    if rest or abs(digits) < 1024:
        return ""
    suffix = ""
    for candidate in _BINARY:
        if digits % 1024:
            break
        digits, suffix = digits // 1024, candidate
    return f"{digits}{suffix}"
