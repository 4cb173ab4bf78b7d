"""The file by which kubectl and its like find a cluster and log in."""

import base64
import json
import socket
from pathlib import Path
from typing import Final

from adapters import private_files
from gateway.kube import logins

CLUSTER: Final = "rollbook"
_ANYWHERE: Final = frozenset({"", "0.0.0.0", "::"})  # noqa: S104  # these are no hosts


def hosts(listen: str, address: str = "") -> tuple[str, ...]:
    """The names and addresses that a server's certificate is for.

    `address` is where clients find it, `host:port`; "" for nowhere else.
    """
    host = address.rpartition(":")[0].strip("[]")
    found = ("localhost", "127.0.0.1", "::1", listen, host, socket.gethostname())
    return tuple(dict.fromkeys(each for each in found if each not in _ANYWHERE))


def write(path: Path, *, server: str, authority: bytes, user: str, secret: str) -> None:
    """Afterwards `path`, mode 0600, leads `user` to `server`, a URL.

    `authority` is the certificate of the cluster's authority, PEM.
    """
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": CLUSTER,
                "cluster": {
                    "server": server,
                    "certificate-authority-data": base64.b64encode(authority).decode(),
                },
            }
        ],
        "users": [{"name": user, "user": {"token": logins.token(user, secret)}}],
        "contexts": [
            {
                "name": CLUSTER,
                "context": {"cluster": CLUSTER, "user": user, "namespace": "default"},
            }
        ],
        "current-context": CLUSTER,
        "preferences": {},
    }
    private_files.write(path, json.dumps(document, indent=2).encode() + b"\n")
