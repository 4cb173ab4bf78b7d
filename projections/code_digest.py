"""Which code this is: the digest of all that folds and decides.

1. It covers every module of `domain` and of `projections`, as it was loaded: from its
   source, or from the compiled file where an installation has no source.
2. A comment changes it too. That costs one long start, and no thought of what matters.
"""

import functools
import hashlib
import importlib.util
import pkgutil
from importlib.machinery import ModuleSpec
from typing import Any

import domain
import projections


@functools.cache
def code() -> str:
    """The digest, in hexadecimal; worked out once, in a few milliseconds.

    It is asked for at a start, lest an installation that changes under a running
    process lends its name to the old code.
    """
    digest = hashlib.sha256()
    for package in (domain, projections):
        modules = pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
        for name in (package.__name__, *sorted(module.name for module in modules)):
            digest.update(f"\n{name}\n".encode())
            digest.update(_text(importlib.util.find_spec(name)))
    return digest.hexdigest()


def _text(spec: ModuleSpec | None) -> bytes:
    assert spec is not None, "the module was just found"
    loader: Any = spec.loader
    data: bytes = loader.get_data(loader.get_filename(spec.name))
    return data
