"""Which nodes are well, and when pods leave those that are not (spec 4.5 to 4.7).

1. A node that is not heard for the grace time is Unknown; one whose kubelet says that
   it is not well is False. Its pods turn unready with it, and nothing is replaced yet.
2. An unhealthy node is lost (it gets the NoExecute taint) when its zone's rate allows:
   the first at once, the others ten seconds apart.
3. From then on each pod stays as long as it tolerates the taints: the least
   `tolerationSeconds` of the tolerations used, 300 s if it says nothing, for ever if
   they name no time, not at all if a taint is not tolerated.
4. A zone of which a large part is unhealthy is slowed, or stopped if it is small. If
   every zone has no ready node at all, the fault is more likely ours: the NoExecute
   taints go, and nothing is lost until a node is ready. Then all timers start anew.
5. A node is lost once. Whether it is unreachable or not ready may change meanwhile;
   its pods' time goes on from when it was lost.

What has to be remembered from one plan to the next (rates, rule 4) is a value that
comes in and goes out. `restarted_at` is also for the writer's own start: silence that
nobody listened to proves nothing.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, Literal, Protocol

import msgspec

from domain import node as nodes
from domain import objects, times
from domain.plans.placement import NO_EXECUTE, matches_taint
from domain.plans.tolerations import with_default_tolerations
from domain.podspec import Taint, Toleration

HEARTBEAT_PERIOD: Final = 10.0
"""Seconds between two heartbeats of a kubelet."""
LEASE_DURATION: Final = 40.0
"""Seconds for which a heartbeat is good."""
TICK: Final = 1e-6
"""The microsecond grid: the first instant that is strictly after another."""
EXCLUDED: Final = "node.kubernetes.io/exclude-disruption"
REGION: Final = "topology.kubernetes.io/region"
ZONE: Final = "topology.kubernetes.io/zone"

Status = Literal["True", "False", "Unknown"]
ZoneState = Literal["Normal", "PartialDisruption", "FullDisruption"]


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """The limits; seconds, and nodes a second."""

    monitor_grace: float = 50.0
    startup_grace: float = 60.0
    toleration_seconds: int = objects.DEFAULT_TOLERATION_SECONDS
    rate: float = 0.1
    rate_disrupted: float = 0.01
    """For a large zone in partial disruption; a small one is stopped."""
    large_zone: int = 50
    unhealthy_fraction: float = 0.55
    unhealthy_min: int = 3
    """With fewer unhealthy nodes a zone is not disrupted in part."""


DEFAULTS: Final = Config()

assert HEARTBEAT_PERIOD * 3 < LEASE_DURATION, "three heartbeats may be missed"
assert DEFAULTS.monitor_grace > LEASE_DURATION, "a good lease is a heard node"
assert DEFAULTS.monitor_grace <= DEFAULTS.startup_grace, "a start takes longer"
assert DEFAULTS.rate_disrupted < DEFAULTS.rate, "a disrupted zone is slower"
assert 0 < DEFAULTS.unhealthy_fraction <= 1, "it is a part of the zone"


# --- facts ------------------------------------------------------------------------


class NodeFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A node: what is recorded of it, and when it was heard."""

    name: str
    registered_at: float
    heartbeat_at: float | None
    """When the writer last heard it, by the writer's clock; None: never."""
    reported: Literal["True", "False"] | None = None
    """What its kubelet last said of itself."""
    reported_reason: str = "KubeletNotReady"
    reported_message: str = "kubelet is not ready"
    status: Status = "Unknown"
    """The Ready condition that is recorded."""
    reason: str = ""
    """Empty until a first condition is recorded."""
    changed_at: float = 0.0
    lost_at: float | None = None
    """When it got the NoExecute taint of its condition."""
    cordoned: bool = False
    labels: Mapping[str, str] = {}
    taints: tuple[Taint, ...] = ()
    """What users set; NoExecute ones carry `time_added`."""


