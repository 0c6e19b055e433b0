"""The central configuration: one file, one precedence, for the set-up and for the application.

Owns finding `blotter.toml`, choosing the environment (dev, test, prod, …) and settling every value in one order:
flag > environment variable > file > default. Keeps where each value came from, so that a missing or contradictory
one stops with a single line that states what, where (file, line, key) and what to do.

Rules: no network and no boto3 here (`blotter.aws` makes sessions and clients); of a table only its name is checked
(`blotter.tables.declaring.declaration` reads the rest); `blotter.user_files` reads files. Whatever the file
contains ends in a ConfigurationError, never in another exception. Must not import the database.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

import msgspec

from blotter.toml_lines import KeyPath, key_lines
from blotter.user_files import ConfigurationError, Document, mistake, parse_toml, read_text

FILE_NAME = "blotter.toml"
DEFAULT_ENVIRONMENT = "dev"
AWS_ENDPOINT = "aws"  # as an endpoint: Amazon's own, whatever else is configured

# setting → the environment variables that give it, first one set wins (the SDKs' own names and order)
ENVIRONMENT_VARIABLES: dict[str, tuple[str, ...]] = {
    "file": ("BLOTTER_CONFIG",),
    "environment": ("BLOTTER_ENV",),
    "region": ("AWS_REGION", "AWS_DEFAULT_REGION"),
    "endpoint": ("AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL"),
    "profile": ("AWS_PROFILE",),
    "account": ("BLOTTER_ACCOUNT",),
}

_FLAGS = {"region": "--region", "endpoint": "--endpoint-url", "profile": "--profile", "account": "--account"}
_ARN = re.compile(
    r"arn:(?P<partition>aws[a-z-]*):dynamodb:(?P<region>[a-z0-9-]+):(?P<account>\d{12}):table/(?P<name>[A-Za-z0-9_.-]{3,255})"
)
TABLE_NAME = re.compile(r"[A-Za-z0-9_.-]{3,255}")
LABEL = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")

Section = TypeVar("Section")


class Flags(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line sets; None for what it does not. `names` maps a table's label to its name or ARN."""

    region: str | None = None
    endpoint: str | None = None
    profile: str | None = None
    account: str | None = None
    names: dict[str, str] = {}


class Setting(msgspec.Struct, frozen=True):
    """A value and where it came from, as a message shows it ("AWS_REGION", "blotter.toml line 9 (…)")."""

    value: str
    source: str


class ConfiguredTable(msgspec.Struct, frozen=True):
    """One declared table in the chosen environment.

    `declaration` is the table's TOML as plain values, the environment's differences already laid over it, without
    `name` and `purpose`. `arn` is set when the name was given as an ARN.
    """

    label: str
    name: str
    source: str
    declaration: dict[str, Any]
    arn: str | None = None


class _Environment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    region: str | None = None
    endpoint: str | None = None
    profile: str | None = None
    account: str | None = None
    tables: dict[str, dict[str, Any]] = {}
    crimes: dict[str, Any] = {}


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    app: str = ""
    environment: str | None = None
    environments: dict[str, Any] = {}
    tables: dict[str, dict[str, Any]] = {}
    crimes: dict[str, Any] = {}


