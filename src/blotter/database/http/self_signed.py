"""A server's own certificate authority and certificate, for machines that no public authority certifies.

    <data-dir>/tls/ca.pem       the authority's certificate: what clients have to trust (AWS_CA_BUNDLE)
    <data-dir>/tls/ca-key.pem   its key
    <data-dir>/tls/server.pem   the server's key, its certificate and the authority's

All are private to the server's user. The certificate names this machine's names and addresses; it is replaced when
one is missing, when the authority is another, and `_RENEW` before it expires. Several processes may call `ensure`
at once: a lock lets one of them write, and each file appears complete under its name. The authority is kept as
long as it is valid, because clients hold copies of it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import socket
import struct
import sys
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from blotter.database.durable_files import write_durably
from blotter.database.http.certificates import CertificateError

FOLDER = "tls"
AUTHORITY = "ca.pem"
SERVER = "server.pem"
_AUTHORITY_KEY = "ca-key.pem"

_AUTHORITY_LIFE = timedelta(days=3650)
_SERVER_LIFE = timedelta(days=90)
_RENEW = timedelta(days=30)
# A client's clock may be behind.
_BACKDATED = timedelta(hours=1)

_SIOCGIFADDR = 0x8915  # <linux/sockios.h>


def ensure(folder: Path, names: Iterable[str], now: datetime | None = None) -> None:
    """Makes or renews whatever is missing or about to expire. Raises CertificateError."""
    now = now or datetime.now(UTC)
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        with _locked(folder):
            authority, key = _authority(folder, now)
            if not _is_good(folder / SERVER, authority, set(names), now):
                write_durably(folder / SERVER, _server(authority, key, sorted(set(names)), now))
    except OSError as error:
        raise CertificateError(f"the certificate in {folder} cannot be written: {error.strerror}") from None


def machine_names(more: Iterable[str] = ()) -> list[str]:
    """What clients may call this machine: host names and addresses, those of `more` included. Asks no name server,
    which may be slow."""
    found = {"localhost", "127.0.0.1", "::1", socket.gethostname()}
    found.update(_interface_addresses())
    found.update(name.strip("[]") for name in more if name not in ("", "0.0.0.0", "::"))
    return sorted(name for name in found if _is_name(name))


def _authority(folder: Path, now: datetime) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """The authority of the folder, or a new one where it is missing, damaged or expires before what it signs."""
    with contextlib.suppress(FileNotFoundError, ValueError, TypeError):
        certificate = x509.load_pem_x509_certificate((folder / AUTHORITY).read_bytes())
        key = load_pem_private_key((folder / _AUTHORITY_KEY).read_bytes(), None)
        if (
            isinstance(key, ec.EllipticCurvePrivateKey)
            and _public(key) == _public(certificate)
            and certificate.not_valid_after_utc - now > _SERVER_LIFE
        ):
            return certificate, key
    key = ec.generate_private_key(ec.SECP256R1())
    # A name of its own: a client that trusts two authorities of one name may look at the wrong one.
    name = _name(f"Blotter authority of {socket.gethostname()} {secrets.token_hex(4)}")
    usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
    certificate = (
        _builder(name, name, key.public_key(), now, _AUTHORITY_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    write_durably(folder / _AUTHORITY_KEY, _private(key))
    write_durably(folder / AUTHORITY, certificate.public_bytes(Encoding.PEM))
    return certificate, key


def _server(
    authority: x509.Certificate, authority_key: ec.EllipticCurvePrivateKey, names: list[str], now: datetime
) -> bytes:
    """A new key and its certificate, in one file so that they always belong together."""
    key = ec.generate_private_key(ec.SECP256R1())
    usage = x509.KeyUsage(True, False, False, False, False, False, False, False, False)
    certificate = (
        _builder(_name("Blotter"), authority.subject, key.public_key(), now, _SERVER_LIFE)
        .add_extension(x509.SubjectAlternativeName([_alternative(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False
        )
        .sign(authority_key, hashes.SHA256())
    )
    return _private(key) + certificate.public_bytes(Encoding.PEM) + authority.public_bytes(Encoding.PEM)


def _is_good(path: Path, authority: x509.Certificate, names: set[str], now: datetime) -> bool:
    """Whether a server's file is the authority's, names all `names` and is not about to expire."""
    try:
        contents = path.read_bytes()
        certificate = x509.load_pem_x509_certificates(contents)[0]
        key = load_pem_private_key(contents, None)
        certificate.verify_directly_issued_by(authority)
        named = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (OSError, ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm, x509.ExtensionNotFound):
        return False  # Missing, cut off, of an earlier authority: a new one takes its place.
    has = {str(name.value) for name in named}
    return (
        _public(key) == _public(certificate)  # type: ignore[arg-type]
        and certificate.not_valid_before_utc <= now
        and certificate.not_valid_after_utc - now > _RENEW
        and names <= has
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, life: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + life)
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text[:64])])


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _is_name(name: str) -> bool:
    """Whether a certificate can hold the name: an address, or a host name in ASCII."""
    try:
        ip_address(name)
    except ValueError:
        return name.isascii() and 0 < len(name) <= 253 and name.replace("-", "").replace(".", "").isalnum()
    return True


def _public(key: x509.Certificate | ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _interface_addresses() -> set[str]:
    """The addresses of this machine's interfaces, link-local ones left out. Linux knows all of them; elsewhere
    it is the one that a packet to the Internet would come from (none is sent)."""
    found: set[str] = set()
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        if sys.platform == "linux":
            for _, interface in socket.if_nameindex():
                with contextlib.suppress(OSError):  # An interface without an address.
                    request = struct.pack("256s", interface.encode()[:15])
                    found.add(socket.inet_ntoa(fcntl.ioctl(probe.fileno(), _SIOCGIFADDR, request)[20:24]))
        probe.connect(("192.0.2.1", 9))  # RFC 5737: for documentation
        found.add(probe.getsockname()[0])
    with contextlib.suppress(OSError), open("/proc/net/if_inet6") as lines:
        found.update(str(ip_address(bytes.fromhex(line[:32]))) for line in lines)
    return {address for address in found if not ip_address(address).is_link_local}
