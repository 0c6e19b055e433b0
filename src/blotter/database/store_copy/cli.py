"""`blotter store copy` on the command line.

Exit status: 0 when the copy is complete and compared; 1 when it is not what the source is; 2 when one of the two
stores cannot be used.
"""

from __future__ import annotations

import asyncio
import signal
from functools import partial
from pathlib import Path

import click

from blotter.database.commands.hidden_arguments import hide_password
from blotter.database.commands.options import CONTEXT_SETTINGS, json_option, master_key_option, print_json
from blotter.database.commands.reporting import Progress, fail, tell
from blotter.database.encryption.master_keys import MasterKey

_COMMAND = "store copy"


def _copy(
    source: str,
    target: str,
    stops_source: bool,
    source_files: str | None,
    target_files: str | None,
    as_json: bool,
    master_key: MasterKey | None,
    target_master_key: MasterKey | None,
) -> None:
    for location in (source, target):
        hide_password(location)
    from blotter.database.storage.protocol import DataDirectoryError, StorageUnavailable
    from blotter.database.storage.sqlite.read_only import DamagedFile
    from blotter.database.store_copy.comparing import CopyFailed
    from blotter.database.store_copy.ends import source_at, target_at
    from blotter.database.store_copy.running import left_behind, run_copy

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        from_end = source_at(source, master_key, _path(source_files))
        to_end = target_at(target, target_master_key, _path(target_files))
    except ValueError as error:
        fail(_COMMAND, f"FROM and TO must each be {error}", 2)
    except DataDirectoryError as error:
        fail(_COMMAND, str(error), 2)
    try:
        copied = asyncio.run(
            run_copy(from_end, to_end, Progress(_COMMAND), partial(tell, _COMMAND), stops_source=stops_source)
        )
    except KeyboardInterrupt:
        fail(_COMMAND, "interrupted; the target cannot be used: repeat the command, which begins anew", 130)
    except (CopyFailed, DamagedFile) as error:
        fail(_COMMAND, f"{error}; the target cannot be used", 1)
    except (DataDirectoryError, StorageUnavailable) as error:
        fail(_COMMAND, str(error), 2)
    not_copied = left_behind(from_end, to_end)
    if as_json:
        spaces = [space._asdict() for space in copied.spaces]
        print_json({**copied._asdict(), "spaces": spaces, "not_copied": not_copied})
        return
    click.echo(
        f"{to_end.description}: {copied.tables} tables with {copied.items} items, {copied.changes} changes "
        f"applied, every row compared; the source was stopped for {copied.stopped_seconds:.1f} s"
    )
    for place in not_copied:
        click.echo(f"not copied: {place}")
    click.echo(f"Start servers on {to_end.description}, and no longer on {from_end.description}.")


def _path(directory: str | None) -> Path | None:
    return None if directory is None else Path(directory)


copy_command = click.Command(
    "copy",
    callback=_copy,
    context_settings=CONTEXT_SETTINGS,
    short_help="Copy a whole store into an empty one while servers use it.",
    help="""Copy everything in the store FROM into the store TO, which must be empty or missing.

Tables with their items, indexes and streams, users and policies, keys, backups and metrics come along; streams and
their readers go on where they were. A store is a data directory, or postgresql://USER@HOST:PORT/DATABASE.

Servers may use FROM meanwhile. When few changes are left, the command asks you to stop them (or stops the one on a
data directory itself, with --stop-source), copies the rest, compares every row, and is done: start servers on TO.
Interrupted at any moment, TO cannot be used, and FROM is as it was; begin anew then.

Backups and exports in a data directory and the audit trail come along. A store in PostgreSQL has no directory:
name the one that its servers use with --source-files or --target-files, or take these files along yourself.

Exit status: 0 copied and compared, 1 the copy differs, 2 one of the two cannot be used.""",
    params=[
        click.Argument(["source"], metavar="FROM"),
        click.Argument(["target"], metavar="TO"),
        click.Option(
            ["--stop-source", "stops_source"],
            is_flag=True,
            help="Stop the server on FROM once the copy has caught up, instead of waiting until somebody does.",
        ),
        click.Option(
            ["--source-files"], metavar="DIR", help="The data directory of the servers on FROM in PostgreSQL."
        ),
        click.Option(
            ["--target-files"], metavar="DIR", help="The data directory of the servers on TO in PostgreSQL."
        ),
        json_option(),
        master_key_option(what="FROM, if it is encrypted"),
        master_key_option("--target-master-key", "BLOTTER_TARGET_MASTER_KEY", "TO, if it is to be encrypted"),
    ],
)
