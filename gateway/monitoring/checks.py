"""Active checks: a GET to each ready pod of a revision; the share that answered well.

A pod that cannot be reached has not answered well: that is what is measured, not a
reason to have no number. Without a ready pod there is none.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

import aiohttp

from domain.analysis import HttpCheck
from domain.queries import Target
from gateway.monitoring.measured import Unmeasured

CHECK_SECONDS: Final = 5.0
AT_ONCE: Final = 64
_GOOD: Final = range(200, 400)


class Checks:
    """Asks pods; `session` belongs to whoever made it."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        self._room = asyncio.Semaphore(AT_ONCE)

    async def number(self, check: HttpCheck, targets: Sequence[Target]) -> float:
        """The share of the pods, 0 to 1, that answered with 200 to 399.

        Raises `Unmeasured` where there is no ready pod.
        """
        pods = [each for each in targets if each.ip]
        if not pods:
            raise Unmeasured("no pod of the revision is ready")
        answers = await asyncio.gather(*(self._good(check, each.ip) for each in pods))
        return sum(answers) / len(answers)

    async def _good(self, check: HttpCheck, ip: str) -> bool:
        url = f"http://{host(ip)}:{check.port}{check.path}"
        async with self._room:
            try:
                async with (
                    asyncio.timeout(CHECK_SECONDS),
                    self._session.get(url, allow_redirects=False) as answer,
                ):
                    return answer.status in _GOOD
            except (TimeoutError, aiohttp.ClientError, OSError, ValueError):
                return False


def host(ip: str) -> str:
    """The address as it stands in a URL."""
    return f"[{ip}]" if ":" in ip else ip
