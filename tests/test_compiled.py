"""The compiled wheel does what the source does: it is built, and tests of the compiled modules run against it.

mypyc holds code to its annotations and compiles classes otherwise than Python makes them; only running it shows
where that matters. The tests run in a process of their own, in which the wheel comes before the checkout.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TESTS = (
    "tests/test_scripts.py",
    "tests/unit/database/http",
    "tests/unit/database/storage/test_change_log.py",
    "tests/unit/database/storage/test_model.py",
    "tests/unit/database/storage/test_postgres.py",
    "tests/unit/database/storage/test_protocol.py",
    "tests/unit/database/storage/test_sqlite.py",
    "tests/unit/database/storage/test_write_semantics.py",
    "tests/unit/database/operations",
    "tests/unit/database/admission",
    "tests/unit/database/authorization",
    "tests/unit/database/metrics",
    "tests/unit/database/security/policy",
    "tests/faults/test_server_processes.py",
    "tests/faults/test_linearizability.py",
)
# The first watches a connection from a subclass, which no interpreted class may be of a compiled one; the second
# replaces functions, which compiled callers call directly.
NOT_COMPILED = ("tests/unit/database/http/test_states.py", "tests/unit/database/operations/test_bounded_work.py")
# Those of the source do as well: processes killed at random, and whole stores compared for every kind of request.
ENOUGH_ONCE = ("test_acknowledged_writes_survive", "test_short_histories")


def _run(*arguments: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=1200,
        check=False,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-5000:]
    return done.stdout


def _checkout() -> tuple[int, list[Path]]:
    """What a build in the checkout would change: mypyc's hook renames pyproject.toml for its time and leaves its
    modules. Without `--wheel`, `build` makes the wheel from an unpacked source distribution."""
    return (ROOT / "pyproject.toml").stat().st_ctime_ns, sorted((ROOT / "src").rglob("*.so"))


def _quick_compiler(folder: Path) -> str:
    """A C compiler that neither optimizes nor warns, each of which takes longer than all the rest. What is tested
    is mypyc's translation."""
    compiler = folder / "cc"
    compiler.write_text('#!/bin/sh\nexec cc "$@" -O0 -w\n')
    compiler.chmod(0o755)
    return str(compiler)


@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")
def test_the_compiled_wheel_passes_the_tests_of_what_is_compiled(tmp_path: Path) -> None:
    before = _checkout()
    compiler = _quick_compiler(tmp_path)
    quickly = {"CC": compiler, "PIP_NO_COMPILE": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    _run("build", "--outdir", str(tmp_path), str(ROOT), HATCH_BUILD_HOOK_ENABLE_MYPYC="1", **quickly)
    assert _checkout() == before, "built in the checkout, where others run and build"
    (wheel,) = tmp_path.glob("*.whl")
    assert "none-any" not in wheel.name
    site = tmp_path / "site"
    _run("pip", "install", "--quiet", "--no-deps", "--target", str(site), str(wheel))
    where = "import blotter.database.pipeline as module; print(module.__file__)"
    found = subprocess.run(
        [sys.executable, "-c", where], env={**os.environ, "PYTHONPATH": str(site)}, capture_output=True, text=True
    )
    assert found.stdout.startswith(str(site))
    assert found.stdout.strip().endswith((".so", ".pyd"))
    left_out = [f"--ignore={path}" for path in NOT_COMPILED] + ["-k", f"not ({' or '.join(ENOUGH_ONCE)})"]
    _run("pytest", "-p", "no:cacheprovider", "-x", *TESTS, *left_out, PYTHONPATH=str(site))
