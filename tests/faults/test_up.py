"""`blotter up`: everything in one command, its end, an empty folder, a second start, ports that are taken.

What answers on a port may be anything, another DynamoDB included; it must not be taken for our own and set up.
"""

from __future__ import annotations

import configparser
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import boto3
import httpx
import pytest
from botocore.exceptions import ClientError
from click.testing import CliRunner

import blotter
from blotter.cli import main
from blotter.up_roles import RolesError, set_up_roles
from tests.postgres_server import free_port

ROOT = Path(__file__).parents[2]
UP = (sys.executable, "-m", "blotter", "up")
Caller = Callable[[str], Any]  # a client of a service


class _Other(BaseHTTPRequestHandler):
    """Another program that answers 200 to everything."""

    asked: list[str]

    def _answer(self) -> None:
        type(self).asked.append(f"{self.command} {self.path}")
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_POST = _answer  # noqa: N815

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
        """Keeps the test's output clean."""


@pytest.fixture
def other_port() -> Iterator[int]:
    _Other.asked = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Other)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_configuration_that_is_no_good_is_said_as_everywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BLOTTER_CONFIG", str(tmp_path))
    answer = CliRunner().invoke(main, ["up"])
    assert (answer.exit_code, answer.stdout) == (1, "")
    assert answer.stderr.startswith(f"blotter: {tmp_path}: is a directory")


