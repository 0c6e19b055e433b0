"""`blotter import` of local files against real endpoints: what is shown, written, left out, and gone on with."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import boto3
import pytest
from click.testing import CliRunner

from blotter.cli import main
from blotter.loading import writing

Blotter = Any  # fixture classes of conftest.py; test modules cannot import them
FaultyEndpoint = Any

TABLES = """
[tables.results]
partition_key = { name = "id", type = "S" }
sort_key = { name = "n", type = "N" }
"""


class Answer(NamedTuple):
    code: int
    out: str
    err: str


def client(blotter: Blotter) -> Any:
    url = blotter.environ["AWS_ENDPOINT_URL_DYNAMODB"]
    keys = {"aws_access_key_id": "local", "aws_secret_access_key": "local"}
    return boto3.client("dynamodb", endpoint_url=url, region_name="us-east-1", **keys)


def run(blotter: Blotter, *arguments: str, **environ: str) -> Answer:
    foreign = {name: None for name in os.environ if name.startswith(("AWS_", "BLOTTER_"))}
    result = CliRunner().invoke(main, ["import", *arguments], env=foreign | blotter.environ | environ)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Answer(result.exit_code, result.stdout, result.stderr)


def refusal(code: str, message: str) -> Any:
    return SimpleNamespace(code=code, message=message, status=400)


def items(blotter: Blotter) -> dict[str, Any]:
    pages = client(blotter).get_paginator("scan").paginate(TableName=blotter.table, ConsistentRead=True)
    return {item["id"]["S"]: item for page in pages for item in page["Items"]}


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)  # where the notes go
    return


@pytest.fixture
def made(blotter: Blotter) -> Blotter:
    blotter.declare(TABLES)
    assert blotter("apply").code == 0
    return blotter


def test_a_csv_is_shown_then_written(made: Blotter, tmp_path: Path) -> None:
    rows = "".join(f"id-{n},{n},{n % 90000:05},{n / 4},{str(n % 2 == 0).lower()},\n" for n in range(120))
    (tmp_path / "x.csv").write_text("id,n,zip,price,even,nothing\n" + rows)
    looked = run(made, "x.csv", "--table", "results", "--dry-run")
    assert (looked.code, looked.err) == (0, "")
    assert "x.csv (csv): 120 rows for " + made.table in looked.out
    assert "key of the table; 120 rows, such as id-0" in looked.out
    assert "dry run: 120 items would be put into " + made.table in looked.out
    assert not items(made)
    done = run(made, "x.csv", "--table", "results", "--json")
    assert (done.code, done.err) == (0, "")
    answer = json.loads(done.out)
    assert (answer["rows"], answer["written"], answer["invalid"]) == (120, 120, 0)
    assert {each["attribute"]: each["type"] for each in answer["attributes"]} == {
        "id": "S", "n": "N", "zip": "S", "price": "N", "even": "BOOL",
    }  # fmt: skip
    found = items(made)
    assert len(found) == 120
    assert found["id-7"] == {
        "id": {"S": "id-7"}, "n": {"N": "7"}, "zip": {"S": "00007"}, "price": {"N": "1.75"},
        "even": {"BOOL": False},
    }  # fmt: skip
    assert not list(tmp_path.glob(".blotter-import-*"))


def test_an_export_file_keeps_every_type(made: Blotter, tmp_path: Path) -> None:
    item = {
        "id": {"S": "a"},
        "n": {"N": "1"},
        "b": {"B": "AAH/"},
        "s": {"BS": ["AA=="]},
        "l": {"L": [{"NULL": True}]},
    }
    (tmp_path / "x.json.gz").write_bytes(gzip.compress(json.dumps({"Item": item}).encode() + b"\n"))
    assert run(made, "x.json.gz", "--table", made.table).code == 0
    assert items(made)["a"] == {
        "id": {"S": "a"}, "n": {"N": "1"}, "b": {"B": b"\0\1\xff"}, "s": {"BS": [b"\0"]},
        "l": {"L": [{"NULL": True}]},
    }  # fmt: skip


def test_rows_that_cannot_be_items_stop_everything_or_are_left_out(made: Blotter, tmp_path: Path) -> None:
    lines = [{"id": "a", "n": 1}, {"id": "b"}, {"id": "c", "n": "x"}, {"id": "d", "n": 4, "t": "x" * 410_000}]
    (tmp_path / "x.jsonl").write_text("\n".join(map(json.dumps, lines)))
    stopped = run(made, "x.jsonl", "--table", "results")
    assert stopped.code == 1
    assert "row 2: n, of the table's key, is missing" in stopped.out
    assert "row 3: n: 'x' is no number" in stopped.out
    assert "2 of 4 rows of x.jsonl cannot be items" in stopped.err
    assert not items(made)
    done = run(made, "x.jsonl", "--table", "results", "--skip-invalid")
    assert done.code == 1
    assert f"1 items of x.jsonl are in {made.table}, 3 rows left out" in done.out
    assert "row 4: " in done.out
    assert list(items(made)) == ["a"]


def test_an_interrupted_import_goes_on(
    made: Blotter, tmp_path: Path, faults: FaultyEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "CHUNK_ROWS", 100)
    (tmp_path / "x.jsonl").write_text("".join(json.dumps({"id": f"k{n}", "n": n}) + "\n" for n in range(400)))
    refuse = {"AWS_ENDPOINT_URL_DYNAMODB": faults.url}
    # DescribeTable, four batches of the first chunk, two of the second
    faults.refusals[8] = refusal("AccessDeniedException", "not now")
    broken = run(made, "x.jsonl", "--table", "results", "--threads", "1", **refuse)
    assert (broken.code, "not now" in broken.err) == (6, True)
    (notes,) = tmp_path.glob(".blotter-import-*")
    assert json.loads(notes.read_bytes())["rows"] == 100
    faults.operations.clear()
    faults.refusals.clear()
    assert run(made, "x.jsonl", "--table", "results", "--threads", "1", **refuse).code == 0
    assert faults.operations.count("BatchWriteItem") == 12
    assert len(items(made)) == 400
    assert not notes.exists()


def test_notes_of_another_file_are_not_gone_on_with(made: Blotter, tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text('{"id": "a", "n": 1}\n')
    (tmp_path / "notes").write_text('{"file": "other", "table": "other"}')
    answer = run(made, "x.jsonl", "--table", "results", "--notes", "notes")
    assert (answer.code, "is of an import of another file" in answer.err) == (4, True)
    (tmp_path / "notes").write_text("{}")
    assert "is not the notes of an import" in run(made, "x.jsonl", "--table", "results", "--notes", "notes").err


def test_what_is_wrong_before_anything_begins(made: Blotter, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("id,n\na,1\n")
    assert run(made, "x.csv").code == 64
    assert run(made, "missing.csv", "--table", "results").code == 4
    assert run(made, "x.csv", "--table", "results", "--format", "ion").code == 64
    assert run(made, "x.csv", "--table", "results", "--type", "n=X").code == 64
    absent = run(made, "x.csv", "--table", "absent-table")
    assert (absent.code, "absent-table does not exist" in absent.err) == (1, True)
