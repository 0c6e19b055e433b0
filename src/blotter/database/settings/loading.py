"""The settings of one server out of flags and environment: a flag beats the environment, which beats the default.

Refuses what cannot be used, and settings that contradict each other, with one line.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from blotter.database.settings import SETTINGS, Settings


class SettingsError(Exception):
    """A value that cannot be used; the message is one line that names it and where it came from."""


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
            values[setting.name] = setting.declared.form.read(text)
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


def cores() -> int:
    """The processor cores this process may use: by affinity, and by the control group's quota in a container."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, _, period = Path("/sys/fs/cgroup/cpu.max").read_text().partition(" ")
        available = min(available, max(1, int(quota) // int(period)))
    except (OSError, ValueError):
        pass  # No quota here: another system, or "max".
    return available
