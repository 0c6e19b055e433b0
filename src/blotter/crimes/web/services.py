"""What the web room is given: the results table, the objects, the way in for uploads, and its own few settings.

Handed in by whoever starts the application (`blotter crimes serve`, `blotter up`, `lambda_.py`, a test); nothing
here reads the environment.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import urlsplit

from blotter.crimes.objects import ObjectStore
from blotter.crimes.results import ResultsTable
from blotter.crimes.settings import Application
from blotter.crimes.web.live import Pace
from blotter.crimes.web.security import LOOPBACK_HOSTS
from blotter.crimes.web.uploads import Accept

DEFAULT_MAX_UPLOAD_BYTES = 5_000_000_000


class TakesFiles(Protocol):
    """`Intake`, seen from here: stores a file's blocks under a key of its own and sees that it is worked on."""

    @property
    def accept(self) -> Accept: ...


@dataclass(frozen=True, slots=True)
class WebSettings:
    """`allowed_hosts` None: do not check the Host header, because something in front does.

    `max_download_bytes`: the longest answer that can be sent, None without a limit.
    """

    max_upload_bytes: int = DEFAULT_MAX_UPLOAD_BYTES
    max_download_bytes: int | None = None
    allowed_hosts: frozenset[str] | None = LOOPBACK_HOSTS
    pace: Pace = field(default_factory=Pace)
    concurrent_uploads: int = 8


@dataclass(frozen=True, slots=True)
class Services:
    results: ResultsTable
    objects: ObjectStore
    intake: TakesFiles
    settings: WebSettings = field(default_factory=WebSettings)

    @classmethod
    def of(cls, application: Application) -> Services:
        """The services of an assembled application, reachable under loopback names and the configured ones."""
        settings = application.settings
        public = urlsplit(settings.public_url).hostname
        hosts = LOOPBACK_HOSTS | {settings.host} | ({public} if public else set())
        web = WebSettings(max_upload_bytes=settings.max_upload_bytes, allowed_hosts=frozenset(hosts))
        return cls(application.results, application.objects, application.intake, web)
