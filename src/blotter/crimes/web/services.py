"""What the web package is given: the results table, the objects, the intake, the queue, and its own few settings.

Passed in by what starts the application (`blotter crimes serve`, `blotter up`, `lambda_.py`, a test); nothing
here reads the environment.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import urlsplit

from blotter.crimes.item import Result
from blotter.crimes.settings import Application
from blotter.crimes.storage.objects import ObjectStore
from blotter.crimes.storage.results import ResultsTable
from blotter.crimes.web.errors import WebError
from blotter.crimes.web.live import Pace
from blotter.crimes.web.security import AllowedHosts
from blotter.crimes.web.upload_slots import UploadLimits
from blotter.crimes.web.uploads import Arriving

DEFAULT_MAX_UPLOAD_BYTES = 5_000_000_000


class TakesFiles(Protocol):
    """`Intake`, seen from here: stores files under keys of their own and sees that they are processed."""

    def begin(self, file_name: str) -> Arriving: ...
    def again(self, file_key: str) -> bool: ...
    def remove(self, file_key: str) -> bool: ...


@dataclass(frozen=True, slots=True)
class WebSettings:
    """`allowed_hosts` None: do not check the Host header, because something in front does.

    `max_download_bytes`: the longest answer that can be sent, None without a limit.
    """

    max_upload_bytes: int = DEFAULT_MAX_UPLOAD_BYTES
    max_download_bytes: int | None = None
    allowed_hosts: AllowedHosts | None = field(default_factory=AllowedHosts)
    pace: Pace = field(default_factory=Pace)
    uploads: UploadLimits = field(default_factory=UploadLimits)


@dataclass(frozen=True, slots=True)
class Services:
    """Everything a route may use, and what people may ask about a file: cancel, retry, delete."""

    results: ResultsTable
    objects: ObjectStore
    intake: TakesFiles
    settings: WebSettings = field(default_factory=WebSettings)

    @classmethod
    def of(cls, application: Application, bound_host: str) -> Services:
        """The services of an assembled application that listens on `bound_host`."""
        settings = application.settings
        names = [urlsplit(settings.public_url).hostname or "", settings.host]
        web = WebSettings(
            max_upload_bytes=settings.max_upload_bytes, allowed_hosts=AllowedHosts.of(bound_host, names)
        )
        return cls(application.results, application.objects, application.intake, web)

    def cancel(self, seen: Result) -> None:
        """UPLOADED or PROCESSING → FAILED with CANCELED. Raises WebError 409."""
        if not self.results.cancel(seen.file_key):
            raise WebError(409, "WRONG_STATE", f"The file is {seen.status}: there is no work to cancel.")

    def retry(self, seen: Result) -> None:
        """COMPLETED or FAILED → UPLOADED, with a new event. Raises WebError 409, then 410."""
        if not seen.finished:
            raise WebError(409, "WRONG_STATE", f"The file is {seen.status}: its work has not ended.")
        if not self.intake.again(seen.file_key):
            raise WebError(410, "UPLOAD_GONE", "The uploaded file is no longer in the object store.")

    def delete(self, seen: Result) -> None:
        """Removes upload, predictions and item; work under way is canceled first."""
        self.intake.remove(seen.file_key)
