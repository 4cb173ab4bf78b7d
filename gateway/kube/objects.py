"""`get` and `list`: objects as they are now, or as they were at any position.

1. A request that names no version is answered from everything that was committed
   before it was asked: the store itself is asked first. `resourceVersion=0` takes what
   is folded, `N` waits until N is folded, and `resourceVersionMatch=Exact` reads the
   state at N, however old.
2. A list is of one position, which is its version. Its further pages are of the same
   one: `continue` carries it. There is no position that is too old.
3. A long list is rendered in slices, so that others are answered meanwhile; what could
   change between two slices is rendered at once.
"""

import asyncio
import base64
import heapq
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from domain import errors
from gateway.kube import forms, kinds, options
from gateway.kube.changes import Changes
from gateway.kube.forms import Form, Shown
from gateway.kube.kinds import Held, Kind, Picked
from gateway.kube.rendered import Rendered
from gateway.kube.request import Request
from gateway.kube.statuses import Failure
from gateway.past import Past
from gateway.past_folding import PARTS
from gateway.reader import Reader
from gateway.views.scene import JSON, Scene, Templates

WAIT_SECONDS: Final = 3.0
"""How long a version that is not folded yet is waited for, as the API server does."""
SLICE: Final = 250
LINGER_SECONDS: Final = 10.0
"""So long the changes behind a list are kept for a watch that may follow."""
_EXACT: Final = "Exact"
_NOT_OLDER: Final = "NotOlderThan"


_Held = tuple[str, Held, int, bytes | None]


class Asked(NamedTuple):
    """Which state a request wants: `position` 0 with `exact` unset is any."""

    position: int | None
    exact: bool = False


class _Token(msgspec.Struct, frozen=True, array_like=True):
    """What `continue` carries: the list's position, and its last object so far."""

    version: int
    position: int
    namespace: str
    name: str


class State(NamedTuple):
    """A state to read from, and the version of each of its objects."""

    scene: Scene
    version: Callable[[str, Held], int]
    managed: Callable[[str], bytes | None]
    """The list of an object's managed fields; not known of the past."""
    rendered: Rendered | None = None
    """What was rendered of the present state; None for a past one."""

    @property
    def live(self) -> bool:
        """It is the present state."""
        return self.rendered is not None

    @property
    def position(self) -> int:
        """Where in the log it is."""
        return self.scene.cluster.position

    def shown(
        self,
        kind: Kind,
        key: str,
        held: Held,
        version: int,
        form: Form,
        managed: bytes | None,
    ) -> Shown:
        """See `Kind.shown`; of the present state what was rendered before."""
        if self.rendered is None:
            return kind.shown(self.scene, held, version, form, managed)
        return self.rendered.shown(kind, self.scene, key, held, version, form, managed)


