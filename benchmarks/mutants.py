"""A mutation run: changes the database's source in one place at a time and counts what no test notices.

    python -m benchmarks.mutants --minutes 10            # or: make mutants
    python -m benchmarks.mutants --seed 7 --package expressions --package model

A sample, not the whole: the places are drawn at random from a seed. Each mutant is written into a copy of `src`
and tested until a test notices it: by the unit tests of its package, the golden scripts in process, the other unit
tests of the database. A mutant that no test notices has survived: either a test is missing, or the change makes no
difference that could be noticed. Needs no network and touches nothing but its temporary folder. Not a part of the
tests: it takes minutes, and its score is a judgment of the tests, not of a change.
"""

from __future__ import annotations

import argparse
import ast
import copy
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
DATABASE = Path("src/blotter/database")
PACKAGES = ("validation", "expressions", "operations", "model")
_NOT_MUTATED = {"reserved_words.py", "keywords.py", "requests.py", "__init__.py"}
_ROUND_SECONDS = 600
_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}


class Mutant(NamedTuple):
    """`node` is the position in `ast.walk` of the module, the same in every parse of the same text."""

    path: Path
    line: int
    node: int
    what: str


def _constant(node: ast.AST) -> str | None:
    if not isinstance(node, ast.Constant) or isinstance(node.value, bool):
        return None
    if isinstance(node.value, int):
        node.value += 1
        return f"{node.value - 1} → {node.value}"
    return None


def _text(node: ast.AST) -> str | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value.strip():
        node.value = f"{node.value}~"
        return f"text {node.value[:40]!r}"
    return None


def _comparison(node: ast.AST) -> str | None:
    if not isinstance(node, ast.Compare):
        return None
    old = node.ops[0]
    node.ops[0] = _COMPARISONS[type(old)]()
    return f"{type(old).__name__} → {type(node.ops[0]).__name__}"


def _boolean(node: ast.AST) -> str | None:
    if isinstance(node, ast.BoolOp):
        node.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        return f"→ {type(node.op).__name__.lower()}"
    if isinstance(node, ast.Constant) and isinstance(node.value, bool):
        node.value = not node.value
        return f"→ {node.value}"
    return None


def _condition(node: ast.AST) -> str | None:
    if isinstance(node, ast.If):
        node.test = ast.UnaryOp(ast.Not(), node.test)
        return "condition negated"
    return None


def _arithmetic(node: ast.AST) -> str | None:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub):
        node.op = ast.Sub() if isinstance(node.op, ast.Add) else ast.Add()
        return f"→ {type(node.op).__name__.lower()}"
    return None


def _statement(node: ast.AST) -> str | None:
    """A refusal or a call for its effect is left out."""
    for block in (getattr(node, "body", None), getattr(node, "orelse", None)):
        for number, one in enumerate(block if isinstance(block, list) else ()):
            called = isinstance(one, ast.Expr) and isinstance(one.value, ast.Call)
            if isinstance(one, ast.Raise) or called:
                block[number] = ast.copy_location(ast.Pass(), one)
                return f"left out: {ast.unparse(one)[:50]}"
    return None


_MUTATIONS: tuple[Callable[[ast.AST], str | None], ...] = (
    _constant,
    _text,
    _comparison,
    _boolean,
    _condition,
    _arithmetic,
    _statement,
)
"""Each changes a node in place and returns how, or returns None and leaves it."""


def _parsed(path: Path) -> ast.Module:
    return ast.parse((ROOT / path).read_text())


def _ignored(tree: ast.Module) -> set[int]:
    """Positions of annotations, docstrings and `assert`: changing them changes nothing that is promised."""
    found: set[int] = set()
    for node in ast.walk(tree):
        parts: list[ast.AST | None] = []
        if isinstance(node, ast.arg | ast.AnnAssign):
            parts = [node.annotation]
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            parts = [node.returns]
        elif isinstance(node, ast.Assert) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):
            parts = [node]
        for part in filter(None, parts):
            found |= {id(inner) for inner in ast.walk(part)}
    return {number for number, node in enumerate(ast.walk(tree)) if id(node) in found}


