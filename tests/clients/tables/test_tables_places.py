"""Where requests really go, and as whom: endpoints that profiles and variables name, proxies, broken credentials.

What the heading shows is what the client uses. Whatever a source of credentials does (fails, is missing, answers
nonsense, hangs, wants a code that nobody can type), it is one line and exit code 5.
"""

from __future__ import annotations

import socket
import sys
from pathlib import Path
from typing import Any

import pytest

Blotter = Any  # the fixture class of conftest.py; test modules cannot import it

NOWHERE = "http://127.0.0.1:9"
SERVICES = """\
[default]
services = local
[services local]
dynamodb =
  endpoint_url = {url}
"""


@pytest.fixture
def configured(blotter_on_moto: Blotter) -> Any:
    """The endpoint is named by the AWS configuration file alone, as `text` with {url} for moto's address."""
    url = blotter_on_moto.environ.pop("AWS_ENDPOINT_URL_DYNAMODB")

    def write(text: str) -> str:
        (blotter_on_moto.folder / "no-config").write_text(text.format(url=url))
        return str(url)

    return write


@pytest.mark.parametrize("text", ["[default]\nendpoint_url = {url}\n", SERVICES], ids=["global", "service"])
def test_the_profiles_endpoint_is_told_and_used(blotter_on_moto: Blotter, configured: Any, text: str) -> None:
    url = configured(text)
    answer = blotter_on_moto("apply")
    assert (answer.code, f"endpoint {url} (the AWS configuration file)" in answer.out) == (0, True), answer
    assert blotter_on_moto("plan", "--json").json()["endpoint"] == url
    unasked = blotter_on_moto("destroy")
    assert f"environment dev, {url}) was not deleted" in unasked.err


def test_configured_endpoints_can_be_ignored(blotter_on_moto: Blotter, configured: Any) -> None:
    """Then it is AWS, which these tests must not ask; no credentials end the run before the first request."""
    configured("[default]\nendpoint_url = {url}\n")
    nobody = {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}
    ignoring = {"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true", "AWS_ENDPOINT_URL": NOWHERE}
    assert blotter_on_moto("plan", **nobody, **ignoring).code == 5
    from blotter import aws
    from blotter.config import load_configuration

    configuration = load_configuration(blotter_on_moto.file, environ=ignoring)
    assert (configuration.endpoint, configuration.at_aws) == (None, False)
    assert aws.is_aws("https://dynamodb.us-east-1.amazonaws.com")
    assert not aws.is_aws("https://amazonaws.com.example.org")


