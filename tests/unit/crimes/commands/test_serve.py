"""`blotter crimes serve` beyond loopback: refused before anything starts, unless a flag allows it."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from blotter.cli import main

TOML = """
app = "x"
[environments.dev]
region = "us-east-1"
endpoint = "http://127.0.0.1:1"
[tables.results]
partition_key = { name = "file_key", type = "S" }
"""


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "example.test"])
@pytest.mark.parametrize("way", ["flag", "file"])
def test_it_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str, way: str) -> None:
    (tmp_path / "blotter.toml").write_text(TOML + (f'[crimes]\nhost = "{host}"\n' if way == "file" else ""))
    monkeypatch.chdir(tmp_path)
    answer = CliRunner().invoke(main, ["crimes", "serve", *(["--host", host] if way == "flag" else [])])
    assert answer.exit_code == 3
    assert answer.stderr.startswith(f"blotter crimes: listening on {host} ")
    assert "--insecure-open-access" in answer.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["blotter.toml"]


def test_the_flag_is_an_agreement(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It goes on to the next thing that can be wrong: an address that this machine does not have."""
    (tmp_path / "blotter.toml").write_text(TOML)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "local")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "local")
    answer = CliRunner().invoke(main, ["crimes", "serve", "--host", "192.0.2.7", "--insecure-open-access"])
    assert "cannot listen on 192.0.2.7" in answer.stderr
