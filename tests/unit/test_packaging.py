"""The package's metadata, the pinned requirements and the changelog agree; the docs install no stranger."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from blotter import __version__

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
METADATA = PROJECT["project"]
EXTRAS = METADATA["optional-dependencies"]
LOCKS = {
    "run.txt": [*METADATA["dependencies"], *EXTRAS["crimes"], *EXTRAS["aws"]],
    "dev.txt": [*METADATA["dependencies"], *EXTRAS["crimes"], *EXTRAS["aws"], *EXTRAS["dev"]],
}
TEXTS = [
    path
    for pattern in ("*.md", "docs/**/*", "src/**/*", "deploy/*", "examples/*", ".github/**/*")
    for path in sorted(ROOT.glob(pattern))
    if path.suffix in {".md", ".py", ".html", ".sh", ".toml", ".yml", ".yaml"}
]


def pins(name: str) -> dict[str, set[str]]:
    """Package → the versions that a lock file pins; more than one where they depend on Python's version."""
    found: dict[str, set[str]] = {}
    for line in (ROOT / "requirements" / name).read_text().splitlines():
        if match := re.match(r"([\w.-]+)(?:\[[\w,-]+\])?==([\w.]+)", line):
            found.setdefault(canonicalize_name(match[1]), set()).add(match[2])
    return found


@pytest.mark.parametrize("name", LOCKS)
def test_every_dependency_is_pinned_within_its_range(name: str) -> None:
    pinned = pins(name)
    wanted = [Requirement(text) for text in [*LOCKS[name], *PROJECT["dependency-groups"]["build"]]]
    for requirement in wanted:
        if canonicalize_name(requirement.name) == canonicalize_name(METADATA["name"]):
            continue
        versions = pinned.get(canonicalize_name(requirement.name))
        assert versions, f"{requirement.name} is not in requirements/{name}: run make lock"
        assert all(map(requirement.specifier.contains, versions)), f"{requirement} is {versions}: run make lock"


@pytest.mark.parametrize("name", LOCKS)
def test_every_pin_has_hashes(name: str) -> None:
    text = (ROOT / "requirements" / name).read_text()
    blocks = re.split(r"^(?=\S)", re.sub(r"^#.*\n", "", text, flags=re.M), flags=re.M)
    without = [block.split()[0] for block in blocks if block.strip() and "--hash=sha256:" not in block]
    assert without == []


def test_what_runs_is_what_was_tested() -> None:
    tested = pins("dev.txt")
    assert {name: tested.get(name) for name in pins("run.txt")} == pins("run.txt")


def test_dependencies_are_ranges() -> None:
    """A library's users have pins of their own."""
    for text in [*METADATA["dependencies"], *EXTRAS["crimes"], *EXTRAS["aws"]]:
        operators = {one.operator for one in Requirement(text).specifier}
        assert operators == {">=", "<"}, text


def test_the_build_tools_are_the_same_everywhere() -> None:
    assert set(PROJECT["build-system"]["requires"]) <= set(PROJECT["dependency-groups"]["build"])
    compiler = next(text for text in EXTRAS["dev"] if text.startswith("mypy=="))
    assert compiler in PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["hooks"]["mypyc"]["dependencies"]


def test_there_is_one_version_number() -> None:
    assert "version" in METADATA["dynamic"]
    assert PROJECT["tool"]["hatch"]["version"]["path"] == "src/blotter/__init__.py"
    headings = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(), flags=re.M)
    assert headings[0] == "Unreleased"
    assert re.fullmatch(rf"{re.escape(__version__)} \(\d{{4}}-\d\d-\d\d\)", headings[1])


def test_the_compiled_modules_exist() -> None:
    for path in PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["hooks"]["mypyc"]["include"]:
        assert (ROOT / path).is_file(), path


def test_the_package_is_typed() -> None:
    assert (ROOT / "src" / "blotter" / "py.typed").is_file()
    assert "Typing :: Typed" in METADATA["classifiers"]


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_nobody_is_told_to_install_the_other_blotter(path: Path) -> None:
    """`blotter` on PyPI is another project; ours is `blotter-db`. A path to a checkout or a wheel is fine."""
    for match in re.finditer(r"\b(?:pipx?|uv) (?:pip |tool )?(?:install|add|run)\b[^\n`]*", path.read_text()):
        for word in re.split(r"[\s'\"]+", match[0])[1:]:
            assert not re.fullmatch(r"blotter(\[[\w,]+\])?([=<>~!@].*)?", word), f"{path}: {match[0]}"
