"""The notary: signs what the log says, now and then, for others to keep.

1. It signs what is on disk: it reads the log behind its last checkpoint, page by page.
2. It never signs what the writer has not committed. While it reads it follows the
   seals, and the last of them must be the one that the writer remembers; whoever has
   changed the store in between is told about, and nothing is signed any more.
3. What it signs continues what it has signed before, across restarts: the tree starts
   at the last checkpoint of its file. `notary.json` holds the tree's right edge, and
   is believed only if its root is the one that was signed; without it the whole log is
   read once.
4. Nothing that goes wrong here ends the writer: it is logged and counted.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import msgspec

from adapters import checkpoints, nats_streams, nats_wire, private_files
from adapters.checkpoints import Checkpoint
from adapters.eventlog import EventLog, Row
from domain import seals
from domain.errors import Permanent, RollbookError, Transient
from domain.seals import Seal

PAGE: Final = 2_000
SEALS_PAGE: Final = 500
PAUSE_SECONDS: Final = 1.0
"""However often it is asked: at most one checkpoint in this time."""
_EDGE_FILE: Final = "notary.json"
_log = logging.getLogger(__name__)


class Altered(RollbookError):
    """The store does not say what was committed or signed before."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Where checkpoints go, and how often there is one (in seconds)."""

    folder: Path
    """Key, public key and checkpoints lie here."""
    witnesses: tuple[Path, ...] = ()
    """More files that each checkpoint is appended to: other disks, other machines."""
    every: float = 60.0


class _Edge(msgspec.Struct, frozen=True):
    """The tree and the chain at a checkpoint."""

    size: int
    digest: bytes
    edge: tuple[bytes, ...]


class Notary:
    """One log's signer; used by one thread."""

    def __init__(self, log: EventLog, settings: Settings) -> None:
        """Reads or makes the key. Raises `Permanent` where there can be none."""
        self._log = log
        self._settings = settings
        self._signer = checkpoints.load_signer(settings.folder / checkpoints.KEY_FILE)
        self._tree: seals.Tree | None = None
        self._digest = seals.BEGINNING
        self._signed = 0

    def make(self, uid: str, tip: Seal | None) -> str | None:
        """A new note about the log up to `tip`, written to every file.

        None where there is nothing new. A witness that cannot be written to misses it.
        Raises `Altered` (rule 2), `OSError` where our own files cannot be written, and
        what the store raises.
        """
        if not uid or tip is None or tip.last <= self._signed:
            return None
        origin = checkpoints.origin_of(uid)
        if self._tree is None:
            self._begin(origin)
        tree = self._tree
        assert tree is not None, "it was begun"
        if tip.last <= self._signed:
            return None
        self._advance(tree, tip.last)
        if self._digest != tip.digest:
            raise Altered(
                f"the log up to {tip.last} is not what was committed: somebody else "
                "has changed the store. `rollbook verify` says where"
            )
        note = self._signer.sign(Checkpoint(origin, tree.size, tree.root()))
        folder = self._settings.folder
        checkpoints.append(folder / checkpoints.NOTES_FILE, note)
        edge = _Edge(tree.size, self._digest, tree.edge())
        private_files.write(folder / _EDGE_FILE, msgspec.json.encode(edge))
        self._signed = tree.size
        for path in self._settings.witnesses:
            try:
                checkpoints.append(path, note)
            except OSError as error:
                _log.error("the witness %s has no checkpoint: %s", path, error)
        return note

    def _begin(self, origin: str) -> None:
        """Afterwards the tree stands at the last checkpoint of the file."""
        folder = self._settings.folder
        key = self._signer.public_key(origin)
        (folder / checkpoints.PUBLIC_FILE).write_text(f"{key}\n")
        signed = _last_signed(folder / checkpoints.NOTES_FILE, key)
        tree = seals.Tree()
        if signed is not None:
            restored = self._restored(folder / _EDGE_FILE, signed)
            if restored is not None:
                tree = restored
            else:
                _log.info("reading the log up to the checkpoint at %d", signed.size)
                self._advance(tree, signed.size)
            if tree.root() != signed.root:
                raise Altered(
                    f"the log up to position {signed.size} is not what was signed: "
                    "somebody has changed the store. `rollbook verify` says where"
                )
            self._signed = signed.size
        self._tree = tree

    def _restored(self, path: Path, signed: Checkpoint) -> seals.Tree | None:
        """The tree at `signed` from the file at `path`, if that is a good one."""
        try:
            edge = msgspec.json.decode(path.read_bytes(), type=_Edge)
            tree = seals.Tree.restored(edge.size, edge.edge)
        except (OSError, ValueError):
            return None
        sealed = self._log.read_seals(signed.size - 1, 1)
        if (
            (tree.size, tree.root()) != (signed.size, signed.root)
            or not sealed
            or sealed[0].last != signed.size
            or sealed[0].digest != edge.digest
        ):
            return None
        self._digest = edge.digest
        return tree

    def _advance(self, tree: seals.Tree, target: int) -> None:
        """Afterwards tree and chain stand at `target`, the end of a step."""
        while tree.size < target:
            found = self._log.read_seals(tree.size, SEALS_PAGE)
            if not found:
                raise _altered(tree.size + 1, target)
            for batch in _batches(found, target):
                self._follow(tree, batch)

    def _follow(self, tree: seals.Tree, batch: list[Seal]) -> None:
        start, end = tree.size, batch[-1].last
        rows = self._log.read(start, end - start) if len(batch) > 1 else None
        for each in batch:
            if each.first != tree.size + 1:
                raise _altered(tree.size + 1, each.last)
            before = tree.size
            if rows is None:
                pages = self._pages(tree, each.last)
                found = seals.digest(self._digest, pages)
            else:
                step = rows[before - start : each.last - start]
                found = seals.digest(self._digest, (step,))
                tree.extend(seals.leaf_hashes(step))
            if tree.size != each.last or found != each.digest:
                raise _altered(before + 1, each.last)
            self._digest = found

    def _pages(self, tree: seals.Tree, last: int) -> Iterator[list[Row]]:
        """The rows of a step that may be of any size; the tree grows with them."""
        while tree.size < last:
            rows = self._log.read(tree.size, min(PAGE, last - tree.size))
            if not rows:
                return
            tree.extend(seals.leaf_hashes(rows))
            yield rows


