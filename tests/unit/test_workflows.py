"""The workflows on GitHub run the Makefile's commands on every Python that the package names, with few rights."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
GITHUB = ROOT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
YAML = sorted([*GITHUB.rglob("*.yml"), ROOT / ".pre-commit-config.yaml"])
PINNED = re.compile(r"[\w.-]+/[\w.-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")


def load(path: Path) -> dict[str, Any]:
    return dict(yaml.safe_load(path.read_text()))


def steps(workflow: dict[str, Any]) -> list[dict[str, Any]]:
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


def pythons() -> list[str]:
    classifiers = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["classifiers"]
    return [found[1] for one in classifiers if (found := re.fullmatch(r".* :: (3\.\d+)", one))]


@pytest.mark.parametrize("path", YAML, ids=lambda path: str(path.relative_to(ROOT)))
def test_it_can_be_read(path: Path) -> None:
    assert load(path)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_is_bounded_and_may_only_read(path: Path) -> None:
    workflow = load(path)
    assert workflow["permissions"] == {"contents": "read"}
    for name, job in workflow["jobs"].items():
        assert job["timeout-minutes"] <= 120, name
        assert job.get("permissions", {}).keys() <= {"id-token"}, name


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_to_a_commit(path: Path) -> None:
    for used in re.findall(r"uses: (.+)", path.read_text()):
        assert PINNED.fullmatch(used), used
    for step in steps(load(path)):
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_make_targets_exist(path: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.M))
    for step in steps(load(path)):
        for command in re.findall(r"^make (.+)$", step.get("run", ""), flags=re.M):
            named = {word for word in re.sub(r'"[^"]*"', "", command).split() if "=" not in word}
            assert named <= targets, command


def test_every_supported_python_is_tested_and_gets_wheels() -> None:
    matrix = load(GITHUB / "workflows" / "ci.yml")["jobs"]["test"]["strategy"]["matrix"]
    assert matrix["python"] == pythons()
    built = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["cibuildwheel"]["build"]
    assert built.split() == [f"cp{version.replace('.', '')}-*" for version in pythons()]


def test_wheels_are_built_for_linux_and_macos_on_both_processors() -> None:
    runners = load(GITHUB / "workflows" / "release.yml")["jobs"]["wheels"]["strategy"]["matrix"]["runner"]
    assert runners == ["ubuntu-latest", "ubuntu-24.04-arm", "macos-15-intel", "macos-latest"]


def test_only_the_publishing_job_gets_an_identity() -> None:
    jobs = load(GITHUB / "workflows" / "release.yml")["jobs"]
    assert [name for name, job in jobs.items() if "permissions" in job] == ["publish"]
    assert jobs["publish"]["if"] == "github.event_name == 'release'"
    assert jobs["publish"]["environment"]["name"] == "pypi"
