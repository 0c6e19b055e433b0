"""`blotter up`: the whole story on this machine, in its order.

The database starts, `tables apply` sets the tables up, then the application starts: three ordinary `blotter`
commands as child processes, so that what is seen here is what each of them does alone. They run with placeholder
credentials (this database accepts any on loopback), never with the user's own. When one of them ends by itself,
the others are stopped too. Knows no database and no table beyond the configuration.
"""

from __future__ import annotations

import ctypes
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from urllib.parse import urlsplit

import click

from blotter.config import Configuration, ConfigurationError, Flags, load_configuration
from blotter.crimes.table_check import check_declaration

READY_SECONDS = 20.0
STOP_SECONDS = 20.0
_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
LOOPBACK = ("127.0.0.1", "localhost", "::1")

# Somebody's real identity has no business with a database on this machine.
_PERSONAL = ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN")


class _Stopped(Exception):
    """A signal asked to stop."""


@click.command()
@click.option("--env", "environment", help="Environment of blotter.toml.  [default: dev]")
@click.option("--port", type=click.IntRange(1, 65535), help="Port of the database.  [default: the endpoint's]")
@click.option("--web-port", type=click.IntRange(1, 65535), default=8080, show_default=True)
@click.option("--data-dir", help="Where the data lies.  [default: blotter-data]")
def up(environment: str | None, port: int | None, web_port: int, data_dir: str | None) -> None:
    """Run database, tables and application on this machine until Ctrl-C."""
    try:
        configuration = _local_configuration(environment, port)
    except ConfigurationError as error:
        raise _failure(str(error)) from None
    children = _Children(_environment_for(configuration, data_dir))
    with _stop_signals():
        try:
            _start(children, configuration, web_port)
            _tell(configuration, web_port)
            children.wait_for_any()
        except _Stopped:
            click.echo("\nStopping…")
        finally:
            with _signals_ignored():
                children.stop()


def _local_configuration(environment: str | None, port: int | None) -> Configuration:
    endpoint = None if port is None else f"http://127.0.0.1:{port}"
    configuration = load_configuration(environment=environment, flags=Flags(endpoint=endpoint))
    host = urlsplit(configuration.endpoint or "").hostname
    if host not in LOOPBACK:
        raise ConfigurationError(
            f"environment {configuration.environment} uses {configuration.endpoint or 'AWS'}, which is not on "
            "this machine; `blotter up` runs its own database: choose another with --env, or give --port"
        )
    check_declaration(configuration)  # a table of another key would be made, and then be in the way
    return configuration


def _environment_for(configuration: Configuration, data_dir: str | None) -> dict[str, str]:
    environ = {name: value for name, value in os.environ.items() if name not in _PERSONAL}
    environ |= {
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_REGION": configuration.region,
        "AWS_ENDPOINT_URL_DYNAMODB": configuration.endpoint or "",
        "BLOTTER_ENV": configuration.environment,
        "PYTHONUNBUFFERED": "1",
    }
    if data_dir is not None:
        environ["BLOTTER_DATA_DIR"] = data_dir
    return environ


def _start(children: _Children, configuration: Configuration, web_port: int) -> None:
    address = urlsplit(configuration.endpoint or "")
    database_port = address.port or 80
    host = address.hostname or "127.0.0.1"
    children.start_answering(host, database_port, "/", "serve", "--host", host, "--port", str(database_port))
    children.run("tables", "apply")
    children.start_answering("127.0.0.1", web_port, "/health", "crimes", "serve", "--port", str(web_port))


def _tell(configuration: Configuration, web_port: int) -> None:
    table = configuration.tables["results"].name
    sample = "examples/chicago-crimes-2025-first-100.csv"
    web = f"http://127.0.0.1:{web_port}"
    click.echo(
        f"""
Blotter is up.
  application  {web}
  database     {configuration.endpoint}   any AWS SDK, any credentials, region {configuration.region}
  table        {table}

Try this:
  open {web} and drop {sample} on the page
  curl -F file=@{sample} {web}/api/files
  AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local aws dynamodb scan --table-name {table} \
--region {configuration.region} --endpoint-url {configuration.endpoint}

Ctrl-C stops it."""
    )


class _Children:
    """The processes of this run, stopped in the reverse of the order in which they started."""

    def __init__(self, environ: dict[str, str]) -> None:
        self._environ = environ
        self._running: list[subprocess.Popen[bytes]] = []

    def run(self, *arguments: str) -> None:
        code = subprocess.run(_command(*arguments), env=self._environ, check=False).returncode
        if code:
            raise click.exceptions.Exit(code)

    def start_answering(self, host: str, port: int, path: str, *arguments: str) -> None:
        """Start one and go on when it answers. What listened there before is not it: it will end and say why."""
        taken = _listens(host, port)
        # A session of its own: Ctrl-C reaches this process alone, which then stops the others in order.
        self._running.append(
            subprocess.Popen(
                _command(*arguments), env=self._environ, start_new_session=True, preexec_fn=_end_with_parent
            )
        )
        deadline = time.monotonic() + READY_SECONDS
        while taken or not _answers(host, port, path):
            self._exit_if_any_ended()
            if time.monotonic() > deadline:
                raise _failure(f"http://{host}:{port} did not answer within {READY_SECONDS:.0f} s")
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
    """Says it like every other command; the exit code to raise."""
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


def _answers(host: str, port: int, path: str) -> bool:
    connection = http.client.HTTPConnection(host, port, timeout=1)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
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
    """While the children stop, a second Ctrl-C must not leave one behind."""
    previous = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
