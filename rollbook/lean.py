"""A lean start: what nobody needs is not imported.

nats-py imports aiohttp for WebSockets, where it is installed. Nothing here speaks
WebSockets to a broker, and aiohttp alone took 0.1 s of the processor at the start of
every command, and 15 MB of every process. What serves HTTP imports it for itself.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_ABSENT: Final = "aiohttp"


@contextmanager
def imports() -> Iterator[None]:
    """Within the block nats-py is told that aiohttp is not installed.

    That holds for whoever imports it within the block for the first time.
    """
    if _ABSENT in sys.modules:
        yield
        return
    sys.modules[_ABSENT] = None  # type: ignore[assignment]  # the import system's own word for "there is none"
    try:
        yield
    finally:
        del sys.modules[_ABSENT]
