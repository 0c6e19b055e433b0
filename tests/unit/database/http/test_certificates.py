"""The certificate of a server: what can be used, what is said about the rest, and that a bad new one changes
nothing."""

from __future__ import annotations

import logging
import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from blotter.database.http.certificates import CertificateError, Certificates
from blotter.database.http.self_signed import AUTHORITY, SERVER, ensure, machine_names
from tests.certificates import Files, sign, write_chain


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return write_chain(tmp_path)


def _refused(files: Files) -> str:
    with pytest.raises(CertificateError) as refused:
        Certificates(files.certificate, files.key)
    message = str(refused.value)
    assert "\n" not in message
    return message


def test_a_missing_file_is_named(files: Files) -> None:
    files.key.unlink()
    assert _refused(files) == f"key {files.key} cannot be read: No such file or directory"
    files.certificate.unlink()
    assert _refused(files) == f"certificate {files.certificate} cannot be read: No such file or directory"


def test_other_contents_are_named(files: Files) -> None:
    good = files.key.read_bytes()
    files.key.write_bytes(files.certificate.read_bytes())
    assert _refused(files) == f"key {files.key} holds no private key in PEM format"
    files.certificate.write_bytes(good)
    assert _refused(files) == f"certificate {files.certificate} holds no certificate in PEM format"


def test_a_key_of_another_certificate(files: Files) -> None:
    files.key.write_bytes(sign("another").key_pem())
    assert _refused(files).startswith(f"key {files.key} does not belong to the certificate in {files.certificate}")


def test_a_key_with_a_passphrase_is_refused_without_a_question(files: Files) -> None:
    signed = sign("server")
    files.write(signed)
    files.key.write_bytes(signed.key_pem(b"secret"))
    message = _refused(files)
    assert message.startswith(f"key {files.key} is protected by a passphrase; a server starts unattended")
    assert "secret" not in message


@pytest.mark.parametrize(("days", "said"), [(-1, "has expired on"), (3, "expires on"), (60, "")])
def test_what_is_said_about_the_end_of_a_certificate(
    files: Files, days: int, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    files.write(sign("server", days=days))
    with caplog.at_level(logging.WARNING):
        Certificates(files.certificate, files.key)
    assert (said in caplog.text) if said else not caplog.text


def test_a_bad_new_file_keeps_the_old(files: Files, caplog: pytest.LogCaptureFixture) -> None:
    certificates = Certificates(files.certificate, files.key)
    before = certificates.context()
    assert certificates.refresh()
    assert certificates.context() is before  # The same files again are nothing new.
    files.certificate.write_bytes(b"half a cert")
    assert not certificates.refresh()
    assert certificates.context() is before
    assert [record.getMessage() for record in caplog.records] == [
        f"certificate {files.certificate} holds no certificate in PEM format; the certificate in use is kept"
    ]
    files.write(sign("server"))
    assert certificates.refresh()
    assert certificates.context() is not before


def _issued(folder: Path) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates((folder / SERVER).read_bytes())


def test_an_own_certificate_names_the_machine_and_is_private(tmp_path: Path) -> None:
    folder = tmp_path / "tls"
    os.umask(before := os.umask(0))
    names = machine_names(["db.example.com", "0.0.0.0", "10.1.2.3", "[::5]", "not a name"])
    ensure(folder, names)
    os.umask(before)
    issued, authority = _issued(folder)
    named = issued.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert {str(name.value) for name in named} == set(names)
    assert {"localhost", "127.0.0.1", "::1", "db.example.com", "10.1.2.3", "::5"} <= set(names)
    assert not {"0.0.0.0", "not a name"} & set(names)
    issued.verify_directly_issued_by(authority)
    assert authority == x509.load_pem_x509_certificate((folder / AUTHORITY).read_bytes())
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (folder, *folder.iterdir())}
    assert {mode for name, mode in modes.items() if name != "tls"} == {0o600}
    assert modes["tls"] == 0o700


def test_an_own_certificate_is_renewed_in_time_and_its_authority_kept(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    ensure(tmp_path, ["localhost"], now)
    first, authority = _issued(tmp_path)
    ensure(tmp_path, ["localhost"], now + timedelta(days=59))
    assert _issued(tmp_path)[0] == first
    ensure(tmp_path, ["localhost"], now + timedelta(days=61))
    second, same = _issued(tmp_path)
    assert second != first
    assert same == authority
    ensure(tmp_path, ["localhost", "10.0.0.9"], now + timedelta(days=61))
    assert _issued(tmp_path)[0] != second  # This machine has got another address.


@pytest.mark.parametrize("damaged", [SERVER, AUTHORITY, "ca-key.pem"])
def test_damaged_own_files_are_replaced(tmp_path: Path, damaged: str) -> None:
    ensure(tmp_path, ["localhost"])
    whole = (tmp_path / damaged).read_bytes()
    (tmp_path / damaged).write_bytes(whole[: len(whole) // 2])
    ensure(tmp_path, ["localhost"])
    issued, authority = _issued(tmp_path)
    issued.verify_directly_issued_by(authority)
    Certificates(tmp_path / SERVER, tmp_path / SERVER)