class Configuration(msgspec.Struct, frozen=True, kw_only=True):
    """Everything settled for one environment.

    `app` and `environment` are empty without a file. `endpoint` is None when nothing of ours names another than
    AWS's own (a profile of the SDK still may, see `blotter.aws`; `at_aws` says that none may). It never holds a
    user name or password. `profile` is None when the SDK's own chain decides; `account` is None when nothing was
    said about it (then it is not checked). `sources` names the origin of each of these by field name.
    """

    app: str
    environment: str
    region: str
    endpoint: str | None
    profile: str | None
    account: str | None
    tables: dict[str, ConfiguredTable]
    sources: dict[str, str]
    document: Document
    sections: dict[str, dict[str, Any]]
    environ: Mapping[str, str]

    @property
    def at_aws(self) -> bool:
        """Amazon's own endpoint was requested by name: the SDK's configured endpoints do not count."""
        return self.endpoint is None and self.sources["endpoint"] != "default"

    def table(self, label: str) -> ConfiguredTable:
        """The table declared as `[tables.<label>]`; ConfigurationError names those that are declared."""
        try:
            return self.tables[label]
        except KeyError:
            known = ", ".join(self.tables) or "none"
            raise ConfigurationError(
                f"{self.document.path}: no table {label!r} is declared (declared: {known}); add [tables.{label}]"
            ) from None

    def section(self, name: str, kind: type[Section]) -> Section:
        """The application's settings `[<name>]` as `kind`, a msgspec Struct whose defaults are the defaults.

        Precedence: BLOTTER_<NAME>_<FIELD> > [environments.<env>.<name>] > [<name>] > the Struct's default.
        """
        values = dict(self.sections.get(name, {}))
        known = {field.encode_name for field in msgspec.structs.fields(kind)}  # type: ignore[arg-type]
        for unknown in values.keys() - known:
            raise self.document.error(
                (name, unknown), f"unknown setting {unknown!r}; known: {', '.join(sorted(known))}"
            )
        given = {
            field: variable
            for field in known
            if self.environ.get(variable := f"BLOTTER_{name}_{field}".upper().replace("-", "_"))
        }
        values |= {field: self.environ[variable] for field, variable in given.items()}
        try:
            return msgspec.convert(values, kind, strict=False)
        except msgspec.ValidationError as error:
            what, path = mistake(error)
            if path and path[0] in given:
                raise ConfigurationError(f"{given[path[0]]}: {what}") from None
            raise self.document.error((name, *path), what) from None


