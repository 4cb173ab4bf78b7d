"""The questions of the client: objects, tables, history, the log, waiting, output.

The rules are those of rollbook/client.py. Every question is answered for a position of
the log that is not before this client's last command.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Final, Literal

import msgspec

from adapters import nats_wire
from adapters.exchange import Reply, Unserved
from domain import errors, queries, times
from domain.protocol import Answer
from kubelet import logs_service
from rollbook import conditions, moments, rollouts, wakeups
from rollbook.references import EVENT, Kind, Reference, parse_kind
from rollbook.session import Object, Session, Target

LOG_PAGE: Final = 1000
OBJECT_PAGE: Final = 500


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """A list as people read it; `position` is the state of the log that it shows."""

    position: int
    columns: tuple[queries.Column, ...]
    rows: tuple[queries.TableRow, ...]


class Questions(Session):
    """What one can learn of a cluster."""

    # --- questions

    async def list(
        self,
        kind: Kind | str,
        *,
        namespace: str | None = None,
        selector: str = "",
        field_selector: str = "",
        at: moments.When | None = None,
    ) -> tuple[Object, ...]:
        """All objects of a kind that the selectors pick; "" is every namespace."""
        question = self._list_question(kind, namespace, selector, field_selector)
        answers = await self._pages(question, "object", at)
        return tuple(
            msgspec.json.decode(item, type=Object)
            for answer in answers
            for item in answer.items
        )

    async def table(
        self,
        kind: Kind | str,
        name: str = "",
        *,
        namespace: str | None = None,
        selector: str = "",
        field_selector: str = "",
        format: Literal["table", "name"] = "table",  # noqa: A002  # the question's word
        at: moments.When | None = None,
    ) -> Table:
        """The same as people read it; with `name` the one object, or `Rejected`."""
        question = self._list_question(kind, namespace, selector, field_selector)
        question = msgspec.structs.replace(question, name=name)
        answers = await self._pages(question, format, at)
        return Table(
            position=answers[-1].position,
            columns=answers[0].columns,
            rows=tuple(row for answer in answers for row in answer.rows),
        )

    async def describe(
        self,
        target: Target,
        *,
        namespace: str | None = None,
        at: moments.When | None = None,
    ) -> str:
        """One object with what surrounds it, as kubectl lays it out (spec 6.12)."""
        reference = self.reference(target, namespace)
        question = queries.DescribeQuery(
            kind=reference.kind.asked,
            namespace=reference.namespace,
            name=reference.name,
        )
        return (await self.ask("describe", question, queries.DescribeAnswer, at)).text

    async def history(
        self,
        target: Target,
        *,
        present: bool = False,
        templates: bool = True,
        namespace: str | None = None,
        at: moments.When | None = None,
    ) -> tuple[queries.RevisionRow, ...]:
        """Every revision that the Deployment ever had, oldest first.

        `present` leaves out those whose ReplicaSet is gone; without `templates` a long
        history comes many times quicker.
        """
        reference = self.reference(target, namespace)
        question = queries.HistoryQuery(
            namespace=reference.namespace,
            name=reference.name,
            present=present,
            templates=templates,
        )
        rows: list[queries.RevisionRow] = []
        at = _fixed(at)
        while True:
            page = await self.ask("history", question, queries.HistoryAnswer, at)
            rows += page.revisions
            if not page.continue_:
                return tuple(rows)
            question = msgspec.structs.replace(question, continue_=page.continue_)

    async def revisions(
        self,
        target: Target,
        *which: int | str,
        before: bool = False,
        namespace: str | None = None,
        at: moments.When | None = None,
    ) -> tuple[queries.RevisionRow, ...]:
        """Those of these revisions (numbers or tags) that there are, oldest first.

        None is named: the current one. `before` adds the one in front of each.
        """
        reference = self.reference(target, namespace)
        question = queries.HistoryQuery(
            namespace=reference.namespace,
            name=reference.name,
            revisions=which or (0,),
            before=before,
        )
        answer = await self.ask("history", question, queries.HistoryAnswer, at)
        return answer.revisions

    async def why(
        self,
        target: Target | int,
        *,
        uid: str = "",
        all: bool = False,  # noqa: A002  # the question's word
        limit: int = 20,
        namespace: str | None = None,
        at: moments.When | None = None,
    ) -> queries.WhyAnswer:
        """Why an object is as it is, or why the event at a position happened.

        Objects that are gone are known too; of several that had the name the last is
        meant, or the one of `uid`. With `all` every change is told, the newest `limit`
        of them. `at` leaves out what came later. A command is `command/<id>`. Raises
        `Rejected` (NotFound) for what the log has nothing of.
        """
        question = queries.WhyQuery(uid=uid, all=all, limit=limit)
        if isinstance(target, int):
            question = msgspec.structs.replace(question, about=target)
        else:
            is_command = isinstance(target, str) and target.startswith("command/")
            named = target if is_command else self.reference(target, namespace).key
            question = msgspec.structs.replace(question, stream=str(named))
        return await self.ask("why", question, queries.WhyAnswer, at)

    async def status(self) -> queries.StatusAnswer:
        """How far the readers' side is, and what there is."""
        return await self.ask("status", queries.StatusQuery(), queries.StatusAnswer)

    async def command_answer(self, command_id: str) -> Answer | None:
        """What became of a command, or None while it was not decided."""
        question = queries.CommandQuery(id=command_id)
        return (await self.ask("command", question, queries.CommandAnswer)).answer

    # --- the log

    async def log(
        self,
        stream: str = "",
        *,
        after: int = 0,
        until: int = 0,
        types: Sequence[str] = (),
        at: moments.When | None = None,
    ) -> AsyncIterator[queries.LogRow]:
        """The events that there are behind position `after`, in order; those up to
        `at`, if it is given.

        `stream` is an object (`deployment/nginx`), a kind (`pods`), a stream's name or
        a prefix of some that ends with `/`; empty is the whole log.
        """
        stream, end, at = self.stream(stream), until, _fixed(at)
        while True:
            page = await self._log_page(stream, after, end, types, at)
            for row in page.events:
                yield row
            # The end is fixed by the first page, or a busy log would never end.
            end = end or page.position
            if page.last >= end or page.last <= after:
                return
            after = page.last

    async def recorded(self, stream: str, at: moments.When | None = None) -> None:
        """Raises `Rejected` (NotFound), with names that are like it, for an object of
        which the log has nothing, or had nothing at `at`.

        `stream` is what `log` takes; of kinds and prefixes nothing is asked.
        """
        named = self.stream(stream)
        if named and not named.endswith("/"):
            found = await self._log_page(named, 0, 0, (), at, limit=1)
            if not found.events:
                about = queries.WhyQuery(stream=named)
                await self.ask("why", about, queries.WhyAnswer, at)

    async def events(
        self, stream: str = "", *, after: int = 0, types: Sequence[str] = ()
    ) -> AsyncIterator[queries.LogRow]:
        """As `log`, and then each event that is committed, without end.

        Exactly once and in order of position, through outages too. To continue where
        one ended, give the position of the last event that was seen as `after`.
        """
        stream = self.stream(stream)
        subject = wakeups.events_subject(stream)
        async with wakeups.wakeups(self.client, subject) as news:
            while True:
                try:
                    page = await self._log_page(stream, after, 0, types)
                except errors.Transient:
                    await news.next(1.0)
                    continue
                for row in page.events:
                    yield row
                reached, after = after, max(after, page.last)
                if page.last >= page.position or page.last <= reached:
                    self.position = max(self.position, await news.next())

    def commits(self) -> AbstractAsyncContextManager[wakeups.Wakeups]:
        """Being woken after each commit, to look again at whatever is of interest."""
        return wakeups.wakeups(self.client, nats_wire.COMMITTED)

    # --- waiting

    async def wait_for(
        self,
        target: Target,
        condition: str | conditions.Condition = "condition=Available",
        *,
        namespace: str | None = None,
        seconds: float | None = None,
    ) -> Object | None:
        """The object once it is so; None if what was waited for is that it is gone.

        `condition` is what `rollbook wait --for` takes (rollbook/conditions.py), or a
        function of the object (None: it is not there). Raises `TimeoutError`.
        """
        holds = conditions.parse(condition) if isinstance(condition, str) else condition
        async with asyncio.timeout(seconds):
            async for found in self.watch(target, namespace=namespace):
                if holds(found):
                    return found
        raise AssertionError("a watch never ends")

    async def watch(
        self, target: Target, *, namespace: str | None = None
    ) -> AsyncIterator[Object | None]:
        """The object now and after each change of it; None while it is not there."""
        reference = self.reference(target, namespace)
        async with self.commits() as commits:
            found = await self.find(reference)
            yield found
            while True:
                self.position = max(self.position, await commits.next())
                before, found = found, await self._find_again(reference, found)
                if found != before:
                    yield found

    async def rollout(
        self, target: Target, *, revision: int = 0, namespace: str | None = None
    ) -> AsyncIterator[rollouts.Stage]:
        """The stages of a rollout, up to the one that says that it is done.

        Raises `Failure` where it has failed (spec 6.3), `Rejected` if there is no such
        Deployment.
        """
        reference = self.reference(target, namespace)
        await self.get(reference)
        async for found in self.watch(reference):
            if found is None:
                raise rollouts.gone()
            stage = rollouts.stage(found, revision=revision, now=time.time())
            yield stage
            if stage.done:
                return

    # --- what containers have written

    async def logs(
        self,
        target: Target,
        *,
        container: str = "",
        follow: bool = False,
        tail: int = -1,
        since: float = 0.0,
        timestamps: bool = False,
        previous: bool = False,
        namespace: str | None = None,
    ) -> AsyncIterator[bytes]:
        """What a pod's container has written, in pieces; with `follow` what it writes.

        Raises `Rejected` where there is no such pod or container, and `Transient`
        where its node does not answer.
        """
        reference = self.reference(target, namespace)
        found = await self.get(reference)
        on = conditions.text_at(found, "spec", "nodeName")
        if not on:
            raise errors.Rejected(
                "BadRequest", f"pod {reference.name} does not have a host assigned"
            )
        request = logs_service.LogsRequest(
            namespace=reference.namespace,
            name=reference.name,
            container=container,
            follow=follow,
            tail=tail,
            since_seconds=since,
            timestamps=timestamps,
            previous=previous,
        )
        subject = nats_wire.node_subject(on, "logs")
        replies = self.exchange.stream(
            subject, msgspec.json.encode(request), seconds=self.seconds, patient=follow
        )
        async with contextlib.aclosing(replies):
            try:
                async for piece in _in_order(replies, reference.name):
                    yield piece
            except Unserved as error:
                raise errors.Transient(
                    f'node "{on}" does not answer: is its kubelet running?'
                ) from error

    def stream(self, text: str) -> str:
        """The stream, or the prefix of streams, that `text` means (see `log`)."""
        if text.count("/") >= 2 or text.endswith("/") or text.startswith("command/"):
            return text
        if "/" in text:
            return self.reference(text).key
        if not text:
            return ""
        kind = parse_kind(text)
        return f"{kind.name}/{self.namespace}/" if kind.namespaced else f"{kind.name}/"

    # --- inside

    def _list_question(
        self, kind: Kind | str, namespace: str | None, selector: str, fields: str
    ) -> queries.GetQuery:
        kind = parse_kind(kind) if isinstance(kind, str) else kind
        within = self.namespace if namespace is None else namespace
        return queries.GetQuery(
            kind=kind.asked,
            namespace=within if kind.namespaced else "",
            selector=selector,
            field_selector=fields,
            limit=OBJECT_PAGE,
        )

    async def _pages(
        self,
        question: queries.GetQuery,
        format: queries.Format,  # noqa: A002  # its word
        at: moments.When | None = None,
    ) -> "tuple[queries.GetAnswer, ...]":
        question = msgspec.structs.replace(question, format=format)
        at = _fixed(at)
        answers = [await self.ask("get", question, queries.GetAnswer, at)]
        while answers[-1].continue_:
            question = msgspec.structs.replace(
                question, continue_=answers[-1].continue_
            )
            answers.append(await self.ask("get", question, queries.GetAnswer, at))
        return tuple(answers)

    async def _log_page(
        self,
        stream: str,
        after: int,
        until: int,
        types: Sequence[str],
        at: moments.When | None = None,
        limit: int = LOG_PAGE,
    ) -> queries.LogAnswer:
        question = queries.LogQuery(
            after=after, until=until, limit=limit, stream=stream, types=tuple(types)
        )
        return await self.ask("log", question, queries.LogAnswer, at)

    async def time_of(self, at: moments.When) -> float:
        """The time of a moment, seconds since the epoch: that of its event where it is
        a position. Raises `Rejected` for one that the log has not."""
        moment = moments.parse(at, time.time())
        if moment.time is not None:
            return moment.time
        position = moment.position or 0
        question = queries.LogQuery(after=max(0, position - 1), limit=1)
        answer = await self.ask("log", question, queries.LogAnswer, moment)
        return times.parse(answer.events[0].at) if answer.events else 0.0

    async def diff(
        self,
        before: moments.When,
        after: moments.When,
        target: "Target | None" = None,
        *,
        namespace: str | None = None,
    ) -> tuple[queries.ObjectDifference, ...]:
        """What differs between two moments: of one object, or of all in the namespace
        ("" is every one) and the nodes."""
        now = time.time()
        question = queries.DiffQuery(
            before=moments.parse(before, now),
            after=moments.parse(after, now),
            namespace=self.namespace if namespace is None else namespace,
        )
        if target is not None:
            one = self.reference(target, namespace)
            if one.kind == EVENT:
                text = "events do not change: `rollbook events --at` lists them"
                raise errors.Rejected("BadRequest", text)
            question = msgspec.structs.replace(
                question, kind=one.kind.name, namespace=one.namespace, name=one.name
            )
        found: tuple[queries.ObjectDifference, ...] = ()
        while True:
            page = await self.ask("diff", question, queries.DiffAnswer)
            found += page.changes
            if not page.continue_:
                return found
            question = msgspec.structs.replace(question, continue_=page.continue_)

    async def _find_again(
        self, reference: Reference, found: Object | None
    ) -> Object | None:
        """The object; the one that is known, while nobody answers."""
        try:
            return await self.find(reference)
        except errors.Transient:
            return found


def _fixed(at: moments.When | None) -> queries.Moment | None:
    """The moment; an age counts from now, for all pages from the same now."""
    return None if at is None else moments.parse(at, time.time())


async def _in_order(
    replies: AsyncGenerator[Reply, None], pod: str
) -> AsyncIterator[bytes]:
    """The pieces of a pod's output up to the last; parts are numbered one by one."""
    expected = -1
    async for reply in replies:
        if text := reply.headers.get(logs_service.ERROR):
            raise errors.Rejected("BadRequest", text)
        part = reply.headers.get(logs_service.PART, "")
        if part.isdecimal():
            if expected not in (-1, int(part)):
                raise errors.Transient(
                    f"a part of what {pod} wrote was lost on the way"
                )
            expected = int(part) + 1
        if reply.data:
            yield reply.data
        if logs_service.END in reply.headers:
            return
