"""`blotter env`: what it exports, from where, and that no value escapes from its quotes."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import example, given, settings
from hypothesis import strategies as st

from blotter.config import Flags
from blotter.env import (
    REMOVED,
    authority,
    env,
    exports,
    find_endpoint,
    for_fish,
    for_powershell,
    for_sh,
    root_credentials,
)
from blotter.user_files import ConfigurationError
from tests.examples import examples

FILE = """\
app = "shop"
[environments.dev]
region = "eu-west-1"
endpoint = "http://127.0.0.1:9000"
[environments.prod]
region = "eu-west-1"
endpoint = "aws"
[tables.results]
partition_key = { name = "k", type = "S" }
"""
HOSTILE = ["$(touch /tmp/x)", "`id`", "a'b", 'a"b', "a\\", "a\nb", ";id", "$HOME", "’; id #", "\\'", "-n"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _found(
    path: str | None = None, environment: str | None = None, flags: Flags | None = None, **environ: str
) -> tuple[str, str]:
    return find_endpoint(path, environment, flags or Flags(), environ)


def test_without_a_file_it_is_the_database_with_its_settings(folder: Path) -> None:  # noqa: ARG001
    assert _found() == ("http://127.0.0.1:8000", "us-east-1")
    assert _found(BLOTTER_PORT="9001", BLOTTER_HOST="0.0.0.0", BLOTTER_REGION="eu-north-1") == (
        "http://127.0.0.1:9001",
        "eu-north-1",
    )
    assert _found(BLOTTER_HOST="::1") == ("http://[::1]:8000", "us-east-1")
    flags = Flags(endpoint="http://db:1", region="local")
    assert _found(flags=flags, AWS_REGION="eu-west-3") == ("http://db:1", "local")


def test_with_a_file_it_is_the_chosen_environment(folder: Path) -> None:
    (folder / "blotter.toml").write_text(FILE)
    assert _found() == ("http://127.0.0.1:9000", "eu-west-1")
    assert _found(AWS_ENDPOINT_URL="http://127.0.0.1:7", AWS_REGION="us-west-1") == (
        "http://127.0.0.1:7",
        "us-west-1",
    )
    with pytest.raises(ConfigurationError, match="environment prod is on AWS"):
        _found(environment="prod")
    (folder / "sub").mkdir()
    assert _found(path=str(folder / "blotter.toml")) == ("http://127.0.0.1:9000", "eu-west-1")


def test_a_named_file_that_is_not_there_is_no_default(folder: Path) -> None:  # noqa: ARG001
    with pytest.raises(ConfigurationError):
        _found(BLOTTER_CONFIG="nowhere.toml")
    with pytest.raises(ConfigurationError):
        _found(environment="test")


def test_the_command(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_DYNAMODB"):
        monkeypatch.delenv(name, raising=False)
    (folder / "blotter.toml").write_text(FILE)
    done = CliRunner().invoke(env)
    assert done.exit_code == 0
    assert done.stdout.splitlines() == [
        f"unset {' '.join(REMOVED)}",
        "export AWS_ENDPOINT_URL=http://127.0.0.1:9000",
        "export AWS_REGION=eu-west-1",
        "export AWS_DEFAULT_REGION=eu-west-1",
        "export AWS_ACCESS_KEY_ID=local",
        "export AWS_SECRET_ACCESS_KEY=local",
    ]
    refused = CliRunner().invoke(env, ["--env", "prod"])
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert refused.stderr.startswith("blotter env: environment prod is on AWS")


def test_the_authority_of_a_certificate_of_its_own(folder: Path, tmp_path: Path) -> None:  # noqa: ARG001
    data = {"BLOTTER_DATA_DIR": str(tmp_path)}
    https = "https://127.0.0.1:8000"
    file = tmp_path / "tls" / "ca.pem"
    assert authority(https, data) is None
    assert authority(https, data | {"BLOTTER_TLS_SELF_SIGNED": "yes"}) == file
    file.parent.mkdir()
    file.touch()
    assert authority(https, data) == file
    assert authority(https, data | {"BLOTTER_TLS_CERTIFICATE": "c.pem"}) is None
    assert authority("http://127.0.0.1:8000", data) is None
    assert authority("https://db.example.com", data) is None
    assert exports(https, "us-east-1", trusted=file)["AWS_CA_BUNDLE"] == str(file)
    for switch in ("BLOTTER_TLS_SELF_SIGNED", "BLOTTER_TLS_CERTIFICATE"):
        assert find_endpoint(None, None, Flags(), {switch: "yes", "BLOTTER_PORT": "1"})[0] == "https://127.0.0.1:1"


@settings(max_examples=examples(25), deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30))
@example("\n".join(HOSTILE))
def test_a_shell_reads_back_what_was_meant(value: str) -> None:
    script = for_sh(exports(value, "us-east-1")) + '\nprintf %s "$AWS_ENDPOINT_URL"'
    environment = {"AWS_PROFILE": "real", "AWS_SESSION_TOKEN": "real"}
    done = subprocess.run(
        ["sh", "-c", script + '; printf %s "$AWS_PROFILE$AWS_SESSION_TOKEN"'], capture_output=True, env=environment
    )
    assert done.stdout.decode() == value
    assert done.stderr == b""


@pytest.mark.parametrize("value", HOSTILE)
def test_fish_and_powershell_keep_every_value_in_its_quotes(value: str) -> None:
    fish = for_fish({"NAME": value}).partition("set -gx NAME ")[2]
    assert _fish_literal(fish) == value
    powershell = for_powershell({"NAME": value}).partition("$Env:NAME = ")[2]
    assert _powershell_literal(powershell) == value


def _fish_literal(text: str) -> str:
    """Reads one single-quoted literal as fish does; anything after it fails."""
    assert text[0] == "'"
    value, at = "", 1
    while text[at] != "'":
        if text[at] == "\\" and text[at + 1] in "\\'":
            at += 1
        value += text[at]
        at += 1
    assert at == len(text) - 1
    return value


def _powershell_literal(text: str) -> str:
    """Reads one single-quoted literal as PowerShell does, for which five characters are quotes."""
    quotes = "'‘’‚‛"
    assert text[0] in quotes
    value, at = "", 1
    while at < len(text) - 1:
        if text[at] in quotes:
            assert text[at + 1] in quotes
            at += 1
        value += text[at]
        at += 1
    assert text[-1] in quotes
    return value


def test_where_access_is_enforced_the_root_credentials_are_named(tmp_path: Path) -> None:
    here, file = "http://127.0.0.1:8000", tmp_path / "root-credentials"
    environ = {"BLOTTER_DATA_DIR": str(tmp_path)}
    assert root_credentials(here, environ) is None
    assert root_credentials(here, {**environ, "BLOTTER_ACCESS": "enforced"}) == file
    file.write_text("[default]\n")
    assert root_credentials(here, environ) == file
    assert root_credentials(here, {**environ, "BLOTTER_ACCESS": "open"}) is None
    assert root_credentials("http://db.example.com:8000", environ) is None
    variables = exports(here, "us-east-1", credentials_file=file)
    assert variables["AWS_SHARED_CREDENTIALS_FILE"] == str(file)
    assert "AWS_SECRET_ACCESS_KEY" not in variables
    assert "AWS_SECRET_ACCESS_KEY" in for_sh(variables).splitlines()[0]  # what would win over it is removed
