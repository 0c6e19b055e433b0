"""Every error message of the database is held by a test: its whole text stands in a golden script or in a test.

Found by reading the source, not by running it: each text of at least three words in `validation`, `expressions`,
`operations` and `model` that is no docstring and not meant for programmers. What an f-string fills in may be
anything. A part of a message is not enough, since the rest could then change unnoticed. It does not show that the
message is raised when it should be; the scripts do.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.golden import parse_script

ROOT = Path(__file__).parents[3]
DATABASE = ROOT / "src" / "blotter" / "database"
MODULES = [
    path
    for package in ("validation", "expressions", "operations", "model")
    for path in sorted((DATABASE / package).rglob("*.py"))
]
_FOR_PROGRAMMERS = {"AssertionError", "TypeError", "ValueError", "RuntimeError", "TypeAlias", "compile", "search"}
_WORDS = re.compile(r"[A-Za-z]{2,}[^A-Za-z]+[A-Za-z]{2,}[^A-Za-z]+[A-Za-z]{2,}")
_PLACE = re.compile(r"\{\w*\}")
"""Where `str.format` fills in something."""
_ANYTHING = "[^\x01]*?"
_END = "\x01"


def _parts(node: ast.AST) -> list[str] | None:
    """The fixed parts of a text, between which an f-string or a sum fills in something; None for other nodes."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return _PLACE.split(node.value)
    if isinstance(node, ast.JoinedStr):
        parts = [""]
        for value in node.values:
            if isinstance(value, ast.Constant):
                parts[-1] += str(value.value)
            else:
                parts.append("")
        return parts
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = _parts(node.left), _parts(node.right)
        if left is None and right is None:
            return None
        left, right = left or ["", ""], right or ["", ""]
        return [*left[:-1], left[-1] + right[0], *right[1:]]
    return None


def _name(node: ast.AST) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def _texts(node: ast.AST) -> Iterator[tuple[int, list[str]]]:
    """(line, parts) of the texts below a node: without docstrings and what only programmers read."""
    parts = _parts(node)
    if parts is not None:
        yield getattr(node, "lineno", 0), parts
        return
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return
    if isinstance(node, ast.Call) and _name(node.func) in _FOR_PROGRAMMERS:
        return
    if isinstance(node, ast.ClassDef) and any("Enum" in _name(base) for base in node.bases):
        return
    if isinstance(node, ast.AnnAssign) and _name(node.annotation) in _FOR_PROGRAMMERS:
        return
    if isinstance(node, ast.Assert):
        yield from _texts(node.test)
        return
    for child in ast.iter_child_nodes(node):
        yield from _texts(child)


def _messages(path: Path) -> Iterator[tuple[int, list[str]]]:
    for line, parts in _texts(ast.parse(path.read_text())):
        text = "".join(parts)
        if _WORDS.search(" ".join(parts)) and " " in text.strip() and "\n" not in text and "(?" not in text:
            yield line, parts


@cache
def _expectations() -> str:
    """The responses of golden scripts and the texts of tests, one after another."""
    found: list[str] = []
    for path in sorted((ROOT / "tests" / "scripts").rglob("*")):
        if path.is_file():
            for step in parse_script(path.read_text()):
                found += [expected.text.replace('\\"', '"') for expected in step.expected]
    for path in sorted((ROOT / "tests").rglob("*.py")):
        if path != Path(__file__):
            found += ["…".join(parts) for _, parts in _texts(ast.parse(path.read_text()))]
    return _END.join(found)


def _is_expected(parts: list[str]) -> bool:
    """What is filled in at an end may be anything in any case: looked for, it would make the search quadratic."""
    while not parts[0]:
        parts = parts[1:]
    while not parts[-1]:
        parts = parts[:-1]
    return bool(re.search(_ANYTHING.join(map(re.escape, parts)), _expectations()))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(DATABASE)))
def test_every_message_is_expected_somewhere(path: Path) -> None:
    missing = [
        f"{path.name}:{line}: {'…'.join(parts)}" for line, parts in _messages(path) if not _is_expected(parts)
    ]
    assert missing == [], "no script and no test expects these messages"


def test_a_message_that_nobody_expects_is_found() -> None:
    source = (
        'def f(x):\n    """This is no message."""\n    raise error(f"There were {x} wrong " + x + "things here")\n'
    )
    ((line, parts),) = _texts(ast.parse(source))
    assert (line, parts) == (3, ["There were ", " wrong ", "things here"])
    assert not _is_expected(parts)
