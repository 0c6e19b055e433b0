"""`blotter check`, `blotter inspect` and `blotter snapshot` on the command line.

Exit status of all: 0 when all is well, 1 when damage was found, 2 when the directory cannot be read as a blotter
database at all.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TypeVar

import click

from blotter.database.commands.options import (
    CONTEXT_SETTINGS,
    data_dir_option,
    json_option,
    master_key_option,
    print_json,
    refuse_other_store,
)
from blotter.database.commands.reporting import Pace, fail, tell
from blotter.database.encryption.master_keys import MasterKey

if TYPE_CHECKING:
    from blotter.database.inspection.check import Report

T = TypeVar("T")

LARGE_BYTES = 100 << 20


def _check(data_dir: str, as_json: bool, master_key: MasterKey | None) -> None:
    from blotter.database.inspection.check import check

    end_with_report(_reading("check", lambda: check(Path(data_dir), master_key)), as_json)


def end_with_report(report: Report, as_json: bool) -> NoReturn:
    """Prints what a check of a store has found, and exits with the status that says it."""
    from blotter.database.inspection.text import report_lines

    if as_json:
        print_json({"path": report.path, "sound": report.is_sound, "checks": report.results})
    else:
        _print(report_lines(report))
    sys.exit(0 if report.is_sound else 1)


def _inspect(data_dir: str, as_json: bool, master_key: MasterKey | None) -> None:
    context = click.get_current_context()
    if context.invoked_subcommand is not None:
        given = [name for name in context.params if _is_given(context, name)]
        if given:
            raise click.UsageError(
                f"options come after the command: blotter inspect {context.invoked_subcommand} …"
            )
        return
    refuse_other_store(context, None, data_dir)
    from blotter.database.inspection.contents import read_contents
    from blotter.database.inspection.text import contents_lines

    contents = _reading("inspect", lambda: read_contents(Path(data_dir), master_key))
    if as_json:
        print_json(contents)
    else:
        _print(contents_lines(contents))


def _is_given(context: click.Context, name: str) -> bool:
    return context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE


def _partitions(
    table: str, index: str | None, hours: int, data_dir: str, as_json: bool, master_key: MasterKey | None
) -> None:
    from blotter.database.inspection.partition_text import partition_lines
    from blotter.database.inspection.partitions import read_partitions

    read = partial(read_partitions, Path(data_dir), table, index, hours, master_key)
    found = _reading("inspect", read)
    if as_json:
        print_json(found)
    else:
        unicode = (sys.stdout.encoding or "").lower().startswith("utf")
        _print(partition_lines(found, unicode=unicode))


def _snapshot(directory: str, data_dir: str, master_key: MasterKey | None) -> None:
    from blotter.database.inspection.snapshot import UnsoundCopy, snapshot
    from blotter.database.inspection.text import report_lines, size

    try:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        source, target = Path(data_dir), Path(directory)
        copied = _reading("snapshot", lambda: snapshot(source, target, _Progress(), master_key))
    except UnsoundCopy as error:
        _print(report_lines(error.report))
        fail("snapshot", f"{data_dir} has damage, and so had its copy; nothing was kept", 1)
    except KeyboardInterrupt:
        fail("snapshot", "interrupted; nothing was kept", 130)
    click.echo(f"{directory}: {size(copied)}, no damage found")


class _Progress:
    """Tells how much is copied, once it takes longer than people like to wait for."""

    def __init__(self) -> None:
        self._pace = Pace()

    def __call__(self, done: int, total: int) -> None:
        from blotter.database.inspection.text import size

        if self._pace.is_due():
            tell("snapshot", f"{size(done)} of {size(total)} copied")
        elif done == total and total >= LARGE_BYTES:
            tell("snapshot", "everything is copied, looking for damage")


def _reading(command: str, read: Callable[[], T]) -> T:
    import apsw

    from blotter.database.storage.protocol import DataDirectoryError
    from blotter.database.storage.sqlite.checksums import error_text, is_damage
    from blotter.database.storage.sqlite.read_only import DamagedFile

    try:
        return read()
    except DamagedFile as error:
        fail(command, str(error), 1)
    except DataDirectoryError as error:
        fail(command, str(error), 2)
    except apsw.Error as error:
        fail(command, error_text(error), 1 if is_damage(error) else 2)


def _print(lines: Iterator[str]) -> None:
    for line in lines:
        click.echo(line)


check_command = click.Command(
    "check",
    callback=_check,
    params=[data_dir_option(needs_data=True), master_key_option(), json_option()],
    context_settings=CONTEXT_SETTINGS,
    short_help="Check a data directory for damage; a server may run on it.",
    help="""Check a data directory for damage, without changing anything. A server may run on it meanwhile.

Compares pages with their checksums, or what the cipher authenticates, and structure; long bodies, statistics and
counters with what is stored; key spaces with the catalog; items with their keys and index entries, and these with
their items; streams with their tables, and the change log with the items.

Exit status: 0 no damage, 1 damage, 2 the directory cannot be checked.""",
)

inspect_command = click.Group(
    "inspect",
    callback=_inspect,
    invoke_without_command=True,
    params=[data_dir_option(), master_key_option(), json_option()],
    context_settings=CONTEXT_SETTINGS,
    short_help="Show what a data directory holds; a server may run on it.",
    help="""Show what a data directory holds: format, sizes, tables, indexes, streams, the change log, its readers.

Changes nothing; a server may run on the directory meanwhile. `blotter check` looks for damage.
`blotter inspect partitions TABLE` shows how items and traffic spread over the hash space.

Exit status: 0 shown, 1 damage, 2 the directory cannot be read.""",
)

inspect_command.add_command(
    click.Command(
        "partitions",
        callback=_partitions,
        params=[
            click.Argument(["table"], metavar="TABLE"),
            click.Option(["--index"], metavar="NAME", help="One of its secondary indexes instead."),
            click.Option(
                ["--hours"],
                type=click.IntRange(1, 360),
                default=24,
                show_default=True,
                help="How far back to look at the traffic.",
            ),
            data_dir_option(needs_data=True),
            master_key_option(),
            json_option(),
        ],
        context_settings=CONTEXT_SETTINGS,
        short_help="Show how a table's items and traffic spread over the hash space.",
        help="""Show how items and traffic of TABLE (a name or an ARN) spread over the hash space.

Items are counted in 64 parts, each in a short snapshot: a server may run on the directory meanwhile. Lists the
partition keys with the most items. Traffic and the hottest keys are what contributor insights have counted, so
they are shown once `aws dynamodb update-contributor-insights` has enabled these.

Exit status: 0 shown, 1 damage, 2 the directory cannot be read or has no such table.""",
    )
)

snapshot_command = click.Command(
    "snapshot",
    callback=_snapshot,
    params=[click.Argument(["directory"], metavar="DIR"), data_dir_option(needs_data=True), master_key_option()],
    context_settings=CONTEXT_SETTINGS,
    short_help="Copy a data directory, also one in use by a server.",
    help="""Copy a data directory to DIR, which must be missing or empty. A server may run on it meanwhile.

The copy is of the moment at which the command begins, and only its owner can read it. It gets its name after it
was checked as by `blotter check`, so that whatever interrupts the command leaves no DIR. A server starts on it as
on any data directory: `blotter serve --data-dir DIR`. The copy of encrypted data is encrypted as well, and opened
with the same master key.

Exit status: 0 copied, 1 damage, 2 the one cannot be read or the other cannot be written, 130 interrupted.""",
)
