"""Master keys: where they come from, what they wrap, and what is said when they cannot be used."""

from __future__ import annotations

import base64
import logging
from pathlib import Path

import pytest

from blotter.database.encryption.errors import MasterKeyError
from blotter.database.encryption.master_keys import MasterKey, parse_master_key

RAW = bytes(range(200, 232))
FORMS = {
    "raw": RAW,
    "hexadecimal": RAW.hex().encode() + b"\n",
    "upper case": RAW.hex().upper().encode(),
    "base64": base64.b64encode(RAW) + b"\n",
    "base64 for URLs": base64.urlsafe_b64encode(RAW),
}
WRONG = {
    "empty": b"",
    "31 bytes": RAW[:31],
    "33 bytes": RAW + b"x",
    "32 typed characters": b"correct horse battery staple 123",
    "16 bytes in hexadecimal": RAW[:16].hex().encode(),
    "a password": b"hunter2\n",
    "64 characters that are no digits": b"g" * 64,
    "33 bytes in base64": base64.b64encode(RAW + b"x"),
    "much": b"x" * 100_000,
}


def _file(path: Path, content: bytes) -> MasterKey:
    path.write_bytes(content)
    path.chmod(0o600)
    return parse_master_key(f"file:{path}")


@pytest.mark.parametrize("form", FORMS)
def test_a_key_may_be_written_in_several_forms(tmp_path: Path, form: str) -> None:
    expected = _file(tmp_path / "expected", RAW)
    key = _file(tmp_path / "key", FORMS[form])
    assert key.id == expected.id
    assert key.unwrap(expected.wrap(b"data key", "context"), "context") == b"data key"


@pytest.mark.parametrize("case", WRONG)
def test_what_is_no_key_is_refused_and_not_shown(tmp_path: Path, case: str) -> None:
    with pytest.raises(MasterKeyError, match="must be 32 random bytes") as caught:
        _file(tmp_path / "key", WRONG[case]).wrap(b"x", "context")
    assert not WRONG[case] or WRONG[case].strip().decode("latin-1") not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_key_in_a_variable_is_the_same_as_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", RAW.hex())
    assert parse_master_key("env:MY_KEY").id == _file(tmp_path / "key", RAW).id
    monkeypatch.delenv("MY_KEY")
    with pytest.raises(
        MasterKeyError, match="environment variable MY_KEY, which should hold the master key, is not set"
    ):
        _ = parse_master_key("env:MY_KEY").id


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(MasterKeyError, match=r"missing cannot be read: No such file"):
        parse_master_key(f"file:{tmp_path / 'missing'}").wrap(b"x", "")


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o640, 0o604])
def test_a_key_that_others_may_read_is_warned_of(
    tmp_path: Path, mode: int, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "key"
    key = _file(path, RAW)
    path.chmod(mode)
    with caplog.at_level(logging.WARNING):
        key.wrap(b"x", "")
    assert ("can be read by other users" in caplog.text) == bool(mode & 0o077)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "file",
        "file:",
        "env:",
        "env:A B",
        "env:1",
        RAW.hex(),
        "aws-kms:",
        "aws-kms:alias/x",
        "aws-kms:arn:aws:s3:::b",
    ],
)
def test_a_place_that_is_none_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(ValueError, match=r"^file:PATH, env:NAME or aws-kms:KEY-ARN$"):
        parse_master_key(text)


def test_only_the_same_key_and_context_unwrap(tmp_path: Path) -> None:
    key, other = _file(tmp_path / "key", RAW), _file(tmp_path / "other", RAW[::-1])
    wrapped = key.wrap(b"data key", "context")
    assert wrapped != key.wrap(b"data key", "context")
    flipped = wrapped[:-1] + bytes([wrapped[-1] ^ 1])
    for opener, sealed, context in [
        (other, wrapped, "context"),
        (key, wrapped, "another"),
        (key, flipped, "context"),
        (key, b"", "context"),
    ]:
        with pytest.raises(MasterKeyError, match="does not authenticate"):
            opener.unwrap(sealed, context)


def test_a_representation_shows_the_place_only(tmp_path: Path) -> None:
    key = _file(tmp_path / "key", RAW)
    key.wrap(b"x", "")
    assert repr(key) == f"LocalKey('file:{tmp_path / 'key'}')"
