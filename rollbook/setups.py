"""`rollbook setup`, and by what a cluster's HTTP API is found.

1. `setup` is for processes that are started by something else than `up` (a compose
   file, units). It may run again: secrets stay, new nodes and users are added.
2. The certificates lie in the folder of the api's context, where the api looks for
   them; each person's kubeconfig lies beside the context of that person.
3. Who listens has the port: `listening` takes it at once, and whoever comes in the same
   moment gets another one.
"""

import socket
from pathlib import Path
from typing import Final

import click

from adapters import nats_configuration
from adapters.context import Context, write_context
from domain.errors import Permanent
from rollbook.options import SetupOptions
from rollbook.processes import TLS, role_context

NATS: Final = "nats"
LISTEN: Final = "127.0.0.1"
API_PORT: Final = 6443
KUBECONFIG: Final = "kubeconfig"
_BACKLOG: Final = 1_024


def setup(options: SetupOptions) -> None:
    """Afterwards the broker's configuration and one context per role lie in `data`,
    and with an address of the API each person's kubeconfig (rule 1).

    Raises `Permanent` for an address that is none.
    """
    address = checked(options.api_address)
    data = options.data.resolve()
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    configuration = nats_configuration.write_configuration(
        data / NATS,
        port=_port_of(options.nats_url),
        nodes=options.nodes,
        users=options.users,
        listen=options.listen,
    )
    for login, credential in configuration.credentials.items():
        finds = login == "api" or login in options.users
        context = Context(
            nats_url=options.nats_url,
            user=login,
            secret=credential.secret,
            api_address=address if finds else "",
            data_folder=str(data),
        )
        path = role_context(data, login)
        write_context(path, context)
        if address and login in options.users:
            folder = role_context(data, "api").parent / TLS
            write_kubeconfig(path.with_name(KUBECONFIG), context, folder)
    click.echo(f"the broker's configuration is {configuration.path}", err=True)


def write_kubeconfig(path: Path, context: Context, tls_folder: Path) -> None:
    """Afterwards `path` leads kubectl to the api of `context`, as its user; the
    authority that it trusts lies in `tls_folder`, and is made if there is none."""
    from adapters import certificates
    from gateway.kube import kubeconfig

    hosts = kubeconfig.hosts(LISTEN, context.api_address)
    files = certificates.prepare(tls_folder, hosts)
    kubeconfig.write(
        path,
        server=f"https://{context.api_address}",
        authority=files.authority.read_bytes(),
        user=context.user,
        secret=context.secret,
    )


def listening(wanted: int | None) -> socket.socket:
    """A socket that listens on `LISTEN` (rule 3): on port `wanted`, or else on 6443 if
    that is free, and on any other one if not.

    Connections wait until somebody answers them. Raises `Permanent`.
    """
    ports = (wanted,) if wanted else (API_PORT, 0)
    for port in ports:
        try:
            return socket.create_server((LISTEN, port), backlog=_BACKLOG)
        except OSError as error:
            why = error.strerror or str(error)
    raise Permanent(
        f"the Kubernetes API cannot listen on {LISTEN}:{wanted}: {why}; take another "
        "--api-port"
    )


def checked(address: str) -> str:
    """The address, `host:port`, or "". Raises `Permanent` for anything else."""
    host, _, port = address.rpartition(":")
    if address and not (host and "/" not in host and port.isdecimal()):
        raise Permanent(
            f"--api-address {address} is no HOST:PORT, for example api:{API_PORT}"
        )
    return address


def _port_of(url: str) -> int:
    _, _, port = url.rpartition(":")
    return int(port) if port.isdecimal() else 4222
