"""The broker's configuration: who may log in, and what each login may do.

1. One login per role, and each may do exactly what `permissions` says. Nobody may do
   everything: there is no administrator of the broker.
2. A login's secret is drawn once and kept, so that a restart of the broker, or of
   the machine, locks nobody out. Secrets lie in files of mode 0600 only.
3. Answers go to inboxes by standing permission, never by the broker's
   `allow_responses`: that would let an asker choose any subject as the place of the
   answer, and so publish with our permissions (see `nats_subjects`, rule 4).
"""

import json
import secrets
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from adapters import nats_subjects, private_files
from domain import errors

HOST: Final = "127.0.0.1"

MAX_PAYLOAD_BYTES: Final = 1024 * 1024
"""The default of every NATS client and server. It is enough: Kubernetes itself takes
no object above 1.5 MiB, and kubelets split their reports. A larger limit would let
one message hold up all others on a connection."""

_CONFIGURATION: Final = """\
# Written by Rollbook at each start: changes made here are lost.
server_name: {name}
listen: "{host}:{port}"
{monitor}
log_file: {log_file}
logtime: true
log_size_limit: 16MB
log_max_num: 3
pid_file: {pid_file}

max_payload: {max_payload}
max_connections: 4096
max_subscriptions: 10000
# A client that does not read is cut off, before its backlog costs the others.
max_pending: 64MB
write_deadline: "10s"
ping_interval: "20s"
ping_max: 3

jetstream {{
  store_dir: {store_dir}
  max_memory_store: 64MB
  # Room for both streams' bounds; it is a bound too, not a reservation on disk.
  max_file_store: 4GB
  # Nothing is promised to anybody before it is in the event store, so the broker
  # need not sync each message: an input that is lost with the machine is sent again.
  sync_interval: "10s"
}}

authorization {{
  timeout: 5
  users: [
{users}
  ]
}}
"""


class Permissions(msgspec.Struct, frozen=True, kw_only=True):
    """What one login may do; every subject that is not listed is refused."""

    publish: tuple[str, ...]
    subscribe: tuple[str, ...]


class Credential(msgspec.Struct, frozen=True, kw_only=True):
    """How one role logs in."""

    login: str
    secret: str
    inbox_prefix: str

    def __repr__(self) -> str:
        return f"Credential({self.login})"  # never shows the secret


class Configuration(msgspec.Struct, frozen=True, kw_only=True):
    """What `write_configuration` has written."""

    path: Path
    port: int
    server_name: str
    log_file: Path
    credentials: dict[str, Credential]
    """By login: `control`, `api`, `node-<name>`, and the users' own names."""

    @property
    def url(self) -> str:
        """Where clients connect to."""
        return f"nats://{HOST}:{self.port}"


# What each role may publish and subscribe; the table of the wire's subjects, turned
# around. `<inbox>` is the role's own.

