"""Where the store of a cluster is, as far as it can be known from a context.

Most commands talk over the wire alone. Those that read the whole log, or fold much of
it, may read the store itself where they run beside it; they never write to it.
"""

import os
from pathlib import Path

from adapters import context as contexts
from adapters.context import Context
from domain import errors
from rollbook.failures import Failure


def of(context: Context) -> str:
    """The URL of the store of this context's cluster; "" where nothing says it."""
    if context.store_url or not context.data_folder:
        return context.store_url
    from rollbook.processes import role_context  # it imports all that speaks NATS

    folder = Path(context.data_folder)
    writer = role_context(folder, "control")
    if writer.is_file():
        found = contexts.load_context(str(writer), os.environ)
        if found.store_url:
            return found.store_url
    return f"sqlite://{folder}/rollbook.db"


def needed(context: Context) -> str:
    """As `of`; raises `Failure` where nothing says it."""
    found = of(context)
    if not found:
        raise Failure("error: the context names no store: say --store URL")
    return found


def of_file(context_file: str | None) -> str:
    """The same for the context of a command line; "" where there is none."""
    try:
        return of(contexts.load_context(context_file, os.environ))
    except errors.Permanent:
        return ""
