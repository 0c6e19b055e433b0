"""The documentation names things that exist: symbols and files in the architecture pages, files behind links."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
MAKE = re.compile(r"`make ([a-z]+)")
SYMBOL = re.compile(r"`(blotter\.(?!toml`|db`)\w+(?:\.\w+)*)`")
FILE = re.compile(r"`([\w/]+/[\w.-]+\.(?:py|sh|json|toml))`")
LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#\s]+)")
ANCHOR = re.compile(r"\]\((?!https?:)([^)#\s]*)#([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.*)$", flags=re.M)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_named_symbols_exist(page: Path) -> None:
    for name in SYMBOL.findall(page.read_text()):
        module, _, attribute = name.rpartition(".")
        try:
            importlib.import_module(name)
        except ModuleNotFoundError:
            assert hasattr(importlib.import_module(module), attribute), f"{page}: {name} does not exist"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text()):
        assert (page.parent / target).exists(), f"{page}: {target} does not exist"


def _anchors(page: Path) -> set[str]:
    """As GitHub makes them of headings: small letters, hyphens for blanks, no punctuation."""
    headings = [re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading) for heading in HEADING.findall(page.read_text())]
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_to_sections_lead_to_them(page: Path) -> None:
    for target, anchor in ANCHOR.findall(page.read_text()):
        linked = (page.parent / target).resolve() if target else page
        if linked.suffix == ".md":
            assert anchor in _anchors(linked), f"{page}: {target}#{anchor} does not exist"


def test_the_index_reaches_every_page() -> None:
    """By links, in at most two steps: directly, or by way of another index."""
    reached = {ROOT / "docs" / "index.md"}
    for _ in range(2):
        reached |= {
            (page.parent / target).resolve()
            for page in reached
            for target in LINK.findall(page.read_text())
            if target.endswith(".md")
        }
    assert [str(page.relative_to(ROOT)) for page in PAGES if page not in reached] == []


def test_the_architecture_names_every_package_and_page() -> None:
    folder = ROOT / "docs" / "architecture"
    text = (folder / "index.md").read_text()
    packages = [path.parent for path in (ROOT / "src" / "blotter").glob("**/__init__.py")]
    paths = [package.relative_to(ROOT / "src" / "blotter") for package in packages]
    names = {
        f"…/{path.name}" if len(path.parts) == 2 else f"src/blotter/{path}"
        for path in paths
        if path.parts[2:] == ()
    }
    assert [name for name in sorted(names - {"src/blotter/."}) if f"`{name}`" not in text] == []
    assert {path.name for path in folder.glob("*.md")} - {"index.md"} <= set(LINK.findall(text))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_named_files_exist(page: Path) -> None:
    for name in FILE.findall(page.read_text()):
        found = (ROOT / name).exists() or any((ROOT / "src").rglob(name))
        assert found, f"{page}: {name} does not exist"


def _rows_of_changes() -> list[tuple[Path, list[str]]]:
    """The rows of "Where to change what": the folder in the heading of the table, and the cells."""
    text = (ROOT / "docs" / "architecture" / "index.md").read_text()
    rows, base = [], ROOT
    for line in text.partition("## Where to change what")[2].partition("More: ")[0].splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if heading := re.search(r"\| place in `(\S+)` \|", line):
            base = ROOT / heading[1]
        elif line.startswith("| ") and "---" not in line:
            assert len(cells) == 3, line
            rows.append((base, cells))
    return rows


def _found(base: Path, cell: str) -> tuple[list[Path], list[str]]:
    """The files and folders that a cell names in code, and the other names in it."""
    paths: list[Path] = []
    names = []
    for code in re.findall(r"`([^`]+)`", cell):
        if "/" not in code and not code.endswith((".py", ".json")):
            names.append(code)
            continue
        beside = paths[-1] if paths and paths[-1].is_dir() else paths[-1].parent if paths else base
        places = [place / code for place in (base, ROOT, beside)]
        existing = [place for place in places if place.exists()]
        assert existing, f"{code} does not exist: {cell}"
        paths.append(existing[0])
    return paths, names


@pytest.mark.parametrize(("base", "cells"), _rows_of_changes(), ids=lambda value: str(value)[:60])
def test_what_a_change_is_made_in_exists(base: Path, cells: list[str]) -> None:
    """Files, and the names in them: what is in code in the second column is in one of the files it names."""
    paths, names = _found(base, cells[1])
    assert paths, cells
    files = [file for path in paths for file in ([path] if path.is_file() else path.rglob("*.py"))]
    text = "\n".join(file.read_text() for file in files)
    for name in names:
        word = re.split(r"[(.]", name)[0] if "(" in name else name.rpartition(".")[2]
        beside = any((path.parent / name).is_dir() for path in paths)
        assert beside or re.search(rf"\b{re.escape(word)}\b", text), f"{name} is in none of {files}"
    shown, _ = _found(ROOT, cells[2])
    assert shown or cells[2] == "the script that cites the record", cells


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_named_make_targets_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.M))
    assert set(MAKE.findall(page.read_text())) <= targets, page


def test_contributing_names_every_make_target() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.M)) - {"up", "clean"}
    assert targets == set(MAKE.findall((ROOT / "CONTRIBUTING.md").read_text()))