def test_aws_by_name_beats_the_profile(
    blotter_on_moto: Blotter, configured: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    configured("[default]\nendpoint_url = {url}\n")
    for name, value in blotter_on_moto.environ.items():
        monkeypatch.setenv(name, value)
    from blotter.config import Flags, load_configuration
    from blotter.tables.calls.endpoint import Endpoint

    endpoint = Endpoint(load_configuration(blotter_on_moto.file, flags=Flags(endpoint="aws")))
    assert (endpoint.address, endpoint.is_aws) == ("AWS", True)
    assert endpoint.url("sts").endswith(".amazonaws.com")  # not the one for all services that the profile names
    monkeypatch.setenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true")
    assert Endpoint(load_configuration(blotter_on_moto.file)).address == "AWS"


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_a_proxy_is_not_asked_for_this_machine(blotter_on_moto: Blotter, variable: str) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        dead = f"http://127.0.0.1:{closed.getsockname()[1]}"
    process = blotter_on_moto.start("status", **{variable: dead, "NO_PROXY": "", "no_proxy": ""})
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (2, "")
    assert "does not exist" in out


@pytest.mark.parametrize(
    ("url", "here"),
    [
        ("http://localhost:8000", True),
        ("http://127.9.9.9", True),
        ("http://[::1]:8000", True),
        ("http://db.localhost", True),
        ("http://10.0.0.1:8000", False),
        ("http://localhost.example.org", False),
        ("http://0x7f.example", False),
    ],
)
def test_which_addresses_are_this_machine(url: str, here: bool) -> None:
    from blotter.aws import is_local

    assert is_local(url) is here


# --- credentials

NO_KEYS = {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}
ROLE = "arn:aws:iam::111122223333:role/deploy"
MFA = f"""\
[profile p]
role_arn = {ROLE}
source_profile = keys
mfa_serial = arn:aws:iam::111122223333:mfa/me
region = us-east-1
[profile keys]
aws_access_key_id = a
aws_secret_access_key = b
"""
SOURCES: dict[str, tuple[str, dict[str, str], str]] = {
    "web identity": (
        "",
        {"AWS_WEB_IDENTITY_TOKEN_FILE": "/nowhere/token", "AWS_ROLE_ARN": ROLE},
        "/nowhere/token: No such file",
    ),
    "no process": ("[profile p]\ncredential_process = /nowhere/program\n", {}, "No such file"),
    "a failed process": (f"[profile p]\ncredential_process = {sys.executable} -c 'raise SystemExit(3)'\n", {}, ""),
    "a talking process": (f"[profile p]\ncredential_process = {sys.executable} -c 'print(5)'\n", {}, ""),
    "a process without keys": (
        f"""[profile p]\ncredential_process = {sys.executable} -c 'print("{{\\"Version\\": 1}}")'\n""",
        {},
        "",
    ),
    "container": (
        "",
        {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:9/x",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": "/nowhere/token",
        },
        "/nowhere/token",
    ),
    "a foreign container": ("", {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://example.org/x"}, ""),
    "mfa": (MFA, {}, ""),
    "no source": (f"[profile p]\nrole_arn = {ROLE}\nsource_profile = gone\n", {}, "gone"),
    "itself": (
        f"[profile p]\nrole_arn = {ROLE}\nsource_profile = q\n"
        f"[profile q]\nrole_arn = {ROLE}\nsource_profile = p\n",
        {},
        "",
    ),
    "half a role": (f"[profile p]\nrole_arn = {ROLE}\n", {}, ""),
    "sign-on": (
        "[profile p]\nsso_start_url = https://x.awsapps.com/start\nsso_region = us-east-1\n"
        "sso_account_id = 111122223333\nsso_role_name = r\n",
        {},
        "",
    ),
    "sign-on session": ("[profile p]\nsso_session = s\nsso_account_id = 1\nsso_role_name = r\n", {}, ""),
    "unknown": ("", {"AWS_PROFILE": "nobody"}, "nobody"),
    "two lines": ("", {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b\nc"}, "control character"),
    "a token of two lines": (
        "",
        {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_SESSION_TOKEN": "hidden\r\nhidden"},
        "control character",
    ),
}


def without_keys(blotter: Blotter) -> None:
    for name in NO_KEYS:
        del blotter.environ[name]


@pytest.mark.parametrize("source", SOURCES)
def test_credentials_that_cannot_be_had_are_one_line(
    blotter_on_moto: Blotter, tmp_path: Path, source: str
) -> None:
    text, environ, says = SOURCES[source]
    (blotter_on_moto.folder / "no-config").write_text(text)
    environ = {"HOME": str(tmp_path), **({"AWS_PROFILE": "p"} if text else {}), **environ}
    without_keys(blotter_on_moto)
    process = blotter_on_moto.start("plan", "--timeout", "20", **environ)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err.count("\n"), out) == (5, 1, ""), (out, err)
    assert err.startswith("blotter: ")
    assert says in err
    assert err.strip().isprintable()
    assert "hidden" not in err


def test_a_source_of_credentials_that_hangs_ends_at_the_deadline(blotter_on_moto: Blotter) -> None:
    sleeping = f"[profile p]\ncredential_process = {sys.executable} -c 'import time; time.sleep(30)'\n"
    (blotter_on_moto.folder / "no-config").write_text(sleeping)
    without_keys(blotter_on_moto)
    process = blotter_on_moto.start("plan", "--timeout", "1", AWS_PROFILE="p")
    out, err = process.communicate(timeout=25)
    assert (process.returncode, out) == (8, "")
    assert "the source of the credentials did not answer in full within" in err


@pytest.mark.parametrize(
    "text",
    [
        "[profile p\n",
        "[default]\nx\n",
        "\x00",
        "[profile p]\nregion = \x1b[31m\n",
        "[profile p]\ndefaults_mode = x\n",
    ],
)
def test_a_broken_aws_configuration_is_one_line(blotter_on_moto: Blotter, text: str) -> None:
    (blotter_on_moto.folder / "no-config").write_text(text)
    answer = blotter_on_moto("plan", AWS_PROFILE="p", **NO_KEYS)
    assert answer.code in (4, 5)
    assert answer.err.count("\n") == 1
    assert answer.err.strip().isprintable()


def test_a_configuration_that_is_no_file(blotter_on_moto: Blotter) -> None:
    (blotter_on_moto.folder / "no-config").mkdir()
    answer = blotter_on_moto("plan", "--check")
    assert (answer.code, answer.err) == (2, "")


@pytest.mark.parametrize(
    "words", [["tabels", "plan"], ["tables", "paln"], ["tables", "plan", "--chek"], ["--nope"], ["tables"]]
)
def test_a_mistyped_command_is_no_drift(words: list[str]) -> None:
    from click.testing import CliRunner

    from blotter.cli import main

    assert CliRunner().invoke(main, words).exit_code == 64


def test_ctrl_c_outside_of_a_commands_own_handler_has_the_exit_code_of_shells(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from click.testing import CliRunner

    from blotter.cli import main
    from blotter.tables.output import terminal

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(terminal, "write_json", interrupted)
    result = CliRunner().invoke(main, ["tables", "schema"])
    assert (result.exit_code, result.stderr) == (130, "blotter: interrupted\n")
