"""`blotter up`: database, tables and application on this machine, in that order.

The database starts, `tables apply` sets the tables up, then the application starts: three ordinary `blotter`
commands as child processes, so that what is seen here is what each of them does alone. They run with placeholder
credentials (this database accepts any on loopback), never with the user's own, and talk to each other past any
proxy. With `--access enforced` each part has a role of its own instead (`blotter.up_roles`), and the workers run
beside the pages, not below them. With TLS (an https:// endpoint, `--tls-self-signed`, the settings of `blotter
serve`) the others trust the certificate that the database makes for itself. When one of them ends by itself, the
others are stopped too. Whatever can be known to be wrong (a package that is missing, a port that is taken, a
Blotter that runs already) is reported in one line before anything starts. Without a blotter.toml the declaration
that is shipped with the package is used. Uses no database and no table beyond the configuration.
"""

from __future__ import annotations

import ctypes
import http.client
import json
import os
import shlex
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from types import FrameType
from typing import Any
from urllib.parse import urlsplit

import click

from blotter.config import FILE_NAME, Configuration, Flags, load_configuration
from blotter.crimes.example import FILE_NAME as EXAMPLE
from blotter.crimes.extra import explain, missing
from blotter.crimes.storage.table_check import check_declaration
from blotter.env import authority, authority_file, is_yes, root_credentials
from blotter.up_roles import Part, RolesError, set_up_roles
from blotter.user_files import ConfigurationError

READY_SECONDS = 20.0
STOP_SECONDS = 20.0
_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
LOOPBACK = ("127.0.0.1", "localhost", "::1")
_WEB_HOST = "127.0.0.1"
_WORKERS = 2  # as `blotter crimes serve` has

# A person's own identity is never used for a database on this machine.
_PERSONAL = ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN")


class _Stopped(Exception):
    """A signal to stop arrived."""


class _CannotStart(Exception):
    """Why nothing was started; `str()` is one line for a person."""


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--env", "environment", help="Environment of blotter.toml.  [default: dev]")
@click.option("--port", type=click.IntRange(1, 65535), help="Port of the database.  [default: the endpoint's]")
@click.option("--web-port", type=click.IntRange(1, 65535), default=8080, show_default=True)
@click.option("--data-dir", help="Folder of the data.  [default: blotter-data]")
@click.option(
    "--access",
    type=click.Choice(["open", "enforced"]),
    envvar="BLOTTER_ACCESS",
    help="enforced: the database checks who may do what, and each part has a role of its own.  [default: open]",
)
@click.option("--tls-self-signed", "tls", is_flag=True, help="The database speaks TLS, with its own certificate.")
def up(
    environment: str | None, port: int | None, web_port: int, data_dir: str | None, access: str | None, tls: bool
) -> None:
    """Run database, tables and application on this machine until Ctrl-C."""
    try:
        if names := missing():
            raise _CannotStart(explain(names))
        file = _configuration_file()
        configuration = _local_configuration(file, environment, port, tls)
        if _is_running(configuration, web_port):
            click.echo(
                f"Blotter is already running at {_web(web_port)} (database {configuration.endpoint}).\n"
                "To start another one: blotter up --port PORT --web-port PORT --data-dir FOLDER"
            )
            return
        _check_ports(configuration, web_port)
    except (ConfigurationError, _CannotStart) as error:
        raise _failure(str(error)) from None
    children = _Children(_environment_for(configuration, file, data_dir, access or "open"))
    with _stop_signals():
        try:
            web = _start(children, configuration, web_port)
            _tell(configuration, file, web_port, web)
            children.wait_for_any()
        except _Stopped:
            click.echo("\nStopping…")
        finally:
            with _signals_ignored():
                children.stop()


def _configuration_file() -> Path | None:
    """The declaration of the package where there is no blotter.toml; None: the usual search finds one."""
    here = Path.cwd()
    if os.environ.get("BLOTTER_CONFIG") or any((folder / FILE_NAME).is_file() for folder in (here, *here.parents)):
        return None
    return Path(str(files("blotter") / "default.toml"))


def _local_configuration(file: Path | None, environment: str | None, port: int | None, tls: bool) -> Configuration:
    endpoint = None if port is None else f"http://127.0.0.1:{port}"
    configuration = load_configuration(file, environment, Flags(endpoint=endpoint))
    tls = (
        tls or is_yes(os.environ.get("BLOTTER_TLS_SELF_SIGNED")) or bool(os.environ.get("BLOTTER_TLS_CERTIFICATE"))
    )
    if tls and not _encrypted(configuration):
        encrypted = urlsplit(configuration.endpoint or "")._replace(scheme="https").geturl()
        configuration = load_configuration(file, environment, Flags(endpoint=encrypted))
    host = urlsplit(configuration.endpoint or "").hostname
    if host not in LOOPBACK:
        raise ConfigurationError(
            f"environment {configuration.environment} uses {configuration.endpoint or 'AWS'}, which is not on "
            "this machine; `blotter up` runs its own database: choose another with --env, or give --port"
        )
    check_declaration(configuration)  # a table of another key would be made and could not be used
    return configuration


