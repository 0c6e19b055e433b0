"""The AWS SDK for JavaScript v3 against a running Blotter whose access is enforced, so that its signatures are
verified too: runs `javascript/*.test.js` with Node's test runner.

The SDK is installed from the lock file beside them (`tests.npm`).
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.npm import node_with_packages

HERE = Path(__file__).parent / "javascript"
PROGRAMS = sorted(HERE.glob("*.test.js"))


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The path of `node`, with the SDK installed."""
    return node_with_packages(HERE, tmp_path_factory.getbasetemp().parent)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.name.removesuffix(".test.js"))
def test_program(node: str, signed_environment: dict[str, str], program: Path) -> None:
    done = subprocess.run(
        [node, "--test", "--test-reporter=spec", program.name],
        cwd=HERE,
        env=signed_environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ℹ pass 0" not in done.stdout


def test_there_are_programs() -> None:
    assert len(PROGRAMS) >= 3
