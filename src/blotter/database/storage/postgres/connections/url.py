"""Where a PostgreSQL store is: `postgresql://USER@HOST[:PORT][,HOST[:PORT]…]/DATABASE[?NAME=VALUE&…]`.

libpq's form of a connection URI with the parameters that mean something here, and one of ours: `schema`, the
PostgreSQL schema that holds the store. What is not given comes from libpq's environment variables (`PGHOST`,
`PGPASSWORD` …) and its password file. The password is in no representation and no message. Pure; reads nothing.
"""

from __future__ import annotations

from typing import Final, NamedTuple
from urllib.parse import parse_qsl, quote, unquote, urlsplit

FORM: Final = "postgresql://USER@HOST:PORT/DATABASE"
SCHEMES: Final = ("postgresql", "postgres")
DEFAULT_PORT: Final = 5432
DEFAULT_SCHEMA: Final = "blotter"
LONGEST_NAME: Final = 63
"""Bytes of a name in PostgreSQL; it cuts longer ones."""

_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_FILES = ("passfile", "sslrootcert", "sslcert", "sslkey", "sslcrl")
"""Parameters that name files, which are read when a connection is made."""
_PRIMARY = ("any", "primary", "read-write", "prefer-primary")


class Host(NamedTuple):
    """One server, by name, by address, or as the directory of its Unix socket. An empty name: libpq's default."""

    name: str
    port: int

    def __str__(self) -> str:
        if not self.name:
            return "the local server"
        if self.name.startswith("/"):
            return f"{self.name} port {self.port}"
        return f"[{self.name}]:{self.port}" if ":" in self.name else f"{self.name}:{self.port}"


class StoreUrl:
    """A parsed location. Equal to another one that says the same."""

    __slots__ = (
        "application",
        "connect_timeout",
        "database",
        "files",
        "hosts",
        "password",
        "schema",
        "ssl_mode",
        "user",
    )

    def __init__(self, text: str) -> None:
        """Raises ValueError with what it must be; the text itself is not in it, for it may hold a password."""
        try:
            parts = urlsplit(text)
        except ValueError:  # an unclosed bracket
            raise ValueError(FORM) from None
        if parts.scheme not in SCHEMES or parts.fragment:
            raise ValueError(FORM)
        login, _, places = parts.netloc.rpartition("@")
        given = _parameters(parts.query)
        user, _, password = login.partition(":")
        self.user = given.pop("user", "") or unquote(user)
        self.password = given.pop("password", "") or unquote(password)
        """Empty if it is to come from `PGPASSWORD` or a password file."""
        self.database = given.pop("dbname", "") or unquote(parts.path[1:])
        self.hosts = _hosts(unquote(given.pop("host", "")) or places, given.pop("port", ""))
        self.schema = _name("schema", given.pop("schema", DEFAULT_SCHEMA))
        self.application = given.pop("application_name", "blotter")
        self.connect_timeout = _seconds(given.pop("connect_timeout", "10"))
        """How long the start of a server waits for a primary to answer."""
        self.ssl_mode = _one_of("sslmode", given.pop("sslmode", ""), ("", *_SSL_MODES))
        self.files = {name: given.pop(name) for name in _FILES if name in given}
        _one_of("target_session_attrs", given.pop("target_session_attrs", "any"), _PRIMARY)
        if given:
            raise ValueError(f"{FORM} with known parameters; '{_shown(min(given))}' is none")

    @property
    def shown(self) -> str:
        """The URL as operators may see it: without the password."""
        user = f"{quote(self.user, safe='')}@" if self.user else ""
        places = ",".join(quote(str(host), safe="[]:") if host.name[:1] != "/" else "" for host in self.hosts)
        query = [f"schema={quote(self.schema, safe='')}"] if self.schema != DEFAULT_SCHEMA else []
        query += [f"host={host.name}&port={host.port}" for host in self.hosts if host.name.startswith("/")]
        shown = "" if self.hosts == (Host("", DEFAULT_PORT),) else places
        tail = f"?{'&'.join(query)}" if query else ""
        return f"postgresql://{user}{shown}/{quote(self.database, safe='')}{tail}"

    def __repr__(self) -> str:
        return f"StoreUrl({self.shown!r})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, StoreUrl):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self.__slots__)

    def __hash__(self) -> int:
        return hash((self.hosts, self.database, self.schema))


def _parameters(query: str) -> dict[str, str]:
    if not query:
        return {}
    try:
        given = parse_qsl(query, keep_blank_values=True, strict_parsing=True)
    except ValueError:
        raise ValueError(f"{FORM}?NAME=VALUE&…") from None
    return dict(given)


def _hosts(places: str, ports: str) -> tuple[Host, ...]:
    names, found = places.split(","), []
    other_ports = ports.split(",") if ports else []
    if len(other_ports) not in (0, 1, len(names)):
        raise ValueError(f"{FORM} with a port for each host")
    for number, place in enumerate(names):
        name, port = _place(unquote(place) if place.startswith("%2") else place)
        if other_ports:
            port = other_ports[number if len(other_ports) > 1 else 0]
        found.append(Host(name, _port(port)))
    return tuple(found)


def _place(place: str) -> tuple[str, str]:
    """The name and the port of `name:port`, `[::1]:port`, `/directory`."""
    if place.startswith("/"):
        return place, ""
    if place.startswith("["):
        name, _, port = place[1:].partition("]")
        if port and not port.startswith(":"):
            raise ValueError(FORM)
        return name, port[1:]
    name, _, port = place.partition(":")
    return unquote(name), port


def _port(text: str) -> int:
    if not text:
        return DEFAULT_PORT
    if not text.isascii() or not text.isdigit() or not 0 < int(text[:6]) < 65536:
        raise ValueError(f"{FORM} with a port from 1 to 65535")
    return int(text)


def _seconds(text: str) -> float:
    if not text.isascii() or not text.isdigit() or len(text) > 6:
        raise ValueError(f"{FORM}; connect_timeout is a whole number of seconds")
    return float(text)


def _name(what: str, text: str) -> str:
    if not text or "\x00" in text or len(text.encode()) > LONGEST_NAME or text.startswith("pg_"):
        raise ValueError(f"{FORM}; {what} has 1 to {LONGEST_NAME} bytes and does not begin with pg_")
    return text


def _one_of(what: str, text: str, allowed: tuple[str, ...]) -> str:
    if text not in allowed:
        known = ", ".join(name for name in allowed if name)
        raise ValueError(f"{FORM}; {what} is one of {known}: a front end needs the primary")
    return text


def _shown(name: str) -> str:
    return name if name.isprintable() else name.encode("unicode_escape").decode()