class Desk:
    """The notary's office hours: regularly, on request, and when control stops."""

    def __init__(
        self,
        log: EventLog,
        settings: Settings | None,
        ask: Callable[[], tuple[str, Seal | None]],
        publish: Callable[[str], Awaitable[None]],
        count: Callable[[str], None],
    ) -> None:
        self._log = log
        self._settings = settings
        self._ask = ask
        """The cluster's uid and the last seal."""
        self._publish = publish
        self._count = count
        self._notary: Notary | None = None
        self._asked = asyncio.Event()

    async def run(self, client: nats_wire.Client) -> None:
        """Works until it is cancelled, and signs a last checkpoint then."""
        if self._settings is None:
            await asyncio.Event().wait()
            return
        every = max(PAUSE_SECONDS, self._settings.every)

        async def asked(_message: nats_wire.Msg) -> None:
            self._asked.set()

        await client.subscribe(nats_wire.CHECKPOINT_REQUEST, cb=asked)
        with ThreadPoolExecutor(1, "notary") as thread:
            try:
                await self._make_stream(client)
                while True:
                    await self._sign(thread)
                    await asyncio.sleep(PAUSE_SECONDS)
                    with contextlib.suppress(TimeoutError):
                        empty = self._ask()[1] is None
                        rest = PAUSE_SECONDS if empty else every - PAUSE_SECONDS
                        async with asyncio.timeout(rest):
                            await self._asked.wait()
                    self._asked.clear()
            finally:
                await self._sign(thread)

    async def _make_stream(self, client: nats_wire.Client) -> None:
        try:
            config = nats_streams.CHECKPOINTS_CONFIG
            await nats_streams.ensure(client.jetstream(), config)
        except (Transient, Permanent) as error:
            _log.warning("checkpoints are published, but not kept: %s", error)

    async def _sign(self, thread: ThreadPoolExecutor) -> None:
        loop = asyncio.get_running_loop()
        try:
            note = await loop.run_in_executor(thread, self._make, *self._ask())
        except (RollbookError, OSError) as error:
            self._count("checkpoints_failed")
            _log.error("no checkpoint: %s", error)
            return
        if note is not None:
            await self._publish(note)

    def _make(self, uid: str, tip: Seal | None) -> str | None:
        if self._notary is None:
            assert self._settings is not None, "it is looked at before"
            self._notary = Notary(self._log, self._settings)
        return self._notary.make(uid, tip)


def _batches(found: list[Seal], target: int) -> Iterator[list[Seal]]:
    """The seals up to `target`, in batches of up to `PAGE` rows; a larger step is a
    batch of its own."""
    batch: list[Seal] = []
    for each in found:
        if each.last > target:
            break
        if batch and each.last - batch[0].first >= PAGE:
            yield batch
            batch = []
        batch.append(each)
    if batch:
        yield batch
    elif found[0].last > target:
        raise _altered(target, found[0].last)


def _altered(first: int, last: int) -> Altered:
    return Altered(
        f"the step at positions {first}–{last} does not fit its seal: somebody else "
        "has changed the store. `rollbook verify` says more"
    )


def _last_signed(path: Path, key: checkpoints.PublicKey) -> Checkpoint | None:
    """The last note of the file that this key has signed."""
    try:
        text = path.read_text("utf-8", errors="replace")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Permanent(f"{path} cannot be read: {error}") from error
    for note in reversed(list(checkpoints.split(text))):
        try:
            return checkpoints.opened(note, key)
        except checkpoints.Damaged:
            continue
    return None
