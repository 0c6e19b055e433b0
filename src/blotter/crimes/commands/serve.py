"""`blotter crimes serve`: the pages in this process, the workers beside it, one life for all.

A worker that dies is started again, slower each time it dies young; its file is taken over when the lease ends.
When the pages end, by signal or by error, the workers are stopped and waited for, while the database is
still there: an unfinished file goes back to UPLOADED. Workers are started as commands of their own, not forked:
they share nothing with the pages but queue, objects and table.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import click

from blotter.config import load_configuration
from blotter.crimes.settings import Application, CrimesSettings
from blotter.user_files import ConfigurationError

_STOP_SECONDS = 15.0
_YOUNG_SECONDS = 5.0
_LONGEST_PAUSE = 30.0

_log = logging.getLogger(__name__)


class _Stopped(Exception):
    """A signal to stop arrived."""


def serve_application(
    config: str | None,
    environment: str | None,
    host: str | None,
    port: int | None,
    workers: int,
    insecure_open_access: bool = False,
) -> None:
    """Serves until a signal. Raises ConfigurationError."""
    from blotter.crimes.jobs.upload_drafts import discard_dead_drafts
    from blotter.crimes.web.server import WebServer
    from blotter.crimes.web.services import Services
    from blotter.hosts import is_loopback

    settings = load_configuration(config, environment).section("crimes", CrimesSettings)
    host = host or settings.host
    port = settings.port if port is None else port
    if not is_loopback(host) and not (insecure_open_access or settings.insecure_open_access):
        raise ConfigurationError(
            f"listening on {host} lets everyone who reaches this machine read, change and delete everything: "
            "there is no access control. Use 127.0.0.1, or say --insecure-open-access"
        )
    application = Application.start(config, environment)
    discard_dead_drafts(application.objects)
    server = WebServer(Services.of(application, host), host, port)
    try:
        url = server.bind()
    except OSError as error:
        raise ConfigurationError(f"the pages cannot listen on {host} port {port}: {error.strerror}") from error
    command = [sys.executable, "-m", "blotter", "crimes", "worker", "--with-parent"]
    command += ["--config", config] if config else []
    command += ["--env", environment] if environment else []
    keepers: list[_Keeper] = []
    with _signals_stop():
        try:
            keepers += [_Keeper(command) for _ in range(workers)]
            click.echo(f"Blotter crimes: {url}, table {application.results.table_name}")
            server.serve_forever()
        except _Stopped:
            pass
        finally:
            _on_signals(signal.SIG_IGN)  # the workers are waited for, even after a second Ctrl-C
            for keeper in keepers:
                keeper.stop()
            for keeper in keepers:
                keeper.wait()


@contextmanager
def _signals_stop() -> Iterator[None]:
    """SIGTERM and SIGINT raise _Stopped.

    The server handles both itself while it runs, but raises the signal again when it has ended; by default that
    would end this process before its workers.
    """

    def stop(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        raise _Stopped

    previous = _on_signals(stop)
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _on_signals(handler: Any) -> dict[int, Any]:
    return {number: signal.signal(number, handler) for number in (signal.SIGTERM, signal.SIGINT)}


class _Keeper:
    """Keeps one worker process running, from a thread."""

    def __init__(self, command: list[str]) -> None:
        self._command = command
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._keep, daemon=True)
        self._thread.start()

    def _keep(self) -> None:
        pause = 0.5
        while (process := self._start()) is not None:
            began = time.monotonic()
            code = process.wait()
            if self._stopping.is_set():
                return
            pause = min(pause * 2, _LONGEST_PAUSE) if time.monotonic() - began < _YOUNG_SECONDS else 0.5
            _log.warning("a worker ended with code %s; starting another in %.1f s", code, pause)
            self._stopping.wait(pause)

    def _start(self) -> subprocess.Popen[bytes] | None:
        with self._lock:
            if self._stopping.is_set():
                return None
            # A session of its own: Ctrl-C reaches the pages alone, which then stop the workers in order.
            self._process = subprocess.Popen(self._command, env=os.environ, start_new_session=True)
            return self._process

    def stop(self) -> None:
        with self._lock:
            self._stopping.set()
            if self._process is not None:
                self._process.terminate()

    def wait(self) -> None:
        if self._process is None:
            return
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
