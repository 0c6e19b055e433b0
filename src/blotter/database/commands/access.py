"""`blotter access` on the command line: root keys and accounts of a data directory whose server is down, or of a
store in PostgreSQL.

Everything else about access (users, roles, policies, further keys) is done through IAM's API, while the server
runs.
Exit status: 0 done, 1 the directory is in use or its files cannot be written, 2 it is no data directory or the
account is not right. Nothing is changed unless it is 0.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from blotter.database.commands.options import CONTEXT_SETTINGS, data_dir_option, master_key_option, store_option
from blotter.database.commands.reporting import fail
from blotter.database.encryption.master_keys import MasterKey
from blotter.database.storage.postgres.connections.url import StoreUrl
from blotter.usage import CommandGroup

if TYPE_CHECKING:
    from blotter.database.security.root_key import RootKeys

_ACCOUNT = click.Option(
    ["--account"],
    default="123456789012",
    envvar="BLOTTER_ACCOUNT",
    metavar="ACCOUNT",
    help="The account, 12 digits.  [BLOTTER_ACCOUNT; default: 123456789012]",
)


class _Refused(Exception):
    """The account is not right; the message is for the operator."""


def _reset_root(data_dir: str, account: str, master_key: MasterKey | None, store: StoreUrl | None) -> None:
    async def work(roots: RootKeys) -> Path:
        accounts = await roots.accounts()
        if account not in accounts:
            known = f"it has {', '.join(accounts)}" if accounts else "access was never enforced there"
            raise _Refused(f"there is no account {account} in {_shown(data_dir, store)}: {known}")
        return await roots.replace(account)

    path = _with_root_keys("reset-root", data_dir, account, master_key, store, work)
    click.echo(f"blotter access: account {account} has a new root key, and its old ones are deleted: {path}")


def _add_account(account: str, data_dir: str, master_key: MasterKey | None, store: StoreUrl | None) -> None:
    async def work(roots: RootKeys) -> Path:
        path = await roots.ensure(account)
        if path is None:
            raise _Refused(f"{_shown(data_dir, store)} has an account {account} already")
        return path

    path = _with_root_keys("add-account", data_dir, account, master_key, store, work)
    click.echo(f"blotter access: account {account} was added; its root key is in {path}")


def _with_root_keys(
    command: str,
    data_dir: str,
    account: str,
    master_key: MasterKey | None,
    url: StoreUrl | None,
    work: Callable[[RootKeys], Awaitable[Path]],
) -> Path:
    """Claims the directory and does the work on its store, or on the one in PostgreSQL, which servers may use."""
    from blotter.database.security.root_key import RootKeys
    from blotter.database.security.sealing import Sealer
    from blotter.database.storage.data_directory import make_directory
    from blotter.database.storage.protocol import DataDirectoryError, Storage
    from blotter.database.storage.sqlite.schema import FILE_NAME
    from blotter.database.storage.stores import postgres_store, store_at

    directory = Path(data_dir)
    if len(account) != 12 or not account.isascii() or not account.isdigit():
        _fail(command, f"an account has 12 digits, not '{account}'", 2)
    if url is None and not (directory / FILE_NAME).is_file():
        _fail(command, f"{directory} holds no blotter database", 2)

    async def run(storage: Storage) -> Path:
        return await work(RootKeys(storage, sealer, directory, time.time))

    try:
        if url is not None:
            make_directory(directory)
        store = store_at(f"sqlite:{directory}", master_key) if url is None else postgres_store(url, master_key)
        sealer = Sealer(lambda: store.secret_key("sealing"))
        store.claim()
        try:
            sealer.prepare()
            return store.run_apart(run)
        finally:
            store.release()
    except _Refused as error:
        _fail(command, str(error), 2)
    except DataDirectoryError as error:
        _fail(command, str(error), 1)


def _shown(data_dir: str, store: StoreUrl | None) -> str:
    return data_dir if store is None else store.shown


def _fail(command: str, message: str, status: int) -> NoReturn:
    fail(f"access {command}", message, status)


reset_root = click.Command(
    "reset-root",
    callback=_reset_root,
    params=[data_dir_option(), _ACCOUNT, master_key_option(), store_option(required=False)],
    context_settings=CONTEXT_SETTINGS,
    short_help="Make a new root key for an account; the old ones end.",
    help="""Make a new root key for an account, delete those that it has, and write the new one to the file from
which it was read first, root-credentials in the data directory. The server must be down, unless the data are in
PostgreSQL (--store): servers there follow within a second, and the file is written to --data-dir on this machine.

Exit status: 0 done, 1 the directory is in use or cannot be written, 2 there is no such directory or account.""",
)

add_account = click.Command(
    "add-account",
    callback=_add_account,
    params=[
        click.Argument(["account"], metavar="ACCOUNT"),
        data_dir_option(),
        master_key_option(),
        store_option(required=False),
    ],
    context_settings=CONTEXT_SETTINGS,
    short_help="Add an account, with tables and users of its own.",
    help="""Add an account (12 digits) and write its root key to root-credentials-ACCOUNT in the data directory
(root-credentials for the directory's first account). The server must be down, unless the data are in PostgreSQL
(--store): servers there follow within a second, and the file is written here. Accounts share nothing but the
server: each has its tables, users and roles, and reaches those of another only where their policies allow it.

Exit status: 0 done, 1 the directory is in use or cannot be written, 2 there is no such directory, or it has the
account already.""",
)

access = CommandGroup(
    "access",
    commands=[reset_root, add_account],
    context_settings=CONTEXT_SETTINGS,
    short_help="Root keys and accounts of a data directory whose server is down, or of a store in PostgreSQL.",
    help="""Root keys and accounts of a data directory whose server is down, or of a store in PostgreSQL.

Everything else (users, roles, policies, access keys) is done with `aws iam` while the server runs.""",
)
