"""Questions to a Prometheus: one instant query, its samples or its one number.

1. At most `AT_ONCE` questions are open, each for at most `QUERY_SECONDS`: one that
   does not answer holds up nobody but those who ask it.
2. `$namespace`, `$deployment`, `$replicaset` and `$revision` in an analysis' query
   stand for those of the revision. No other dollar is touched: PromQL's `$` ends a
   regular expression.
"""

import asyncio
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

import aiohttp
import msgspec

from gateway.monitoring.bodies import body
from gateway.monitoring.measured import Unmeasured, finite

QUERY_SECONDS: Final = 10.0
ANSWER_BYTES: Final = 8 * 1024 * 1024
AT_ONCE: Final = 8
_VARIABLES: Final = re.compile(r"\$(namespace|deployment|replicaset|revision)\b")


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """One of an answer: its labels, and its value as Prometheus writes it."""

    labels: dict[str, str]
    at: float
    value: str


class _Item(msgspec.Struct, frozen=True):
    metric: dict[str, str] = {}
    value: tuple[float, str] = (0.0, "")


class _Vector(msgspec.Struct, frozen=True, tag_field="resultType", tag="vector"):
    result: tuple[_Item, ...]


class _Scalar(msgspec.Struct, frozen=True, tag_field="resultType", tag="scalar"):
    result: tuple[float, str]


class _Answer(msgspec.Struct, frozen=True, rename="camel"):
    status: Literal["success", "error"]
    data: _Vector | _Scalar | None = None
    error: str = ""


_ANSWER: Final = msgspec.json.Decoder(_Answer)


class Prometheus:
    """One server; `session` belongs to whoever made it."""

    def __init__(
        self, url: str, session: aiohttp.ClientSession, token_file: Path | None = None
    ) -> None:
        self._url = f"{url.rstrip('/')}/api/v1/query"
        self._session = session
        self._token_file = token_file
        self._room = asyncio.Semaphore(AT_ONCE)

    async def samples(self, query: str) -> tuple[Sample, ...]:
        """The samples of a query now, at most once each. Raises `Unmeasured`."""
        try:
            async with asyncio.timeout(QUERY_SECONDS), self._room:
                data = await self._asked(query)
        except TimeoutError:
            text = f"Prometheus did not answer within {QUERY_SECONDS:g} s"
            raise Unmeasured(text) from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise Unmeasured(f"Prometheus cannot be asked: {error}") from error
        try:
            found = _ANSWER.decode(data)
        except msgspec.MsgspecError as error:
            raise Unmeasured(f"Prometheus' answer is no vector: {error}") from error
        if found.status != "success" or found.data is None:
            raise Unmeasured(f"Prometheus refuses the query: {found.error}")
        if isinstance(found.data, _Scalar):
            at, value = found.data.result
            return (Sample(labels={}, at=at, value=value),)
        return tuple(
            Sample(labels=each.metric, at=each.value[0], value=each.value[1])
            for each in found.data.result
        )

    async def number(self, query: str) -> float:
        """The one finite number that the query comes to. Raises `Unmeasured`."""
        found = await self.samples(query)
        if not found:
            raise Unmeasured("the query has no result: no such series, or none lately")
        if len(found) > 1:
            text = f"the query has {len(found)} results: aggregate them, as with sum()"
            raise Unmeasured(text)
        return finite(found[0].value, "the query's result")

    async def _asked(self, query: str) -> bytes:
        headers = {}
        if self._token_file is not None:
            token = await asyncio.to_thread(self._token_file.read_text, "utf-8")
            headers["Authorization"] = f"Bearer {token.strip()}"
        async with self._session.post(
            self._url, data={"query": query}, headers=headers, allow_redirects=False
        ) as answer:
            data = await body(answer, ANSWER_BYTES)
            if answer.status >= 500 or not data.startswith(b"{"):
                raise Unmeasured(f"Prometheus answers with status {answer.status}")
            return data


def filled(query: str, values: Mapping[str, str]) -> str:
    """The query with the variables of rule 2 in their places."""
    return _VARIABLES.sub(lambda match: values.get(match[1], match[0]), query)