def test_a_taken_port_ends_it(tmp_path: Path, other_port: int) -> None:
    (tmp_path / "blotter.toml").write_text(
        f'app = "x"\n[environments.dev]\nregion = "us-east-1"\nendpoint = "http://127.0.0.1:{other_port}"\n'
        '[tables.results]\npartition_key = { name = "file_key", type = "S" }\n'
    )
    ended = subprocess.run(
        [*UP, "--data-dir", str(tmp_path / "data")],
        cwd=tmp_path,
        env=_environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 1
    assert "is up" not in ended.stdout
    assert f"cannot listen on 127.0.0.1 port {other_port} for the database" in ended.stderr
    assert f"blotter up --port {other_port + 1}" in ended.stderr
    assert ended.stderr.count("\n") == 1, "one line, before anything starts"
    assert not (tmp_path / "data").exists()
    assert _Other.asked == []


class Up(NamedTuple):
    process: subprocess.Popen[str]
    database: int
    web: int


@pytest.fixture
def up(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Up]:
    """`blotter up`, with the options that a test gives as the fixture's parameter."""
    options: list[str] = getattr(request, "param", [])
    database, web = free_port(), free_port()
    process = subprocess.Popen(
        [*UP, "--port", str(database), "--web-port", str(web), "--data-dir", str(tmp_path / "data"), *options],
        cwd=ROOT,
        env=_environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    said = []
    assert process.stdout is not None
    for line in process.stdout:
        said.append(line)
        if line.startswith("Ctrl-C stops it"):
            break
    else:
        pytest.fail("".join(said))
    yield Up(process, database, web)
    process.kill()
    process.wait()
    process.stdout.close()


@pytest.mark.parametrize("up", [["--tls-self-signed"]], indirect=True)
def test_an_uploaded_file_is_found_by_any_dynamodb_client(up: Up, tmp_path: Path) -> None:
    """With TLS between the three parts, which every one of them follows."""
    sample = ROOT / "examples" / "chicago-crimes-2025-first-100.csv"
    with httpx.Client(base_url=f"http://127.0.0.1:{up.web}", timeout=60) as web:
        key = web.post("/api/files", files={"file": (sample.name, sample.read_bytes())}).json()["file_key"]
        table = boto3.resource(
            "dynamodb",
            endpoint_url=f"https://127.0.0.1:{up.database}",
            region_name="us-east-1",
            aws_access_key_id="local",
            aws_secret_access_key="local",
            verify=str(tmp_path / "data" / "tls" / "ca.pem"),
        ).Table("chicago-crimes-results-dev")
        deadline = time.monotonic() + 60
        while (item := table.get_item(Key={"file_key": key})["Item"])["status"] != "COMPLETED":
            assert time.monotonic() < deadline, item
            time.sleep(0.1)
    assert item["rows_scored"] == 100
    up.process.send_signal(signal.SIGTERM)
    assert up.process.wait(60) == 0
    assert not _listening(up.database)
    assert not _listening(up.web)


@pytest.mark.parametrize("up", [["--access", "enforced", "--tls-self-signed"]], indirect=True)
def test_with_enforced_access_each_part_may_do_its_own_and_nothing_else(up: Up, tmp_path: Path) -> None:
    """The file completes with one role each for pages and workers; no part has the root's key."""
    sample = ROOT / "examples" / "chicago-crimes-2025-first-100.csv"
    worker, pages, tables = (_as_part(up, tmp_path / "data", part) for part in ("worker", "web", "tables"))
    name = {"TableName": "chicago-crimes-results-dev"}
    with httpx.Client(base_url=f"http://127.0.0.1:{up.web}", timeout=60) as web:
        key = web.post("/api/files", files={"file": (sample.name, sample.read_bytes())}).json()["file_key"]
        one = {**name, "Key": {"file_key": {"S": key}}}
        deadline = time.monotonic() + 120
        while (item := worker("dynamodb").get_item(**one)["Item"])["status"]["S"] != "COMPLETED":
            assert time.monotonic() < deadline, item
            time.sleep(0.1)
        assert item["rows_scored"]["N"] == "100"
        assert pages("dynamodb").scan(**name)["Count"] == 1
        assert web.get("/").status_code == 200
        assert web.delete(f"/api/results/{key}").status_code == 204
        assert "Item" not in worker("dynamodb").get_item(**one)
    assert tables("dynamodb").describe_table(**name)["Table"]["TableStatus"] == "ACTIVE"
    _everything_else_is_refused(worker, pages, tables, name, one)
    private = [path for path in (tmp_path / "data" / "up").rglob("*") if path.is_file()]
    assert len(private) == 6
    assert {path.stat().st_mode & 0o077 for path in private} == {0}
    if sys.platform == "linux":
        _no_child_has_a_secret_in_its_environment(up.process.pid)
    up.process.send_signal(signal.SIGTERM)
    assert up.process.wait(60) == 0


def test_without_the_roots_key_it_says_what_to_do(tmp_path: Path) -> None:
    file = tmp_path / "root-credentials"
    for text in (None, "secret without a section", "[default]\naws_access_key_id = secret\n"):
        if text is not None:
            file.write_text(text)
        with pytest.raises(RolesError, match="blotter access reset-root") as raised:
            set_up_roles("http://127.0.0.1:1", "us-east-1", file, {}, str)
        assert str(file) in str(raised.value)
        assert "secret" not in str(raised.value).replace(str(file), "")
    assert not (tmp_path / "up").exists()


def _everything_else_is_refused(
    worker: Caller, pages: Caller, tables: Caller, name: dict[str, str], one: dict[str, Any]
) -> None:
    protected = {**name, "DeletionProtectionEnabled": True}
    other = {"TableName": "other", "Key": {"file_key": {"S": "x"}}}
    every: list[tuple[str, str, dict[str, Any]]] = [
        ("dynamodb", "get_item", other),
        ("dynamodb", "delete_item", other),
        ("dynamodb", "delete_table", name),
        ("dynamodb", "list_tables", {}),
        (
            "dynamodb",
            "execute_statement",
            {"Statement": f"DELETE FROM \"{name['TableName']}\" WHERE file_key = 'x'"},
        ),
        ("iam", "list_users", {}),
        ("iam", "create_access_key", {"UserName": "blotter-up-web"}),
        ("iam", "create_user", {"UserName": "more"}),
        ("cloudtrail", "lookup_events", {}),
    ]
    own: list[tuple[Caller, list[tuple[str, str, dict[str, Any]]]]] = [
        (worker, [("dynamodb", "delete_item", one), ("dynamodb", "describe_table", name)]),
        (pages, [("dynamodb", "describe_table", name), ("dynamodb", "update_table", protected)]),
        (tables, [("dynamodb", "get_item", one), ("dynamodb", "scan", name), ("dynamodb", "delete_item", one)]),
    ]
    for caller, calls in own:
        for service, operation, parameters in [*every, *calls]:
            with pytest.raises(ClientError, match="not authorized to perform"):
                getattr(caller(service), operation)(**parameters)


def _no_child_has_a_secret_in_its_environment(parent: int) -> None:
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    assert len(children) == 4, "database, pages, two workers"
    for child in children:
        given = Path(f"/proc/{child}/environ").read_text().split("\0")
        secrets = [entry for entry in given if entry.startswith("AWS_SECRET_ACCESS_KEY=")]
        database = "serve\0--host" in Path(f"/proc/{child}/cmdline").read_text()
        assert secrets == (["AWS_SECRET_ACCESS_KEY=local"] if database else [])
        assert database or any(entry.startswith("AWS_PROFILE=blotter-up-") for entry in given)


def _as_part(up: Up, data: Path, part: str) -> Caller:
    """Makes clients with the role of a part, from the files that the part has."""
    found = configparser.ConfigParser()
    found.read([data / "up" / part / "config", data / "up" / part / "credentials"])
    url, trusted = f"https://127.0.0.1:{up.database}", str(data / "tls" / "ca.pem")
    user = boto3.Session(
        found["key"]["aws_access_key_id"], found["key"]["aws_secret_access_key"], region_name="us-east-1"
    )
    with pytest.raises(ClientError, match="not authorized to perform"):
        user.client("dynamodb", endpoint_url=url, verify=trusted).list_tables()
    assumed = user.client("sts", endpoint_url=url, verify=trusted).assume_role(
        RoleArn=found[f"profile blotter-up-{part}"]["role_arn"], RoleSessionName="test"
    )["Credentials"]
    role = boto3.Session(
        assumed["AccessKeyId"], assumed["SecretAccessKey"], assumed["SessionToken"], region_name="us-east-1"
    )
    return lambda service: role.client(service, endpoint_url=url, verify=trusted)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent is gone")
def test_a_killed_one_leaves_nothing_behind(up: Up) -> None:
    up.process.kill()
    up.process.wait()
    deadline = time.monotonic() + 60
    while _listening(up.database) or _listening(up.web):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_second_start_says_where_the_first_one_is(up: Up, tmp_path: Path) -> None:
    """Also past a proxy that does not answer: nothing on this machine is reached through it."""
    second = subprocess.run(
        [*UP, "--port", str(up.database), "--web-port", str(up.web)],
        cwd=ROOT,
        env=_environment() | {"HTTP_PROXY": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert second.returncode == 0
    assert f"already running at http://127.0.0.1:{up.web}" in second.stdout
    other = subprocess.run(
        [*UP, "--port", str(free_port()), "--web-port", str(up.web), "--data-dir", str(tmp_path / "other")],
        cwd=ROOT,
        env=_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert other.returncode == 1
    assert f"port {up.web} for the pages" in other.stderr
    assert "--web-port" in other.stderr


def test_an_empty_folder_and_a_proxy_are_enough(tmp_path: Path) -> None:
    """The declaration and the example come with the package; what is printed can be run as it stands."""
    database, web = free_port(), free_port()
    proxied = {"HTTP_PROXY": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9"}
    process = subprocess.Popen(
        [*UP, "--port", str(database), "--web-port", str(web)],
        cwd=tmp_path,
        env=_environment() | proxied,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        said.append(line)
        if line.startswith("Ctrl-C stops it"):
            break
    try:
        told = "".join(said)
        assert "there is no blotter.toml here" in told
        assert [path.name for path in tmp_path.iterdir()] == ["blotter-data"]
        upload = next(line for line in said if line.strip().startswith("curl"))
        sample = Path(shlex.split(upload)[2].removeprefix("file=@"))
        answer = httpx.post(
            f"http://127.0.0.1:{web}/api/files",
            files={"file": (sample.name, sample.read_bytes())},
            trust_env=False,
            timeout=60,
        )
        commands = told.partition("  export ")[2].partition("\n\nCtrl-C")[0]
        path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
        read = subprocess.run(
            ["sh", "-ec", f"export {commands}"], env={"PATH": path}, capture_output=True, text=True, timeout=60
        )
        assert read.returncode == 0, read.stderr
        assert json.loads(read.stdout)["Item"]["file_key"] == {"S": answer.json()["file_key"]}
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        process.stdout.close()


def test_a_missing_package_is_said_before_anything_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("blotter.up.missing", lambda: ["fastapi"])
    answer = CliRunner().invoke(main, ["up"])
    assert (answer.exit_code, answer.stdout) == (1, "")
    assert "fastapi" in answer.stderr
    assert "blotter-db[crimes]" in answer.stderr
    assert answer.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_the_shipped_declaration_is_the_one_of_the_checkout() -> None:
    shipped = Path(blotter.__file__).parent / "default.toml"
    assert shipped.read_text(encoding="utf-8") == (ROOT / "blotter.toml").read_text(encoding="utf-8")


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("BLOTTER_", "AWS_"))}
    return kept | {"PYTHONPATH": str(Path(blotter.__file__).parents[1])}


def _listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
