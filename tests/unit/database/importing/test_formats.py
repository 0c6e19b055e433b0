"""Records of CSV, DynamoDB JSON and Ion out of pieces of any size, compressed or not, sound or hostile."""

from __future__ import annotations

import gzip
import random
from collections.abc import Iterator
from typing import Any

import pytest
import zstandard

from blotter.database.importing import compression, lines
from blotter.database.importing.compression import Compression, MalformedObject, unpacked
from blotter.database.importing.formats import Format, format_of
from blotter.database.model.errors import DynamoDBError

COMPRESS = {"NONE": bytes, "GZIP": gzip.compress, "ZSTD": zstandard.ZstdCompressor().compress}

JSON_LINES = b"""\xef\xbb\xbf{"Item": {"p": {"S": "a"}, "n": {"N": "1.50"}, "b": {"B": "AAEC"}}}

   \t
{"Item":{"p":{"S":"b"},"l":{"L":[{"BOOL":true},{"NULL":true},{"M":{"x":{"SS":["y"]}}}]}},"Extra":1}\r
{"Item":{"p":{"S":"z\xc3\xa9"}}}"""
JSON_ITEMS = [
    (1, {"p": {"S": "a"}, "n": {"N": "1.50"}, "b": {"B": "AAEC"}}),
    (4, {"p": {"S": "b"}, "l": {"L": [{"BOOL": True}, {"NULL": True}, {"M": {"x": {"SS": ["y"]}}}]}}),
    (5, {"p": {"S": "zé"}}),
]

CSV = b"""id,value,n
\"\"\"123\"\"\",\"Women's Full \"\"Length\"\" Dress\",1

\"two
lines\",\"with, comma\",
plain,,-2.5"""
CSV_ITEMS = [
    (2, {"id": {"S": '"123"'}, "value": {"S": 'Women\'s Full "Length" Dress'}, "n": {"N": "1"}}),
    (4, {"id": {"S": "two\nlines"}, "value": {"S": "with, comma"}}),
    (6, {"id": {"S": "plain"}, "n": {"N": "-2.5"}}),
]

# The example of AWS's developer guide, and every type.
ION = b"""$ion_1_0 {Item:{Authors:$dynamodb_SS::["Author1","Author2"],Id:103.,InPublication:false,PageCount:6d2}}
$ion_1_0 {Item:{p:"x",i:7,none:null,typed:null.string,b:{{AAEC}},l:[1,"a",{x:[]}],
 ns:$dynamodb_NS::[1.,2.5],bs:$dynamodb_BS::[{{AA==}}], d:11111111111111111111111111111111111111.}}
[{Item:{p:"in a list"}}, {"Item": {"p": "as JSON", "c": 1.0}}]"""
ION_ITEMS = [
    (
        1,
        {
            "Authors": {"SS": ["Author1", "Author2"]},
            "Id": {"N": "103"},
            "InPublication": {"BOOL": False},
            "PageCount": {"N": "6E+2"},
        },
    ),
    (
        2,
        {
            "p": {"S": "x"},
            "i": {"N": "7"},
            "none": {"NULL": True},
            "typed": {"NULL": True},
            "b": {"B": "AAEC"},
            "l": {"L": [{"N": "1"}, {"S": "a"}, {"M": {"x": {"L": []}}}]},
            "ns": {"NS": ["1", "2.5"]},
            "bs": {"BS": ["AA=="]},
            "d": {"N": "1" * 38},
        },
    ),
    (3, {"p": {"S": "in a list"}}),
    (4, {"p": {"S": "as JSON"}, "c": {"N": "1.0"}}),
]

FORMATS = {
    "DYNAMODB_JSON": (JSON_LINES, JSON_ITEMS),
    "CSV": (CSV, CSV_ITEMS),
    "ION": (ION, ION_ITEMS),
}


def made(name: Any) -> Format:
    return format_of(name, key_types={"n": "N"} if name == "CSV" else None)


