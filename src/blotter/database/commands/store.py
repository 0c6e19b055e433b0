"""`blotter store` on the command line: commands on whole stores.

Exit status of `init` and `upgrade`: 0 done, or there was nothing to do; 2 the store cannot be used. Of `check`:
0 no damage, 1 damage, 2 the store cannot be checked. That of `copy` is documented in `store_copy.cli`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

from blotter.database.commands.options import CONTEXT_SETTINGS, json_option, master_key_option, store_option
from blotter.database.encryption.master_keys import MasterKey
from blotter.database.inspection.cli import end_with_report
from blotter.database.storage.postgres.connections.url import StoreUrl
from blotter.database.store_copy.cli import copy_command
from blotter.usage import CommandGroup

T = TypeVar("T")


def _init(store: StoreUrl, master_key: MasterKey | None) -> None:
    def work() -> bool:
        from blotter.database.storage.postgres.layout.setting_up import init_store

        return init_store(store, master_key)

    made = _run("init", work)
    click.echo(
        f"{store.shown}: {'the store was made' if made else 'there is a store already; nothing was changed'}"
    )


def _upgrade(store: StoreUrl) -> None:
    def work() -> tuple[int, int]:
        from blotter.database.storage.postgres.layout.setting_up import upgrade_store

        return upgrade_store(store)

    before, after = _run("upgrade", work)
    done = f"format {after}; nothing to do" if before == after else f"upgraded from format {before} to {after}"
    click.echo(f"{store.shown}: {done}")


def _check(store: StoreUrl, as_json: bool) -> None:
    def work() -> Any:
        from blotter.database.inspection.postgres_check import check_postgres

        return check_postgres(store)

    end_with_report(_run("check", work), as_json)


def _run(command: str, work: Callable[[], T]) -> T:
    from blotter.database.storage.protocol import DataDirectoryError
    from blotter.database.storage.stores import needs_postgres

    try:
        with needs_postgres():
            return work()
    except DataDirectoryError as error:
        click.echo(f"blotter store {command}: {error}", err=True)
        sys.exit(2)


init_command = click.Command(
    "init",
    callback=_init,
    params=[store_option(), master_key_option(what="the secrets in a store that is to have one")],
    context_settings=CONTEXT_SETTINGS,
    short_help="Make an empty store in a PostgreSQL database.",
    help="""Make an empty store in a PostgreSQL database: a schema (blotter, or ?schema=NAME) with its tables and
functions. The database must exist, with encoding UTF8, and the user be allowed to create a schema in it.

Safe to run again, and many times at once. With a master key, the secrets that the servers share are stored wrapped
by it, and every server needs it. PostgreSQL's own files are not encrypted by it.

Exit status: 0 there is a store now, 2 it cannot be made.""",
)

upgrade_command = click.Command(
    "upgrade",
    callback=_upgrade,
    params=[store_option()],
    context_settings=CONTEXT_SETTINGS,
    short_help="Bring a store in PostgreSQL to the format of this version.",
    help="""Bring a store in PostgreSQL to the format of this version of blotter, in one transaction.

If the formats differ, the connections of servers of the older format are ended, and they are refused from then on:
start servers of this version after it. If the formats are the same, nothing is done, and servers of both versions
can be used at the same time.

Exit status: 0 the store has the format now, 2 it cannot be upgraded; nothing was changed then.""",
)

check_command = click.Command(
    "check",
    callback=_check,
    params=[store_option(), json_option()],
    context_settings=CONTEXT_SETTINGS,
    short_help="Check a store in PostgreSQL for damage; servers may use it.",
    help="""Check a store in PostgreSQL for damage, without changing anything. Servers may use it meanwhile.

Compares statistics and counters with what is stored, key spaces with the catalog, items with their keys and index
entries and these with their items, streams with their tables, and the change log with the items. PostgreSQL's own
files are checked by its own tools (pg_amcheck, data checksums).

Exit status: 0 no damage, 1 damage, 2 the store cannot be checked.""",
)

store = CommandGroup(
    "store",
    commands=[init_command, upgrade_command, check_command, copy_command],
    context_settings=CONTEXT_SETTINGS,
    short_help="Make, upgrade, check and copy whole stores.",
    help="Make, upgrade and check a store in PostgreSQL; copy any store into another one.",
)
