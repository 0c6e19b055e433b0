"""The application's settings: `[crimes]` of blotter.toml, and the parts it assembles from them.

Owns names, defaults and units of the settings, and the one place where configuration becomes working parts
(`Application.assemble`), used alike by the pages, the worker, the commands and the Lambda handler. Precedence is
the configuration's own: BLOTTER_CRIMES_<FIELD> > [environments.<env>.crimes] > [crimes] > the defaults here.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec

from blotter import aws
from blotter.config import Configuration, load_configuration
from blotter.crimes.credentials import require_credentials
from blotter.crimes.jobs.intake import Intake
from blotter.crimes.jobs.local_queue import LocalQueue
from blotter.crimes.jobs.webhook import webhook_address
from blotter.crimes.scoring.limits import Limits
from blotter.crimes.storage.objects import ObjectStore
from blotter.crimes.storage.private_files import private_folder
from blotter.crimes.storage.results import ResultsTable
from blotter.crimes.storage.table_check import LABEL, check_declaration, check_table
from blotter.user_files import ConfigurationError

GIBIBYTE = 1024**3
OUTPUT_FLOOR = 64 * 1024**2
BAD_ROWS_FLOOR = 10_000
_CONNECTIONS = 50  # to the table: one for every thread of the pages
DATA_FOLDER = "blotter-data"  # the database's own default, so that one folder holds everything


class CrimesSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`[crimes]`. Sizes in bytes, times in seconds."""

    objects: str = ""
    """Where uploads and predictions lie: a folder, or `s3://BUCKET`; empty is `objects` in the data folder."""
    queue: str = ""
    """The folder of the local event queue, empty is `queue` in the data folder; S3 sends its events itself."""
    model: str = ""
    """The folder of the model to score with; empty is the one shipped with the package."""
    host: str = "127.0.0.1"
    port: int = 8080
    insecure_open_access: bool = False
    """Whether the pages may listen beyond loopback, where there is no access control."""
    max_upload_bytes: int = 2 * GIBIBYTE
    max_decompressed_bytes: int = 4 * GIBIBYTE
    """A file that unpacks to more is refused as TOO_LARGE."""
    max_line_bytes: int = 1024 * 1024
    """The longest line and the longest row of several lines; a longer line is refused as FIELD_TOO_LONG."""
    max_output_ratio: float = 100.0
    """The predictions may be so many times larger than the stored upload, and 64 MiB in any case."""
    max_bad_rows: float = 0.95
    """A file of 10,000 rows and more whose share of rows that cannot be scored is larger is given up."""
    file_seconds: float = 1800.0
    """How long one attempt on a file may take before it is refused as TIME_LIMIT."""
    lease_seconds: float = 20.0
    """How long a silent worker keeps its file; progress renews it about twice a second."""
    sweep_seconds: float = 10.0
    """How often a worker looks for lost work."""
    grace_seconds: float = 15.0
    """How old an upload is before the sweeper takes its event for lost."""
    max_attempts: int = 3
    """After so many attempts that did not end, a file is FAILED instead of being tried again."""
    threads: int = 1
    """Threads the model may use in one worker, in addition to the one that reads and writes."""
    webhook_url: str = ""
    email_to: str = ""
    email_from: str = "blotter@localhost"
    smtp_host: str = ""
    smtp_port: int = 25
    smtp_user: str = ""
    smtp_password: str = ""
    smtp_starttls: bool = False
    public_url: str = ""
    """The address of the pages, for links in notifications."""

    def limits(self) -> Limits:
        """What one file may cost."""
        return Limits(
            max_bytes=self.max_decompressed_bytes,
            max_line=self.max_line_bytes,
            output_ratio=self.max_output_ratio,
            output_floor=OUTPUT_FLOOR,
            bad_rows_share=self.max_bad_rows,
            bad_rows_floor=BAD_ROWS_FLOOR,
        )


def _settings_of(configuration: Configuration) -> CrimesSettings:
    """`[crimes]`, with the table's declaration checked. Raises ConfigurationError."""
    settings = configuration.section("crimes", CrimesSettings)
    check_declaration(configuration)
    return settings


def _check_webhook(settings: CrimesSettings) -> None:
    """For commands only: a Lambda function processes files all the same, and logs that nothing is sent."""
    if settings.webhook_url:
        try:
            webhook_address(settings.webhook_url)
        except ValueError as error:
            raise ConfigurationError(f"crimes: {error}") from None


@dataclass(frozen=True, slots=True)
class Application:
    """The assembled parts. `queue` is None with S3."""

    settings: CrimesSettings
    objects: ObjectStore
    results: ResultsTable
    queue: LocalQueue | None
    intake: Intake

    @classmethod
    def assemble(cls, configuration: Configuration) -> Application:
        """Raises ConfigurationError; does not reach for the table yet."""
        settings = _settings_of(configuration)
        data = Path(configuration.environ.get("BLOTTER_DATA_DIR") or DATA_FOLDER)
        try:
            session = aws.session(configuration)
            if not settings.objects:
                private_folder(data)
            objects = ObjectStore.open(settings.objects or data / "objects", session)
            queue = None if objects.is_remote else LocalQueue(settings.queue or data / "queue")
        except (OSError, ValueError) as error:
            raise ConfigurationError(f"crimes: objects or queue cannot be used: {error}") from error
        results = ResultsTable(
            aws.client(configuration, max_pool_connections=_CONNECTIONS), configuration.table(LABEL).name
        )
        intake = Intake(objects, results, queue, settings.max_upload_bytes)
        return cls(settings, objects, results, queue, intake)

    @classmethod
    def load(cls, path: str | None = None, environment: str | None = None) -> Application:
        """Assembles the settings from blotter.toml and the environment. Raises ConfigurationError."""
        return cls.assemble(load_configuration(path, environment))

    @classmethod
    def start(cls, path: str | None = None, environment: str | None = None) -> Application:
        """`load`, and one look at credentials and table: commands report what is wrong before they begin.

        Raises ConfigurationError, and botocore's errors of a broken AWS configuration.
        """
        configuration = load_configuration(path, environment)
        _check_webhook(_settings_of(configuration))
        require_credentials(aws.session(configuration), configuration)
        application = cls.assemble(configuration)
        check_table(aws.client(configuration, attempts=1), application.results.table_name)
        return application
