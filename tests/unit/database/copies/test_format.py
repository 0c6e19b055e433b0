"""Copies are read back as they were written, and whatever is not whole is refused by name."""

from __future__ import annotations

import random

import pytest

from blotter.database.copies.format import (
    DamagedCopy,
    Manifest,
    Part,
    PartWriter,
    read_manifest,
    read_part,
    write_manifest,
    write_part,
)
from blotter.database.copies.memory_objects import MemoryObjects
from blotter.database.encryption.data_keys import ID_BYTES, KEY_BYTES, DataKey
from blotter.database.encryption.files import FileCipher
from blotter.database.model.table import KeyAttribute, KeySchema, Table
from blotter.database.storage.protocol import Row

KEY = DataKey(b"k" * ID_BYTES, b"m" * KEY_BYTES)
CIPHERS = {
    "plain": FileCipher(None, lambda _: None),
    "encrypted": FileCipher(KEY, lambda key_id: KEY if key_id == KEY.id else None),
}
TABLE = Table("123456789012", "us-east-1", "books", "id-1", 1, KeySchema((KeyAttribute("p", "S"),)), 0.0, 0.0)


@pytest.fixture(params=CIPHERS)
def cipher(request: pytest.FixtureRequest) -> FileCipher:
    return CIPHERS[request.param]


def rows(start: int, count: int) -> list[Row]:
    return [
        (b"%08d" % number, 10 + number % 7, b'{"p":{"S":"%d"}}' % number) for number in range(start, start + count)
    ]


def write(objects: MemoryObjects, cipher: FileCipher, copy_id: str, parts: list[list[Row]]) -> Manifest:
    written: list[Part] = []
    for number, content in enumerate(parts, 1):
        writer = PartWriter(copy_id, number)
        for start in range(0, len(content), 3):
            writer.add(content[start : start + 3])
        part, stored = writer.finish()
        write_part(objects, cipher, part, stored)
        written.append(part)
    manifest = Manifest.of(copy_id, TABLE, 17, 1.5, written)
    write_manifest(objects, cipher, manifest)
    return manifest


def read(objects: MemoryObjects, cipher: FileCipher) -> list[Row]:
    manifest = read_manifest(objects, cipher)
    return [
        row for part in manifest.parts for block in read_part(objects, cipher, manifest, part) for row in block
    ]


def test_what_was_written_is_read(cipher: FileCipher) -> None:
    objects = MemoryObjects({}, "")
    manifest = write(objects, cipher, "ab" * 16, [rows(0, 10), rows(10, 1), rows(11, 100)])
    assert read_manifest(objects, cipher) == manifest
    assert (manifest.items, manifest.size) == (111, sum(row[1] for row in rows(0, 111)))
    assert [(part.first, part.last) for part in manifest.parts][1] == (b"00000010", b"00000010")
    assert read(objects, cipher) == rows(0, 111)


def test_an_empty_table_has_no_parts(cipher: FileCipher) -> None:
    objects = MemoryObjects({}, "")
    write(objects, cipher, "ab" * 16, [])
    assert read(objects, cipher) == []


def test_every_flipped_byte_is_found(cipher: FileCipher) -> None:
    chance = random.Random(7)
    objects = MemoryObjects({}, "")
    write(objects, cipher, "ab" * 16, [rows(0, 4), rows(4, 4)])
    for info in list(objects.list()):
        whole = objects.get(info.name)
        for position in range(len(whole)):
            damaged = bytearray(whole)
            damaged[position] ^= 1 << chance.randrange(8)
            objects.put(info.name, bytes(damaged))
            with pytest.raises(DamagedCopy, match=info.name):
                read(objects, cipher)
        for length in (0, 1, len(whole) // 2, len(whole) - 1):
            objects.put(info.name, whole[:length])
            with pytest.raises(DamagedCopy, match=info.name):
                read(objects, cipher)
        objects.put(info.name, whole)
    assert read(objects, cipher) == rows(0, 8)


def test_missing_and_foreign_parts_are_refused_by_name(cipher: FileCipher) -> None:
    first, second = MemoryObjects({}, ""), MemoryObjects({}, "")
    write(first, cipher, "ab" * 16, [rows(0, 4), rows(4, 4)])
    write(second, cipher, "cd" * 16, [rows(0, 4), rows(4, 4)])
    own = first.get("part-000002")
    first.put("part-000002", second.get("part-000002"))
    with pytest.raises(DamagedCopy, match="part-000002 is not part 2 of copy abab"):
        read(first, cipher)
    first.put("part-000002", first.get("part-000001"))
    with pytest.raises(DamagedCopy, match="part-000002 is not part 2 of copy abab"):
        read(first, cipher)
    first.delete("part-000002")
    with pytest.raises(DamagedCopy, match="part-000002 is missing"):
        read(first, cipher)
    first.put("part-000002", own)
    first.put("manifest", second.get("manifest"))
    with pytest.raises(DamagedCopy, match="part-000001 is not part 1 of copy cdcd"):
        read(first, cipher)
    first.delete("manifest")
    with pytest.raises(DamagedCopy, match="manifest is missing"):
        read(first, cipher)


def test_an_encrypted_copy_shows_nothing_and_needs_its_key() -> None:
    objects = MemoryObjects({}, "")
    write(objects, CIPHERS["encrypted"], "ab" * 16, [[(b"key", 3, b'{"p":{"S":"secret-text"}}')]])
    for info in objects.list():
        content = objects.get(info.name)
        assert not [text for text in (b"secret-text", b"books", b"key") if text in content]
    with pytest.raises(DamagedCopy, match="data key"):
        read(objects, FileCipher(None, lambda _: None))
