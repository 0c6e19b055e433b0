"""The AWS SDKs for Go v2, Java 2.x (with its enhanced client) and Rust against a running Blotter.

Each program lies beside this file with its pinned dependencies. Building one takes minutes and the network, so
that is `slow`: `pytest -m slow tests/clients/test_compiled_sdks.py` builds what is missing into `<program>/build`
and runs it. A default run runs what is built from today's sources, and skips the rest with the reason.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

HERE = Path(__file__).parent
BUILD_SECONDS = 1800
PARTS = ["tables", "items", "expressions", "pages", "batches", "transactions", "streams", "deletion"]
"""What every program prints as `ok <part>`; a program may have more."""


@dataclass(frozen=True)
class Program:
    name: str
    tools: tuple[str, ...]
    sources: tuple[str, ...]
    build: tuple[tuple[str, ...], ...]
    run: tuple[str, ...]

    @property
    def folder(self) -> Path:
        return HERE / self.name

    def digest(self) -> str:
        """Of the sources, and so of what is built from them."""
        files = (self.folder / source for source in self.sources)
        return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()

    def is_built(self) -> bool:
        stamp = self.folder / "build" / "built-from"
        return stamp.is_file() and stamp.read_text() == self.digest()

    def missing_tools(self) -> list[str]:
        return [tool for tool in self.tools if shutil.which(tool) is None]


CLASS_PATH = os.pathsep.join(["build/classes", "build/libs/*"])
PROGRAMS = (
    Program(
        name="go",
        tools=("go",),
        sources=("main.go", "go.mod", "go.sum"),
        build=(("go", "build", "-trimpath", "-o", "build/client", "."),),
        run=("build/client",),
    ),
    Program(
        name="java",
        tools=("java", "javac", "mvn"),
        sources=("src/main/java/Client.java", "pom.xml"),
        build=(
            ("mvn", "-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=build/libs"),
            ("javac", "-d", "build/classes", "-cp", "build/libs/*", "src/main/java/Client.java"),
        ),
        run=("java", "-XX:TieredStopAtLevel=1", "-cp", CLASS_PATH, "Client"),
    ),
    Program(
        name="rust",
        tools=("cargo",),
        sources=("src/main.rs", "Cargo.toml", "Cargo.lock"),
        build=(("cargo", "build", "--quiet", "--locked", "--target-dir", "build/target"),),
        run=("build/target/debug/blotter-rust-client",),
    ),
)


def execute(program: Program, command: Sequence[str], environment: dict[str, str], seconds: int) -> str:
    done = subprocess.run(
        command, cwd=program.folder, env=environment, capture_output=True, text=True, timeout=seconds
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"
    return done.stdout


def run(program: Program, environment: dict[str, str]) -> None:
    output = execute(program, program.run, environment, 120)
    assert [part for part in PARTS if f"ok {part}\n" not in output] == []


@pytest.fixture(params=PROGRAMS, ids=lambda program: program.name)
def program(request: pytest.FixtureRequest) -> Program:
    found: Program = request.param
    if missing := found.missing_tools():
        pytest.skip(f"not on PATH: {', '.join(missing)}")
    return found


def test_a_program_that_is_built(program: Program, aws_environment: dict[str, str]) -> None:
    if not program.is_built():
        pytest.skip("not built from these sources yet: pytest -m slow tests/clients/test_compiled_sdks.py")
    run(program, aws_environment)


@pytest.mark.slow
def test_every_program(program: Program, aws_environment: dict[str, str]) -> None:
    if not program.is_built():
        (program.folder / "build").mkdir(exist_ok=True)
        for command in program.build:
            execute(program, command, dict(os.environ), BUILD_SECONDS)
        (program.folder / "build" / "built-from").write_text(program.digest())
    run(program, aws_environment)
