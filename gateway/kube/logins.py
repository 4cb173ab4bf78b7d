"""Who asks: bearer tokens, judged by the broker.

1. A token is a login of the broker in one word. The api opens a connection as that
   user, and everything that the user commands goes over it: the broker is the one
   judge of who is who and who may do what, and the api can do no more than its users.
2. A connection is kept while it is used, at most `KEPT` of them, `IDLE_SECONDS` long.
3. A login that the broker refuses is remembered for `REFUSED_SECONDS`, so that
   guessing costs the broker nothing; so few are tried at once that it cannot be
   drowned either.
4. No token, and one that is none, is 401. A broker that is away is 503 for those who
   are not known yet; who is, can go on reading.
"""

import asyncio
import base64
import binascii
import hashlib
import hmac
import time
from collections.abc import Callable
from typing import Final

from adapters import nats_subjects, nats_wire
from adapters.exchange import Exchange
from domain import errors
from gateway.kube.request import User
from gateway.kube.statuses import Failure

KEPT: Final = 256
IDLE_SECONDS: Final = 600.0
REFUSED_SECONDS: Final = 5.0
REFUSED_KEPT: Final = 10_000
AT_ONCE: Final = 8
CONNECT_SECONDS: Final = 5.0
TOKEN_BYTES_MAX: Final = 1_024


def token(user: str, secret: str) -> str:
    """The bearer token of a login: only characters that a header may carry."""
    text = f"{user}:{secret}".encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def unauthorized() -> Failure:
    """401, with what a client is asked for."""
    return Failure(
        401,
        "Unauthorized",
        "Unauthorized",
        headers={"WWW-Authenticate": 'Bearer realm="rollbook"'},
    )


class _Login:
    """A user's open connection."""

    def __init__(self, user: User, client: nats_wire.Client) -> None:
        self.user = user
        self.client = client
        self.exchange = Exchange(client)
        self.used_at = 0.0


class Logins:
    """The users who have shown a good token, and their connections."""

    def __init__(
        self, nats_url: str, *, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._url = nats_url
        self._now = now
        self._open: dict[str, _Login] = {}
        self._refused: dict[bytes, float] = {}
        self._tries = asyncio.Semaphore(AT_ONCE)
        self._locks: dict[str, asyncio.Lock] = {}

    async def user(self, authorization: str) -> User:
        """Who this `Authorization` header is from. Raises `Failure` 401 or 503."""
        name, secret = _parsed(authorization)
        held = self._open.get(name)
        if held is not None and not held.client.is_closed:
            if hmac.compare_digest(held.user.secret.encode(), secret.encode()):
                held.used_at = self._now()
                return held.user
        elif held is not None:
            del self._open[name]
        return await self._try(name, secret, held)

    async def exchange(self, user: User) -> Exchange:
        """The connection over which `user` commands. Raises `Failure`."""
        held = self._open.get(user.name)
        if held is None or held.client.is_closed:
            await self._try(user.name, user.secret, None)
            held = self._open[user.name]
        held.used_at = self._now()
        return held.exchange

    async def tidy(self) -> None:
        """Afterwards connections that nobody has used for long are closed."""
        now = self._now()
        for name, held in list(self._open.items()):
            if now - held.used_at > IDLE_SECONDS or held.client.is_closed:
                del self._open[name]
                await nats_wire.close(held.client)
        for name, lock in list(self._locks.items()):
            if not lock.locked():
                del self._locks[name]
        for digest, at in list(self._refused.items()):
            if now - at > REFUSED_SECONDS:
                del self._refused[digest]

    async def close(self) -> None:
        """Afterwards no connection is open."""
        for held in self._open.values():
            await nats_wire.close(held.client)
        self._open.clear()

    async def _try(self, name: str, secret: str, held: _Login | None) -> User:
        digest = hashlib.sha256(f"{name}:{secret}".encode()).digest()
        refused_at = self._refused.get(digest)
        if refused_at is not None and self._now() - refused_at < REFUSED_SECONDS:
            raise unauthorized()
        async with self._locks.setdefault(name, asyncio.Lock()):
            now_held = self._open.get(name)
            if now_held is not held and now_held is not None:
                if hmac.compare_digest(now_held.user.secret.encode(), secret.encode()):
                    return now_held.user  # somebody else was as fast
                raise unauthorized()
            async with self._tries:
                client = await self._connected(name, secret, digest)
        return await self._welcome(name, secret, client)

    async def _connected(
        self, name: str, secret: str, digest: bytes
    ) -> nats_wire.Client:
        try:
            return await nats_wire.connect(
                self._url,
                name,
                secret,
                f"rollbook-api for {name}",
                timeout=CONNECT_SECONDS,
            )
        except errors.Transient as error:
            raise Failure(
                503, "ServiceUnavailable", f"the login cannot be checked: {error}"
            ) from error
        except errors.Permanent as error:
            if len(self._refused) < REFUSED_KEPT:
                self._refused[digest] = self._now()
            raise unauthorized() from error

    async def _welcome(self, name: str, secret: str, client: nats_wire.Client) -> User:
        former = self._open.pop(name, None)
        if former is not None:
            await nats_wire.close(former.client)
        login = _Login(User(name=name, secret=secret), client)
        login.used_at = self._now()
        await login.exchange.start()
        self._open[name] = login
        while len(self._open) > KEPT:
            oldest = min(self._open, key=lambda each: self._open[each].used_at)
            await nats_wire.close(self._open.pop(oldest).client)
        return login.user


def _parsed(authorization: str) -> tuple[str, str]:
    """User and secret of the header; a part of the system is no user."""
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() != "bearer" or not 0 < len(value) <= TOKEN_BYTES_MAX:
        raise unauthorized()
    try:
        padded = value.strip() + "=" * (-len(value.strip()) % 4)
        text = base64.b64decode(padded, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise unauthorized() from error
    name, colon, secret = text.partition(":")
    if not colon or not name or not secret or nats_subjects.is_reserved_login(name):
        raise unauthorized()
    return name, secret
