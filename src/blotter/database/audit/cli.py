"""`blotter audit show` and `blotter audit verify`.

Both read the files, whether the server runs or not, and change nothing. Exit status of verify: 0 nothing was
changed, 1 something was (a line for each), 2 there is no trail or it cannot be read. Of show: 0, or 2.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from blotter.database.commands.options import CONTEXT_SETTINGS, data_dir_option, json_option, master_key_option
from blotter.database.commands.reporting import fail
from blotter.database.encryption.master_keys import MasterKey
from blotter.printable import printable
from blotter.usage import CommandGroup

if TYPE_CHECKING:
    from blotter.database.audit.reading import Reader
    from blotter.database.encryption.directory_keys import DirectoryKeys

_AGO = re.compile(r"([0-9]{1,6})([smhd])", re.ASCII)
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_FOLLOW_SECONDS = 0.5
_REMEMBERED = 100_000


class Filter:
    """Which events are shown: of a user, of an operation, about a table, not before a time."""

    def __init__(self, user: str | None, operation: str | None, table: str | None, since: str) -> None:
        self._user = user
        self._operation = operation
        self._table = table
        self._since = since

    def passes(self, event: dict[str, Any]) -> bool:
        return (
            event["eventTime"] >= self._since
            and self._operation in (None, event["eventName"])
            and (self._user is None or self._user in _names(event["userIdentity"]))
            and (self._table is None or self._table in _tables(event))
        )


def _show(
    data_dir: str,
    follow: bool,
    user: str | None,
    operation: str | None,
    table: str | None,
    since: str | None,
    as_json: bool,
    master_key: MasterKey | None,
) -> None:
    from blotter.database.audit.reading import Reader

    folder, keys = _trail("show", data_dir, master_key)
    reader = Reader(folder, keys.file_cipher())
    wanted = Filter(user, operation, table, _moment(since) if since else "")
    try:
        for event in _following(reader) if follow else _existing(reader, set()):
            if wanted.passes(event):
                click.echo(_json(event) if as_json else line_of(event))
                sys.stdout.flush()
    except (KeyboardInterrupt, BrokenPipeError):
        sys.exit(0)


def _verify(data_dir: str, as_json: bool, master_key: MasterKey | None) -> None:
    from blotter.database.audit.keys import SECRET, AuditKeys
    from blotter.database.audit.verification import verify

    folder, keys = _trail("verify", data_dir, master_key)
    try:
        found = verify(folder, AuditKeys(keys.secret_key(SECRET)), keys.file_cipher())
    except OSError as error:
        _fail("verify", f"{folder} cannot be read: {error.strerror}")
    if as_json:
        click.echo(
            _json(
                {
                    "records": found.records,
                    "files": found.files,
                    "journals": found.journals,
                    "problems": found.problems,
                }
            )
        )
    else:
        for problem in found.problems:
            click.echo(printable(problem))
        what = f"{found.records} records in {found.files} files and {found.journals} journals"
        click.echo(f"{what}: {'nothing was changed' if not found.problems else 'the trail was changed'}")
    sys.exit(1 if found.problems else 0)


def line_of(event: dict[str, Any]) -> str:
    """One event for a person: when, who, what, on what, how it ended, from where."""
    identity = event["userIdentity"]
    moment = event["eventTime"].replace("T", " ").removesuffix("Z")
    who = next(iter(_names(identity)), identity["type"])
    about = ",".join(_tables(event)) or _subject(event)
    ended = event.get("errorCode", "ok")
    parts = (moment, who, event["eventName"], about or "-", ended, event.get("sourceIPAddress") or "-")
    return printable("  ".join(parts))


def _existing(reader: Reader, seen: set[str]) -> Iterator[dict[str, Any]]:
    """All events, in the order of their times within a day."""
    from blotter.database.audit.reading import decoded

    current = list(decoded(reader.current()))
    days: dict[str, list[Path]] = {}
    for path in reader.files():
        days.setdefault("-".join(path.parts[-4:-1]), []).append(path)
    for day in sorted({*days, *(event["eventTime"][:10] for event in current)}):
        events = [event for event in current if event["eventTime"][:10] == day]
        events += [event for path in days.get(day, ()) for event in decoded(reader.records(path))]
        yield from _unseen(events, seen)


def _following(reader: Reader) -> Iterator[dict[str, Any]]:
    """The events that are there, then each that is added, until Ctrl-C."""
    from blotter.database.audit.reading import decoded

    seen: set[str] = set()
    yield from _existing(reader, seen)
    read: dict[Path, int] = {}
    while True:
        time.sleep(_FOLLOW_SECONDS)
        if len(seen) > _REMEMBERED:
            seen.clear()
            read.clear()
            seen.update(event["eventID"] for event in decoded(reader.current()))
        added: list[dict[str, Any]] = []
        for path in [*reader.journals(), *reader.files()[-50:]]:
            try:
                size = path.stat().st_size
            except FileNotFoundError:
                continue
            if read.get(path) != size:
                read[path] = size
                added += decoded(reader.records(path))
        yield from _unseen(added, seen)


def _unseen(events: Iterable[dict[str, Any]], seen: set[str]) -> Iterator[dict[str, Any]]:
    from blotter.database.audit.reading import order_of

    for event in sorted(events, key=order_of):
        if event["eventID"] not in seen:
            seen.add(event["eventID"])
            yield event


def _names(identity: dict[str, Any]) -> list[str]:
    """What a person may call a caller: its name, its ARN, its access key."""
    name = "root" if identity["type"] == "Root" else identity.get("userName")
    role = identity.get("sessionContext", {}).get("sessionIssuer", {}).get("userName")
    session = str(identity.get("principalId", "")).partition(":")[2]
    named = (
        f"{role}/{session}" if role else name,
        role,
        session,
        identity.get("arn"),
        identity.get("accessKeyId"),
    )
    return [str(each) for each in named if each]


def _tables(event: dict[str, Any]) -> list[str]:
    found = (resource["ARN"] for resource in event.get("resources") or () if ":table/" in resource["ARN"])
    return list(dict.fromkeys(arn.rpartition(":table/")[2].partition("/")[0] for arn in found))


def _subject(event: dict[str, Any]) -> str:
    """What an event of IAM or STS is about."""
    parameters = event.get("requestParameters") or {}
    for member in ("userName", "roleName", "groupName", "policyName", "policyArn", "roleArn"):
        if isinstance(parameters.get(member), str):
            return str(parameters[member])
    return ""


def _moment(text: str) -> str:
    """An ISO time out of "2h", "3d", a date or a time; UTC where it names no zone."""
    ago = _AGO.fullmatch(text)
    if ago is not None:
        moment = datetime.fromtimestamp(time.time() - int(ago[1]) * _UNITS[ago[2]], UTC)
    else:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise click.BadParameter(
                f"{text!r} is no time; write 30m, 2h, 3d, 2026-11-28 or 2026-11-28T21:15:00Z",
                param_hint="--since",
            ) from None
        moment = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def _trail(command: str, data_dir: str, master_key: MasterKey | None) -> tuple[Path, DirectoryKeys]:
    from blotter.database.audit.keys import FOLDER
    from blotter.database.audit.verification import has_trail
    from blotter.database.encryption.directory_keys import open_keys
    from blotter.database.encryption.errors import MasterKeyError

    folder = Path(data_dir, FOLDER)
    if not has_trail(folder):
        _fail(command, f"{data_dir} has no audit trail")
    try:
        return folder, open_keys(Path(data_dir), master_key)
    except MasterKeyError as error:
        _fail(command, str(error))


def _json(value: Any) -> str:
    import orjson

    return orjson.dumps(value).decode()


def _fail(command: str, message: str) -> NoReturn:
    fail(f"audit {command}", printable(message), 2)


show = click.Command(
    "show",
    callback=_show,
    params=[
        data_dir_option(),
        click.Option(["--follow", "-f"], is_flag=True, help="Go on with each event that is added, until Ctrl-C."),
        click.Option(["--user"], metavar="NAME", help="Only of this user, role, session, ARN or access key."),
        click.Option(["--operation"], metavar="NAME", help="Only this operation, as in CreateTable."),
        click.Option(["--table"], metavar="NAME", help="Only about this table."),
        click.Option(["--since"], metavar="TIME", help="Only from then on: 30m, 2h, 3d, 2026-11-28, an ISO time."),
        click.Option(["--json", "as_json"], is_flag=True, help="Print each event as a line of JSON."),
        master_key_option(),
    ],
    context_settings=CONTEXT_SETTINGS,
    short_help="Show the events of the audit trail.",
    help="""Show the events of the audit trail, one a line: time (UTC), who, operation, table or subject, how it
ended, address. The server may run.""",
)

verify_command = click.Command(
    "verify",
    callback=_verify,
    params=[
        data_dir_option(),
        json_option(),
        master_key_option(),
    ],
    context_settings=CONTEXT_SETTINGS,
    short_help="Check that the audit trail was not changed.",
    help="""Check that the audit trail was not changed: that no file, journal or record was removed, changed,
inserted or moved. The server may run.

Exit status: 0 nothing was changed, 1 something was, with a line for each, 2 there is no trail.""",
)

audit = CommandGroup(
    "audit",
    commands=[show, verify_command],
    help="Show and check the audit trail of a database.",
    short_help="Show and check the audit trail.",
    context_settings=CONTEXT_SETTINGS,
)