_CONTROL: Final = Permissions(
    publish=(
        "rollbook.assign.*",
        # Alone: so no session is opened that the log does not tell of.
        "rollbook.node.*.grant",
        "rollbook.event.>",
        nats_subjects.COMMITTED,
        nats_subjects.LIVE,
        nats_subjects.CHECKPOINT,
        "_INBOX.user.*.>",
        "_INBOX.node.*.>",
        "$JS.API.STREAM.CREATE.COMMANDS",
        "$JS.API.STREAM.UPDATE.COMMANDS",
        "$JS.API.STREAM.INFO.COMMANDS",
        "$JS.API.STREAM.PURGE.COMMANDS",
        "$JS.API.STREAM.CREATE.EVENTS",
        "$JS.API.STREAM.UPDATE.EVENTS",
        "$JS.API.STREAM.INFO.EVENTS",
        "$JS.API.STREAM.DELETE.EVENTS",
        "$JS.API.STREAM.MSG.GET.EVENTS",
        "$JS.API.STREAM.CREATE.CHECKPOINTS",
        "$JS.API.STREAM.UPDATE.CHECKPOINTS",
        "$JS.API.CONSUMER.CREATE.COMMANDS.control",
        "$JS.API.CONSUMER.DELETE.COMMANDS.control",
        "$JS.API.CONSUMER.INFO.COMMANDS.control",
        "$JS.API.CONSUMER.MSG.NEXT.COMMANDS.control",
    ),
    subscribe=(
        "rollbook.report.*",
        "rollbook.sync.*",
        "rollbook.values.*",
        "rollbook.measurement.*.*",
        "rollbook.check.*.*",
        "rollbook.metric.*.*.*",
        nats_subjects.CHECKPOINT_REQUEST,
        "<inbox>",
    ),
)
_API: Final = Permissions(
    publish=("_INBOX.user.*.>",),
    subscribe=(
        "rollbook.query.>",
        "$SRV.>",
        nats_subjects.COMMITTED,
        nats_subjects.LIVE,
        "<inbox>",
    ),
)
_NODE: Final = Permissions(
    publish=(
        "rollbook.report.<name>",
        "rollbook.sync.<name>",
        "rollbook.values.<name>",
        "_INBOX.user.*.>",
    ),
    subscribe=("rollbook.assign.<name>", "rollbook.node.<name>.>", "<inbox>"),
)
_MONITOR: Final = Permissions(
    publish=(
        "rollbook.metric.<name>.*.*",
        "rollbook.measurement.*.*",
        "rollbook.check.*.*",
        "rollbook.query.checks",
        "rollbook.query.get",
        "rollbook.query.wanted",
    ),
    # What users publish for their own analyses.
    subscribe=("rollbook.metric.*.*.*", nats_subjects.COMMITTED, "<inbox>"),
)
_USER: Final = Permissions(
    publish=(
        "rollbook.cmd.<name>.>",
        "rollbook.metric.<name>.*.*",
        "rollbook.query.>",
        "rollbook.node.*.logs",
        "rollbook.node.*.session.<name>.*",
        nats_subjects.CHECKPOINT_REQUEST,
        "$JS.API.STREAM.MSG.GET.CHECKPOINTS",
        "$SRV.>",
        "$JS.API.STREAM.INFO.EVENTS",
        "$JS.API.CONSUMER.CREATE.EVENTS",
        "$JS.API.CONSUMER.CREATE.EVENTS.>",
        "$JS.API.CONSUMER.INFO.EVENTS.*",
        "$JS.API.CONSUMER.MSG.NEXT.EVENTS.*",
        "$JS.API.CONSUMER.DELETE.EVENTS.*",
        "$JS.ACK.EVENTS.>",
        "$JS.FC.EVENTS.>",
    ),
    subscribe=(
        "rollbook.event.>",
        nats_subjects.COMMITTED,
        nats_subjects.LIVE,
        nats_subjects.CHECKPOINT,
        "<inbox>",
    ),
)