def mutants(packages: tuple[str, ...]) -> Iterator[tuple[Mutant, int]]:
    """Every mutant of the packages, with the number of its mutation."""
    for package in packages:
        for file in sorted((ROOT / DATABASE / package).rglob("*.py")):
            if file.name in _NOT_MUTATED:
                continue
            path = file.relative_to(ROOT)
            tree = _parsed(path)
            ignored = _ignored(tree)
            for number, node in enumerate(ast.walk(tree)):
                if number in ignored:
                    continue
                for kind, mutate in enumerate(_MUTATIONS):
                    what = mutate(copy.deepcopy(node))
                    if what is not None:
                        yield Mutant(path, getattr(node, "lineno", 0), number, what), kind


def mutated(mutant: Mutant, kind: int) -> str:
    """The module's source with the mutant in it."""
    tree = _parsed(mutant.path)
    node = next(one for number, one in enumerate(ast.walk(tree)) if number == mutant.node)
    _MUTATIONS[kind](node)
    return ast.unparse(ast.fix_missing_locations(tree))


def _rounds(package: str) -> list[list[str]]:
    """Tests in the order in which they are likely to notice a mutant of a package."""
    near = [f"tests/unit/database/{other}" for other in (*PACKAGES, "wire")]
    own = f"tests/unit/database/{package}"
    rest = ["-n", "2", "tests/unit/database", *(f"--ignore={path}" for path in near)]
    return [[own, "tests/test_scripts.py::test_in_process"], [path for path in near if path != own], rest]


def _failure(package: str, folder: Path) -> str | None:
    """The first failing test of a package in the copy of `src`, or "time"; None if all pass."""
    environment = {**os.environ, "PYTHONPATH": str(folder / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    for tests in _rounds(package):
        command = [sys.executable, "-m", "pytest", "-x", "-p", "no:cacheprovider", "--tb=no", *tests]
        try:
            done = subprocess.run(
                command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=_ROUND_SECONDS
            )
        except subprocess.TimeoutExpired:
            return "time"
        if done.returncode != 0:
            failed = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
            return failed[0].split(" - ")[0] if failed else f"exit status {done.returncode}"
    return None


def _noticed(mutant: Mutant, kind: int, folder: Path) -> str | None:
    """What noticed the mutant; None if it survived."""
    target = folder / mutant.path
    original = target.read_text()
    target.write_text(mutated(mutant, kind))
    try:
        return _failure(mutant.path.relative_to(DATABASE).parts[0], folder)
    finally:
        target.write_text(original)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0, help="when to stop [10]")
    parser.add_argument("--seed", type=int, default=1, help="which sample [1]")
    parser.add_argument("--package", action="append", choices=PACKAGES, help="several times for several [all]")
    chosen = parser.parse_args()
    found = list(mutants(tuple(chosen.package or PACKAGES)))
    sample = random.Random(chosen.seed).sample(found, len(found))
    survivors: list[Mutant] = []
    tried = 0
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(ROOT / "src", Path(folder) / "src", ignore=shutil.ignore_patterns("__pycache__"))
        broken = _failure(PACKAGES[0], Path(folder))
        if broken is not None:
            sys.exit(f"the tests fail without any mutant: {broken}")
        deadline = time.monotonic() + chosen.minutes * 60
        for mutant, kind in sample:
            if time.monotonic() > deadline:
                break
            noticed = _noticed(mutant, kind, Path(folder))
            tried += 1
            if noticed is None:
                survivors.append(mutant)
            print(f"{mutant.path}:{mutant.line}: {mutant.what}: {noticed or 'SURVIVED'}", flush=True)
    score = 100 * (tried - len(survivors)) / tried if tried else 0.0
    print(f"\n{tried} of {len(found)} mutants tried, {tried - len(survivors)} noticed: {score:.0f} %")
    for mutant in survivors:
        print(f"  survived: {mutant.path}:{mutant.line}: {mutant.what}")


if __name__ == "__main__":
    main()
