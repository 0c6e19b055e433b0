"""The AWS SDK for JavaScript v3 against a running Blotter whose access is enforced, so that its signatures are
verified too: runs `javascript/*.test.js` with Node's test runner.

The SDK is installed once, beside the tests, from their lock file. That names no registry: npm's own configuration
decides where packages come from. Without Node 20 or npm, or without a network to install from, the tests are
skipped with the reason; any other failure to install is a failure.
"""

from __future__ import annotations

import fcntl
import json
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent / "javascript"
PROGRAMS = sorted(HERE.glob("*.test.js"))
OFFLINE = ("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ECONNRESET", "ETIMEDOUT", "ENETUNREACH", "ENOTCACHED")


def installed() -> bool:
    wanted: dict[str, str] = json.loads((HERE / "package.json").read_text())["dependencies"]
    manifests = {name: HERE / "node_modules" / name / "package.json" for name in wanted}
    return all(
        manifests[name].is_file() and json.loads(manifests[name].read_text())["version"] == version
        for name, version in wanted.items()
    )


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The path of `node`, with the SDK installed."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("Node and npm are not on PATH")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=30).stdout.strip()
    if int(version.lstrip("v").split(".")[0]) < 20:
        pytest.skip(f"the SDK needs Node 20 or newer; this is {version}")
    everyone = tmp_path_factory.getbasetemp().parent  # Shared by the processes of one `pytest -n`.
    with (everyone / "npm.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not installed():
            install(npm)
    return node


def install(npm: str) -> None:
    command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    done = subprocess.run(command, cwd=HERE, capture_output=True, text=True, timeout=300)
    if done.returncode == 0:
        return
    if any(code in done.stderr for code in OFFLINE):
        pytest.skip(f"the SDK cannot be installed without a network: {done.stderr.strip()}")
    pytest.fail(f"npm ci failed: {done.stderr}")


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
