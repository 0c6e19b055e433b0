"""The commands' first contact: what is missing is one line before anything starts, and files are private."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from blotter.crimes import example

TOML = (
    'app = "x"\n[environments.dev]\nregion = "us-east-1"\n[tables.results]\n'
    'partition_key = { name = "file_key", type = "S" }\n'
)


def run(folder: Path, *arguments: str, umask: int = 0o022, **environment: str) -> subprocess.CompletedProcess[str]:
    """A command in a process of its own, without anybody's credentials."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "BLOTTER_"))}
    nowhere = {
        "AWS_CONFIG_FILE": "/none",
        "AWS_SHARED_CREDENTIALS_FILE": "/none",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    return subprocess.run(
        [sys.executable, "-m", "blotter", "crimes", *arguments],
        cwd=folder,
        env={**kept, **nowhere, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        umask=umask,
        check=False,
    )


@pytest.mark.parametrize("command", [["sweep"], ["process"], ["worker"], ["serve"]])
def test_without_credentials_it_is_one_line(tmp_path: Path, command: list[str]) -> None:
    (tmp_path / "blotter.toml").write_text(TOML)
    done = run(tmp_path, *command)
    assert done.returncode == 3
    assert done.stderr.startswith("blotter crimes: no credentials: set AWS_PROFILE, or AWS_ACCESS_KEY_ID")
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "blotter-data").exists(), "nothing is made before that is known"


@pytest.mark.parametrize(
    "variables",
    [
        {"AWS_PROFILE": "nobody"},
        {"AWS_WEB_IDENTITY_TOKEN_FILE": "/none", "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/x"},
        {"AWS_ACCESS_KEY_ID": "x"},
        {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:9/x"},
    ],
)
def test_broken_credentials_are_one_line(tmp_path: Path, variables: dict[str, str]) -> None:
    (tmp_path / "blotter.toml").write_text(TOML)
    done = run(tmp_path, "sweep", **variables)
    assert done.returncode == 3
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert done.stderr.startswith("blotter crimes: ")


def test_objects_in_s3_without_reach_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "blotter.toml").write_text(TOML)
    keys = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y", "AWS_MAX_ATTEMPTS": "1"}
    for variables in ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, {"AWS_ENDPOINT_URL": "nonsense"}):
        done = run(tmp_path, "sweep", BLOTTER_CRIMES_OBJECTS="s3://a-bucket", **keys, **variables)
        assert done.returncode == 3
        assert "Traceback" not in done.stderr
        assert done.stderr.splitlines()[-1].startswith("blotter crimes: ")


def test_without_the_extra_one_line_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util as u\nreal = u.find_spec\n"
        "u.find_spec = lambda name, *rest: None if name in ('lightgbm', 'fastapi') else real(name, *rest)\n"
    )
    done = run(tmp_path, "serve", PYTHONPATH=str(tmp_path))
    assert done.returncode == 3
    (line,) = done.stderr.splitlines()
    assert "fastapi, lightgbm" in line
    assert 'pip install "blotter-db[crimes]"' in line


def test_what_a_command_writes_is_private(tmp_path: Path) -> None:
    sample = tmp_path / "sample.csv"
    sample.write_bytes(example.content())
    assert run(tmp_path, "score", "sample.csv").returncode == 0
    mode = (tmp_path / "sample.csv.predictions.csv").stat().st_mode
    assert stat.S_IMODE(mode) == 0o600


def test_a_file_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    sample = tmp_path / "sample.csv"
    sample.write_bytes(example.content())
    done = run(tmp_path, "score", "sample.csv", "--out", "/proc/none.csv")
    assert done.returncode == 3
    assert len(done.stderr.splitlines()) == 1