class Objects:
    """Reads what `reader` has folded; every method runs in its loop."""

    def __init__(
        self,
        reader: Reader,
        past: Past,
        changes: Changes,
        *,
        now: Callable[[], float] = time.time,
        wait_seconds: float = WAIT_SECONDS,
    ) -> None:
        self._reader = reader
        self._past = past
        self._changes = changes
        self._now = now
        self._wait_seconds = wait_seconds
        self._templates = Templates()
        self._restarts = reader.restarts
        self._catching: asyncio.Task[int] | None = None
        self._next: asyncio.Task[int] | None = None

    # --- states ---------------------------------------------------------------------

    def live(self) -> State:
        """What is folded now; it stays valid until the next `await`."""
        reader, changes = self._reader, self._changes
        if self._restarts != reader.restarts:
            self._templates, self._restarts = Templates(), reader.restarts
        scene = Scene(
            reader.cluster,
            reader.happenings,
            self._templates,
            self._now(),
            changes.authority,
            reader.live,
        )
        return State(
            scene,
            lambda key, held: changes.version(scene, key, held),
            reader.managed.of,
            changes.rendered,
        )

    async def current(self) -> State:
        """Everything that was committed before this was called (rule 1).

        Those who ask at the same time share one question to the store. Raises
        `Transient` where it does not answer.
        """
        if self._next is None:
            self._next = asyncio.create_task(self._catch_up(self._catching))
        await asyncio.shield(self._next)
        return self.live()

    async def _catch_up(self, running: "asyncio.Task[int] | None") -> int:
        if running is not None:
            await asyncio.wait([running])
        self._catching, self._next = self._next, None
        return await self._reader.catch_up()

    async def wait_for(self, position: int) -> None:
        """Afterwards `position` is folded. Raises `Failure` 504 if it is not yet."""
        if position <= self._reader.position:
            return
        await self.current()
        if not await self._reader.wait_for(position, self._wait_seconds):
            raise too_large(position, self._reader.position)

    async def at(self, position: int, one: str = "") -> State:
        """The state at `position`; with `one` only that object of it."""
        await self.wait_for(position)
        if position == self._reader.position:
            return self.live()
        if one.startswith(PARTS):
            found = await self._past.part(one, position, "all")
        else:
            found = await self._past.whole(position)
        cluster, happenings = found
        now = self.live().scene
        scene = msgspec.structs.replace(now, cluster=cluster, happenings=happenings)
        return State(
            scene,
            lambda _key, held: kinds.derived_version(scene, held),
            lambda _key: None,
        )

    async def state(self, asked: Asked, one: str = "") -> State:
        """The state that a request wants."""
        if asked.position is None:
            return await self.current()
        if asked.exact:
            return await self.at(asked.position, one)
        if asked.position:
            await self.wait_for(asked.position)
        return self.live()

    # --- answers --------------------------------------------------------------------

    async def get(self, request: Request, form: Form) -> Shown:
        """The object. Raises `Rejected` 404 where there is none."""
        kind = kinds.of(request.resource)
        key = kind.object_key(request.namespace, request.name)
        state = await self.state(asked_state(request.params, listing=False), key)
        held = kind.find(state.scene, request.namespace, request.name)
        if held is None:
            raise errors.not_found(request.resource.qualified, request.name)
        version, managed = state.version(key, held), state.managed(key)
        return state.shown(kind, key, held, version, form, managed)

    async def list(self, request: Request, form: Form) -> bytes:
        """The encoded list, or a page of it. Raises `Rejected` or `Failure`."""
        kind, params = kinds.of(request.resource), request.params
        picked = kinds.picked(kind, request.namespace, params)
        if "sendInitialEvents" in params:
            why = "Forbidden: sendInitialEvents is forbidden for list"
            raise options_invalid("sendInitialEvents", "FieldValueForbidden", why)
        limit = _number("limit", params.get("limit", ""))
        token = _token(params.get("continue", ""))
        asked = asked_state(params, listing=True)
        if token is None:
            # A watch from this list on is likely to follow.
            tabular = form.shape == "table"
            self._changes.feed(kind, tabular=tabular, linger=LINGER_SECONDS)
            state = await self.state(asked)
            after = None
        else:
            if token.position > self._reader.position:
                raise _expired()
            state = await self.at(token.position)
            after = (token.namespace, token.name)
        found, more = _page(kind, state, picked, limit, after)
        slices = Rendering(kind, state, found, form).slices()
        shown = [each async for slice_ in slices for each in slice_]
        metadata: JSON = {"resourceVersion": str(state.position)}
        if more:
            metadata["continue"] = _continue(state.position, kind.key(found[-1]))
            if picked.everything:
                metadata["remainingItemCount"] = more
        return forms.many(form, kind.resource, kind.table, shown, metadata)


class Rendering:
    """Objects on their way to be shown as they are in `state` (rule 3).

    What the rest needs of the state is taken at once, so that the state may go on.
    """

    def __init__(
        self, kind: Kind, state: State, found: Sequence[Held], form: Form
    ) -> None:
        self._kind, self._state, self._form = kind, state, form
        keys = [kind.object_key(*kind.key(held)) for held in found]
        self._left = [
            (key, held, state.version(key, held), state.managed(key))
            for key, held in zip(keys, found, strict=True)
        ]
        self._made: list[Shown] = []
        if state.live and kind.own in kinds.DERIVED:
            self._made = self._slice(self._left)
            self._left = []

    async def slices(self) -> AsyncGenerator[list[Shown], None]:
        """The objects as they go out, in slices; others run between two of them."""
        if self._made:
            yield self._made
        for index in range(0, len(self._left), SLICE):
            if index:
                await asyncio.sleep(0)
            yield self._slice(self._left[index : index + SLICE])

    def _slice(self, some: "Sequence[_Held]") -> list[Shown]:
        show, kind, form = self._state.shown, self._kind, self._form
        return [
            show(kind, key, held, version, form, managed)
            for key, held, version, managed in some
        ]


