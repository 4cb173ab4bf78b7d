"""What a container engine answers, as far as anybody here needs it.

Keys are those of the Docker Engine API. A field that one engine leaves out has a
default; `decode` raises `msgspec.MsgspecError` for what is something else.
"""

from typing import TypeVar

import msgspec

T = TypeVar("T")


class Answer(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """The base: the API writes its keys in PascalCase."""


class Component(Answer, frozen=True, kw_only=True):
    """A part of the engine."""

    name: str = ""
    version: str = ""


class Version(Answer, frozen=True, kw_only=True):
    """`GET /version`."""

    engine_version: str = msgspec.field(name="Version")
    api_version: str = ""
    arch: str = ""
    components: tuple[Component, ...] | None = None

    @property
    def name(self) -> str:
        """`podman` or `docker`."""
        names = [part.name for part in self.components or ()]
        return "podman" if any("podman" in n.lower() for n in names) else "docker"

    @property
    def version(self) -> str:
        """The engine's own version."""
        return self.engine_version


class Info(Answer, frozen=True, kw_only=True):
    """`GET /info`: the machine, and the limits that the engine can set on it."""

    ncpu: int = msgspec.field(name="NCPU", default=0)
    mem_total: int = 0
    cgroup_version: str = "1"
    cgroup_driver: str = ""
    memory_limit: bool = True
    swap_limit: bool = True
    pids_limit: bool = True
    cpu_cfs_quota: bool = True
    oom_kill_disable: bool | None = None
    images: int | None = 0
    security_options: tuple[str, ...] | None = None

    @property
    def rootless(self) -> bool:
        """Whether it runs without the rights of root."""
        return any("rootless" in option for option in self.security_options or ())


class Actor(Answer, frozen=True, kw_only=True):
    """Whom an event is about; a container's labels are among its attributes."""

    identity: str = msgspec.field(name="ID", default="")
    attributes: dict[str, str] | None = None


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One line of `GET /events`; newer engines say whom it is about in `Actor` only."""

    action: str = msgspec.field(name="Action", default="")
    actor: Actor = msgspec.field(name="Actor", default=Actor())

    @property
    def id(self) -> str:
        """The container's id; empty in the event that only says that we listen."""
        return self.actor.identity


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a pull or of a load."""

    error: str = ""


class ImageConfig(Answer, frozen=True, kw_only=True):
    """How an image wants to be run."""

    user: str = ""


class Image(Answer, frozen=True, kw_only=True):
    """`GET /images/…/json`."""

    id: str
    config: ImageConfig | None = None


class ListedImage(Answer, frozen=True, kw_only=True):
    """One line of `GET /images/json`."""

    repo_tags: tuple[str, ...] | None = None
    repo_digests: tuple[str, ...] | None = None
    size: int = 0


class Created(Answer, frozen=True, kw_only=True):
    """The answer to a creation."""

    id: str


class Listed(Answer, frozen=True, kw_only=True):
    """One line of `GET /containers/json`."""

    id: str
    labels: dict[str, str] | None = None
    state: str = ""

    @property
    def running(self) -> bool:
        """Whether its process lives."""
        return self.state in ("running", "paused", "restarting", "stopping")


class State(Answer, frozen=True, kw_only=True):
    """How a container is; `status` is a word of the engine's own."""

    status: str = ""
    said_running: bool = msgspec.field(name="Running", default=False)
    paused: bool = False
    pid: int = 0
    exit_code: int = 0
    oom_killed: bool = msgspec.field(name="OOMKilled", default=False)
    error: str = ""
    started_at: str = ""
    finished_at: str = ""

    @property
    def running(self) -> bool:
        """Whether it lives, or is about to end: then its exit code is not known yet,
        although Podman says already that it does not run."""
        return self.said_running or self.status in ("paused", "stopping", "restarting")


class Config(Answer, frozen=True, kw_only=True):
    """What a container was made with."""

    labels: dict[str, str] | None = None
    tty: bool = False
    stop_signal: str | int = ""


class Endpoint(Answer, frozen=True, kw_only=True):
    """A container's place in one network."""

    address: str = msgspec.field(name="IPAddress", default="")


class NetworkSettings(Endpoint, frozen=True, kw_only=True):
    """A container's places in all its networks."""

    networks: dict[str, Endpoint] | None = None


class Inspected(Answer, frozen=True, kw_only=True):
    """`GET /containers/…/json`."""

    id: str
    state: State
    config: Config = Config()
    network_settings: NetworkSettings | None = None

    @property
    def ip(self) -> str:
        """Its address in whatever network it is; empty without one."""
        settings = self.network_settings
        if settings is None:
            return ""
        others = [each.address for each in (settings.networks or {}).values()]
        return next((a for a in (settings.address, *others) if a), "")


class ExecState(Answer, frozen=True, kw_only=True):
    """`GET /exec/…/json`."""

    running: bool
    exit_code: int | None = None
    pid: int | None = None


class CpuUsage(msgspec.Struct, frozen=True, kw_only=True):
    """Nanoseconds since the container's start."""

    total_usage: int = 0


class CpuStats(msgspec.Struct, frozen=True, kw_only=True):
    """The part of the processors."""

    cpu_usage: CpuUsage = CpuUsage()


class MemoryStats(msgspec.Struct, frozen=True, kw_only=True):
    """The part of the memory, in bytes; `stats` is `memory.stat` of the cgroup."""

    usage: int = 0
    stats: dict[str, int] | None = None


class Stats(msgspec.Struct, frozen=True, kw_only=True):
    """`GET /containers/…/stats`."""

    cpu_stats: CpuStats = CpuStats()
    memory_stats: MemoryStats = MemoryStats()


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """The body of an error."""

    message: str = ""
    cause: str = ""


def decode(raw: bytes, kind: type[T]) -> T:
    """`raw`, JSON, as `kind`."""
    return msgspec.json.decode(raw, type=kind)


def refusal(raw: bytes) -> str:
    """The engine's words in the body of an error."""
    try:
        text = decode(raw, Refusal).message
    except msgspec.MsgspecError:
        text = raw[:1000].decode(errors="replace")
    return text.strip() or "the engine gives no reason"
