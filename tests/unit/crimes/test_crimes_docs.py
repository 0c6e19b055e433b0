"""docs/crimes.md names every setting, code, reason, attribute and command there is."""

from __future__ import annotations

from pathlib import Path

import pytest

from blotter.crimes.cli import crimes
from blotter.crimes.failures import FILE_CODES, ROW_REASONS
from blotter.crimes.item import Result
from blotter.crimes.settings import CrimesSettings

PAGE = (Path(__file__).parents[3] / "docs" / "crimes.md").read_text()


@pytest.mark.parametrize(
    "name",
    [
        *CrimesSettings.__struct_fields__,
        *FILE_CODES,
        *ROW_REASONS,
        *Result.__struct_fields__,
    ],
)
def test_it_is_documented(name: str) -> None:
    assert f"`{name}`" in PAGE


@pytest.mark.parametrize("command", list(crimes.commands))
def test_every_command_is_documented(command: str) -> None:
    assert f"`blotter crimes {command}" in PAGE
