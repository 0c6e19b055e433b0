"""The settings of `blotter serve`.

Each setting is declared once, as a field of one of the areas below: its type and default as of any field, and
beside them how its text is read and what it is for. Flag, environment variable, the options of the command line,
the messages for wrong values and the tables of docs/settings.md are derived (`SETTINGS`, `loading.load`,
`document`). Reads no file and opens nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, get_type_hints

import msgspec

from blotter.database.copies.objects import MEMORY, OBJECTS_FOLDER
from blotter.database.http.limits import Limits
from blotter.database.settings.access import Access
from blotter.database.settings.address import Address
from blotter.database.settings.data import Data
from blotter.database.settings.declaring import Declared
from blotter.database.settings.observing import Observing
from blotter.database.settings.processes import Processes
from blotter.database.settings.tables import Tables
from blotter.hosts import is_loopback

AREAS = {
    "Address and TLS": Address,
    "Data and copies": Data,
    "Access and audit": Access,
    "Tables": Tables,
    "Metrics, notifications and logs": Observing,
    "Processes, memory and time limits": Processes,
}
"""Where settings are declared, by heading, in the order of the documentation."""


@dataclass(frozen=True)
class Settings(Address, Data, Access, Tables, Observing, Processes):
    """The settings of one server, complete and checked."""

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
    area: str
    """The heading it stands under."""
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
        return self.declared.default or self.declared.form.show(self.default)


def _declared_in(heading: str, area: type[Any]) -> Iterator[Setting]:
    hints = get_type_hints(area, include_extras=True)
    for field in dataclasses.fields(area):
        yield Setting(field.name, heading, hints[field.name].__metadata__[0], field.default)


SETTINGS = tuple(setting for heading, area in AREAS.items() for setting in _declared_in(heading, area))


def document() -> str:
    """The tables of docs/settings.md."""
    return "\n".join(f"### {heading}\n\n{_table(heading)}" for heading in AREAS)


def _table(heading: str) -> str:
    lines = ["| flag | environment | default | what it is |", "| --- | --- | --- | --- |"]
    for setting in SETTINGS:
        if setting.area == heading:
            shown = setting.declared.default or ("no" if setting.shown == "no" else f"`{setting.shown}`")
            lines.append(f"| `{setting.flag}` | `{setting.variable}` | {shown} | {setting.declared.help} |")
    return "\n".join(lines) + "\n"
