"""Reading: whatever is in a file becomes rows with reasons or one refusal with its own code, in bounded memory."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blotter.crimes.failures import FILE_CODES, ROW_REASONS, FileRefused
from blotter.crimes.reader import BATCH_CHARACTERS, Batch, IncidentReader

HEADER = "Date,Block,Primary Type,Description,Location Description,Arrest,Domestic,Community Area\n"
ROW = "2022-09-16 21:30:00,026XX S KEDVALE AVE,BURGLARY,FORCIBLE ENTRY,STREET,false,false,30\n"
MEBIBYTE = 1024 * 1024


def read(
    content: bytes | str, *, piece: int = 1000, max_bytes: int = 50 * MEBIBYTE, max_line: int = MEBIBYTE
) -> list[Batch]:
    data = content.encode() if isinstance(content, str) else content
    pieces = (data[start : start + piece] for start in range(0, len(data), piece))
    return list(IncidentReader(pieces, max_bytes=max_bytes, max_line=max_line, batch_rows=100))


def read_one(content: bytes | str, piece: int = 1000) -> Batch:
    (batch,) = read(content, piece=piece)
    return batch


def refusal(content: bytes | str, max_bytes: int = 50 * MEBIBYTE, max_line: int = MEBIBYTE) -> FileRefused:
    with pytest.raises(FileRefused) as caught:
        read(content, max_bytes=max_bytes, max_line=max_line, piece=100_000)
    assert caught.value.code in FILE_CODES
    return caught.value


@pytest.mark.parametrize(
    "header",
    [
        "Date,Primary Type,Community Area",
        "date,primary_type,community_area",
        "\ufeffDate,Primary Type,Community Area",
        " DATE , PRIMARY  TYPE ,COMMUNITY AREA",
        '"Date","Primary Type","Community Area"',
        "DATE  OF OCCURRENCE, PRIMARY DESCRIPTION,Community Area",
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("piece", [1, 7, 1000])
def test_every_heading_style_and_line_end(header: str, end: str, piece: int) -> None:
    batch = read_one(header + end + "2022-01-02 03:04:05,THEFT,8" + end + "2022-01-02 03:04:05,ARSON,9", piece)
    assert batch.columns["primary_type"] == ["THEFT", "ARSON"]
    assert batch.columns["community_area"] == ["8", "9"]
    assert batch.columns["block"] == ["", ""]


def test_columns_in_any_order_with_others_between() -> None:
    batch = read_one("x,Community Area,Primary Type,y,Date\n1,8,THEFT,2,2022-01-02\n")
    assert (batch.columns["primary_type"], batch.columns["community_area"]) == (["THEFT"], ["8"])


def test_quotes_with_line_breaks_and_commas() -> None:
    batch = read_one('Date,Primary Type,Block\n2022-01-02,"A ""B"", C","x\r\ny\nz"\n2022-01-03,D,e\n', piece=3)
    assert batch.columns["primary_type"] == ['A "B", C', "D"]
    assert batch.rows[0][2] == "x\r\ny\nz"


def test_rows_are_judged_alone() -> None:
    batch = read_one(
        "Date,Primary Type,Domestic\n"
        "2022-01-02,THEFT,true\n"
        "not a date,THEFT,true\n"
        ",THEFT,true\n"
        "2022-01-02,THEFT\n"
        "2022-01-02,THEFT,true,surplus\n"
        "\n"
        "2022-01-02,THEFT,true,,\n"
    )
    assert batch.reasons == ["", "BAD_DATE", "MISSING_DATE", "WRONG_FIELD_COUNT", "WRONG_FIELD_COUNT", ""]
    assert set(batch.reasons) - {""} <= set(ROW_REASONS)
    assert batch.valid == [0, 5]
    assert len(batch.rows) == 6


def test_batches_keep_order() -> None:
    batches = read("Date,Primary Type\n" + "".join(f"2022-01-02,T{number}\n" for number in range(250)))
    assert [len(batch.rows) for batch in batches] == [100, 100, 50]
    assert [row[1] for batch in batches for row in batch.rows] == [f"T{number}" for number in range(250)]


@pytest.mark.parametrize("content", ["", "\ufeff", "\n\n\r\n", gzip.compress(b"", mtime=0)])
def test_empty(content: bytes | str) -> None:
    assert refusal(content).code == "EMPTY_FILE"


def test_header_only_has_no_batches() -> None:
    assert read(HEADER) == []


def test_missing_columns_are_named() -> None:
    error = refusal("Block,Description\nx,y\n")
    assert error.code == "MISSING_COLUMNS"
    assert "Date" in error.message
    assert "Primary Type" in error.message
    assert "Block, Description" in error.message
    assert "missing: Date;" in refusal("Primary Type,x\nTHEFT,1\n").message


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_wrong_delimiter(delimiter: str) -> None:
    assert refusal((HEADER + ROW).replace(",", delimiter)).code == "WRONG_DELIMITER"


@pytest.mark.parametrize(
    "content",
    [
        b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj",
        b"PK\x03\x04\x14\x00\x06\x00",
        b"\x89PNG\r\n\x1a\n",
        b"PAR1\x15\x04",
        b"<!DOCTYPE html><html>",
        b'[{"date": 1}]',
        b"Date,Primary Type\x00\n",
        gzip.compress(gzip.compress(b"Date,Primary Type\n", mtime=0), mtime=0),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_other_formats(content: bytes, packed: bool) -> None:
    if packed and content.startswith(b"\x1f\x8b"):
        pytest.skip("packed already")
    assert refusal(gzip.compress(content) if packed else content).code == "NOT_CSV"


@pytest.mark.parametrize(
    "content",
    [
        (HEADER + ROW).encode("utf-16"),
        HEADER.encode() + ROW.encode().replace(b"STREET", b"STRA\xdfE"),
        HEADER.encode() + ROW.encode() * 30_000 + b"\xff\n",
    ],
)
def test_not_utf8(content: bytes) -> None:
    assert refusal(content).code == "NOT_UTF8"


def test_gzip_of_several_members_and_padding() -> None:
    packed = gzip.compress(HEADER.encode()) + gzip.compress(ROW.encode() * 2) + b"\0" * 700
    for piece in (1, 13, 10_000):
        assert len(read_one(packed, piece).valid) == 2


@pytest.mark.parametrize("kept", [0.3, 0.9, 0.999])
def test_truncated_gzip(kept: float) -> None:
    rows = "".join(ROW.replace("30\n", f"{number % 77}\n") for number in range(5000))
    packed = gzip.compress((HEADER + rows).encode())
    assert refusal(packed[: int(len(packed) * kept)]).code == "TRUNCATED_GZIP"


def test_corrupt_gzip() -> None:
    packed = bytearray(gzip.compress((HEADER + ROW * 100).encode()))
    packed[-8] ^= 0xFF
    assert refusal(bytes(packed)).code == "CORRUPT_GZIP"
    assert refusal(gzip.compress(HEADER.encode()) + b"junk").code == "CORRUPT_GZIP"


def bomb(start: bytes, block: bytes, blocks: int) -> bytes:
    packer = zlib.compressobj(9, wbits=31)
    return packer.compress(start) + b"".join(packer.compress(block) for _ in range(blocks)) + packer.flush()


@pytest.mark.parametrize(
    ("start", "block", "code"),
    [
        (b"", b"\0", "TOO_LARGE"),
        (b"", b"a", "TOO_LARGE"),
        (HEADER.encode(), b" ", "TOO_LARGE"),
        (HEADER.encode(), ROW.encode() * 100, "TOO_LARGE"),
        (HEADER.encode(), b"\n", "NOT_CSV"),
    ],
)
def test_zip_bomb(start: bytes, block: bytes, code: str) -> None:
    block *= MEBIBYTE // len(block) + 1
    packed = bomb(start, block, 12)
    assert len(packed) < MEBIBYTE
    assert refusal(packed, max_bytes=5 * MEBIBYTE).code == code


def test_a_plain_file_has_the_same_limit() -> None:
    assert refusal(HEADER + ROW * 1000, max_bytes=50_000).code == "TOO_LARGE"


@pytest.mark.parametrize(
    "content",
    [
        HEADER + "x" * 300_000,
        HEADER + '"' + ROW * 3000,
        HEADER + '2022-01-01,"' + "a\n" * 150_000,
        HEADER + '"a\n",' * 60_000,
        "x" * 300_000,
    ],
)
def test_rows_without_end(content: str) -> None:
    assert refusal(content, max_line=100_000).code == "FIELD_TOO_LONG"


def test_memory_does_not_grow_with_the_file() -> None:
    import tracemalloc

    def rows() -> Iterator[bytes]:
        yield HEADER.encode()
        for _ in range(100):
            yield ROW.encode() * 300

    tracemalloc.start()
    total = sum(
        len(batch.rows) for batch in IncidentReader(rows(), max_bytes=1 << 30, max_line=MEBIBYTE, batch_rows=1000)
    )
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert total == 30_000
    assert peak < 6 * MEBIBYTE


def test_long_rows_make_small_batches() -> None:
    """A batch is limited by its text too: thousands of rows of a megabyte each would not fit in memory."""
    rows = [HEADER.encode(), *[b"x" * 100_000 + b"\n"] * 200]
    batches = list(IncidentReader(rows, max_bytes=1 << 30, max_line=MEBIBYTE))
    assert sum(len(batch.rows) for batch in batches) == 200
    assert max(len(batch.rows) for batch in batches) * 100_000 <= BATCH_CHARACTERS + MEBIBYTE


def test_a_header_without_end() -> None:
    assert refusal("Date,Primary Type" + ",x" * 5000 + "\n").code == "TOO_MANY_COLUMNS"


FIELDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)


@given(st.lists(st.lists(FIELDS, min_size=3, max_size=3), max_size=20), st.sampled_from(["\n", "\r\n"]))
@settings(deadline=None)
def test_what_was_written_is_read(fields: list[list[str]], end: str) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator=end, quoting=csv.QUOTE_ALL).writerows([["Date", "Primary Type", "x"], *fields])
    for piece in (5, 100_000):
        rows = [row for batch in read(text.getvalue(), piece=piece) for row in batch.rows]
        assert rows == fields


@given(st.binary(max_size=400), st.integers(1, 50))
@settings(deadline=None)
def test_any_bytes_end_in_rows_or_a_refusal(data: bytes, piece: int) -> None:
    for content in (data, b"Date,Primary Type\n" + data, b"\x1f\x8b" + data, gzip.compress(data)):
        code, batches = "", []
        try:
            batches = read(content, piece=piece, max_line=200)
        except FileRefused as error:
            code = error.code
        assert not code or code in FILE_CODES
        for batch in batches:
            assert len(batch.reasons) == len(batch.rows)
            assert [place for place, reason in enumerate(batch.reasons) if not reason] == batch.valid