class PodView(Protocol):
    """What evicting needs to see of a pod that is bound to a node."""

    @property
    def key(self) -> str:
        """Its stream."""

    @property
    def tolerations(self) -> Sequence[Toleration]:
        """Its tolerations; the default ones may be missing."""

    @property
    def bound_at(self) -> float:
        """When it was bound to the node."""

    @property
    def terminating(self) -> bool:
        """Its end was requested already."""


class Zone(msgspec.Struct, frozen=True, kw_only=True):
    """A zone's state, and when it may lose its next node."""

    state: ZoneState
    rate: float
    next_at: float


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """What one plan hands to the next."""

    zones: Mapping[str, Zone] = {}
    suspended: bool = False
    """Every zone is fully disrupted (rule 4)."""
    restarted_at: float | None = None
    """No silence before this instant counts."""


# --- plan -------------------------------------------------------------------------


class Unready(msgspec.Struct, frozen=True, kw_only=True):
    """The node's Ready condition becomes this."""

    node: str
    status: Literal["False", "Unknown"]
    reason: str
    message: str


class Evict(msgspec.Struct, frozen=True, kw_only=True):
    """End this pod gracefully; reason and message are of its DisruptionTarget."""

    pod: str
    node: str
    reason: str = "DeletionByTaintManager"
    message: str = "Taint manager: deleting due to NoExecute taint"


class NodeHealthPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What changes, in this order; names of nodes except in `evict`."""

    unready: tuple[Unready, ...] = ()
    ready: tuple[str, ...] = ()
    """They are heard and well; whoever was lost is so no longer."""
    spared: tuple[str, ...] = ()
    """They were lost and are not any more, because of rule 4."""
    lost: tuple[str, ...] = ()
    evict: tuple[Evict, ...] = ()
    health: Health = Health()
    wake_at: float | None = None
    """When the next timer of any node, zone or pod is due."""


def is_empty(found: NodeHealthPlan) -> bool:
    """Whether the plan writes nothing; `health` may have changed all the same."""
    return not (
        found.unready or found.ready or found.spared or found.lost or found.evict
    )


def plan(
    facts: Sequence[NodeFacts],
    health: Health,
    now: float,
    *,
    pods: Callable[[str], Iterable[PodView]],
    config: Config = DEFAULTS,
) -> NodeHealthPlan:
    """What changes now; the work is one look at each node.

    `pods` gives the pods bound to a node and is asked only for tainted nodes.
    """
    unready: list[Unready] = []
    ready: list[str] = []
    after: list[NodeFacts] = []
    for node in facts:
        change = judge(node, health, now, config)
        if change is None:
            after.append(node)
        elif isinstance(change, Unready):
            unready.append(change)
            after.append(_with(node, change.status, change.reason, now))
        else:
            ready.append(node.name)
            after.append(_with(node, "True", "KubeletReady", now))
    health = _zones(after, health, now, config)
    spared = tuple(each.name for each in after if each.lost_at is not None)
    lost: tuple[str, ...] = ()
    if not health.suspended:
        spared = ()
        lost, health = _lose(after, health, now)
    evict, due = _evictions(after, {*spared}, {*lost}, pods, now, config)
    timers = [*due, *_silences(after, health, config), *_slots(after, {*lost}, health)]
    return NodeHealthPlan(
        unready=tuple(unready),
        ready=tuple(ready),
        spared=spared,
        lost=lost,
        evict=evict,
        health=health,
        wake_at=min(timers, default=None),
    )


def judge(
    node: NodeFacts, health: Health, now: float, config: Config
) -> Unready | Literal["True"] | None:
    """How the node's Ready condition changes, if it does (spec 4.5)."""
    if now > _silent_after(node, health, config):
        if node.status == "Unknown" and node.reason:
            return None
        never = node.heartbeat_at is None
        return Unready(
            node=node.name,
            status="Unknown",
            reason="NodeStatusNeverUpdated" if never else "NodeStatusUnknown",
            message="Kubelet never posted node status."
            if never
            else "Kubelet stopped posting node status.",
        )
    heard = node.heartbeat_at
    if heard is None or now > heard + config.monitor_grace:
        # Timers that were restarted excuse its silence; they do not make it well.
        return None
    if node.reported == "True" and node.status != "True":
        return "True"
    if node.reported == "False" and node.status != "False":
        return Unready(
            node=node.name,
            status="False",
            reason=node.reported_reason,
            message=node.reported_message,
        )
    return None


