"""The seed document's commands, character for character, with the real AWS CLI against a running Blotter.

The texts below are the document's own code blocks; `$AWS_PROFILE` and `$RESULTS_TABLE` are the environment's, as
the document has them. The create-table options are the document's three, added to its create-table command.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

DESCRIBE = """\
aws --profile "$AWS_PROFILE" \\
    dynamodb describe-table \\
    --table-name "$RESULTS_TABLE"
"""

STATUS = """\
aws --profile "$AWS_PROFILE" \\
    dynamodb describe-table \\
    --table-name "$RESULTS_TABLE" \\
    --query 'Table.TableStatus' \\
    --output text
"""

CREATE = """\
aws --profile "$AWS_PROFILE" \\
    dynamodb create-table \\
    --table-name "$RESULTS_TABLE" \\
    --attribute-definitions AttributeName=file_key,AttributeType=S \\
    --key-schema AttributeName=file_key,KeyType=HASH \\
    --billing-mode PAY_PER_REQUEST
"""

WAIT = """\
aws --profile "$AWS_PROFILE" \\
    dynamodb wait table-exists \\
    --table-name "$RESULTS_TABLE"
"""


@pytest.fixture
def server(serve: Any) -> Any:
    """A server as users start it: a new table is CREATING for a moment."""
    return serve()


@pytest.fixture
def environment(aws_environment: dict[str, str]) -> dict[str, str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{aws_environment.get('PATH', os.defpath)}"
    return aws_environment | {"RESULTS_TABLE": "chicago-crimes-results-test", "PATH": path}


def bash(script: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], env=environment, capture_output=True, text=True, timeout=120
    )


def test_the_seeds_commands_in_the_seeds_order(environment: dict[str, str]) -> None:
    missing = bash(DESCRIBE.rstrip() + " >/dev/null 2>&1", environment)
    assert (missing.returncode != 0, missing.stdout, missing.stderr) == (True, "", "")
    assert "ResourceNotFoundException" in bash(DESCRIBE, environment).stderr

    created = bash(CREATE, environment)
    assert created.returncode == 0, created.stderr
    assert '"TableStatus": "CREATING"' in created.stdout

    waited = bash(WAIT, environment)
    assert (waited.returncode, waited.stdout, waited.stderr) == (0, "", "")
    assert bash(STATUS, environment).stdout == "ACTIVE\n"
    assert bash(DESCRIBE.rstrip() + " >/dev/null 2>&1", environment).returncode == 0

    again = bash(CREATE, environment)
    assert again.returncode != 0
    assert "ResourceInUseException" in again.stderr
