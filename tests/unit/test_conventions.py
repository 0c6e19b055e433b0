"""Habits that CONTRIBUTING names and a reader cannot see broken: unit tests wait for events, never for time;
compiled modules use no name that C reserves."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

UNIT = Path(__file__).parent


def _sleeps(source: str) -> Iterator[int]:
    """Lines that sleep: any `sleep(…)` but `asyncio.sleep(0)`, which waits for nothing."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        yields = len(node.args) == 1 and isinstance(node.args[0], ast.Constant) and node.args[0].value == 0
        if name == "sleep" and not yields:
            yield node.lineno


@pytest.mark.parametrize("path", sorted(UNIT.rglob("*.py")), ids=lambda path: str(path.relative_to(UNIT)))
def test_no_unit_test_sleeps(path: Path) -> None:
    assert list(_sleeps(path.read_text())) == []


def test_a_sleep_is_found() -> None:
    source = "import asyncio, time\nfrom time import sleep\ntime.sleep(1)\nsleep(x)\nawait asyncio.sleep(0)\n"
    assert list(_sleeps(source.replace("await ", ""))) == [3, 4]


# What C reserves with an underscore before it: mypyc names a member `_x` like C's `__x`.
_RESERVED = {
    "_thread",
    "_int8",
    "_int16",
    "_int32",
    "_int64",
    "_int128",
    "_float128",
    "_asm",
    "_inline",
    "_volatile",
}
_RESERVED |= {
    "_const",
    "_restrict",
    "_signed",
    "_typeof",
    "_alignof",
    "_attribute",
    "_extension",
    "_label",
    "_real",
}
_ROOT = UNIT.parents[1]
_COMPILED = tomllib.loads((_ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"][
    "hooks"
]["mypyc"]["include"]


@pytest.mark.parametrize("path", _COMPILED)
def test_no_member_of_a_compiled_module_is_reserved_in_c(path: str) -> None:
    tree = ast.parse((_ROOT / path).read_text())
    used = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert not used & _RESERVED
