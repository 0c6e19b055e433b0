"""Files that a user writes (blotter.toml, policies, prices): read, parsed, and mistakes shown at their line.

Whatever such a file contains ends in a ConfigurationError, never in another exception: it may be huge, binary,
nested without end, or no file at all. Owns no meaning: `config` and `tables.declaration` have that.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from blotter.printable import one_line
from blotter.toml_lines import KeyPath, line_of

MOST_BYTES = 4 * 1024 * 1024  # of a configuration file, and of a policy or price file it names
DEEPEST = 32  # tables and arrays within each other; a declaration needs six
_MISTYPED = re.compile(r"^(?P<what>.*?)(?: - at `\$?\.?(?P<path>.*)`)?$", re.DOTALL)

Section = TypeVar("Section")


class ConfigurationError(Exception):
    """The configuration is missing, unreadable or contradicts itself. `str()` is one printable line."""

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))


def read_text(path: Path) -> str:
    """A text file of the user's, with or without a byte order mark. Raises ConfigurationError."""
    try:
        if path.exists() and not path.is_file() and not path.is_dir():  # a pipe may never end, nor begin
            raise ConfigurationError(f"{path}: not a regular file")
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise ConfigurationError(f"{path}: larger than {MOST_BYTES // 1024**2} MB; it cannot be what is meant")
        return content.decode("utf-8-sig")
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path}: not UTF-8 (byte {error.start}); save it as UTF-8") from None
    except ValueError as error:  # a NUL in the name
        raise ConfigurationError(f"{path}: cannot be read: {error}") from None


def parse_toml(path: Path | str, text: str) -> dict[str, Any]:
    """`text` as TOML; `path` is named in errors. Raises ConfigurationError."""
    try:
        raw = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # ValueError: also a number of thousands of digits
        what = "nested too deeply" if isinstance(error, RecursionError) else error
        raise ConfigurationError(f"{path}: not valid TOML: {what}") from None
    if deeper_than(raw, DEEPEST):
        raise ConfigurationError(f"{path}: not valid here: more than {DEEPEST} tables or arrays within each other")
    return raw


def deeper_than(value: object, levels: int) -> bool:
    """Whether dictionaries and lists are nested in each other by more than `levels`."""
    layer = [value]
    for _ in range(levels + 1):
        inner: list[object] = []
        for one in layer:
            inner += one.values() if isinstance(one, dict) else one if isinstance(one, list) else ()
        if not inner:
            return False
        layer = inner
    return any(isinstance(one, (dict, list)) for one in layer)


class Document(msgspec.Struct, frozen=True):
    """The file as a place errors can point into."""

    path: Path
    lines: dict[KeyPath, int] = {}
    environment: str | None = None

    def where(self, key: KeyPath) -> str:
        """`blotter.toml line 12 (tables.results.name)`; a key that the environment overrides is named there."""
        overriding = ("environments", self.environment or "", *key)
        key = overriding if overriding in self.lines else key
        line = line_of(self.lines, key)
        place = f"{self.path} line {line}" if line else str(self.path)
        return f"{place} ({'.'.join(key)})" if key else place

    def error(self, key: KeyPath, what: str) -> ConfigurationError:
        return ConfigurationError(f"{self.where(key)}: {what}")

    def convert(self, raw: object, kind: type[Section], at: KeyPath = (), *, strict: bool = True) -> Section:
        """`raw` as `kind`; a mistake is an error at its key below `at`."""
        try:
            return msgspec.convert(raw, kind, strict=strict)
        except msgspec.ValidationError as error:
            what, inner = mistake(error)
            raise self.error((*at, *inner), what) from None


def mistake(error: msgspec.ValidationError) -> tuple[str, KeyPath]:
    """msgspec's message without its quotes, and the key it is about as far as msgspec says."""
    match = _MISTYPED.match(str(error))
    what, path = (match["what"], match["path"] or "") if match else (str(error), "")
    what = what.replace(" | null", "")
    keys = tuple(key for key in path.partition("[")[0].split(".") if key)
    if unknown := re.search(r"unknown field `([^`]+)`", what):
        return f"unknown key {unknown[1]!r}", (*keys, unknown[1])
    return re.sub(r"`([^`]*)`", r"\1", what[:1].lower() + what[1:]), keys
