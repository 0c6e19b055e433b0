"""A results table that cannot hold results: reported in one line at the start, before anything runs."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from blotter.cli import main

FILE_KEY = 'partition_key = { name = "file_key", type = "S" }'
COMMANDS = ["serve", "worker", "process", "sweep"]

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(tmp_path: Path, aws_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command over a configuration whose results table has this name and key."""
    monkeypatch.chdir(tmp_path)
    for variable, value in {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_ENDPOINT_URL_DYNAMODB": aws_endpoint,
    }.items():
        monkeypatch.setenv(variable, value)

    def run(*command: str, name: str = "gone", key: str = FILE_KEY) -> tuple[int, str]:
        (tmp_path / "blotter.toml").write_text(
            f'app = "x"\n[environments.dev]\nregion = "us-east-1"\n[tables.results]\nname = "{name}"\n{key}\n'
        )
        answer = CliRunner().invoke(main, command)
        return answer.exit_code, answer.stderr

    return run


@pytest.mark.parametrize("command", COMMANDS)
def test_a_missing_table(run: Run, aws_endpoint: str, command: str) -> None:
    said = f"blotter crimes: table gone does not exist at {aws_endpoint}; run `blotter tables apply`\n"
    assert run("crimes", command) == (3, said)


@pytest.mark.parametrize(
    ("key", "wrong"),
    [
        ('partition_key = { name = "id", type = "S" }', "line 6 (tables.results.partition_key)"),
        ('partition_key = { name = "file_key", type = "B" }', "line 6 (tables.results.partition_key)"),
        (f'{FILE_KEY}\nsort_key = {{ name = "at", type = "N" }}', "line 7 (tables.results.sort_key)"),
    ],
)
def test_a_declaration_of_another_key(run: Run, key: str, wrong: str) -> None:
    needs = f"blotter.toml {wrong}: the application needs the partition key file_key (S) and no sort key\n"
    assert run("crimes", "serve", key=key) == (3, f"blotter crimes: {needs}")
    assert run("up", "--port", "1", key=key) == (1, f"blotter: {needs}"), "nothing is started"


def test_a_table_of_another_key(run: Run, make_client: Callable[[str], Any]) -> None:
    name = f"other-{uuid.uuid4().hex}"
    make_client("dynamodb").create_table(
        TableName=name,
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )
    code, said = run("crimes", "sweep", name=name)
    assert (code, said.startswith(f"blotter crimes: table {name} has the key id (S), but")) == (3, True)
