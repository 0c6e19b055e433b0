"""docs/tables.md and docs/seed.md against the code: what they name exists, what exists they name."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import click
import msgspec
import pytest

from blotter.cli import main
from blotter.config import ENVIRONMENT_VARIABLES, load_configuration
from blotter.tables.cli import tables
from blotter.tables.declaring.declaration import Index, TableDeclaration, parse_table
from blotter.tables.errors import MEANINGS, Exit

REPOSITORY = Path(__file__).parents[3]
TABLES = (REPOSITORY / "docs" / "tables.md").read_text()
SEED = (REPOSITORY / "docs" / "seed.md").read_text()
SEED_DOCUMENT = REPOSITORY.parent / "shared" / "seed" / "dynamodb-table-setup.md"


def test_every_exit_code_is_documented_with_its_meaning() -> None:
    rows = dict(re.findall(r"^\| (\d+) \| (.+) \|$", TABLES, re.MULTILINE))
    assert rows == {str(int(code)): meaning for code, meaning in MEANINGS.items()}
    assert set(MEANINGS) == set(Exit)


def test_every_command_is_documented() -> None:
    assert set(re.findall(r"^\| `blotter tables ([a-z]+)` ", TABLES, re.MULTILINE)) == set(tables.commands)


def test_every_key_of_a_declaration_is_documented() -> None:
    def keys(section: str) -> set[str]:
        text = TABLES.partition(f"### {section}\n")[2].partition("\n#")[0]
        first_cells = re.findall(r"^\| (`.+?`) \|", text, re.MULTILINE)
        return {name.partition(".")[0] for cell in first_cells for name in re.findall(r"`([^`]+)`", cell)}

    declared = {field.name for field in msgspec.structs.fields(TableDeclaration)}
    assert keys("A table") == declared | {"name", "purpose"}
    assert keys("An index") == {field.name for field in msgspec.structs.fields(Index)}


def test_every_environment_variable_and_common_flag_is_documented() -> None:
    configuration = TABLES.partition("## Configuration\n")[2].partition("\n```")[0]
    for variables in ENVIRONMENT_VARIABLES.values():
        for variable in variables:
            assert f"`{variable}`" in configuration
    flags = {
        flag for parameter in tables.commands["plan"].params for flag in parameter.opts if flag.startswith("--")
    }
    for flag in flags - {"--json", "--timeout", "--check", "--delete-indexes"}:
        assert f"`{flag}" in configuration, flag


def test_the_examples_are_valid(tmp_path: Path) -> None:
    blocks = re.findall(r"```toml\n(.*?)```", TABLES, re.DOTALL)
    assert blocks
    for block in blocks:
        path = tmp_path / "blotter.toml"
        path.write_text(block)
        for environment in tomllib.loads(block)["environments"]:
            configuration = load_configuration(path, environment, environ={})
            for table in configuration.tables.values():
                parse_table(table, configuration.document)


def test_the_tests_named_for_the_seed_exist() -> None:
    named = set(re.findall(r"`((?:tests|deploy)/[^`]+)`", SEED))
    assert len(named) > 25
    for reference in named:
        path, _, test = reference.partition("::")
        file = REPOSITORY / path
        assert file.exists(), reference
        if test:
            assert re.search(rf"^(async )?def {test}\(", file.read_text(), re.MULTILINE), reference


@pytest.mark.parametrize("text", [SEED, TABLES], ids=["seed", "tables"])
def test_the_commands_named_exist(text: str) -> None:
    for words in set(re.findall(r"`blotter ([a-z]+(?: [a-z]+)?)", text)):
        command: click.Command | None = main
        for word in words.split():
            if isinstance(command, click.Group):
                command = command.get_command(click.Context(command), word)
                assert command is not None, words


def test_every_heading_of_the_seed_is_followed() -> None:
    if not SEED_DOCUMENT.exists():
        pytest.skip(
            "the seed document is not part of a clone; it lies beside the project where Blotter is developed"
        )
    headings = re.findall(r"^#+ (.+)$", SEED_DOCUMENT.read_text(), re.MULTILINE)
    assert re.findall(r"^#+ (.+)$", SEED, re.MULTILINE)[1:] == headings
