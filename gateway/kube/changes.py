"""What each step of the log has changed, for those who watch.

1. A step is told as a whole: for each object that it has touched at most one change,
   with the object's state after the step and the position of the last event that
   touched it; one that went and came again has two. Changes are in that order.
2. An object's version is that position. Pods' events change their ReplicaSet and
   their Deployment too, a node that falls silent its pods: their status is another.
3. A change is rendered and encoded once for all who watch (`Feed`), and only while
   somebody does, or did a short time ago.
4. A watcher's backlog (watchers.py) is bounded. One that cannot keep up is ended; it
   comes back with the last version that it has seen, and nothing is lost.
5. Nothing here can stop the fold: what fails ends the watches, and is logged.
"""

import itertools
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple

from domain import deployment, node, plain, protocol
from domain.command import CommandAccepted
from domain.events import Event, Recorded
from domain.pod import Pod
from gateway import derived
from gateway.kube import forms, kinds, rendered
from gateway.kube.forms import Form, Shown
from gateway.kube.kinds import Held, Kind
from gateway.kube.rendered import Rendered
from gateway.kube.watchers import Change, Side, Watcher
from gateway.views.scene import Scene, Templates
from projections import managed
from projections.cluster import Cluster
from projections.happenings import Happening, Happenings

RECENT_CHANGES: Final = 10_000
RECENT_BYTES: Final = 32 * 1024 * 1024
LINGER_SECONDS: Final = 60.0
"""So long changes are kept on when nobody watches any more."""

_TABLE: Final = Form("table")
_log = logging.getLogger(__name__)


class Feed:
    """The changes of one resource; `tabular` ones have cells too."""

    def __init__(self, kind: Kind, *, tabular: bool, since: int) -> None:
        self.kind = kind
        self.form = _TABLE if tabular else forms.WHOLE
        self.since = since
        """Every change behind this position is in `recent`."""
        self.recent: deque[Change] = deque()
        self.watchers: set[Watcher] = set()
        self.idle_at = float("-inf")
        self.bounded = True
        self._bytes = 0

    def behind(self, position: int) -> list[Change]:
        """The recent changes that one who has seen up to `position` has not seen.

        Those of an event that has changed several come again: its client may have
        gone between two of them.
        """
        return [
            each
            for each in self.recent
            if each.position > position or (each.several and each.position == position)
        ]

    def publish(self, changes: list[Change]) -> None:
        """A step's changes for everybody who watches, and for those who come."""
        for one, other in itertools.pairwise(changes):
            if one.position == other.position:
                one.several = other.several = True
        self.recent.extend(changes)
        self._bytes += sum(len(each.shown.raw) for each in changes)
        while self.bounded and (
            len(self.recent) > RECENT_CHANGES or self._bytes > RECENT_BYTES
        ):
            oldest = self.recent.popleft()
            self._bytes -= len(oldest.shown.raw)
            self.since = oldest.position
        for watcher in self.watchers:
            watcher.offer(changes)


class _Gone(NamedTuple):
    """An object that has gone in this step, as it was at last, for each feed."""

    position: int
    shown: dict[int, Shown]