def permissions(login: str) -> Permissions:
    """What `login` may do, its name and its inbox filled in."""
    node = nats_subjects.node_login("")
    if login == nats_subjects.CONTROL:
        role, name = _CONTROL, login
    elif login == nats_subjects.API:
        role, name = _API, login
    elif login == nats_subjects.MONITOR:
        role, name = _MONITOR, login
    elif login.startswith(node):
        role, name = _NODE, login.removeprefix(node)
    else:
        role, name = _USER, login
    token = nats_subjects.escape_token(name)
    inbox = nats_subjects.inbox_prefix(login) + ".>"

    def filled(subjects: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(
            subject.replace("<name>", token).replace("<inbox>", inbox)
            for subject in subjects
        )

    return Permissions(publish=filled(role.publish), subscribe=filled(role.subscribe))


def host_permissions(login: str, nodes: Iterable[str]) -> Permissions:
    """What `login` may do that plays all of `nodes` on one connection: what each of
    them may, and nothing else."""
    each = [permissions(login)]
    each += [permissions(nats_subjects.node_login(node)) for node in nodes]
    return Permissions(
        publish=tuple(dict.fromkeys(s for one in each for s in one.publish)),
        subscribe=tuple(dict.fromkeys(s for one in each for s in one.subscribe)),
    )


def write_configuration(
    folder: Path,
    *,
    port: int,
    nodes: Iterable[str],
    users: Iterable[str] = ("admin",),
    hosts: Mapping[str, Sequence[str]] | None = None,
    monitor_port: int | None = None,
    listen: str = HOST,
) -> Configuration:
    """Write the server's configuration into `folder`; secrets that exist are kept.

    `listen` is loopback unless the server is to serve other hosts or containers.
    `hosts` are processes that play many nodes on one connection: the name of each (its
    login is that of a node) and its nodes, which then need no logins of their own.

    A login that is not named any more can log in no more, but keeps its secret for
    the day it comes back. `monitor_port` opens the server's HTTP monitoring on
    loopback; it is off by default, since it knows no permissions. Raises `Permanent`
    for a user name that a part of the system has, and for damaged secrets.
    """
    users = tuple(users)
    for user in users:
        if nats_subjects.is_reserved_login(user):
            raise errors.Permanent(
                f"a user cannot be called {user!r}: the name is kept for a part of "
                "the system, take another"
            )
    logins = [nats_subjects.CONTROL, nats_subjects.API, nats_subjects.MONITOR]
    logins += [nats_subjects.node_login(node) for node in nodes]
    played = {
        nats_subjects.node_login(host): names for host, names in (hosts or {}).items()
    }
    logins += played
    logins = list(dict.fromkeys([*logins, *users]))
    folder = folder.absolute()
    private_files.make_folder(folder)
    private_files.make_folder(folder / "jetstream")
    known = _secrets(folder / "secrets.json", logins)
    credentials = {
        login: Credential(
            login=login,
            secret=known[login],
            inbox_prefix=nats_subjects.inbox_prefix(login),
        )
        for login in logins
    }
    configuration = Configuration(
        path=folder / "nats.conf",
        port=port,
        server_name=f"rollbook-{secrets.token_hex(8)}",
        log_file=folder / "nats.log",
        credentials=credentials,
    )
    text = _CONFIGURATION.format(
        name=configuration.server_name,
        host=listen,
        port=port,
        monitor=f'http: "{HOST}:{monitor_port}"' if monitor_port else "",
        log_file=_quoted(str(configuration.log_file)),
        pid_file=_quoted(str(folder / "nats.pid")),
        store_dir=_quoted(str(folder / "jetstream")),
        max_payload=MAX_PAYLOAD_BYTES,
        users=",\n".join(
            _user_block(each, host_permissions(each.login, played.get(each.login, ())))
            for each in credentials.values()
        ),
    )
    private_files.write(configuration.path, text.encode())
    return configuration


def _secrets(path: Path, logins: list[str]) -> dict[str, str]:
    """The secret of each login (and of former ones), drawn where there is none."""
    known: dict[str, str] = {}
    if path.exists():
        try:
            known = msgspec.json.decode(path.read_bytes(), type=dict[str, str])
        except (OSError, msgspec.MsgspecError) as error:
            raise errors.Permanent(
                f"the secrets in {path} are damaged ({error}): put a good copy back, "
                "or delete the file; then every context and kubelet needs new ones"
            ) from error
        path.chmod(0o600)
    drawn = {
        login: secrets.token_urlsafe(32) for login in logins if not known.get(login)
    }
    if drawn:
        known |= drawn
        private_files.write(path, json.dumps(known, indent=1).encode())
    return known


def _quoted(value: str) -> str:
    """`value` as a string of the server's configuration language, which knows few
    of JSON's escapes: what would need another one cannot be said in it."""
    if not value.isprintable():
        raise errors.Permanent(f"{value!r} has characters that nats-server cannot take")
    return json.dumps(value, ensure_ascii=False)


def _user_block(credential: Credential, allowed: Permissions) -> str:
    return (
        f"    {{user: {_quoted(credential.login)}, "
        f"password: {_quoted(credential.secret)}, permissions: {{\n"
        f"      publish: {{allow: {_list(allowed.publish)}}}\n"
        f"      subscribe: {{allow: {_list(allowed.subscribe)}}}\n"
        "    }}"
    )


def _list(subjects: tuple[str, ...]) -> str:
    return f"[{', '.join(map(_quoted, subjects))}]"