def load_configuration(
    path: str | os.PathLike[str] | None = None,
    environment: str | None = None,
    flags: Flags | None = None,
    environ: Mapping[str, str] | None = None,
    *,
    needs_file: bool = True,
) -> Configuration:
    """Read the file, choose the environment, settle every value. Raises ConfigurationError.

    `path`: the file (else BLOTTER_CONFIG, else `blotter.toml` here or in a folder above). `environment`: its name
    (else BLOTTER_ENV, else the file's `environment`, else "dev"). Without `needs_file`, no file is no error unless
    one or an environment of one is asked for: then flags and variables alone give the settings.
    """
    flags = flags or Flags()
    environ = os.environ if environ is None else environ
    found = _find_file(path, environ)
    if found is None:
        if needs_file or environment or _from_environment("environment", environ):
            raise _no_file()
        return _without_file(flags, environ)
    document, file = _read(found)
    chosen = _choose_environment(document, file, environment, environ)
    # Every environment is checked, so that a mistake under [environments.prod] is found before production.
    declared = {
        name: document.convert(raw, _Environment, ("environments", name))
        for name, raw in file.environments.items()
    }
    env = declared[chosen.value]
    document = Document(found, document.lines, chosen.value)
    settings = {
        field: _settle(field, flags, environ, env, document.where(("environments", chosen.value, field)))
        for field in _FLAGS
    }
    _check_settings(settings)
    tables = _tables(document, file.app, merge(file.tables, env.tables), flags, environ)
    for table in tables.values():
        _agree(table, settings)
    region, endpoint = settings["region"], settings["endpoint"]
    if region is None:
        raise ConfigurationError(
            f"{found}: no region for environment {chosen.value!r}; set region under [environments.{chosen.value}],"
            " AWS_REGION or --region"
        )
    return Configuration(
        app=file.app,
        environment=chosen.value,
        region=region.value,
        endpoint=None if endpoint is None or endpoint.value == AWS_ENDPOINT else _address(endpoint.value),
        profile=_value(settings["profile"]),
        account=_value(settings["account"]),
        tables=tables,
        sources={"environment": chosen.source}
        | {name: setting.source if setting else "default" for name, setting in settings.items()},
        document=document,
        sections={"crimes": merge(file.crimes, env.crimes)},
        environ=environ,
    )


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`over` laid on `base`: tables are merged key by key, every other value is replaced."""
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = merge(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def _without_file(flags: Flags, environ: Mapping[str, str]) -> Configuration:
    """What flags and variables say alone."""
    document = Document(Path())
    settings = {field: _settle(field, flags, environ, _Environment(), "") for field in _FLAGS}
    _check_settings(settings)
    _tables(document, "", {}, flags, environ)
    region, endpoint = settings["region"], settings["endpoint"]
    if region is None:
        raise ConfigurationError(f"no region; set AWS_REGION or --region, or name a {FILE_NAME} with --config")
    return Configuration(
        app="",
        environment="",
        region=region.value,
        endpoint=None if endpoint is None or endpoint.value == AWS_ENDPOINT else _address(endpoint.value),
        profile=_value(settings["profile"]),
        account=_value(settings["account"]),
        tables={},
        sources={name: setting.source if setting else "default" for name, setting in settings.items()},
        document=document,
        sections={},
        environ=environ,
    )


def _find_file(path: str | os.PathLike[str] | None, environ: Mapping[str, str]) -> Path | None:
    given = _from_environment("file", environ)
    for name, source in ((path, "--config"), (given and given.value, "BLOTTER_CONFIG")):
        if name:
            if _is("dir", Path(name)):
                raise ConfigurationError(
                    f"{name}: is a directory ({source} names it); name the {FILE_NAME} inside it"
                )
            if not _is("file", Path(name)):
                raise ConfigurationError(f"{name}: no such configuration file ({source} names it)")
            return Path(name)
    try:
        here = Path.cwd()
    except OSError as error:
        raise ConfigurationError(
            f"the current directory cannot be read ({error.strerror}); name {FILE_NAME} with --config"
        ) from None
    for folder in (here, *here.parents):
        if _is("file", folder / FILE_NAME):
            # Shown relative where that is shorter to read; it is only ever opened and printed.
            return Path(FILE_NAME) if folder == here else folder / FILE_NAME
    return None


def _no_file() -> ConfigurationError:
    return ConfigurationError(
        f"no {FILE_NAME} in {Path.cwd()} or any folder above; run `blotter tables init` for one,"
        " or name it with --config or BLOTTER_CONFIG"
    )


def _is(kind: str, path: Path) -> bool:
    """A name the system cannot look up (too long, a NUL in it, a closed folder) is no file and no directory."""
    try:
        return path.is_dir() if kind == "dir" else path.is_file()
    except (OSError, ValueError):
        return False


def _read(path: Path) -> tuple[Document, _File]:
    text = read_text(path)
    raw = parse_toml(path, text)
    document = Document(path, key_lines(text))
    file = document.convert(raw, _File)
    if not file.app:
        raise ConfigurationError(f'{path}: names no app; add the line app = "<name>" at its top')
    return document, file


def _choose_environment(document: Document, file: _File, flag: str | None, environ: Mapping[str, str]) -> Setting:
    given = _from_environment("environment", environ)
    chosen = (
        (Setting(flag, "--env") if flag else None)
        or given
        or (Setting(file.environment, document.where(("environment",))) if file.environment else None)
        or Setting(DEFAULT_ENVIRONMENT, "default")
    )
    if chosen.value not in file.environments:
        known = ", ".join(file.environments) or "none"
        raise ConfigurationError(
            f"{document.path}: no environment {chosen.value!r} ({chosen.source} asks for it; declared: {known});"
            f" add [environments.{chosen.value}] or choose another"
        )
    return chosen


def _settle(field: str, flags: Flags, environ: Mapping[str, str], env: _Environment, place: str) -> Setting | None:
    """flag > environment variable > file; None leaves the default to the reader of the setting."""
    if flag := getattr(flags, field):
        return Setting(flag, _FLAGS[field])
    ignored = field == "endpoint" and environ.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "").lower() == "true"
    if not ignored and (given := _from_environment(field, environ)):
        return given
    value = getattr(env, field)
    return Setting(value, place) if value else None


def _from_environment(field: str, environ: Mapping[str, str]) -> Setting | None:
    return _first((environ.get(name), name) for name in ENVIRONMENT_VARIABLES[field])


def _first(candidates: Iterable[tuple[str | None, str]]) -> Setting | None:
    """The first candidate with a value. An empty variable counts as not set."""
    return next((Setting(value, source) for value, source in candidates if value), None)


def _value(setting: Setting | None) -> str | None:
    return setting.value if setting else None


def _check_settings(settings: Mapping[str, Setting | None]) -> None:
    region, endpoint, account = settings["region"], settings["endpoint"], settings["account"]
    if region and not re.fullmatch(r"[a-z0-9-]+", region.value):
        raise ConfigurationError(f"{region.source}: {region.value!r} is not a region; write it like us-east-1")
    if account and not re.fullmatch(r"\d{12}", account.value):
        raise ConfigurationError(f"{account.source}: {account.value!r} is not an account; give its 12 digits")
    if endpoint and endpoint.value != AWS_ENDPOINT and not _is_url(endpoint.value):
        said = "what is given" if "@" in endpoint.value else repr(endpoint.value)  # it may hold a password
        raise ConfigurationError(
            f"{endpoint.source}: {said} is not an endpoint; write http://host:port, https://host or"
            f' "{AWS_ENDPOINT}"'
        )


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        address = parts.scheme in ("http", "https") and bool(parts.hostname)
        return address and (parts.port is None or parts.port > 0) and not (parts.query or parts.fragment)
    except ValueError:
        return False


def _address(url: str) -> str:
    """The URL without a user name and password: the SDKs send neither, and they must not be printed."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])).rstrip("/")


