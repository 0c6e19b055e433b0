"""`blotter healthcheck`: checks whether a server on this machine is ready. For containers and service managers.

Exit status 0: ready; 1: not ready or not there, with the reason on stderr. Finds the server by the same settings
as `blotter serve` and goes through no proxy. A server with TLS is asked over TLS, whatever certificate it shows,
which may name only what clients call it: no secret is sent.
"""

from __future__ import annotations

import http.client
import os
import ssl
import sys

import click

from blotter.database.settings.loading import SettingsError, load

_READY = '{"status":"ok"}'
# Addresses to listen on that are none to connect to.
_CONNECTABLE = {"0.0.0.0": "127.0.0.1", "::": "::1"}


def problem(host: str, port: int, timeout: float, tls: bool = False) -> str | None:
    """None when the server is ready, else what is wrong in one line."""
    address = _CONNECTABLE.get(host, host)
    connection = (
        http.client.HTTPSConnection(address, port, timeout=timeout, context=ssl._create_unverified_context())
        if tls
        else http.client.HTTPConnection(address, port, timeout=timeout)
    )
    try:
        connection.request("GET", "/ready")
        response = connection.getresponse()
        body = response.read(500).decode(errors="replace").strip()
    except (OSError, http.client.HTTPException) as error:
        return f"no answer from {host} port {port}: {_one_line(str(error)) or type(error).__name__}"
    finally:
        connection.close()
    # Another program on the port may answer 200 to anything.
    if response.status == 200 and body == _READY:
        return None
    return f"{host} port {port} answered {response.status}: {_one_line(body)}"


def _one_line(text: str) -> str:
    return " ".join(part for part in text.split() if part.isprintable())


@click.command("healthcheck", context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--host", metavar="HOST", help="Where the server listens [BLOTTER_HOST; 127.0.0.1].")
@click.option("--port", metavar="PORT", help="Its port [BLOTTER_PORT; 8000].")
@click.option("--tls", is_flag=True, help="It speaks TLS [BLOTTER_TLS_CERTIFICATE, BLOTTER_TLS_SELF_SIGNED].")
@click.option(
    "--timeout", type=click.FloatRange(0.1, 600), default=5.0, show_default=True, help="Seconds to wait."
)
def healthcheck(host: str | None, port: str | None, tls: bool, timeout: float) -> None:
    """Exit with status 0 if the database on this machine is ready, else 1."""
    try:
        settings = load({"host": host, "port": port, "insecure_open_access": "yes"}, os.environ)
    except SettingsError as error:
        click.echo(f"blotter healthcheck: {error}", err=True)
        sys.exit(2)
    found = problem(settings.host, settings.port, timeout, tls or settings.tls)
    if found is not None:
        click.echo(f"blotter healthcheck: {found}", err=True)
        sys.exit(1)
