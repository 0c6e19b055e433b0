"""deploy/05-create-dynamodb.sh: the table missing, existing, and every call failing, one at a time.

The happy paths run the real AWS CLI against a running Blotter. For the failures a small stand-in for `aws` on PATH
keeps a table in a file and fails at the n-th call, before or after it took effect: the script must stop there, and
the next run must finish.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from blotter.config import load_configuration

REPOSITORY = Path(__file__).parents[2]
SCRIPT = REPOSITORY / "deploy" / "05-create-dynamodb.sh"
TABLE = "chicago-crimes-results-dev"
QUERY = "--query Table.TableStatus --output text"

# $STATE/table holds the status; $STATE/calls counts; FAIL_AT and FAIL_WHEN are where to fail.
FAKE_AWS = """\
#!/usr/bin/env bash
set -euo pipefail
echo "$*" >>"$STATE/calls"
number=$(wc -l <"$STATE/calls")
fail() { if [[ "$number" == "${FAIL_AT:-0}" && "$FAIL_WHEN" == "$1" ]]; then echo "fault" >&2; exit 255; fi; }
fail before
case "$*" in
    *describe-table*) test -f "$STATE/table" || { echo "(ResourceNotFoundException)" >&2; exit 254; }
        cat "$STATE/table" ;;
    *create-table*) test ! -f "$STATE/table" || { echo "(ResourceInUseException)" >&2; exit 254; }
        if [[ -n "${RACE:-}" ]]; then
            echo CREATING >"$STATE/table"
            echo "(ResourceInUseException) Table already exists" >&2
            exit 254
        fi
        echo CREATING >"$STATE/table" ;;
    *"wait table-exists"*) test -f "$STATE/table"; echo ACTIVE >"$STATE/table" ;;
    *"wait table-not-exists"*) rm -f "$STATE/table" ;;
