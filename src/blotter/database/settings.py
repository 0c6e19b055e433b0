"""The settings of `blotter serve`: where they come from, and their defaults.

Each setting is declared once, as a field of `Settings`: its type and default as of any field, and beside them
how its text is read and what it is for. Flag, environment variable, the command line's options, the messages for
wrong values and the table of docs/settings.md are derived (`SETTINGS`, `load`, `document`). Flag beats
environment beats default. Reads no file and opens nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple, get_type_hints

import msgspec

from blotter.database.copies.objects import MEMORY, OBJECTS_FOLDER, open_objects
from blotter.database.encryption.master_keys import FORMS, MasterKey, parse_master_key
from blotter.database.http.limits import Limits
from blotter.database.notifications.targets import FORMS as NOTIFY_FORMS
from blotter.database.notifications.targets import Targets, parse_targets
from blotter.database.storage.postgres.url import StoreUrl
from blotter.hosts import is_loopback

ACCESS = ("open", "enforced")
AUDITS = ("management", "all", "off")
METRICS = ("on", "off")
LOG_FORMATS = ("text", "json")
LOG_LEVELS = ("debug", "info", "warning", "error")
_LIMITS = Limits()


class SettingsError(Exception):
    """A value that cannot be used; the message is one line that names it and where it came from."""


class Declared(msgspec.Struct, frozen=True):
    """What a field of `Settings` is declared with. `read` turns its text into its value or raises ValueError
    with what it must be; `show` is the opposite. `default` describes a default that is not the field's own."""

    read: Callable[[str], Any]
    help: str
    show: Callable[[Any], str] = str
    default: str = ""
    flag_only: bool = False
    """Whether the flag takes no value."""
    secret: bool = False
    """Whether a wrong value is kept out of messages: it may be a secret, given where its place belongs."""


