"""Certificates for tests: authorities, chains, expired ones, keys of every kind; made here, valid nowhere else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID


class Signed(NamedTuple):
    """A certificate with its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    def key_pem(self, passphrase: bytes = b"") -> bytes:
        how: KeySerializationEncryption = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, how)


def sign(name: str, issuer: Signed | None = None, days: float = 30, authority: bool = False) -> Signed:
    """A certificate that `issuer` signs (None: itself) and that expires in so many days. One that is no authority
    is for localhost and 127.0.0.1."""
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    signing = issuer.key if issuer else key
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=400))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signing.public_key()), critical=False)
    )
    if authority:
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        builder = builder.add_extension(usage, critical=True)
    else:
        names = [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return Signed(builder.sign(signing, hashes.SHA256()), key)


class Files(NamedTuple):
    """Where a server's certificate, its key and what its clients trust are."""

    certificate: Path
    key: Path
    trusted: Path

    def write(self, signed: Signed, *chain: Signed) -> None:
        self.certificate.write_bytes(b"".join(each.pem for each in (signed, *chain)))
        self.key.write_bytes(signed.key_pem())


def write_chain(directory: Path) -> Files:
    """A root that clients trust, an authority below it, and a server's certificate with that authority in its
    file."""
    root = sign("root", authority=True)
    between = sign("between", root, authority=True)
    files = Files(directory / "certificate.pem", directory / "key.pem", directory / "trusted.pem")
    files.write(sign("server", between), between)
    files.trusted.write_bytes(root.pem)
    return files
