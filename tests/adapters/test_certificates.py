"""The api's certificate and the authority behind it."""

import ssl
import stat
from pathlib import Path

import pytest

from adapters import certificates
from domain.errors import Permanent

HOSTS = ("127.0.0.1", "localhost")


def test_a_client_with_the_authority_trusts_the_server(tmp_path: Path) -> None:
    """A TLS handshake in memory succeeds for each host, and for no other."""
    found = certificates.prepare(tmp_path / "tls", HOSTS)
    for host in HOSTS:
        _handshake(found, host)
    with pytest.raises(ssl.SSLCertVerificationError):
        _handshake(found, "example.com")


def test_what_was_made_is_kept(tmp_path: Path) -> None:
    """A second start changes nothing; other hosts change the server's part only."""
    found = certificates.prepare(tmp_path, HOSTS)
    authority, server = found.authority.read_bytes(), found.certificate.read_bytes()
    assert certificates.prepare(tmp_path, HOSTS) == found
    assert found.certificate.read_bytes() == server
    certificates.prepare(tmp_path, (*HOSTS, "api.test"))
    assert found.certificate.read_bytes() != server
    assert found.authority.read_bytes() == authority
    _handshake(found, "api.test")


def test_keys_are_for_their_owner_only(tmp_path: Path) -> None:
    """Mode 0600."""
    certificates.prepare(tmp_path, HOSTS)
    for name in ("ca.key", "server.key"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600


def test_a_damaged_server_certificate_is_made_anew(tmp_path: Path) -> None:
    """Nobody but the server needs it, so nobody notices."""
    found = certificates.prepare(tmp_path, HOSTS)
    found.certificate.write_bytes(b"nonsense")
    _handshake(certificates.prepare(tmp_path, HOSTS), HOSTS[0])


def test_a_damaged_authority_is_said(tmp_path: Path) -> None:
    """Another one would lock every client out, so nothing is made in its place."""
    found = certificates.prepare(tmp_path, HOSTS)
    found.authority.write_bytes(b"nonsense")
    with pytest.raises(Permanent, match="kubeconfig"):
        certificates.prepare(tmp_path, HOSTS)


def test_files_that_are_no_certificate(tmp_path: Path) -> None:
    """The server says what to do."""
    found = certificates.prepare(tmp_path, HOSTS)
    found.key.write_bytes(b"nonsense")
    with pytest.raises(Permanent, match="remove"):
        found.server_context()


def _handshake(found: certificates.Certificates, host: str) -> None:
    trusting = ssl.create_default_context(cafile=str(found.authority))
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = found.server_context().wrap_bio(to_server, to_client, server_side=True)
    client = trusting.wrap_bio(to_client, to_server, server_hostname=host)
    for _ in range(10):
        done = 0
        for side in (client, server):
            try:
                side.do_handshake()
                done += 1
            except ssl.SSLWantReadError:
                pass
        if done == 2:
            return
    raise AssertionError("the handshake does not end")
