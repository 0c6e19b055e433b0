"""Encrypted files: what goes in comes out, and nothing else does."""

from __future__ import annotations

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blotter.database.encryption.data_keys import ID_BYTES, DataKey
from blotter.database.encryption.errors import DamagedCiphertext
from blotter.database.encryption.files import CHUNK_BYTES, HEADER_BYTES, FileCipher, frame, key_of, read_frames
from tests.examples import examples

KEY, OTHER = DataKey.generate(), DataKey.generate()
CIPHER = FileCipher(KEY, {KEY.id: KEY}.get)
SIZES = [0, 1, 15, 16, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES, 3 * CHUNK_BYTES + 7]


@pytest.mark.parametrize("size", SIZES)
def test_content_comes_back_whatever_its_size(size: int) -> None:
    content = bytes(range(251)) * (size // 251 + 1)
    stored = CIPHER.encode(content[:size])
    assert CIPHER.decode(stored) == content[:size]
    assert key_of(stored) == KEY.id
    assert len(stored) == HEADER_BYTES + size + 16 * max(1, -(-size // CHUNK_BYTES))
    assert size < 16 or content[:16] not in stored


def test_the_same_content_is_never_stored_alike() -> None:
    assert CIPHER.encode(b"x" * 100)[HEADER_BYTES:] != CIPHER.encode(b"x" * 100)[HEADER_BYTES:]


@settings(max_examples=examples(60), deadline=None)
@given(st.integers(0, HEADER_BYTES + 2 * CHUNK_BYTES + 40), st.integers(1, 255))
def test_a_changed_byte_is_found_wherever_it_is(at: int, mask: int) -> None:
    stored = bytearray(CIPHER.encode(b"y" * (2 * CHUNK_BYTES + 9)))
    stored[at % len(stored)] ^= mask
    if key_of(bytes(stored)):
        with pytest.raises(DamagedCiphertext):
            CIPHER.decode(bytes(stored))


def test_what_is_cut_off_appended_or_reordered_is_found() -> None:
    stored = CIPHER.encode(b"z" * (3 * CHUNK_BYTES))
    chunk = CHUNK_BYTES + 16
    one, two, three = (stored[HEADER_BYTES + n * chunk : HEADER_BYTES + (n + 1) * chunk] for n in range(3))
    head = stored[:HEADER_BYTES]
    for wrong in (head + one + two, head + two + one + three, stored + three, stored + b"x", stored[:-1], head):
        with pytest.raises(DamagedCiphertext):
            CIPHER.decode(wrong)


def test_an_unknown_key_is_said_to_be_unknown() -> None:
    stored = FileCipher(OTHER, {}.get).encode(b"content")
    with pytest.raises(DamagedCiphertext, match="a data key that this directory does not have"):
        CIPHER.decode(stored)


def test_a_plain_directory_stores_content_as_it_is() -> None:
    plain = FileCipher(None, lambda _: None)
    assert (plain.encode(b"content"), plain.decode(b"content")) == (b"content", b"content")
    assert CIPHER.decode(b"content from before") == b"content from before"
    with pytest.raises(DamagedCiphertext):
        plain.decode(CIPHER.encode(b"content"))


def test_a_journal_ends_at_a_torn_record() -> None:
    journal = b"".join(frame(CIPHER.encode(record)) for record in (b"one", b"", b"three"))
    assert [CIPHER.decode(stored) for stored in read_frames(io.BytesIO(journal))] == [b"one", b"", b"three"]
    for cut in range(1, 60):
        assert [CIPHER.decode(each) for each in read_frames(io.BytesIO(journal[:-cut]))] == [b"one", b""]


def test_a_data_key_shows_its_id_only() -> None:
    assert repr(KEY) == f"DataKey({KEY.id.hex()})"
    assert KEY.material.hex() not in repr(vars(type(KEY)))
    with pytest.raises(ValueError, match="16 bytes and 32 bytes"):
        DataKey(b"x" * ID_BYTES, b"short")