def _tables(
    document: Document, app: str, declared: Mapping[str, Any], flags: Flags, environ: Mapping[str, str]
) -> dict[str, ConfiguredTable]:
    for label in flags.names.keys() - declared.keys():
        known = ", ".join(declared) or "none"
        raise ConfigurationError(f"--name {label}: {document.path} declares no such table (declared: {known})")
    tables: dict[str, ConfiguredTable] = {}
    for label, raw in declared.items():
        table = _table(document, app, label, dict(raw), flags, environ)
        for other in tables.values():
            if other.name == table.name:
                raise ConfigurationError(
                    f"{table.source}: table {label!r} is named {table.name!r}, and so is {other.label!r};"
                    " give them different names"
                )
        tables[label] = table
    return tables


def _table(
    document: Document, app: str, label: str, raw: dict[str, Any], flags: Flags, environ: Mapping[str, str]
) -> ConfiguredTable:
    at: KeyPath = ("tables", label)
    if not LABEL.fullmatch(label):
        raise document.error(at, "a table's label begins with a letter; then letters, digits, '-' and '_'")
    for key in ("name", "purpose"):
        if not isinstance(raw.get(key, ""), str):
            raise document.error((*at, key), "expected a string")
    variable = f"{label}_TABLE".upper().replace("-", "_")
    convention = f"{app}-{raw.pop('purpose', '') or label}-{document.environment}"
    name = _first(
        (
            (flags.names.get(label), f"--name {label}"),
            (environ.get(variable), variable),
            (raw.pop("name", None), document.where((*at, "name"))),
            (convention, document.where(at)),
        )
    )
    arn = _ARN.fullmatch(name.value) if name else None
    if name is None or (arn is None and not TABLE_NAME.fullmatch(name.value)):
        raise ConfigurationError(
            f"{name.source if name else document.where(at)}: {name.value if name else ''!r} is not a table name;"
            " use 3 to 255 of A-Z a-z 0-9 _ . - or a table's ARN"
        )
    return ConfiguredTable(
        label=label,
        name=arn["name"] if arn else name.value,
        source=name.source,
        declaration=raw,
        arn=name.value if arn else None,
    )


def _agree(table: ConfiguredTable, settings: dict[str, Setting | None]) -> None:
    """An ARN fixes region and account: they come from it where nothing else is set, else they must agree."""
    arn = _ARN.fullmatch(table.arn or "")
    if arn is None:
        return
    for field in ("region", "account"):
        configured = settings[field]
        if configured is None:
            settings[field] = Setting(arn[field], table.source)
        elif configured.value != arn[field]:
            raise ConfigurationError(
                f"{table.source} names {field} {arn[field]}, but {configured.source} says {configured.value};"
                " change one of them"
            )
