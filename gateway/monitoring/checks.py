"""Active checks: a GET to each ready pod of a revision; the share that answered well.

A pod that cannot be reached has not answered well: that is what is measured, not a
reason to have no number. Without a ready pod there is none.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

import aiohttp

from domain.analysis import HttpCheck
from domain.wanted import Target
from gateway.monitoring.measured import Unmeasured

CHECK_SECONDS: Final = 5.0
AT_ONCE: Final = 64
_GOOD: Final = range(200, 400)


class Checks:
    """Asks pods; `session` belongs to whoever made it."""

    def __init__(self, session: aiohttp.ClientSession, at_once: int = AT_ONCE) -> None:
        self._session = session
        self._room = asyncio.Semaphore(at_once)

    async def number(self, check: HttpCheck, targets: Sequence[Target]) -> float:
        """The share of the pods, 0 to 1, that answered with 200 to 399.

        Raises `Unmeasured` where there is no ready pod.
        """
        pods = [each for each in targets if each.ip]
        if not pods:
            raise Unmeasured("no pod of the revision is ready")
        troubles = await asyncio.gather(
            *(self.trouble(check, each.ip) for each in pods)
        )
        return sum(not each for each in troubles) / len(troubles)

    async def trouble(self, check: HttpCheck, ip: str) -> str:
        """What is wrong with the answer of one pod; "" if it answers well."""
        url = f"http://{host(ip)}:{check.port}{check.path}"
        async with self._room:
            try:
                async with (
                    asyncio.timeout(CHECK_SECONDS),
                    self._session.get(url, allow_redirects=False) as answer,
                ):
                    good = answer.status in _GOOD
                    return "" if good else f"{url} answers with {answer.status}"
            except TimeoutError:
                return f"{url} did not answer within {CHECK_SECONDS:g} s"
            except (aiohttp.ClientError, OSError, ValueError) as error:
                return f"{url} cannot be reached: {error or type(error).__name__}"


def host(ip: str) -> str:
    """The address as it stands in a URL."""
    return f"[{ip}]" if ":" in ip else ip
