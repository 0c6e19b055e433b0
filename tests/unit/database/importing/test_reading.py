"""A source read in slices: what is counted, what ends an object, and going on from every position."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from typing import Any

import pytest

from blotter.database.importing import reading
from blotter.database.importing.formats import format_of
from blotter.database.importing.reading import Position, Reader, Slice, Source
from blotter.database.importing.rows import RowMaker, key_types
from blotter.database.model.table import KeyAttribute, KeySchema, Table
from blotter.database.storage.protocol import Row

TABLE = Table(
    account="123456789012",
    region="us-east-1",
    name="results",
    id="t",
    space=1,
    keys=KeySchema((KeyAttribute("p", "S"),), (KeyAttribute("n", "N"),)),
    created_at=0.0,
    active_at=0.0,
)


class Gone(Exception):
    pass


def source_of(objects: dict[str, bytes], missing: tuple[str, ...] = ()) -> Source:
    def names(start: str) -> list[str]:
        return sorted(name for name in (*objects, *missing) if name >= start)

    def content(name: str) -> Iterator[bytes]:
        if name in missing:
            raise Gone
        whole = objects[name]
        for start in range(0, len(whole), 50):
            yield whole[start : start + 50]

    return Source(names, content, Gone)


def reader_of(source: Source, name: Any = "DYNAMODB_JSON", compression: Any = "NONE") -> Reader[Row]:
    format_ = format_of(name, key_types=key_types(TABLE))
    return Reader(source, format_, compression, RowMaker(TABLE))


def line(number: int) -> bytes:
    return b'{"Item": {"p": {"S": "key-%d"}, "n": {"N": "%d.0"}, "text": {"S": "%s"}}}\n' % (
        number,
        number,
        b"x" * (number % 50),
    )


BAD = {
    "bad-0-no-item.json": b'{"NotAnItem": {}}\n' + line(1),
    "bad-1-missing-key.json": b'{"Item": {"p": {"S": "x"}}}\n' + line(2),
    "bad-2-type.json": b'{"Item": {"p": {"S": "x"}, "n": {"S": "1"}}}\n',
    "bad-3-not-json.json": line(3) + b'{"Item": \n' + line(4),
    "bad-4-empty-name.json": b'\n{"Item": {"p": {"S": "x"}, "n": {"N": "1"}, "": {"S": "v"}}}\n',
    "bad-5-large.json": b'{"Item": {"p": {"S": "x"}, "n": {"N": "1"}, "t": {"S": "%s"}}}\n' % (b"x" * 410_000),
}


def test_faults_name_their_object_and_line_and_end_an_object_only_if_it_is_malformed() -> None:
    (slices, faults, rows) = summed(reader_of(source_of(BAD, ("missing.json",))).slices(Position()))
    assert [(fault.name, fault.number, fault.line, fault.message) for fault in faults] == [
        ("bad-0-no-item.json", 0, 1, "The line has no member Item with an item"),
        (
            "bad-1-missing-key.json",
            0,
            1,
            "One or more parameter values were invalid: Missing the key n in the item",
        ),
        (
            "bad-2-type.json",
            0,
            1,
            "One or more parameter values were invalid: Type mismatch for key n expected: N actual: S",
        ),
        ("bad-3-not-json.json", 1, 2, "The line is not valid JSON"),
        ("bad-4-empty-name.json", 0, 2, "Empty attribute name"),
        ("bad-5-large.json", 0, 1, "Item size has exceeded the maximum allowed size"),
        ("missing.json", 0, None, "The object is not there any more"),
    ]
    assert [row[2] for row in rows] == [
        b'{"p":{"S":"key-2"},"n":{"N":"2"},"text":{"S":"xx"}}',
        b'{"p":{"S":"key-3"},"n":{"N":"3"},"text":{"S":"xxx"}}',
    ]
    assert all(slice_.position.finished for slice_ in slices)


def summed(slices: Iterator[Slice[Row]]) -> tuple[list[Slice[Row]], list[Any], list[Row]]:
    found = list(slices)
    return found, [fault for each in found for fault in each.faults], [row for each in found for row in each.made]


@pytest.mark.parametrize("compression", ["NONE", "GZIP"])
def test_reading_on_from_any_position_gives_the_rest(compression: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "SLICE_RECORDS", 7)
    content = {f"{name}.json": b"".join(map(line, range(name * 40, name * 40 + 40))) for name in range(3)}
    content["4.json"] = b""
    content["5.json"] = line(0) + b"garbage"
    packed = content if compression == "NONE" else {name: gzip.compress(it) for name, it in content.items()}
    reader = reader_of(source_of(packed), compression=compression)
    slices, faults, rows = summed(reader.slices(Position()))
    assert len(rows) == 121
    assert len(faults) == 1
    assert sum(slice_.content for slice_ in slices) == sum(map(len, content.values()))
    assert sum(slice_.stored for slice_ in slices) == sum(map(len, packed.values()))
    for number, slice_ in enumerate(slices):
        rest, rest_faults, rest_rows = summed(reader.slices(slice_.position))
        done = [row for before in slices[: number + 1] for row in before.made]
        assert done + rest_rows == rows
        assert len(rest_faults) == len(faults) - sum(len(before.faults) for before in slices[: number + 1])
        for member in ("content", "stored"):
            before = sum(getattr(each, member) for each in slices[: number + 1])
            after = sum(getattr(each, member) for each in rest)
            assert before + after == sum(getattr(each, member) for each in slices)


def test_objects_that_are_not_compressed_as_the_request_says_are_one_fault_each() -> None:
    objects = {"a.gz": gzip.compress(line(1)), "b.gz": gzip.compress(b""), "empty": b""}
    _, faults, rows = summed(reader_of(source_of(objects)).slices(Position()))
    assert [fault.name for fault in faults] == ["a.gz", "b.gz"]
    assert not rows
    _, faults, rows = summed(
        reader_of(source_of({**objects, "plain": line(2)}), compression="GZIP").slices(Position())
    )
    assert [(fault.name, fault.number) for fault in faults] == [("plain", 0)]
    assert len(rows) == 1


def test_a_slice_is_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "SLICE_BYTES", 500)
    slices, _, rows = summed(reader_of(source_of({"a": b"".join(map(line, range(100)))})).slices(Position()))
    assert len(rows) == 100
    assert all(slice_.content <= 500 + 50 + 150 for slice_ in slices)


def test_csv_columns_have_the_types_of_the_keys() -> None:
    _, faults, rows = summed(
        reader_of(source_of({"a.csv": b"p,n,m\na,1.50,1.50\nb,x,2\n"}), "CSV").slices(Position())
    )
    assert [row[2] for row in rows] == [b'{"p":{"S":"a"},"n":{"N":"1.5"},"m":{"S":"1.50"}}']
    assert [(fault.line, fault.message) for fault in faults] == [
        (3, "The parameter cannot be converted to a numeric value: x")
    ]