def _database(configuration: Configuration) -> tuple[str, int]:
    address = urlsplit(configuration.endpoint or "")
    return address.hostname or "127.0.0.1", address.port or (443 if address.scheme == "https" else 80)


def _encrypted(configuration: Configuration) -> bool:
    return urlsplit(configuration.endpoint or "").scheme == "https"


def _web(port: int) -> str:
    return f"http://{_WEB_HOST}:{port}"


def _is_running(configuration: Configuration, web_port: int) -> bool:
    """Whether this very application, with its table, is on the web port, and something on the database's."""
    if not (_listens(_WEB_HOST, web_port) and _listens(*_database(configuration))):
        return False
    health = _health(_WEB_HOST, web_port)
    return health is not None and health.get("table") == configuration.tables["results"].name


def _check_ports(configuration: Configuration, web_port: int) -> None:
    """Raises _CannotStart when one of the ports is taken."""
    host, port = _database(configuration)
    for taken_host, taken, what, option in (
        (host, port, "database", f"--port {_other(port)}"),
        (_WEB_HOST, web_port, "pages", f"--web-port {_other(web_port)}"),
    ):
        if _listens(taken_host, taken):
            raise _CannotStart(
                f"cannot listen on {taken_host} port {taken} for the {what}: another program does. "
                f"Stop it, or choose another port: blotter up {option}"
            )


def _other(port: int) -> int:
    return port + 1 if port < 65535 else port - 1


def _environment_for(
    configuration: Configuration, file: Path | None, data_dir: str | None, access: str
) -> dict[str, str]:
    environ = {name: value for name, value in os.environ.items() if name not in _PERSONAL}
    environ |= {
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_REGION": configuration.region,
        "AWS_ENDPOINT_URL_DYNAMODB": configuration.endpoint or "",
        "BLOTTER_ENV": configuration.environment,
        "BLOTTER_ACCESS": access,
        "PYTHONUNBUFFERED": "1",
    }
    # Both spellings are read, and the lower one wins in Python: a proxy is never used for this machine.
    direct = ",".join(filter(None, (environ.get("no_proxy") or environ.get("NO_PROXY"), *LOOPBACK)))
    environ |= {"NO_PROXY": direct, "no_proxy": direct}
    if file is not None:
        environ["BLOTTER_CONFIG"] = str(file)
    if data_dir is not None:
        environ["BLOTTER_DATA_DIR"] = data_dir
    if _encrypted(configuration) and not environ.get("BLOTTER_TLS_CERTIFICATE"):
        environ |= {"BLOTTER_TLS_SELF_SIGNED": "yes", "AWS_CA_BUNDLE": str(authority_file(environ))}
    return environ


def _start(children: _Children, configuration: Configuration, web_port: int) -> dict[str, str]:
    """The environment in which the pages run."""
    host, port = _database(configuration)
    encrypted = _encrypted(configuration)
    children.start_answering(host, port, "/", encrypted, "serve", "--host", host, "--port", str(port))
    pages = ("crimes", "serve", "--port", str(web_port))
    if children.environ["BLOTTER_ACCESS"] == "open":
        children.run("tables", "apply")
        children.start_answering(_WEB_HOST, web_port, "/health", False, *pages)
        return children.environ
    parts = _set_up_roles(children, configuration)
    children.run("tables", "apply", environ=parts["tables"])
    for _ in range(_WORKERS):
        children.start("crimes", "worker", environ=parts["worker"])
    children.start_answering(_WEB_HOST, web_port, "/health", False, *pages, "--workers", "0", environ=parts["web"])
    return parts["web"]


def _set_up_roles(children: _Children, configuration: Configuration) -> dict[Part, dict[str, str]]:
    endpoint = configuration.endpoint or ""
    root_file = root_credentials(endpoint, children.environ)
    assert root_file is not None  # access is enforced, and the endpoint is on this machine
    try:
        return set_up_roles(
            endpoint,
            configuration.region,
            root_file,
            children.environ,
            lambda role: children.output("tables", "policy", "--role", role),
        )
    except RolesError as error:
        raise _failure(str(error)) from None


