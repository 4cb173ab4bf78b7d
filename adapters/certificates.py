"""The api's certificate, signed by an authority of the cluster's own.

1. The authority is made once and kept: clients carry its certificate in their
   kubeconfig. Its key, like the server's, lies in a file of mode 0600.
2. The server's certificate names the hosts that it is for. It is made anew when it is
   about to expire, when the hosts change, or when it cannot be read.
3. Keys are ECDSA P-256, which every client of Kubernetes speaks.
"""

import datetime
import ipaddress
import ssl
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from adapters import private_files
from domain.errors import Permanent

AUTHORITY_DAYS: Final = 3_650
SERVER_DAYS: Final = 365
RENEWED_DAYS: Final = 30
"""A server's certificate that ends within so many days is made anew."""
_SKEW: Final = datetime.timedelta(minutes=5)


class Certificates(msgspec.Struct, frozen=True, kw_only=True):
    """Where the files are; `authority` is what clients need, PEM."""

    authority: Path
    certificate: Path
    key: Path

    def server_context(self) -> ssl.SSLContext:
        """TLS 1.2 or newer, for a server. Raises `Permanent` for unusable files."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        try:
            context.load_cert_chain(self.certificate, self.key)
        except (OSError, ssl.SSLError) as error:
            raise Permanent(
                f"the certificate {self.certificate} cannot be used: {error}; remove "
                "its folder, and a new one is made at the next start"
            ) from error
        return context


def prepare(folder: Path, hosts: Iterable[str]) -> Certificates:
    """Afterwards `folder` holds an authority and a certificate for `hosts`.

    `hosts` are DNS names and IP addresses. Raises `Permanent` for a damaged authority:
    a new one would lock every client out.
    """
    private_files.make_folder(folder)
    found = Certificates(
        authority=folder / "ca.crt",
        certificate=folder / "server.crt",
        key=folder / "server.key",
    )
    names = tuple(dict.fromkeys(hosts))
    authority, signer = _authority(found.authority, folder / "ca.key")
    if not _serves(found.certificate, found.key, names, authority):
        _make_server(found, names, authority, signer)
    return found


def _authority(
    path: Path, key_path: Path
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    if path.exists() and key_path.exists():
        try:
            held = x509.load_pem_x509_certificate(path.read_bytes())
            signer = serialization.load_pem_private_key(key_path.read_bytes(), None)
        except (OSError, ValueError, TypeError) as error:
            raise Permanent(
                f"the authority {path} cannot be read: {error}; restore it, or remove "
                "its folder and give every client the new kubeconfig"
            ) from error
        assert isinstance(signer, ec.EllipticCurvePrivateKey), "no other is made"
        return held, signer
    signer = ec.generate_private_key(ec.SECP256R1())
    name = _name("rollbook authority")
    made = (
        _builder(name, name, signer, AUTHORITY_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(authority=True), critical=True)
        .sign(signer, hashes.SHA256())
    )
    _write_key(key_path, signer)
    private_files.write(path, made.public_bytes(serialization.Encoding.PEM))
    return made, signer


def _make_server(
    found: Certificates,
    names: tuple[str, ...],
    authority: x509.Certificate,
    signer: ec.EllipticCurvePrivateKey,
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    made = (
        _builder(_name("rollbook api"), authority.subject, key, SERVER_DAYS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(authority=False), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False
        )
        .add_extension(
            x509.SubjectAlternativeName([_host(each) for each in names]),
            critical=False,
        )
        .sign(signer, hashes.SHA256())
    )
    _write_key(found.key, key)
    private_files.write(
        found.certificate, made.public_bytes(serialization.Encoding.PEM)
    )


def _serves(
    path: Path, key_path: Path, names: tuple[str, ...], authority: x509.Certificate
) -> bool:
    """Whether there is a certificate for these hosts that is good for a while."""
    try:
        held = x509.load_pem_x509_certificate(path.read_bytes())
        key = serialization.load_pem_private_key(key_path.read_bytes(), None)
        held.verify_directly_issued_by(authority)
        listed = held.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except Exception:  # whatever is wrong with it, another one is made
        return False
    left = held.not_valid_after_utc - datetime.datetime.now(datetime.UTC)
    same_key = key.public_key() == held.public_key()
    same_hosts = set(listed.value) == {_host(each) for each in names}
    return same_key and same_hosts and left.days >= RENEWED_DAYS


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    days: int,
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(now + datetime.timedelta(days=days))
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _host(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    private_files.write(
        path,
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
    )
