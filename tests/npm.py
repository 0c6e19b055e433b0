"""Packages of npm that tests run with Node, installed once beside the tests from their lock file.

The lock file names no registry: npm's own configuration decides where packages come from. Without Node 20 or npm,
or without a network to install from, tests are skipped with the reason; any other failure to install is a failure.
"""

from __future__ import annotations

import fcntl
import json
import shutil
import subprocess
from pathlib import Path

import pytest

OFFLINE = ("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ECONNRESET", "ETIMEDOUT", "ENETUNREACH", "ENOTCACHED")


def node_with_packages(folder: Path, shared: Path) -> str:
    """The path of `node`, with the packages of a folder installed. `shared` is a folder that all processes of a
    test run know."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("Node and npm are not on PATH")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=30).stdout.strip()
    if int(version.lstrip("v").split(".")[0]) < 20:
        pytest.skip(f"the packages need Node 20 or newer; this is {version}")
    with (shared / f"npm-{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _installed(folder):
            _install(npm, folder)
    return node


def _installed(folder: Path) -> bool:
    wanted: dict[str, str] = json.loads((folder / "package.json").read_text())["dependencies"]
    manifests = {name: folder / "node_modules" / name / "package.json" for name in wanted}
    return all(
        manifests[name].is_file() and json.loads(manifests[name].read_text())["version"] == version
        for name, version in wanted.items()
    )


def _install(npm: str, folder: Path) -> None:
    command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    if done.returncode == 0:
        return
    if any(code in done.stderr for code in OFFLINE):
        pytest.skip(f"the packages cannot be installed without a network: {done.stderr.strip()}")
    pytest.fail(f"npm ci failed: {done.stderr}")