def parse_all(format_: Format, content: bytes) -> list[Any]:
    return [format_.parse(record).Item for _, record in format_.records([content])]


def pieces(content: bytes, seed: int) -> Iterator[bytes]:
    chance = random.Random(seed)
    start = 0
    while start < len(content):
        size = chance.choice((1, 2, 3, 17, 1000))
        yield content[start : start + size]
        start += size


@pytest.mark.parametrize("codec", COMPRESS)
@pytest.mark.parametrize("name", FORMATS)
def test_records_do_not_depend_on_how_the_bytes_arrive(name: str, codec: Compression) -> None:
    content, items = FORMATS[name]
    format_ = made(name)
    stored = COMPRESS[codec](content)
    for seed in range(20):
        records = list(format_.records(unpacked(pieces(stored, seed), codec)))
        assert [(line, format_.parse(record).Item) for line, record in records] == items


def test_binary_ion() -> None:
    from amazon.ion import simpleion

    values = simpleion.loads(ION, single_value=False)
    format_ = made("ION")
    records = list(format_.records([simpleion.dumps(values, sequence_as_stream=True)]))
    assert [(line, format_.parse(record).Item) for line, record in records] == ION_ITEMS


@pytest.mark.parametrize("codec", ["GZIP", "ZSTD"])
def test_compressed_objects_in_parts_cut_short_or_not_compressed(codec: Compression) -> None:
    packed = COMPRESS[codec](JSON_LINES)
    assert b"".join(unpacked([packed, packed], codec)) == JSON_LINES * 2
    assert list(unpacked([], codec)) == []
    for cut in range(1, len(packed)):
        with pytest.raises(MalformedObject, match=f"The object is not in {codec} format"):
            list(unpacked([packed[:cut]], codec))
    for damaged in (JSON_LINES, packed + b"more", packed[:-9] + bytes(9)):
        with pytest.raises(MalformedObject, match=f"The object is not in {codec} format"):
            list(unpacked([damaged], codec))


