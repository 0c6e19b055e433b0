"""`blotter backup`, `restore` and `export` against moto: what they do, write, and return."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import boto3
import pytest
from click.testing import CliRunner, Result

from blotter.cli import main


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


def answer(*arguments: str) -> dict[str, Any]:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_a_backup_is_created_listed_described_restored_and_deleted(table: str, dynamodb: Any) -> None:
    made = answer("backup", "create", table, "--wait")["backup"]
    assert made["status"] == "AVAILABLE"
    assert made["table"] == table
    assert made["name"].startswith(f"{table}-2")
    arn = made["arn"]
    assert [found["arn"] for found in answer("backup", "list", table)["backups"]] == [arn]
    assert answer("backup", "describe", arn)["backup"]["name"] == made["name"]

    restored = answer("restore", f"{table}-again", "--from-backup", arn, "--wait")["table"]
    assert (restored["status"], restored["source_backup"]) == ("ACTIVE", arn)
    assert dynamodb.scan(TableName=f"{table}-again")["Count"] == 3

    assert answer("backup", "delete", arn, "--yes")["deleted"]["arn"] == arn
    assert answer("backup", "list", table)["backups"] == []


def test_the_past_of_a_table_is_restored(table: str, dynamodb: Any) -> None:
    new = f"{table}-again"
    restored = answer("restore", new, "--from-table", table, "--wait")["table"]
    assert (restored["table"], restored["status"]) == (new, "ACTIVE")
    assert dynamodb.scan(TableName=new)["Count"] == 3


def test_a_table_is_exported(table: str, endpoint: str) -> None:
    s3 = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1")
    s3.create_bucket(Bucket="exports")
    made = answer("export", table, "--bucket", "exports", "--prefix", "daily", "--wait")["export"]
    assert (made["status"], made["item_count"], made["prefix"]) == ("COMPLETED", 3, "daily")
    assert any(item["Key"].startswith("daily/") for item in s3.list_objects_v2(Bucket="exports")["Contents"])


def test_what_people_read(table: str) -> None:
    result = run("backup", "create", table, "--backup-name", "nightly")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0].startswith("endpoint http://127.0.0.1:")
    assert lines[1].startswith("nightly ")
    assert f"  table      {table}" in lines
    listed = run("backup", "list", table).stdout.splitlines()
    assert len(listed) == 1
    assert "nightly" in listed[0]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("backup", "create", "absent"), 1, "TableNotFoundException"),
        (("restore", "new"), 64, "--from-backup ARN or --from-table TABLE"),
        (("restore", "new", "--from-backup", "arn", "--at", "2026-11-28"), 64, "--from-table"),
        (("restore", "new", "--from-table", "old", "--at", "yesterday"), 64, "not a time"),
        (("export", "absent"), 64, "--bucket"),
        (("export", "absent", "--bucket", "b-1"), 1, "absent does not exist"),
        (("export", "some", "--bucket", "b-1", "--until", "2026-11-28"), 64, "--since"),
        (("export", "some", "--bucket", "b-1", "--since", "1", "--at", "2"), 64, "one of them"),
        (("export", "arn:aws:dynamodb:us-east-1:1:table/t/export/0", "--bucket", "b-1"), 64, "ARN alone"),
        (("backup", "list", "--account", "12"), 4, "12 digits"),
        (("backup", "create", "some", "--account", "999999999999"), 4, "999999999999"),
        (("backup", "list", "--env", "prod"), 4, "no blotter.toml"),
    ],
)
@pytest.mark.usefixtures("endpoint")
def test_failures_are_one_line_and_an_exit_code(arguments: tuple[str, ...], code: int, message: str) -> None:
    result = run(*arguments)
    assert (result.exit_code, result.stdout.count("\n") <= 1) == (code, True), result.output
    assert message in result.stderr


def test_a_backup_is_not_deleted_without_a_word(table: str) -> None:
    arn = answer("backup", "create", table)["backup"]["arn"]
    result = run("backup", "delete", arn)
    assert result.exit_code == 10
    assert "--yes" in result.stderr
    assert len(answer("backup", "list", table)["backups"]) == 1


def test_a_label_of_the_configuration_means_its_table(table: str, endpoint: str, tmp_path: Path) -> None:
    (tmp_path / "blotter.toml").write_text(
        f'app = "shop"\n[environments.dev]\nregion = "us-east-1"\nendpoint = "{endpoint}"\n'
        f'[tables.results]\nname = "{table}"\nkey = "id:S"\n'
    )
    made = answer("backup", "create", "results")
    assert made["backup"]["table"] == table
    assert made["environment"] == "dev"


@pytest.mark.usefixtures("endpoint")
def test_a_region_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_REGION")
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    result = run("backup", "list")
    assert (result.exit_code, "no region" in result.stderr) == (4, True)