class Changes:
    """Follows a fold (reader.py calls it); every method runs in one loop."""

    def __init__(
        self,
        *,
        managed: Callable[[str], bytes | None] = lambda _key: None,
        authority: str = "",
        now: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
        rendered_bytes: int = rendered.BYTES_MAX,
    ) -> None:
        """`managed` gives the list of an object's managed fields; `authority` is the
        certificate of the cluster's, PEM."""
        self.authority = authority
        self.rendered = Rendered(rendered_bytes)
        self.position = 0
        """Everything up to here has been offered to those who watch."""
        self.several_at = 0
        """The last event that has changed several objects of a kind."""
        self.failures = 0
        self._managed = managed
        self._now = now
        self._clock = clock
        self._templates = Templates()
        self._versions: dict[str, int] = {}
        self._feeds: dict[tuple[str, bool], Feed] = {}
        self._by_own: dict[str, list[Feed]] = {}
        self._begin_step()

    def _begin_step(self) -> None:
        self._touched: dict[str, int] = {}
        self._before: dict[str, Side | None] = {}
        self._gone: dict[str, list[_Gone]] = {}
        self._lines: list[Happening] = []
        self._pods_of_node: list[str] = []
        self._address = ""

    # --- questions ------------------------------------------------------------------

    def version(self, at: Scene, key: str, held: Held) -> int:
        """The object's version now (rule 2)."""
        found = self._versions.get(key)
        if found is None:
            found = kinds.derived_version(at, held)
            if not isinstance(held, Happening):
                self._versions[key] = found
        return found

    def feed(
        self, kind: Kind, *, tabular: bool, linger: float = LINGER_SECONDS
    ) -> Feed:
        """The feed of a resource, which is kept for `linger` seconds at least."""
        known = self._feeds.get((_id(kind), tabular))
        if known is None:
            known = Feed(kind, tabular=tabular, since=self.position)
            self._feeds[_id(kind), tabular] = known
            self._by_own.setdefault(kind.own, []).append(known)
        known.idle_at = max(known.idle_at, self._clock() + linger - LINGER_SECONDS)
        return known

    @property
    def watchers(self) -> int:
        """How many watch now."""
        return sum(len(each.watchers) for each in self._feeds.values())

    def end_all(self, why: str) -> None:
        """Afterwards nobody watches, and no change is known."""
        for feed in self._feeds.values():
            for watcher in feed.watchers:
                watcher.end(why)
        self._feeds.clear()
        self._by_own.clear()

    # --- the fold -------------------------------------------------------------------

    def start(self, position: int) -> None:
        """A state that was folded without this, or another log: all begins there."""
        self.end_all("the log is read anew")
        self._versions.clear()
        self.rendered.clear()
        self._templates = Templates()
        self._begin_step()
        self.position = position

    def before(self, recorded: Recorded, cluster: Cluster) -> None:
        """The event is about to be folded."""
        try:
            self._note_before(recorded, cluster)
        except Exception:
            self._failed(recorded.position)

    def after(
        self, recorded: Recorded, before_pod: Pod | None, at: Cluster, told: Happenings
    ) -> None:
        """The event is folded; `before_pod` is what that returned."""
        try:
            self._note_after(recorded, before_pod, at)
            if "event" in self._by_own:
                self._lines += told.at(recorded.position)
        except Exception:
            self._failed(recorded.position)

    def step_ended(self, cluster: Cluster, happenings: Happenings) -> None:
        """The step is folded and settled: what it has changed is told (rule 1)."""
        self.position = cluster.position
        try:
            if self._by_own:
                scene = self._scene(cluster, happenings)
                for own in [*self._by_own]:
                    self._tell(own, scene)
        except Exception:
            self._failed(cluster.position)
        self._begin_step()

    def _scene(self, cluster: Cluster, told: Happenings) -> Scene:
        return Scene(cluster, told, self._templates, self._now(), self.authority)

    def _failed(self, position: int) -> None:
        self.failures += 1
        _log.exception("the changes at %d cannot be told", position)
        self.end_all("a change could not be told")

    def _note_before(self, recorded: Recorded, cluster: Cluster) -> None:
        key = recorded.stream
        own, _, rest = key.partition("/")
        if own == "command":
            self._note_command(recorded)
            return
        if own == "replicaset":
            owned = cluster.desired.replicasets.get(key)
            if owned is not None and owned.owner:
                self._touch(owned.owner, recorded.position)
        elif own == "node" and isinstance(recorded.event, _OF_PODS):
            self._note_node(recorded.event, rest, cluster)
        elif own == plain.NAMESPACE:
            for each in derived.standing(cluster, rest):
                self._note_side(each, recorded, cluster)
        self._note_side(key, recorded, cluster)

    def _note_side(self, key: str, recorded: Recorded, cluster: Cluster) -> None:
        """What the object is before the event, which may be its end."""
        feeds = self._by_own.get(key.partition("/")[0])
        if not feeds:
            return
        ends = type(recorded.event) in _ENDS
        if key in self._before and not ends:
            return
        scene = self._scene(cluster, _NOTHING)
        kind = feeds[0].kind
        held = derived.held(scene, key)
        side = Side(held, kind.labels(scene, held)) if held is not None else None
        self._before.setdefault(key, side)
        if ends and held is not None:
            position = recorded.position
            shown = {
                id(feed): feed.kind.shown(
                    scene, held, position, feed.form, self._managed(key)
                )
                for feed in feeds
            }
            self._gone.setdefault(key, []).append(_Gone(position, shown))

    def _note_command(self, recorded: Recorded) -> None:
        """A command may say who manages the fields of its object."""
        event = recorded.event
        if not isinstance(event, CommandAccepted):
            return
        if event.managed_fields is protocol.NO_MANAGED_FIELDS:
            return
        key = managed.key_of(event.subject)
        if key and self._managed(key) != bytes(event.managed_fields):
            self._touch(key, recorded.position)

    def _note_node(self, event: Event, name: str, cluster: Cluster) -> None:
        """Which pods are to change with their node, if they do."""
        use = cluster.actual.nodes.get(name)
        self._pods_of_node = [*use.pods] if use is not None else []
        self._address = use.node.info.address if use is not None else ""
        if isinstance(event, node.NodeBecameUnready):
            pods = cluster.actual.pods
            self._pods_of_node = [k for k in self._pods_of_node if pods[k].ready]

    def _changed_with_node(self, event: Event, name: str, at: Cluster) -> list[str]:
        """The pods that this event of their node has changed."""
        if isinstance(event, node.NodeBecameUnready):
            return self._pods_of_node
        use = at.actual.nodes.get(name)
        address = use.node.info.address if use is not None else ""
        if address == self._address:
            return []
        return [*use.pods] if use is not None else self._pods_of_node

    def _note_after(
        self, recorded: Recorded, before_pod: Pod | None, at: Cluster
    ) -> None:
        key, position, event = recorded.stream, recorded.position, recorded.event
        own, _, rest = key.partition("/")
        match own:
            case "pod":
                self._touch(key, position)
                after = at.actual.pods.get(key)
                for held in (before_pod, after):
                    if held is not None and held.owner:
                        self._touch_replicaset(held.owner, position, at)
            case "replicaset":
                self._touch_replicaset(key, position, at)
            case "deployment":
                self._touch(key, position)
                if isinstance(event, deployment.DeploymentDeletionRequested):
                    owned = at.desired.owned_by(key)
                    self._touch_several([each.key for each in owned], position)
            case "node":
                if not isinstance(event, node.ReportsCounted):
                    self._touch(key, position)
                if isinstance(event, _OF_PODS):
                    pods = self._changed_with_node(event, rest, at)
                    self._touch_several(pods, position)
                    for each in pods:
                        owner = at.actual.pods[each].owner
                        if owner:
                            self._touch_replicaset(owner, position, at)
            case "command" | "cluster":
                if own == "cluster":
                    for first in at.plain.of(plain.NAMESPACE):
                        for one in (first.key, *derived.standing(at, first.name)):
                            self._touch(one, first.position)
                            self._before.setdefault(one, None)
            case plain.NAMESPACE:
                for one in (key, *derived.standing(at, rest)):
                    self._touch(one, position)
            case _:
                self._touch(key, position)

    def _touch(self, key: str, position: int) -> None:
        self._versions[key] = position
        self.rendered.forget(key)
        if self._by_own:
            self._touched[key] = position

    def _touch_replicaset(self, key: str, position: int, at: Cluster) -> None:
        self._touch(key, position)
        held = at.desired.replicasets.get(key)
        if held is not None and held.owner:
            self._touch(held.owner, position)

    def _touch_several(self, keys: Iterable[str], position: int) -> None:
        for key in keys:
            self._touch(key, position)
            self.several_at = position

    def _tell(self, own: str, at: Scene) -> None:
        """Offers the step's changes of one kind to those who watch it."""
        now = self._clock()
        for feed in [*self._by_own[own]]:
            if feed.watchers:
                feed.idle_at = now
            elif now - feed.idle_at > LINGER_SECONDS:
                self._forget(feed)
                continue
            found = [*self._changes(feed, at)]
            if found:
                found.sort(key=lambda each: each.position)
                feed.publish(found)

    def _forget(self, feed: Feed) -> None:
        del self._feeds[_id(feed.kind), feed.form is _TABLE]
        feeds = self._by_own[feed.kind.own]
        feeds.remove(feed)
        if not feeds:
            del self._by_own[feed.kind.own]

    def _changes(self, feed: Feed, at: Scene) -> Iterator[Change]:
        kind, own = feed.kind, feed.kind.own
        if own == "event":
            for line in self._lines:
                shown = kind.shown(at, line, line.position, feed.form)
                after = Side(line, {})
                yield Change(kind.key(line)[0], line.position, None, after, shown)
            return
        prefix = f"{own}/"
        for key, position in self._touched.items():
            if not key.startswith(prefix):
                continue
            before = self._before.get(key)
            held = derived.held(at, key)
            gone = self._gone.get(key, [])
            if gone and before is not None:
                first = gone[0]
                namespace = kind.key(before.held)[0]
                last = first.shown.get(id(feed))
                if last is not None:
                    yield Change(namespace, first.position, before, None, last)
                before = None
            if held is None:
                continue
            after = Side(held, kind.labels(at, held))
            if key not in self._before:
                before = after  # touched from elsewhere: itself it is as it was
            shown = self.rendered.shown(
                kind, at, key, held, position, feed.form, self._managed(key)
            )
            yield Change(kind.key(held)[0], position, before, after, shown)


_OF_PODS: Final = (
    node.NodeBecameUnready | node.NodeChanged | node.NodeRegistered | node.NodeRemoved
)
"""The events of a node that show in its pods: their readiness, their host's address."""
_ENDS: Final = managed.ENDS | {plain.ObjectCreated}
"""What ends an object: a new one ends the derived one that it takes the place of."""
_NOTHING: Final = Happenings()


def _id(kind: Kind) -> str:
    return f"{kind.resource.api_version}/{kind.resource.plural}"
