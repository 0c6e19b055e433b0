"""What a server says when it is ready, to its operator and to the program that started it."""

from __future__ import annotations

import contextlib
import logging
import os
import shlex
import sys
from pathlib import Path

from blotter.database.serving import logs
from blotter.database.settings import Settings
from blotter.database.storage.protocol import Store
from blotter.hosts import is_loopback

log = logging.getLogger(__name__)


def announce(
    settings: Settings,
    url: str,
    store: Store,
    root_file: Path | None,
    report_to: list[int],
    metrics_url: str | None,
) -> None:
    workers = "1 worker" if settings.workers == 1 else f"{settings.workers} workers"
    with contextlib.suppress(BrokenPipeError):  # The reader may be gone; the server serves all the same.
        logs.say(f"ready on {url} ({workers}, {store.description})", file=sys.stdout)
        if metrics_url is not None:
            logs.say(f"metrics on {metrics_url}", file=sys.stdout)
        if settings.tls_self_signed:
            authority = (settings.data_dir / "tls" / "ca.pem").resolve()
            logs.say(f"clients trust it with AWS_CA_BUNDLE={shlex.quote(str(authority))}", file=sys.stdout)
        if root_file is not None:
            shown = shlex.quote(str(root_file.resolve()))
            logs.say(
                f"the root key of account {settings.account} was made: AWS_SHARED_CREDENTIALS_FILE={shown}",
                file=sys.stdout,
            )
    if settings.metrics_port is not None and not is_loopback(settings.metrics_port.host):
        log.warning("metrics on %s: everyone who can reach it sees names and traffic of tables", metrics_url)
    if settings.exposed and not settings.enforced:
        log.warning("open access on %s: everyone who can reach it can read and delete the data", settings.host)
    while report_to:
        with contextlib.suppress(BrokenPipeError):
            os.write(report_to[-1], f"{url}\n".encode())
        os.close(report_to.pop())