def zone_of(labels: Mapping[str, str]) -> str:
    """The name of a node's zone; empty when its labels tell none."""
    region, zone = labels.get(REGION, ""), labels.get(ZONE, "")
    return f"{region}/{zone}" if region or zone else ""


def zone_state(ready: int, unready: int, config: Config = DEFAULTS) -> ZoneState:
    """How disrupted a zone with these numbers of nodes is (spec 4.6)."""
    if ready == 0 and unready > 0:
        return "FullDisruption"
    if (
        unready >= config.unhealthy_min
        and unready / (ready + unready) >= config.unhealthy_fraction
    ):
        return "PartialDisruption"
    return "Normal"


def zone_rate(state: ZoneState, size: int, config: Config = DEFAULTS) -> float:
    """How many nodes a second a zone of `size` nodes may lose."""
    if state != "PartialDisruption":
        return config.rate
    return config.rate_disrupted if size > config.large_zone else 0.0


def eviction_time(
    tolerations: Sequence[Toleration], taints: Sequence[Taint], start: float
) -> float | None:
    """When a pod leaves a node with these NoExecute taints; None: never (spec 4.7).

    `start` is when it began to be subject to them; not later than that means now.
    """
    least: int | None = None
    for taint in taints:
        used = next((each for each in tolerations if matches_taint(each, taint)), None)
        if used is None:
            return start
        seconds = used.toleration_seconds
        if seconds is not None and (least is None or seconds < least):
            least = seconds
    return None if least is None else start + max(0, least)


# --- helpers ----------------------------------------------------------------------


def _with(node: NodeFacts, status: Status, reason: str, now: float) -> NodeFacts:
    return msgspec.structs.replace(
        node,
        status=status,
        reason=reason,
        changed_at=now,
        lost_at=None if status == "True" else node.lost_at,
    )


def _silent_after(node: NodeFacts, health: Health, config: Config) -> float:
    """The instant after which the node's silence counts."""
    never = node.heartbeat_at is None
    heard = node.registered_at if node.heartbeat_at is None else node.heartbeat_at
    if health.restarted_at is not None:
        heard = max(heard, health.restarted_at)
    return heard + (config.startup_grace if never else config.monitor_grace)


def _condition_taint(status: Status) -> str:
    return nodes.NOT_READY_TAINT if status == "False" else nodes.UNREACHABLE_TAINT


def _zones(
    facts: Iterable[NodeFacts], health: Health, now: float, config: Config
) -> Health:
    """The states and rates of all zones after this look at them (rule 4)."""
    counted: dict[str, list[int]] = {}
    excluded: set[str] = set()
    for node in facts:
        zone = zone_of(node.labels)
        if EXCLUDED in node.labels:
            excluded.add(zone)
            continue
        counted.setdefault(zone, [0, 0])[node.status == "True"] += 1
    states = {
        zone: zone_state(ready, unready, config)
        for zone, (unready, ready) in counted.items()
    }
    suspended = bool(states) and all(
        state == "FullDisruption" for state in states.values()
    )
    for zone in excluded - states.keys():
        states[zone] = "Normal"
    zones: dict[str, Zone] = {}
    for zone, state in states.items():
        before = health.zones.get(zone)
        if suspended:
            rate = 0.0
        elif before and before.state == state and not health.suspended:
            rate = before.rate
        else:
            rate = zone_rate(state, sum(counted.get(zone, ())), config)
        zones[zone] = _at_rate(before, state, rate, now)
    exits = health.suspended and not suspended
    return Health(
        zones=zones,
        suspended=suspended,
        restarted_at=now if exits else health.restarted_at,
    )


def _at_rate(before: Zone | None, state: ZoneState, rate: float, now: float) -> Zone:
    """The zone at this rate: a change of rate gives no slot that was not there."""
    if before is None:
        return Zone(state=state, rate=rate, next_at=now)
    if before.rate == rate:
        return Zone(state=state, rate=rate, next_at=before.next_at)
    had_slot = before.rate > 0 and now >= before.next_at
    waits = 0.0 if had_slot or rate == 0 else 1 / rate
    return Zone(state=state, rate=rate, next_at=now + waits)


