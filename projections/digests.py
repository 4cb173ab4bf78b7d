"""One hash of all that is folded, to compare two folds of one log.

1. Two clusters that have folded the same events with the same code have the same
   digest, whether they began with a snapshot or not (projections/snapshots.py, rule 1).
2. `code` says by which code: only digests of the same code can be compared.
"""

import hashlib

from projections import code_digest, snapshots

code = code_digest.code


def digest(made: snapshots.Cut) -> str:
    """The digest of a cluster as it was when it was cut."""
    found = hashlib.sha256()
    for part in snapshots.frames(made):
        found.update(part)
    return found.hexdigest()
