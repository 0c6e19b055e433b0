"""Rows of local files of every form, and what their values become."""

from __future__ import annotations

import datetime
import gzip
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import zstandard

from blotter.loading.files import MAX_LINE, Form, Row, local_file
from blotter.loading.survey import survey
from blotter.loading.types import Converter, NotConvertible
from blotter.tables.errors import SetupError

KEYS = {"id": "S"}


def written(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def rows(path: Path, form: Form | None = None, **options: Any) -> list[tuple[int, dict[str, Any]]]:
    file = local_file(path, form, options.get("delimiter"), options.get("header"))
    return [tuple(row) for row in file.rows()]


CSV = b'\xef\xbb\xbfid,n,note\r\na,1,"two\nlines"\r\n\r\nb,,"say ""x"""\r\n'
CSV_ROWS = [(2, {"id": "a", "n": "1", "note": "two\nlines"}), (5, {"id": "b", "note": 'say "x"'})]


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
def test_csv_packed_or_not(tmp_path: Path, suffix: str) -> None:
    pack: Any = {"": bytes, ".gz": gzip.compress, ".zst": zstandard.ZstdCompressor().compress}[suffix]
    assert rows(written(tmp_path, f"x.csv{suffix}", pack(CSV))) == CSV_ROWS
    assert rows(written(tmp_path, "y.tsv", b"id\tn\na,b\t1\n")) == [(2, {"id": "a,b", "n": "1"})]
    assert rows(written(tmp_path, "z.csv", b"a;1\n"), delimiter=";", header=("id", "n")) == [
        (1, {"id": "a", "n": "1"})
    ]


def test_json_lines_keep_every_digit(tmp_path: Path) -> None:
    content = b'{"id": "a", "n": 1.2300000000000000000000001}\n\n{"id": "b", "l": [1, null, {"x": true}]}\n'
    assert rows(written(tmp_path, "x.jsonl", content)) == [
        (1, {"id": "a", "n": Decimal("1.2300000000000000000000001")}),
        (3, {"id": "b", "l": [1, None, {"x": True}]}),
    ]


def test_an_export_is_known_by_its_first_line(tmp_path: Path) -> None:
    content = b'{"Item":{"id":{"S":"a"},"b":{"B":"AAEC"}}}\n'
    file = local_file(written(tmp_path, "x.json.gz", gzip.compress(content)), None, None, None)
    assert file.form == "dynamodb-json"
    (row,) = file.rows()
    assert Converter(file.form, KEYS, {}).item(row) == {"id": {"S": "a"}, "b": {"B": b"\0\1\2"}}
    assert local_file(written(tmp_path, "y.json", b'{"Item": 1}\n'), None, None, None).form == "jsonl"


def test_parquet(tmp_path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    table = pyarrow.table(
        {
            "id": ["a", "b"],
            "n": [1, None],
            "d": [Decimal("1.50"), Decimal("2.25")],
            "at": [datetime.datetime(2026, 11, 29, 1, 2, 3, tzinfo=datetime.UTC), None],
            "raw": [b"\0\1", b""],
            "list": [[1, 2], []],
        }
    )
    parquet.write_table(table, tmp_path / "x.parquet")
    file = local_file(tmp_path / "x.parquet", None, None, None)
    converter = Converter(file.form, KEYS, {})
    assert [converter.item(row) for row in file.rows()] == [
        {
            "id": {"S": "a"},
            "n": {"N": "1"},
            "d": {"N": "1.50"},
            "at": {"S": "2026-11-29T01:02:03+00:00"},
            "raw": {"B": b"\0\1"},
            "list": {"L": [{"N": "1"}, {"N": "2"}]},
        },
        {"id": {"S": "b"}, "d": {"N": "2.25"}, "raw": {"B": b""}, "list": {"L": []}},
    ]
    written(tmp_path, "bad.parquet", b"PAR1 nothing")
    with pytest.raises(SetupError, match="not readable as Parquet"):
        rows(tmp_path / "bad.parquet")


WRONG = [
    ("x.csv", b"id,n\na\n", "line 2: 1 columns, but the header has 2"),
    ("x.csv", b"id,id\n", "line 1: two columns of the header"),
    ("x.csv", b"id,\n", "line 1: a column of the header has no name"),
    ("x.csv", b'id\n"a"b\n', "line 2: not CSV"),
    ("x.csv", b'id\n"open\n', "not CSV"),
    ("x.csv", b"id\n\xff\n", "not valid UTF-8"),
    ("x.csv.gz", gzip.compress(b"id\na\n")[:-6], "x.csv.gz"),
    ("x.csv.gz", b"plain", "x.csv.gz"),
    ("x.jsonl", b'{"id": 1}\n[1]\n', "line 2: not a JSON object"),
    ("x.jsonl", b"{bad\n", "line 1: not JSON"),
    ("x.jsonl", b'{"n": NaN}\n', "no number of DynamoDB"),
    ("x.jsonl", b"[" * 100_000, "line 1: not JSON"),
    ("x.jsonl", b'{"id": "' + b"x" * MAX_LINE, "line 1: longer than"),
]


@pytest.mark.parametrize(("name", "content", "message"), WRONG)
def test_what_is_no_such_file_names_the_line(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    with pytest.raises(SetupError, match=message):
        rows(written(tmp_path, name, content))


def test_files_that_say_nothing_of_their_form(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="what is in it"):
        local_file(written(tmp_path, "data", b""), None, None, None)
    with pytest.raises(SetupError, match="is not a file"):
        local_file(tmp_path / "missing.csv", None, None, None)


def facts(folder: Path, content: bytes, keys: dict[str, str], **chosen: str) -> tuple[dict[str, str], list[Any]]:
    file = local_file(written(folder, "x.csv", content), None, None, None)
    converter = Converter(file.form, keys, chosen)
    found = survey(file, converter, lambda _: None)
    return {fact["attribute"]: fact["type"] for fact in found.facts()}, found.wrong


def test_a_column_is_a_number_only_if_every_cell_is_one(tmp_path: Path) -> None:
    content = b"id,zip,price,flag,mixed,late,big\n1,00123,1.50,true,1,1,1e125\n2,10001,-2,False,x,2,1e-130\n"
    types, wrong = facts(tmp_path, content + b"3,1,0,TRUE,1,n/a,7\n", {"id": "N"})
    assert types == {
        "id": "N", "zip": "S", "price": "N", "flag": "BOOL", "mixed": "S", "late": "S", "big": "N",
    }  # fmt: skip
    assert not wrong
    types, wrong = facts(tmp_path, content, {"id": "S"}, zip="N", flag="S", price="JSON")
    assert (types["id"], types["zip"], types["flag"], types["price"]) == ("S", "N", "S", "JSON")
    _, wrong = facts(tmp_path, content, {"id": "S"}, mixed="N")
    assert wrong == [(3, "mixed: 'x' is no number of DynamoDB's (38 digits, up to 1E+125)")]


@pytest.mark.parametrize(
    ("text", "type_"),
    [
        ("1", "N"), ("-0.5", "N"), ("1E5", "N"), ("1" * 38, "N"), ("1" * 38 + "000", "N"),
        ("1" * 39, "S"), ("1e126", "S"), ("01", "S"), ("+1", "S"), (".5", "S"), ("1.", "S"), ("1_0", "S"),
        ("NaN", "S"), ("Infinity", "S"), ("0x10", "S"), ("١", "S"), (" 1", "S"), ("yes", "S"), ("TRUE", "BOOL"),
    ],
)  # fmt: skip
def test_what_looks_like_a_number(tmp_path: Path, text: str, type_: str) -> None:
    types, _ = facts(tmp_path, f"id,x\na,{text}\n".encode(), KEYS)
    assert types["x"] == type_


def test_keys_must_be_there_and_of_their_type() -> None:
    converter = Converter("jsonl", {"id": "S", "n": "N"}, {})
    assert converter.item(Row(1, {"id": 7, "n": "1.5"})) == {"id": {"S": "7"}, "n": {"N": "1.5"}}
    for values, message in (
        ({"id": "a"}, "n, of the table's key, is missing"),
        ({"id": "", "n": 1}, "id, of the table's key, is empty"),
        ({"id": "a", "n": "x"}, "n: 'x' is no number"),
        ({"id": {"x": 1}, "n": 1}, "id: dict is no string"),
        ({"id": "a", "n": True}, "n: True is no number"),
        ({"id": "a", "n": 1, "f": float("nan")}, "f: nan is no number"),
        ({"id": "a", "n": 10**200}, "n: .* is no number"),
    ):
        with pytest.raises(NotConvertible, match=message):
            converter.item(Row(1, values))


def test_dynamodb_json_with_wrong_values() -> None:
    converter = Converter("dynamodb-json", KEYS, {})
    for item, message in (
        ({"id": {"S": "a"}, "x": 1}, "not an attribute value"),
        ({"id": {"S": "a"}, "x": {"X": 1}}, "there is no type 'X'"),
        ({"id": {"S": "a"}, "x": {"B": "!"}}, "x: "),
        ({"id": {"S": "a"}, "x": {"L": 7}}, "x: "),
        ({"id": {"N": "1"}}, "is N, not S"),
    ):
        with pytest.raises(NotConvertible, match=message):
            converter.item(Row(1, json.loads(json.dumps(item))))