def _tell(configuration: Configuration, file: Path | None, web_port: int, environ: dict[str, str]) -> None:
    table = configuration.tables["results"].name
    sample = shlex.quote(str(files("blotter.crimes") / "examples" / EXAMPLE))
    web = _web(web_port)
    trusted = authority(configuration.endpoint or "", environ)
    trust = "" if trusted is None else f" AWS_CA_BUNDLE={shlex.quote(str(trusted))}"
    enforced = environ["BLOTTER_ACCESS"] == "enforced"
    who = "users and roles: docs/iam.md" if enforced else "any credentials"
    if enforced:
        names = ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_PROFILE")
        credentials = " ".join(f"{name}={shlex.quote(environ[name])}" for name in names)
        credentials += "\n  unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN"
    else:
        credentials = "AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local"
    built_in = "" if file is None else f"\n  declaration  {file}, because there is no {FILE_NAME} here"
    click.echo(
        f"""
Blotter is up.
  application  {web}
  database     {configuration.endpoint}   any AWS SDK, {who}, region {configuration.region}
  table        {table}{built_in}

Try this:
  open {web} and press "Try it with an example", or
  curl -F file=@{sample} {web}/api/files

Then, in another shell, read the item as any AWS client does:
  export{trust} AWS_ENDPOINT_URL={configuration.endpoint} AWS_DEFAULT_REGION={configuration.region} \\
    {credentials}
  aws dynamodb get-item --table-name {table} --output json \\
    --key "$(aws dynamodb scan --table-name {table} --query 'Items[0].{{file_key: file_key}}' --output json)"

Ctrl-C stops it."""
    )


class _Children:
    """The processes of this run, stopped in the reverse of the order in which they started."""

    def __init__(self, environ: dict[str, str]) -> None:
        self.environ = environ
        self._running: list[subprocess.Popen[bytes]] = []

    def run(self, *arguments: str, environ: dict[str, str] | None = None) -> None:
        code = subprocess.run(_command(*arguments), env=environ or self.environ, check=False).returncode
        if code:
            raise click.exceptions.Exit(code)

    def output(self, *arguments: str) -> str:
        """What a command prints."""
        ended = subprocess.run(
            _command(*arguments), env=self.environ, check=False, stdout=subprocess.PIPE, text=True
        )
        if ended.returncode:
            raise click.exceptions.Exit(ended.returncode)
        return ended.stdout

    def start(self, *arguments: str, environ: dict[str, str] | None = None) -> None:
        # A session of its own: Ctrl-C reaches this process alone, which then stops the others in order.
        self._running.append(
            subprocess.Popen(
                _command(*arguments),
                env=environ or self.environ,
                start_new_session=True,
                preexec_fn=_end_with_parent,
            )
        )

    def start_answering(
        self,
        host: str,
        port: int,
        path: str,
        encrypted: bool,
        *arguments: str,
        environ: dict[str, str] | None = None,
    ) -> None:
        """Starts one and returns when it answers; when another program listens there, the child ends."""
        taken = _listens(host, port)
        self.start(*arguments, environ=environ)
        deadline = time.monotonic() + READY_SECONDS
        while taken or not _answers(host, port, path, encrypted):
            self._exit_if_any_ended()
            if time.monotonic() > deadline:
                scheme = "https" if encrypted else "http"
                raise _failure(f"{scheme}://{host}:{port} did not answer within {READY_SECONDS:.0f} s")
            time.sleep(0.03)
        self._exit_if_any_ended()

    def wait_for_any(self) -> None:
        while True:
            self._exit_if_any_ended()
            time.sleep(0.5)

    def _exit_if_any_ended(self) -> None:
        for child in self._running:
            code = child.poll()
            if code is not None:
                command = " ".join(child.args[3:]) if isinstance(child.args, list) else ""
                click.echo(f"blotter {command} ended with exit code {code}; stopping the rest", err=True)
                raise click.exceptions.Exit(code or 1)

    def stop(self) -> None:
        for child in reversed(self._running):
            if child.poll() is None:
                child.send_signal(signal.SIGTERM)
            try:
                child.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


def _failure(message: str) -> click.exceptions.Exit:
    """Prints a message like every other command; the exit code to raise."""
    click.echo(f"blotter: {message}", err=True)
    return click.exceptions.Exit(1)


def _end_with_parent() -> None:
    """In a child: have the kernel send SIGTERM when the parent is gone, be it by kill -9. Linux only; elsewhere
    the children of a killed `blotter up` stay and have to be stopped by hand."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "blotter", *arguments]


def _listens(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True


def _answers(host: str, port: int, path: str, encrypted: bool) -> bool:
    return _get(host, port, path, encrypted) is not None


def _health(host: str, port: int) -> dict[str, Any] | None:
    """The response of `/health` there, None when it is no JSON object."""
    try:
        found = json.loads(_get(host, port, "/health") or b"")
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _get(host: str, port: int, path: str, encrypted: bool = False) -> bytes | None:
    """The start of what is answered with 200, None otherwise. Connects directly, past any proxy. Any certificate
    will do: no secret is sent."""
    connection = (
        http.client.HTTPSConnection(host, port, timeout=1, context=ssl._create_unverified_context())
        if encrypted
        else http.client.HTTPConnection(host, port, timeout=1)
    )
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.read(4096) if answer.status == 200 else None
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


@contextmanager
def _stop_signals() -> Iterator[None]:
    def stop(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        raise _Stopped

    previous = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextmanager
def _signals_ignored() -> Iterator[None]:
    """While the children stop, a second Ctrl-C must not leave one running."""
    previous = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
