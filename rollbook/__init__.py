"""Rollbook's front door. `import rollbook; async with rollbook.connect() as cluster: …`

What is offered here is imported when it is first used, so that `rollbook --help`
need not wait for it.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rollbook.client import Cluster, connect

__all__ = ["Cluster", "connect"]


def __getattr__(name: str) -> object:
    """The client's names, imported when they are asked for."""
    if name in __all__:
        from rollbook import client

        return getattr(client, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
