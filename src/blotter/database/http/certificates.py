"""The certificate and private key of a server that speaks TLS: read, checked, read anew without a restart.

Every mistake that can be found before the first client is one line: a file that is missing, holds something else,
a key that belongs to another certificate or is protected by a passphrase. `refresh` reads the files again (SIGHUP,
renewal); what it cannot use leaves the certificate in use as it is. Each process has its own `Certificates`;
connections that exist keep what they began with.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

log = logging.getLogger(__name__)

# TLS 1.2: forward secrecy and authenticated encryption only, as in Mozilla's intermediate configuration
# (https://wiki.mozilla.org/Security/Server_Side_TLS). TLS 1.3 has no other suites.
_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
# A certificate that expires within this time is worth a line.
_SOON = timedelta(days=14)


class CertificateError(Exception):
    """Certificate or key cannot be used; the message is one line that names the file."""


class Certificates:
    """The certificate of `certificate` (PEM, with its chain) and the key of `key`, as a context for connections.

    `prepare` is called before each reading; it may write the files. Raises CertificateError.
    """

    def __init__(self, certificate: Path, key: Path, prepare: Callable[[], None] | None = None) -> None:
        self._certificate = certificate
        self._key = key
        self._prepare = prepare
        self._contents = self._read()
        self._context = self._load(self._contents)

    def context(self) -> ssl.SSLContext:
        return self._context

    def renew(self) -> None:
        """Uses the certificate that `prepare` has written, if it is another. Certificates that others write are
        read at `refresh` only."""
        if self._prepare is not None:
            self.refresh()

    def refresh(self) -> bool:
        """Uses what is in the files now. False, with a line in the log, when that cannot be used; the certificate
        in use stays."""
        try:
            contents = self._read()
            if contents != self._contents:
                self._context = self._load(contents)
                self._contents = contents
        except CertificateError as error:
            log.error("%s; the certificate in use is kept", error)
            return False
        return True

    def _read(self) -> tuple[bytes, bytes]:
        if self._prepare is not None:
            self._prepare()
        return _contents(self._certificate, "certificate"), _contents(self._key, "key")

    def _load(self, contents: tuple[bytes, bytes]) -> ssl.SSLContext:
        certificate, key = self._certificate, self._key
        expires = _check(*contents, certificate, key)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(_CIPHERS)
        context.options |= ssl.OP_NO_RENEGOTIATION
        context.set_alpn_protocols(["http/1.1"])
        try:
            context.load_cert_chain(certificate, key, password=_no_passphrase)
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError.
            reason = getattr(error, "reason", None) or error
            raise CertificateError(f"certificate {certificate} and key {key} cannot be used: {reason}") from None
        left = expires - datetime.now(UTC)
        if left <= _SOON:
            what = "has expired" if left <= timedelta() else "expires"
            log.warning("the certificate in %s %s on %s", certificate, what, f"{expires:%Y-%m-%d %H:%M} UTC")
        return context


def _contents(path: Path, what: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CertificateError(f"{what} {path} cannot be read: {error.strerror}") from None


def _check(certificate: bytes, key: bytes, certificate_path: Path, key_path: Path) -> datetime:
    """Checks that certificate and key can be read and belong together; returns when the certificate expires."""
    # Takes 40 ms to import, and only servers with TLS need it.
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

    try:
        first = x509.load_pem_x509_certificates(certificate)[0]
        expected = first.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except (ValueError, UnsupportedAlgorithm):
        raise CertificateError(f"certificate {certificate_path} holds no certificate in PEM format") from None
    try:
        found = load_pem_private_key(key, None).public_key()
    except TypeError:
        raise CertificateError(
            f"key {key_path} is protected by a passphrase; a server starts unattended: "
            "write it without one (openssl pkey -in KEY -out NEW), readable for the server's user only"
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        raise CertificateError(f"key {key_path} holds no private key in PEM format") from None
    if found.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) != expected:
        raise CertificateError(
            f"key {key_path} does not belong to the certificate in {certificate_path} "
            "(the server's own certificate must be the first in its file)"
        )
    return first.not_valid_after_utc


def _no_passphrase() -> bytes:
    """Instead of a question on the terminal."""
    return b""