def chosen(kind: Kind, state: State, picked: Picked) -> list[Held]:
    """The objects that are picked, in no order."""
    scene = state.scene
    if picked.name and (picked.namespace or not kind.resource.namespaced):
        one = kind.find(scene, picked.namespace, picked.name)
        found = [one] if one is not None else []
    else:
        found = [*kind.all(scene, picked.namespace)]
    if picked.everything:
        return found
    return [held for held in found if picked.matches(held, kind.labels(scene, held))]


def asked_state(params: Mapping[str, str], *, listing: bool) -> Asked:
    """What `resourceVersion` and `resourceVersionMatch` ask for.

    Raises `Failure` 422 or 400 for a combination that the API server refuses.
    """
    text = params.get("resourceVersion", "")
    match = params.get("resourceVersionMatch", "")
    continued = bool(params.get("continue")) and listing
    if match and "sendInitialEvents" not in params:
        _check_match(text, match, continued)
    if continued and text not in ("", "0"):
        raise Failure(
            400,
            "BadRequest",
            "specifying resource version is not allowed when using continue",
        )
    if not text:
        return Asked(None)
    position = _version(text)
    return Asked(position, exact=match == _EXACT)


def too_large(position: int, current: int) -> Failure:
    """The version is not there yet."""
    cause = {
        "reason": "ResourceVersionTooLarge",
        "message": "Too large resource version",
    }
    return Failure(
        504,
        "Timeout",
        f"Timeout: Too large resource version: {position}, current: {current}",
        details={"causes": [cause], "retryAfterSeconds": 1},
        headers={"Retry-After": "1"},
    )


def options_invalid(field: str, reason: str, text: str) -> Failure:
    """422 for parameters that do not go together."""
    return options.invalid("ListOptions", field, reason, text)


def _check_match(text: str, match: str, continued: bool) -> None:
    field, forbidden = "resourceVersionMatch", "FieldValueForbidden"
    if continued:
        why = "Forbidden: resourceVersionMatch is forbidden when continue is provided"
        raise options_invalid(field, forbidden, why)
    if not text:
        why = (
            "Forbidden: resourceVersionMatch is forbidden unless resourceVersion is "
            "provided"
        )
        raise options_invalid(field, forbidden, why)
    if match not in (_EXACT, _NOT_OLDER):
        why = (
            f'Unsupported value: "{match}": supported values: "", "Exact", '
            '"NotOlderThan"'
        )
        raise options_invalid(field, "FieldValueNotSupported", why)
    if match == _EXACT and text == "0":
        why = (
            'Forbidden: resourceVersionMatch "exact" is forbidden for resourceVersion '
            '"0"'
        )
        raise options_invalid(field, forbidden, why)


def _version(text: str) -> int:
    if not text.isdecimal() or len(text) > 18:
        raise Failure(
            400, "BadRequest", f'invalid resource version: "{text}" is no number'
        )
    return int(text)


def _number(name: str, text: str) -> int:
    if not text:
        return 0
    if not text.isdecimal() or len(text) > 9:
        raise Failure(
            400, "BadRequest", f'{name}: "{text}" must be a number that is not negative'
        )
    return int(text)


def _page(
    kind: Kind,
    state: State,
    picked: Picked,
    limit: int,
    after: tuple[str, str] | None,
) -> tuple[list[Held], int]:
    """The objects of a page in order, and how many come behind it."""
    found = chosen(kind, state, picked)
    if after is not None:
        found = [held for held in found if kind.key(held) > after]
    if not limit or len(found) <= limit:
        return sorted(found, key=kind.key), 0
    return heapq.nsmallest(limit, found, key=kind.key), len(found) - limit


def _continue(position: int, last: tuple[str, str]) -> str:
    data = msgspec.json.encode(_Token(1, position, *last))
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _token(text: str) -> _Token | None:
    if not text:
        return None
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        return msgspec.json.decode(data, type=_Token)
    except (ValueError, msgspec.MsgspecError) as error:
        raise Failure(400, "BadRequest", "continue key is not valid") from error


def _expired() -> Failure:
    return Failure(
        410,
        "Expired",
        "The provided continue parameter is of another log: start a new list without "
        "the continue parameter.",
    )