@pytest.mark.parametrize("codec", ["GZIP", "ZSTD"])
def test_a_bomb_is_unpacked_in_bounded_pieces(codec: Compression) -> None:
    size = 64 * 1024 * 1024
    if codec == "GZIP":
        bomb = gzip.compress(bytes(size // 16)) * 16
    else:
        bomb = zstandard.ZstdCompressor(level=3).compress(bytes(size))
    assert len(bomb) < size / 500
    lengths = [len(piece) for piece in unpacked([bomb], codec)]
    assert sum(lengths) == size
    assert max(lengths) <= 32 * 1024 * 1024 + 128 * 1024
    with pytest.raises(MalformedObject, match="longer than"):
        list(lines.lines(unpacked([bomb], codec)))


def test_a_zstd_frame_with_a_larger_window_than_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    parameters = zstandard.ZstdCompressionParameters(window_log=21)
    packed = zstandard.ZstdCompressor(compression_params=parameters).compress(random.Random(1).randbytes(3 << 20))
    assert sum(map(len, unpacked([packed], "ZSTD"))) == 3 << 20
    monkeypatch.setattr(compression, "ZSTD_WINDOW_BYTES", 1 << 20)
    with pytest.raises(MalformedObject, match="too much memory"):
        list(unpacked([packed], "ZSTD"))


@pytest.mark.parametrize("name", FORMATS)
def test_endless_records_end_the_object(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("lines", "csv_format", "ion_format"):
        monkeypatch.setattr(f"blotter.database.importing.{module}.MAX_LINE_BYTES", 1000)
    begin = {"DYNAMODB_JSON": b'{"Item":{"p":{"S":"', "CSV": b'id\n"', "ION": b'{Item:{p:"'}[name]
    endless = [begin, *[b"x\n" * 50 if name == "CSV" else b"x" * 100 for _ in range(300)]]
    with pytest.raises(MalformedObject, match=r"is longer than 1000 bytes"):
        list(made(name).records(endless))


MALFORMED = [
    ("DYNAMODB_JSON", b'{"Item": ', "not valid JSON"),
    ("DYNAMODB_JSON", b"\xff\xfe", "not valid JSON"),
    ("DYNAMODB_JSON", b'{"NotAnItem": {"p": {"S": "x"}}}', "no member Item"),
    ("DYNAMODB_JSON", b'{"Item": 7}', "no member Item"),
    ("DYNAMODB_JSON", b"[1]", "no member Item"),
    ("DYNAMODB_JSON", b"[" * 100_000, "not valid JSON"),
    ("CSV", b'id,value\n"123",Women\'s Full "Length" Dress\n', "not escaped"),
    ("CSV", b'id\n"a"b"c"\n', "not escaped"),
    ("CSV", b'id\n"open\n', "not closed"),
    ("CSV", b"id,id\n1,2\n", "same name"),
    ("CSV", b"id,\n1,2\n", "no name"),
    ("CSV", b"id\n\xff\n", "not valid UTF-8"),
    ("ION", b'{Item:{p:"x"', "not in ION format"),
    ("ION", b"{Item:{p:1}} garbage] {", "no field Item|not in ION format"),
    ("ION", b"\xe0\x01\x00\xea\xff\xff\xff", "not in ION format"),
    ("ION", b"[" * 100_000, "not in ION format"),
    ("ION", b"{p:1}", "no field Item"),
    ("ION", b'"text"', "no field Item"),
]


@pytest.mark.parametrize(("name", "content", "message"), MALFORMED)
def test_what_is_not_in_the_format_ends_the_object(name: str, content: bytes, message: str) -> None:
    with pytest.raises(MalformedObject, match=message):
        parse_all(made(name), content)


NO_ITEMS = [
    ("DYNAMODB_JSON", b'{"Item": {"p": {"S": 1}}}', "cannot be converted"),
    ("DYNAMODB_JSON", b'{"Item": {"p": "x"}}', "cannot be converted"),
    ("CSV", b"id,n\n1\n", "number of columns of the row, 1, is not that of the header, 2"),
    ("CSV", b"id,n\n1,2,3\n", "number of columns"),
    ("ION", b"{Item:{p:1e0}}", "of type float has no DynamoDB type"),
    ("ION", b"{Item:{p:2020T}}", "of type timestamp"),
    ("ION", b"{Item:{p:abc}}", "has no DynamoDB type"),
    ("ION", b'{Item:{p:{{"clob"}}}}', "of type clob"),
    ("ION", b"{Item:{p:(a b)}}", "of type sexp"),
    ("ION", b'{Item:{p:unit::"x"}}', "annotated unit"),
    ("ION", b"{Item:{p:$dynamodb_SS::[1]}}", "has another type"),
    ("ION", b"{Item:{p:" + b"[" * 40 + b"]" * 40 + b"}}", "nested levels"),
    ("ION", b"{Item:{p:" + b"{x:" * 40 + b"1" + b"}" * 40 + b"}}", "nested levels"),
]


@pytest.mark.parametrize(("name", "content", "message"), NO_ITEMS)
def test_what_makes_no_item_is_refused_by_itself(name: str, content: bytes, message: str) -> None:
    format_ = made(name)
    (record,) = [record for _, record in format_.records([content])]
    with pytest.raises(DynamoDBError, match=message):
        format_.parse(record)


def test_csv_with_other_delimiters_and_a_header_of_the_request() -> None:
    for delimiter in ",;:|\t ":
        format_ = format_of("CSV", delimiter, ["a", "b"])
        content = f'1{delimiter}"x{delimiter}y"\n'.encode()
        assert parse_all(format_, content) == [{"a": {"S": "1"}, "b": {"S": f"x{delimiter}y"}}]