def _waiting(facts: Iterable[NodeFacts]) -> list[NodeFacts]:
    """The unhealthy nodes that are not lost yet, those unhealthy the longest first."""
    found = [
        node
        for node in facts
        if node.status != "True" and node.reason and node.lost_at is None
    ]
    return sorted(found, key=lambda node: (node.changed_at, node.name))


def _lose(
    facts: Iterable[NodeFacts], health: Health, now: float
) -> tuple[tuple[str, ...], Health]:
    """The nodes whose turn it is: at most one of each zone (burst 1)."""
    zones = dict(health.zones)
    lost: list[str] = []
    for node in _waiting(facts):
        zone = zones[zone_of(node.labels)]
        if zone.rate > 0 and now >= zone.next_at:
            lost.append(node.name)
            zones[zone_of(node.labels)] = msgspec.structs.replace(
                zone, next_at=now + 1 / zone.rate
            )
    return tuple(lost), msgspec.structs.replace(health, zones=zones)


def _evictions(
    facts: Iterable[NodeFacts],
    spared: set[str],
    lost: set[str],
    pods: Callable[[str], Iterable[PodView]],
    now: float,
    config: Config,
) -> tuple[tuple[Evict, ...], list[float]]:
    """The pods whose time is up, and when the time of others will be."""
    evict: list[Evict] = []
    later: list[float] = []
    for node in facts:
        taints = _no_execute(node, spared, lost, now)
        if not taints:
            continue
        for pod in pods(node.name):
            if pod.terminating:
                continue
            tolerations = with_default_tolerations(
                pod.tolerations, config.toleration_seconds
            )
            due = _due(tolerations, taints, pod.bound_at)
            if due is not None and due <= now:
                evict.append(Evict(pod=pod.key, node=node.name))
            elif due is not None:
                later.append(due)
    return tuple(evict), later


def _due(
    tolerations: Sequence[Toleration],
    taints: Sequence[tuple[float, Taint]],
    bound_at: float,
) -> float | None:
    """When the pod goes. A deletion that is scheduled keeps its time whatever comes to
    be tolerated for a while after that; what is not tolerated is for now (4.7)."""
    due: float | None = None
    for start in sorted({max(at, bound_at) for at, _ in taints}):
        there = [taint for at, taint in taints if at <= start]
        found = eviction_time(tolerations, there, start)
        due = found if due is None else min(due, start) if found == start else due
    return due


def _no_execute(
    node: NodeFacts, spared: set[str], lost: set[str], now: float
) -> list[tuple[float, Taint]]:
    """The NoExecute taints that the node has after this plan, each since when."""
    evicting = (taint for taint in node.taints if taint.effect == NO_EXECUTE)
    taints = [(_added_at(taint, now), taint) for taint in evicting]
    is_lost = node.lost_at is not None or node.name in lost
    if is_lost and node.name not in spared and node.status != "True":
        taint = Taint(key=_condition_taint(node.status), effect=NO_EXECUTE)
        taints.append((now if node.lost_at is None else node.lost_at, taint))
    return taints


def _added_at(taint: Taint, now: float) -> float:
    """When a user's taint was set; one that tells no time began just now."""
    try:
        return now if taint.time_added is None else times.parse(taint.time_added)
    except ValueError:
        return now


def _silences(
    facts: Iterable[NodeFacts], health: Health, config: Config
) -> Iterable[float]:
    """When each node that is not silent would be, if it were not heard again."""
    for node in facts:
        if node.status != "Unknown" or not node.reason:
            yield _silent_after(node, health, config) + TICK


def _slots(
    facts: Iterable[NodeFacts], lost: set[str], health: Health
) -> Iterable[float]:
    """When each unhealthy node that still waits for its turn might have it."""
    if health.suspended:
        return
    for node in _waiting(facts):
        zone = health.zones[zone_of(node.labels)]
        if node.name not in lost and zone.rate > 0:
            yield zone.next_at