def _whole(low: int, high: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not text.isascii() or not text.isdigit() or len(text) > 20 or not low <= int(text) <= high:
            raise ValueError(f"a whole number from {low} to {high}")
        return int(text)

    return read


def _on_or_off(text: str) -> bool:
    if text not in ("on", "off"):
        raise ValueError("on or off")
    return text == "on"


def _shown_on_or_off(value: bool) -> str:
    return "on" if value else "off"


def _megabytes(low: int, high: int) -> Callable[[str], int]:
    read = _whole(low, high)
    return lambda text: read(text) * 1024 * 1024


def _shown_megabytes(size: int) -> str:
    return str(size // (1024 * 1024))


def _seconds(low: float, high: float) -> Callable[[str], float]:
    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = -1.0
        if not low <= value <= high:
            raise ValueError(f"a number of seconds from {low:g} to {high:g}")
        return value

    return read


def _shown_seconds(seconds: float) -> str:
    return f"{seconds:g}"


def _text(what: str, fits: Callable[[str], bool]) -> Callable[[str], str]:
    def read(text: str) -> str:
        if not fits(text):
            raise ValueError(what)
        return text

    return read


def _master_key(text: str) -> MasterKey | None:
    return parse_master_key(text) if text else None


def _shown_master_key(key: MasterKey | None) -> str:
    return "" if key is None else key.text


def _store(text: str) -> StoreUrl | None:
    return StoreUrl(text) if text else None


def _shown_store(store: StoreUrl | None) -> str:
    return "" if store is None else store.shown


def _objects(text: str) -> str:
    if text:
        try:
            open_objects(text)
        except ValueError:
            raise ValueError("file:///FOLDER or s3://BUCKET/PREFIX") from None
    return text


class Place(NamedTuple):
    """Where to listen."""

    host: str
    port: int


def _place(text: str) -> Place | None:
    if not text:
        return None
    host, _, port = text.rpartition(":")
    try:
        return Place(host.strip("[]") or "127.0.0.1", _whole(0, 65535)(port))
    except ValueError:
        raise ValueError("a port, or HOST:PORT") from None


def _shown_place(place: Place | None) -> str:
    if place is None:
        return ""
    return f"[{place.host}]:{place.port}" if ":" in place.host else f"{place.host}:{place.port}"


def _names(text: str) -> tuple[str, ...]:
    return tuple(name for part in text.split(",") if (name := part.strip()))


def _file(text: str) -> Path | None:
    return Path(text) if text else None


def _shown_file(path: Path | None) -> str:
    return "" if path is None else str(path)


def _yes_or_no(text: str) -> bool:
    answers = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False, "": False}
    if text.lower() not in answers:
        raise ValueError("yes or no")
    return answers[text.lower()]


def _shown_yes_or_no(value: bool) -> str:
    return "yes" if value else "no"


class Settings(msgspec.Struct, frozen=True):
    """The settings of one server, complete and checked."""

    host: Annotated[
        str,
        Declared(
            _text("a host name or address", lambda text: bool(text) and not text.isspace()),
            "Address to listen on. One that other machines can reach needs `--access enforced` (or "
            "`--insecure-open-access`).",
        ),
    ] = "127.0.0.1"
    port: Annotated[
        int,
        Declared(_whole(0, 65535), "Port to listen on; 0 takes a free one, which the ready line names."),
    ] = 8000
    data_dir: Annotated[
        Path, Declared(Path, "Directory that holds the data; made when missing. One server at a time.")
    ] = Path("blotter-data")
    store: Annotated[
        StoreUrl | None,
        Declared(
            _store,
            "PostgreSQL in place of a file: `postgresql://USER@HOST[:PORT][,HOST…]/DATABASE[?schema=NAME]`, for "
            "any number of servers on one store, which `blotter store init` makes. `--data-dir` then holds what "
            "this server has for itself. Passwords belong into `PGPASSWORD`, a password file or `BLOTTER_STORE`.",
            _shown_store,
            default="none",
            secret=True,
        ),
    ] = None
    in_memory: Annotated[
        bool,
        Declared(
            _yes_or_no,
            "Keeps all data in memory, in one worker process: nothing is written to disk, and everything is gone "
            "when the server stops. With `--data-dir` or more than one worker it is refused; a data directory "
            "named by the environment is not used.",
            _shown_yes_or_no,
            flag_only=True,
        ),
    ] = False
    master_key: Annotated[
        MasterKey | None,
        Declared(
            _master_key,
            f"Where the master key is that protects the data on disk: `{FORMS}`. With it, a new data directory is "
            "encrypted, and one that `blotter keys encrypt` has encrypted can be used. Without it, data are not "
            "encrypted.",
            _shown_master_key,
            default="none",
            secret=True,
        ),
    ] = None
    objects: Annotated[
        str,
        Declared(
            _objects,
            "Where backups, exports and imports are: `file:///FOLDER`, or `s3://BUCKET/PREFIX` in any "
            "S3-compatible store, with the credentials, region and endpoint that the AWS SDKs would take "
            "(`AWS_ENDPOINT_URL_S3`). An `S3Bucket` in a request is a folder there, or the bucket of that name. "
            "Default: `objects` in the data directory; with `--in-memory`, memory.",
            default="a folder in the data directory",
        ),
    ] = ""
    archive: Annotated[
        str,
        Declared(
            _objects,
            "Where everything that the server holds is shipped to, continuously and in order: `file:///FOLDER` on "
            "another disk, or `s3://BUCKET/PREFIX` as for `--objects`. `blotter recover` builds a data directory "
            "out of it when this machine is gone. Encrypted when the data are; otherwise as secret as the data "
            "directory.",
            default="none",
        ),
    ] = ""
    archive_interval: Annotated[
        float,
        Declared(
            _seconds(0.1, 3600),
            "Seconds between two shipments to the archive, and so what is lost with this machine.",
            _shown_seconds,
        ),
    ] = 1.0
    archive_retention: Annotated[
        int,
        Declared(
            _whole(1, 3650),
            "Days that the archive goes back: `blotter recover --at` can ask for any time in them.",
        ),
    ] = 7
    workers: Annotated[
        int,
        Declared(
            _whole(1, 256),
            "Worker processes. Cores are counted by affinity and by the container's quota.",
            default="one per core",
        ),
    ] = 1
    account: Annotated[
        str,
        Declared(
            _text("12 digits", lambda text: len(text) == 12 and text.isascii() and text.isdigit()),
            "AWS account that tables belong to, as their ARNs show it. With `--access enforced` tables belong to "
            "the account of the access key; this one gets a root key at the first start, others by `blotter "
            "access add-account`.",
        ),
    ] = "123456789012"
    region: Annotated[
        str,
        Declared(
            _text("a region's name", lambda text: text.isascii() and text.replace("-", "").isalnum()),
            "Region in the health answer (`GET /`) and in `blotter env`. Requests name their own in their "
            "credentials' scope.",
        ),
    ] = "us-east-1"
    table_delay: Annotated[
        float,
        Declared(
            _seconds(0, 3600),
            "Seconds that a table stays CREATING, UPDATING or DELETING. With 0 the response still shows that "
            "state, and the next request finds the change done.",
            _shown_seconds,
        ),
    ] = 0.0
    throttling: Annotated[
        bool,
        Declared(
            _on_or_off,
            "`on`: provisioned tables and indexes give no more than their read and write units, with up to 300 "
            "seconds of unused ones as burst, and tables on demand no more than their maxima. `off`: all are "
            "unlimited.",
            _shown_on_or_off,
        ),
    ] = True
    partition_limits: Annotated[
        bool,
        Declared(
            _on_or_off,
            "`on`: the items of one partition key get no more than one partition serves on AWS, 3,000 read and "
            "1,000 write units a second. Needs `--throttling on`.",
            _shown_on_or_off,
        ),
    ] = False
    aws_quotas: Annotated[
        bool,
        Declared(
            _on_or_off,
            "`on`: AWS's default quotas are enforced, which protect a shared service: tables and units of an "
            "account, tables that change at a time, decreases of units and changes of settings in a day.",
            _shown_on_or_off,
        ),
    ] = False
    access: Annotated[
        str,
        Declared(
            _text(f"one of {', '.join(ACCESS)}", ACCESS.__contains__),
            "`open`: any credentials are accepted. `enforced`: every request must be signed with an access key "
            "that the server knows, and may do what the policies of the key's owner allow. The first start makes "
            "the root key of `--account` and writes it to `root-credentials` in the data directory.",
        ),
    ] = "open"
    insecure_open_access: Annotated[
        bool,
        Declared(
            _yes_or_no,
            "Allows a `--host` that other machines can reach, though credentials are not checked: everyone "
            "who reaches the port can read, change and delete all data.",
            _shown_yes_or_no,
            flag_only=True,
        ),
    ] = False
    allowed_hosts: Annotated[
        tuple[str, ...],
        Declared(
            _names,
            "Further host names, separated by commas, that clients may use for the server (as in "
            "`http://blotter:8000` within Docker Compose).",
            ",".join,
            default="none",
        ),
    ] = ()
    tls_certificate: Annotated[
        Path | None,
        Declared(
            _file,
            "File with the server's certificate in PEM format, followed by those of the authorities between it "
            "and the root: the server speaks TLS only. Needs `--tls-key`. SIGHUP reads both files anew.",
            _shown_file,
            default="none",
        ),
    ] = None
    tls_key: Annotated[
        Path | None,
        Declared(
            _file,
            "File with the private key of `--tls-certificate`, in PEM format, without a passphrase.",
            _shown_file,
            default="none",
        ),
    ] = None
    tls_self_signed: Annotated[
        bool,
        Declared(
            _yes_or_no,
            "The server speaks TLS only, with a certificate of an authority of its own in `<data-dir>/tls`, which "
            "it renews. Clients trust it with `AWS_CA_BUNDLE=<data-dir>/tls/ca.pem`.",
            _shown_yes_or_no,
            flag_only=True,
        ),
    ] = False
    audit: Annotated[
        str,
        Declared(
            _text(f"one of {', '.join(AUDITS)}", AUDITS.__contains__),
            "What the audit trail in `<data-dir>/audit` records: `management` (operations on tables, users and "
            "policies, refused ones included), `all` (operations on items too), or `off`.",
        ),
    ] = "management"
    metrics: Annotated[
        str,
        Declared(
            _text(f"one of {', '.join(METRICS)}", METRICS.__contains__),
            "`on`: requests are counted as CloudWatch's metrics of DynamoDB, a point a minute, which are kept in "
            "the store. `off`: nothing is counted.",
        ),
    ] = "on"
    metrics_storage: Annotated[
        int,
        Declared(
            _megabytes(16, 1_000_000),
            "Megabytes that points of metrics may take in the store. Past it the oldest points of a minute are "
            "removed before their 15 days are over, then those of five minutes and of hours.",
            _shown_megabytes,
        ),
    ] = 512 * 1024 * 1024
    metrics_port: Annotated[
        Place | None,
        Declared(
            _place,
            "Port on which `GET /metrics` answers Prometheus, without credentials: on 127.0.0.1, or on another "
            "address as `HOST:PORT`. 0 takes a free one, which a line after the ready line names.",
            _shown_place,
            default="none",
        ),
    ] = None
    slow_requests: Annotated[
        float,
        Declared(
            _seconds(0, 3600),
            "Seconds from which a request is logged as slow, with its operation, tables, capacity units and time. "
            "0: never.",
            _shown_seconds,
        ),
    ] = 0.0
    log_format: Annotated[
        str,
        Declared(
            _text(f"one of {', '.join(LOG_FORMATS)}", LOG_FORMATS.__contains__),
            "`text`: lines for people. `json`: each line is a JSON object with `time`, `level`, `process`, "
            "`message`, and `request_id` where it is about a request.",
        ),
    ] = "text"
    notify: Annotated[
        Targets,
        Declared(
            parse_targets,
            f"Where notifications of CloudWatch alarms go, by the ARN of the action: `{NOTIFY_FORMS}`. An ARN may "
            "have `*` for any characters. A web hook gets what SNS posts to subscribers, e-mail uses TLS where "
            "there is any, and `sns:` publishes to the topic.",
            lambda targets: targets.text,
            default="none",
            secret=True,
        ),
    ] = Targets()
    log_level: Annotated[
        str,
        Declared(
            _text(f"one of {', '.join(LOG_LEVELS)}", LOG_LEVELS.__contains__),
            "Least severe messages to log on standard error: `debug`, `info`, `warning` or `error`. `debug` logs "
            "every request as a line of JSON: operation, tables, capacity units, status, time, request id; never "
            "keys or values.",
        ),
    ] = "warning"
    max_connections: Annotated[
        int,
        Declared(
            _whole(1, 1_000_000),
            "Open connections for each worker; past it the ones idle longest are closed. Never more than the "
            "limit of open files allows.",
        ),
    ] = _LIMITS.connections
    request_memory: Annotated[
        int,
        Declared(
            _megabytes(64, 1_000_000),
            "Megabytes that requests in progress may take at once in each worker: bodies, what they are decoded "
            "to, and answers that clients have not taken. More large requests get status 503, which SDKs retry.",
            _shown_megabytes,
        ),
    ] = _LIMITS.buffered
    vector_memory: Annotated[
        int,
        Declared(
            _megabytes(1, 1_000_000),
            "Megabytes that copies of vector indexes may take in each worker: 4 bytes for each dimension of a "
            "vector and some 340 more. A search of what has no room is answered from disk, every time.",
            _shown_megabytes,
        ),
    ] = 1024 * 1024 * 1024
    header_timeout: Annotated[
        float,
        Declared(_seconds(0.1, 3600), "Seconds a client may take to send a request's headers.", _shown_seconds),
    ] = _LIMITS.header_timeout
    body_timeout: Annotated[
        float,
        Declared(_seconds(0.1, 3600), "Seconds a client may take to send a request's body.", _shown_seconds),
    ] = _LIMITS.body_timeout
    write_timeout: Annotated[
        float,
        Declared(_seconds(0.1, 3600), "Seconds a client may take to receive an answer.", _shown_seconds),
    ] = _LIMITS.write_timeout
    idle_timeout: Annotated[
        float, Declared(_seconds(0.1, 86400), "Seconds an unused connection is kept.", _shown_seconds)
    ] = _LIMITS.idle_timeout
    drain_timeout: Annotated[
        float,
        Declared(
            _seconds(0, 3600),
            "Seconds that requests in progress have to finish when the server stops.",
            _shown_seconds,
        ),
    ] = _LIMITS.drain_timeout

    hang_timeout: Annotated[
        float,
        Declared(
            _seconds(0, 86400),
            "Seconds a worker may send no heartbeat, because it is stopped or stuck, before it is killed and "
            "replaced; until then it may keep others from writing. 0: never.",
            _shown_seconds,
        ),
    ] = 20.0

    @property
    def data_are_elsewhere(self) -> bool:
        """Whether the data directory holds what this server has for itself, and the data are in PostgreSQL."""
        return self.store is not None and not self.in_memory

    @property
    def objects_url(self) -> str:
        """Where copies go, as `copies.objects` reads it."""
        if self.objects:
            return self.objects
        return MEMORY if self.in_memory else (self.data_dir.absolute() / OBJECTS_FOLDER).as_uri()

    @property
    def tls(self) -> bool:
        """Whether the server speaks TLS."""
        return self.tls_self_signed or self.tls_certificate is not None

    @property
    def enforced(self) -> bool:
        """Whether requests are authenticated and authorized."""
        return self.access == "enforced"

    @property
    def exposed(self) -> bool:
        """Whether other machines can reach the server."""
        return not is_loopback(self.host)

    @property
    def limits(self) -> Limits:
        """What one client may cost, for the HTTP server."""
        return Limits(
            buffered=self.request_memory,
            connections=self.max_connections,
            header_timeout=self.header_timeout,
            body_timeout=self.body_timeout,
            write_timeout=self.write_timeout,
            idle_timeout=self.idle_timeout,
            drain_timeout=self.drain_timeout,
        )


class Setting(msgspec.Struct, frozen=True):
    """One field of `Settings`, as the command line and the documentation see it."""

    name: str
    declared: Declared
    default: Any

    @property
    def flag(self) -> str:
        return "--" + self.name.replace("_", "-")

    @property
    def variable(self) -> str:
        return "BLOTTER_" + self.name.upper()

    @property
    def shown(self) -> str:
        """The default, as a user would write it."""
        return self.declared.default or self.declared.show(self.default)


def _settings() -> tuple[Setting, ...]:
    hints = get_type_hints(Settings, include_extras=True)
    fields = msgspec.structs.fields(Settings)
    return tuple(Setting(field.name, hints[field.name].__metadata__[0], field.default) for field in fields)


SETTINGS = _settings()


def cores() -> int:
    """The processor cores this process may use: by affinity, and by the control group's quota in a container."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, _, period = Path("/sys/fs/cgroup/cpu.max").read_text().partition(" ")
        available = min(available, max(1, int(quota) // int(period)))
    except (OSError, ValueError):
        pass  # No quota here: another system, or "max".
    return available


def load(flags: Mapping[str, str | None], environment: Mapping[str, str]) -> Settings:
    """The settings out of flags (by setting name; None: not given) and environment.

    Raises `SettingsError` for the first value that cannot be used.
    """
    values: dict[str, Any] = {}
    for setting in SETTINGS:
        text, source = flags.get(setting.name), setting.flag
        if text is None:
            text, source = environment.get(setting.variable), setting.variable
        if text is None:
            continue
        try:
            values[setting.name] = setting.declared.read(text)
        except ValueError as error:
            found = "" if setting.declared.secret else f", not '{text}'"
            raise SettingsError(f"{source} must be {error}{found}") from None
    if values.get("in_memory"):
        _check_in_memory(flags, values)
    if values.get("metrics_port") and values.get("metrics") == "off":
        raise SettingsError("--metrics-port has nothing to show with --metrics off: give one of them")
    _check_tls(values)
    values.setdefault("workers", cores())
    settings = Settings(**values)
    if settings.exposed and not settings.enforced and not settings.insecure_open_access:
        raise SettingsError(
            f"--host {settings.host} can be reached from other machines, and access is open: everyone there could "
            "read and delete the data. Add --access enforced, or use 127.0.0.1 (or, if you know that nobody else "
            "can reach it, add --insecure-open-access)"
        )
    return settings


def _check_in_memory(flags: Mapping[str, str | None], values: dict[str, Any]) -> None:
    """Memory is not shared between processes, and not kept in a directory."""
    for name in ("data_dir", "store", "master_key", "archive"):
        if flags.get(name) is not None:
            flag = "--" + name.replace("_", "-")
            raise SettingsError(
                f"{flag} and --in-memory contradict each other: in memory, nothing is kept on disk"
            )
    values.pop("archive", None)  # named by the environment
    values.pop("store", None)
    if values.setdefault("workers", 1) != 1:
        raise SettingsError(f"--in-memory runs one worker, not {values['workers']}: workers do not share memory")


def _check_tls(values: dict[str, Any]) -> None:
    """One certificate, with its key."""
    for given, missing in (("tls_certificate", "--tls-key"), ("tls_key", "--tls-certificate")):
        if values.get(given) and not values.get(missing[2:].replace("-", "_")):
            raise SettingsError(f"--{given.replace('_', '-')} needs {missing} as well")
    if values.get("tls_self_signed") and values.get("tls_certificate"):
        raise SettingsError("--tls-self-signed and --tls-certificate contradict each other: give one of them")
    if values.get("tls_self_signed") and values.get("in_memory"):
        raise SettingsError(
            "--tls-self-signed keeps its certificate in the data directory, and --in-memory has none: "
            "give --tls-certificate and --tls-key"
        )


def document() -> str:
    """The table of docs/settings.md."""
    lines = ["| flag | environment | default | what it is |", "| --- | --- | --- | --- |"]
    for setting in SETTINGS:
        shown = setting.declared.default or ("no" if setting.shown == "no" else f"`{setting.shown}`")
        lines.append(f"| `{setting.flag}` | `{setting.variable}` | {shown} | {setting.declared.help} |")
    return "\n".join(lines) + "\n"