esac
fail after
"""


def run(environment: dict[str, str], script: Path = SCRIPT) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(script)], env=environment, capture_output=True, text=True, timeout=120)


@pytest.fixture
def server(serve: Any) -> Any:
    """A server as users start it: a new table is CREATING for a moment."""
    return serve()


@pytest.fixture
def real(aws_environment: dict[str, str]) -> dict[str, str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{aws_environment.get('PATH', os.defpath)}"
    return aws_environment | {"PATH": path}


def test_missing_then_existing(real: dict[str, str]) -> None:
    first = run(real)
    assert (first.returncode, first.stderr) == (0, "")
    assert first.stdout == f"Creating table {TABLE} ...\nTable {TABLE} is ACTIVE\n"
    second = run(real)
    assert (second.returncode, second.stderr) == (0, "")
    assert second.stdout == f"Table {TABLE} exists: ACTIVE\nTable {TABLE} is ACTIVE\n"


def test_it_reaches_the_state_that_apply_reaches(real: dict[str, str]) -> None:
    """`tables plan --check` finds nothing to change after the script."""
    assert run(real).returncode == 0
    check = subprocess.run(
        [
            sys.executable,
            "-m",
            "blotter",
            "tables",
            "plan",
            "--check",
            "--config",
            str(REPOSITORY / "blotter.toml"),
        ],
        env=real | {"PYTHONPATH": str(REPOSITORY / "src")},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (check.returncode, check.stderr) == (0, "")


@pytest.mark.parametrize("profile", [{}, {"AWS_PROFILE": ""}], ids=["unset", "empty"])
def test_without_a_profile_the_clis_own_chain_decides(real: dict[str, str], profile: dict[str, str]) -> None:
    keys = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}
    environment = {name: value for name, value in real.items() if name != "AWS_PROFILE"} | keys
    assert run(environment | profile).returncode == 0


@pytest.fixture
def fake(tmp_path: Path) -> dict[str, str]:
    aws = tmp_path / "bin" / "aws"
    aws.parent.mkdir()
    aws.write_text(FAKE_AWS)
    aws.chmod(0o755)
    (tmp_path / "calls").touch()
    path = f"{aws.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    return {"PATH": path, "STATE": str(tmp_path), "AWS_PROFILE": "blotter"}


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("start", [None, "CREATING", "ACTIVE", "DELETING"])
def test_any_call_may_fail_and_the_next_run_finishes(
    fake: dict[str, str], tmp_path: Path, start: str | None, when: str
) -> None:
    table, calls = tmp_path / "table", tmp_path / "calls"
    number = 1
    while True:
        table.unlink(missing_ok=True)
        if start:
            table.write_text(f"{start}\n")
        calls.write_text("")
        broken = run(fake | {"FAIL_AT": str(number), "FAIL_WHEN": when})
        if len(calls.read_text().splitlines()) < number:
            break  # the script has no call of this number
        # A first describe that fails after it said "not found" has said so: the script goes on to create.
        if number > 1 or start or when == "before":
            assert broken.returncode != 0
            assert "fault" in broken.stderr
        finished = run(fake)
        assert finished.returncode == 0, (number, finished)
        assert table.read_text() == "ACTIVE\n"
        number += 1
    assert number > 3


def test_without_credentials_nothing_is_said_to_be_created(fake: dict[str, str], tmp_path: Path) -> None:
    answer = run(fake | {"FAIL_AT": "1", "FAIL_WHEN": "before"})
    assert (answer.returncode, answer.stdout, answer.stderr) == (1, "", "fault\n")
    assert len((tmp_path / "calls").read_text().splitlines()) == 1


def test_the_profile_is_given_as_the_seed_gives_it(fake: dict[str, str], tmp_path: Path) -> None:
    run(fake)
    calls = (tmp_path / "calls").read_text().splitlines()
    assert calls[0] == f"--profile blotter dynamodb describe-table --table-name {TABLE} {QUERY}"
    assert all(call.startswith("--profile blotter dynamodb ") for call in calls)


def test_a_table_that_appears_meanwhile_is_waited_for(fake: dict[str, str], tmp_path: Path) -> None:
    answer = run(fake | {"RACE": "yes"})
    assert (answer.returncode, answer.stderr) == (0, "")
    assert f"Table {TABLE} was created meanwhile\nTable {TABLE} is ACTIVE\n" in answer.stdout
    assert (tmp_path / "table").read_text() == "ACTIVE\n"


def test_four_runs_at_once(real: dict[str, str]) -> None:
    environment = real | {"RESULTS_TABLE": "four-at-once"}
    runs = [
        subprocess.Popen([str(SCRIPT)], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    answers = [(*one.communicate(timeout=120), one.returncode) for one in runs]
    assert all(code == 0 and "Table four-at-once is ACTIVE\n" in out for out, _, code in answers), answers


ELSEWHERE = "http://127.0.0.1:9"
SETTLED = 'echo "${AWS_ENDPOINT_URL_DYNAMODB:-none} $AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"'


@pytest.mark.parametrize(
    ("given", "settled"),
    [
        ({}, "http://127.0.0.1:8000 false"),
        ({"AWS_ENDPOINT_URL": ELSEWHERE}, f"{ELSEWHERE} false"),
        ({"AWS_ENDPOINT_URL": "http://x", "AWS_ENDPOINT_URL_DYNAMODB": ELSEWHERE}, f"{ELSEWHERE} false"),
        (
            {"AWS_ENDPOINT_URL": ELSEWHERE, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "True"},
            "http://127.0.0.1:8000 false",
        ),
        ({"BLOTTER_ENV": "prod"}, "none true"),
        ({"BLOTTER_ENV": "prod", "AWS_ENDPOINT_URL": ELSEWHERE}, f"{ELSEWHERE} false"),
        (
            {
                "BLOTTER_ENV": "prod",
                "AWS_ENDPOINT_URL": ELSEWHERE,
                "AWS_ENDPOINT_URL_DYNAMODB": ELSEWHERE,
                "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true",
            },
            "none true",
        ),
    ],
)
def test_the_endpoint_is_the_one_that_blotter_tables_uses(given: dict[str, str], settled: str) -> None:
    script = f'source "{REPOSITORY}/deploy/00-config.sh"; {SETTLED}'
    said = subprocess.run(
        ["bash", "-euc", script], env={"PATH": os.defpath, **given}, capture_output=True, text=True, check=True
    )
    assert said.stdout.strip() == settled
    configuration = load_configuration(REPOSITORY / "blotter.toml", given.get("BLOTTER_ENV", "dev"), environ=given)
    assert (configuration.endpoint or "none") == settled.split()[0]


def test_a_missing_configuration_is_said_clearly(fake: dict[str, str], tmp_path: Path) -> None:
    alone = tmp_path / "05-create-dynamodb.sh"
    alone.write_text(SCRIPT.read_text())
    alone.chmod(0o755)
    answer = run(fake, alone)
    assert answer.returncode == 1
    assert "cannot load 00-config.sh beside it" in answer.stderr
    assert (tmp_path / "calls").read_text() == ""


def test_an_unknown_environment_stops(fake: dict[str, str]) -> None:
    answer = run(fake | {"BLOTTER_ENV": "stage"})
    assert answer.returncode == 1
    assert "no environment 'stage'; set BLOTTER_ENV to dev, test or prod" in answer.stderr


@pytest.mark.parametrize("environment", ["dev", "test", "prod"])
def test_the_scripts_say_what_blotter_toml_says(environment: str) -> None:
    says = 'echo "$RESULTS_TABLE|$AWS_REGION|${AWS_ENDPOINT_URL_DYNAMODB:-}"'
    script = f'source "{REPOSITORY}/deploy/00-config.sh"; {says}'
    said = subprocess.run(
        ["bash", "-euc", script],
        env={"BLOTTER_ENV": environment, "PATH": os.defpath},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    configuration = load_configuration(REPOSITORY / "blotter.toml", environment, environ={})
    table, endpoint = configuration.table("results").name, configuration.endpoint or ""
    assert said == f"{table}|{configuration.region}|{endpoint}"


def test_the_scripts_are_strict_and_use_nothing_but_the_aws_cli() -> None:
    text = SCRIPT.read_text()
    assert "set -euo pipefail" in text
    assert 'source "$(dirname "$0")/00-config.sh" ||' in text
    assert not re.search(r"\b(python|jq|curl|blotter) ", re.sub(r"#.*", "", text))
