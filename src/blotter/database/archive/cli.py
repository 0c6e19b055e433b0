"""`blotter recover` and `blotter archive status` on the command line.

Exit status: 0 when it is done, or the archive is complete and keeps up; 1 when there is damage, or the archive is
behind; 2 when the archive or the directory cannot be used, or there is none.
"""

from __future__ import annotations

import signal
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from blotter.database.commands.options import (
    CONTEXT_SETTINGS,
    data_dir_option,
    json_option,
    master_key_option,
    print_json,
    store_option,
)
from blotter.database.commands.reporting import Progress, fail
from blotter.database.encryption.master_keys import MasterKey
from blotter.database.storage.postgres.connections.url import StoreUrl
from blotter.usage import CommandGroup

if TYPE_CHECKING:
    from blotter.database.archive.status import Status


def _recover(source: str, target: str, at: float | None, as_json: bool, master_key: MasterKey | None) -> None:
    from blotter.database.archive.choosing import NotRecoverable
    from blotter.database.archive.layout import DamagedArchive
    from blotter.database.archive.recovering import recover
    from blotter.database.copies.format import DamagedCopy
    from blotter.database.copies.objects import ObjectsUnavailable, open_objects
    from blotter.database.copies.segments import DamagedSegment
    from blotter.database.inspection.snapshot import UnsoundCopy
    from blotter.database.inspection.text import report_lines
    from blotter.database.model.timestamps import iso
    from blotter.database.storage.protocol import DataDirectoryError, StorageUnavailable

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        found = recover(open_objects(source), Path(target), at, master_key, Progress("recover"))
    except KeyboardInterrupt:
        fail("recover", "interrupted; nothing was kept", 130)
    except (DamagedArchive, DamagedCopy, DamagedSegment) as error:
        fail("recover", str(error), 1)
    except UnsoundCopy as error:
        click.echo("\n".join(report_lines(error.report)), err=True)
        fail("recover", "what was built is not sound, and was not kept", 1)
    except (NotRecoverable, ObjectsUnavailable, DataDirectoryError, StorageUnavailable, ValueError) as error:
        fail("recover", str(error), 2)
    for arn in found.left_out:
        click.echo(f"blotter recover: {arn} was being restored or imported, and was left out", err=True)
    if found.passed_over is not None:
        click.echo(
            f"blotter recover: what was shipped since {iso(found.passed_over)} is not in it: that epoch of the "
            "archive has no complete base",
            err=True,
        )
    if as_json:
        print_json({"directory": target, **found._asdict()})
        return
    click.echo(
        f"{target}: {found.tables} tables with {found.items} items, as they were at {iso(found.time)} "
        f"({found.changes} changes replayed), no damage found"
    )


def _status(data_dir: str, as_json: bool, master_key: MasterKey | None, store: StoreUrl | None) -> None:
    from blotter.database.archive.archiver import BEHIND_SECONDS

    if _names_directory():
        store = None  # BLOTTER_STORE is about another one
    place = data_dir if store is None else store.shown
    status = _status_of_directory(data_dir, master_key) if store is None else _status_of_store(store, master_key)
    if status is None:
        fail("archive status", f"{place} has no archive: start its server with --archive", 2)
    if as_json:
        print_json(status)
    else:
        _print_status(status)
    keeps_up = status.base_at is not None and not status.is_lost and status.seconds_behind <= BEHIND_SECONDS
    sys.exit(0 if keeps_up else 1)


def _names_directory() -> bool:
    """Whether the command line names a directory, and no store."""
    source = click.get_current_context().get_parameter_source
    return source("data_dir") is ParameterSource.COMMANDLINE and source("store") is not ParameterSource.COMMANDLINE


def _status_of_directory(data_dir: str, master_key: MasterKey | None) -> Status | None:
    import apsw

    from blotter.database.archive.status import read_status
    from blotter.database.storage.protocol import DataDirectoryError
    from blotter.database.storage.sqlite.checksums import error_text
    from blotter.database.storage.sqlite.read_only import DamagedFile

    try:
        return read_status(Path(data_dir), master_key)
    except (DataDirectoryError, DamagedFile) as error:
        fail("archive status", str(error), 2)
    except apsw.Error as error:
        fail("archive status", error_text(error), 2)


def _status_of_store(url: StoreUrl, master_key: MasterKey | None) -> Status | None:
    from blotter.database.archive.status import read_store_status
    from blotter.database.storage.protocol import DataDirectoryError, StorageUnavailable
    from blotter.database.storage.stores import postgres_store

    try:
        store = postgres_store(url, master_key)
        store.claim()
        return read_store_status(store)
    except (DataDirectoryError, StorageUnavailable) as error:
        fail("archive status", str(error), 2)


def _print_status(status: Status) -> None:
    from blotter.database.model.timestamps import iso

    click.echo(f"archive    {status.archive}, epoch {status.epoch}")
    click.echo(f"shipped    up to change {status.shipped_through}, at {iso(status.shipped_at)}")
    if status.is_lost:
        click.echo("behind     for so long that changes are no longer kept for it; a new epoch begins")
    else:
        click.echo(f"behind     {status.seconds_behind:.1f} s, {status.entries_behind} changes")
    if status.base_at is None:
        click.echo("base       none yet: nothing can be recovered from this epoch")
    else:
        click.echo(f"base       complete since {iso(status.base_at)}")
    if status.tables_waiting:
        click.echo(f"waiting    {status.tables_waiting} restored or imported tables are still to be copied")


class _Time(click.ParamType[float]):
    name = "TIME"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        text = str(value)
        try:
            return float(text)
        except ValueError:
            pass
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            self.fail("must be a time such as 2026-11-29T12:00:00Z, or seconds since 1970", param, ctx)
        if moment.tzinfo is None:
            self.fail("must say its time zone, such as 2026-11-29T12:00:00Z", param, ctx)
        return moment.timestamp()


recover_command = click.Command(
    "recover",
    callback=_recover,
    context_settings=CONTEXT_SETTINGS,
    short_help="Build a data directory out of an archive, as of now or of a time.",
    help="""Build a data directory out of an archive that a server has shipped with --archive.

All tables, users and policies are as they were at one moment: the last that was shipped, or the time of --at.
The directory is checked for damage before it gets its name; whatever happens before, it is not there. Start a
server on it with --data-dir. An archive of encrypted data needs their master key.
""",
    params=[
        click.Option(
            ["--from", "source"],
            required=True,
            metavar="URL",
            help="The archive: file:///FOLDER or s3://BUCKET/PREFIX.",
        ),
        click.Option(
            ["--to", "target"], required=True, metavar="DIR", help="The directory to build; missing or empty."
        ),
        click.Option(
            ["--at"],
            type=_Time(),
            metavar="TIME",
            help="As of this time (2026-11-29T12:00:00Z, or seconds since 1970); without it, as late as possible.",
        ),
        json_option(),
        master_key_option(),
    ],
)

archive = CommandGroup(
    "archive",
    context_settings=CONTEXT_SETTINGS,
    short_help="See how far the archive of a data directory is.",
    help="See how far the archive is that a server ships with --archive.",
)
archive.add_command(
    click.Command(
        "status",
        callback=_status,
        context_settings=CONTEXT_SETTINGS,
        short_help="How many seconds would be lost with the data.",
        help="""How far the archive of a data directory, or of a store in PostgreSQL, is, and how many seconds of
changes would be lost with it.

Works beside running servers. Exit status 0: a base is complete and the log is shipped; 1: not; 2: there is no
archive, or the directory or store cannot be read.
""",
        params=[data_dir_option(), json_option(), master_key_option(), store_option(required=False)],
    )
)
