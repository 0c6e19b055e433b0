"""The README's commands, copied as they stand, in one shell, against a running database with one result in it."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import blotter
from tests.conftest import Serving

ROOT = Path(__file__).parents[2]
TABLE = "chicago-crimes-results-dev"
ITEM = {"file_key": {"S": 'uploads/it\'s one, "quoted".csv'}, "status": {"S": "COMPLETED"}}


def commands(heading: str) -> str:
    """The commands of a section's console blocks, without prompts, as a script."""
    section = re.split(r"^## ", (ROOT / "README.md").read_text(), flags=re.M)
    text = next(part for part in section if part.startswith(heading))
    lines = [
        line for block in re.findall(r"```console\n(.*?)```", text, flags=re.S) for line in block.splitlines()
    ]
    return "\n".join(line.removeprefix("$ ") for line in lines)


def test_the_readmes_commands(server: Serving, tmp_path: Path) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "BLOTTER_"))}
    binaries = tmp_path / "bin"
    binaries.mkdir()
    for name, source in {"aws": Path(sys.executable).with_name("aws"), "python": Path(sys.executable)}.items():
        (binaries / name).symlink_to(source)
    (binaries / "blotter").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m blotter "$@"\n')
    (binaries / "blotter").chmod(0o755)
    activate = tmp_path / ".venv" / "bin"
    activate.mkdir(parents=True)
    (activate / "activate").write_text(f'PATH="{binaries}:$PATH"\n')
    shutil.copy(ROOT / "blotter.toml", tmp_path)
    environment = {
        **kept,
        "AWS_ENDPOINT_URL": server.url,  # where `blotter env` finds it
        "PYTHONPATH": str(Path(blotter.__file__).parents[1]),
    }

    def run(script: str) -> str:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    put = f"aws dynamodb put-item --table-name {TABLE} --item {shlex.quote(json.dumps(ITEM))}"
    set_up = commands("The table is set up")
    run(f"{set_up}\n{put}")
    printed = run(f"{set_up}\n{commands('The application fills it')}")
    assert "exists, ACTIVE, nothing to do" in printed
    assert json.dumps(ITEM["file_key"]["S"]) in printed
    assert '"COMPLETED"' in printed
