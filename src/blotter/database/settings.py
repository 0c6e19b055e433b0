"""What `blotter serve` can be told, where from, and what it is when nothing is said.

Each setting is declared once, in `SETTINGS`: its flag, its environment variable, its default, how its text is read
and what it is for. Flag beats environment beats default. The command line's options, the messages for wrong values
and the test that docs/settings.md names them all are made from that table. Reads no file and opens nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from blotter.database.http.limits import Limits
from blotter.database.http.origins import is_loopback


class SettingsError(Exception):
    """A value that cannot be used; the message is one line that names it and where it came from."""


class Settings(msgspec.Struct, frozen=True):
    """The settings of one server, complete and checked."""

    host: str = "127.0.0.1"
    port: int = 8000
    data_dir: Path = Path("blotter-data")
    in_memory: bool = False
    """Nothing is kept on disk; `data_dir` is not used."""
    workers: int = 1
    account: str = "123456789012"
    region: str = "us-east-1"
    table_delay: float = 0.2
    """Seconds a table stays CREATING, UPDATING or DELETING."""
    insecure_open_access: bool = False
    allowed_hosts: tuple[str, ...] = ()
    log_level: str = "warning"
    limits: Limits = Limits()

    @property
    def store(self) -> str:
        """The location of the store, as `storage.stores` reads it."""
        return "memory:" if self.in_memory else f"sqlite:{self.data_dir}"

    @property
    def exposed(self) -> bool:
        """Whether other machines can reach the server."""
        return not is_loopback(self.host)


class Setting(msgspec.Struct, frozen=True):
    """One thing that can be set. `read` turns its text into its value or raises ValueError saying what it must be;
    `shown` is the default as help and docs spell it; `limit` names the member of `Limits` it sets, if it does."""

    name: str
    read: Callable[[str], Any]
    help: str
    shown: str
    limit: str | None = None

    @property
    def flag(self) -> str:
        return "--" + self.name.replace("_", "-")

    @property
    def variable(self) -> str:
        return "BLOTTER_" + self.name.upper()


def _whole(low: int, high: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not text.isascii() or not text.isdigit() or not low <= int(text) <= high:
            raise ValueError(f"a whole number from {low} to {high}")
        return int(text)

    return read


def _megabytes(low: int, high: int) -> Callable[[str], int]:
    read = _whole(low, high)
    return lambda text: read(text) * 1024 * 1024


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


def _text(what: str, fits: Callable[[str], bool]) -> Callable[[str], str]:
    def read(text: str) -> str:
        if not fits(text):
            raise ValueError(what)
        return text

    return read


def _names(text: str) -> tuple[str, ...]:
    return tuple(name for part in text.split(",") if (name := part.strip()))


def yes_or_no(text: str) -> bool:
    answers = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False, "": False}
    if text.lower() not in answers:
        raise ValueError("yes or no")
    return answers[text.lower()]


def cores() -> int:
    """The processor cores this process may use: by affinity, and by the control group's quota in a container."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, _, period = Path("/sys/fs/cgroup/cpu.max").read_text().partition(" ")
        available = min(available, max(1, int(quota) // int(period)))
    except (OSError, ValueError):
        pass  # No quota here: another system, or "max".
    return available


LOG_LEVELS = ("debug", "info", "warning", "error")

SETTINGS: tuple[Setting, ...] = (
    Setting(
        "host",
        _text("a host name or address", lambda text: bool(text) and not text.isspace()),
        "Address to listen on. Other than loopback only with --insecure-open-access.",
        "127.0.0.1",
    ),
    Setting("port", _whole(0, 65535), "Port to listen on; 0 takes a free one.", "8000"),
    Setting("data_dir", Path, "Directory that holds the data; made when missing.", "blotter-data"),
    Setting(
        "in_memory",
        yes_or_no,
        "Keep all data in memory, in one worker process: nothing is written to disk, and everything is gone when "
        "the server stops.",
        "no",
    ),
    Setting("workers", _whole(1, 256), "Worker processes.", "one per core"),
    Setting(
        "account",
        _text("12 digits", lambda text: len(text) == 12 and text.isascii() and text.isdigit()),
        "AWS account that tables belong to, as their ARNs show it.",
        "123456789012",
    ),
    Setting(
        "region",
        _text("a region's name", lambda text: bool(text) and text.replace("-", "").isalnum()),
        "Region in the health answer. Requests name their own region in their credentials' scope.",
        "us-east-1",
    ),
    Setting(
        "table_delay",
        _seconds(0, 3600),
        "Seconds that a table stays CREATING, UPDATING or DELETING.",
        "0.2",
    ),
    Setting(
        "insecure_open_access",
        yes_or_no,
        "Allow a --host that other machines can reach, though NOBODY IS ASKED FOR CREDENTIALS: "
        "everyone who reaches the port can read, change and delete all data.",
        "no",
    ),
    Setting(
        "allowed_hosts",
        _names,
        "Further host names, separated by commas, that clients may use for this server "
        "(as in http://blotter:8000 within Docker Compose).",
        "none",
    ),
    Setting(
        "log_level",
        _text(f"one of {', '.join(LOG_LEVELS)}", LOG_LEVELS.__contains__),
        "Least severe messages to log on standard error; debug logs every request.",
        "warning",
    ),
    Setting(
        "max_connections", _whole(1, 1_000_000), "Open connections for each worker.", "10000", limit="connections"
    ),
    Setting(
        "body_memory",
        _megabytes(16, 1_000_000),
        "Megabytes that request bodies may take at once in each worker; more large requests get status 503.",
        "256",
        limit="buffered",
    ),
    Setting(
        "header_timeout",
        _seconds(0.1, 3600),
        "Seconds a client may take to send a request's headers.",
        "10",
        limit="header_timeout",
    ),
    Setting(
        "body_timeout",
        _seconds(0.1, 3600),
        "Seconds a client may take to send a request's body.",
        "60",
        limit="body_timeout",
    ),
    Setting(
        "idle_timeout",
        _seconds(0.1, 86400),
        "Seconds an unused connection is kept.",
        "120",
        limit="idle_timeout",
    ),
    Setting(
        "drain_timeout",
        _seconds(0, 3600),
        "Seconds that requests under way have to finish when the server stops.",
        "10",
        limit="drain_timeout",
    ),
)


def load(flags: Mapping[str, str | None], environment: Mapping[str, str]) -> Settings:
    """The settings out of flags (by setting name; None: not given) and environment.

    Raises `SettingsError` for the first value that cannot be used.
    """
    values: dict[str, Any] = {}
    limits: dict[str, Any] = {}
    for setting in SETTINGS:
        text, source = flags.get(setting.name), setting.flag
        if text is None:
            text, source = environment.get(setting.variable), setting.variable
        if text is None:
            continue
        try:
            value = setting.read(text)
        except ValueError as error:
            raise SettingsError(f"{source} must be {error}, not '{text}'") from None
        if setting.limit is None:
            values[setting.name] = value
        else:
            limits[setting.limit] = value
    if values.get("in_memory"):
        _check_in_memory(flags, values)
    values.setdefault("workers", cores())
    settings = Settings(**values, limits=Limits(**limits))
    if settings.exposed and not settings.insecure_open_access:
        raise SettingsError(
            f"--host {settings.host} can be reached from other machines, and this version asks nobody for "
            "credentials: everyone there could read and delete the data. "
            "Use 127.0.0.1, or say --insecure-open-access"
        )
    return settings


def _check_in_memory(flags: Mapping[str, str | None], values: dict[str, Any]) -> None:
    """Memory is not shared between processes, and not kept in a directory."""
    if flags.get("data_dir") is not None:
        raise SettingsError("--data-dir and --in-memory contradict each other: in memory, nothing is kept on disk")
    if values.setdefault("workers", 1) != 1:
        raise SettingsError(f"--in-memory runs one worker, not {values['workers']}: workers do not share memory")
