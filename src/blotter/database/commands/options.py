"""What commands on data directories and stores have in common: their options, and how help and results look."""

from __future__ import annotations

import os
from typing import Any, Final

import click
from click.core import ParameterSource

from blotter.database.commands.hidden_arguments import hide_password
from blotter.database.encryption.master_keys import FORMS, MasterKey, parse_master_key
from blotter.database.storage.postgres.connections.url import FORM, StoreUrl

CONTEXT_SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 110}
"""The `context_settings` of every command and group."""


def data_dir_option(needs_data: bool = False) -> click.Option:
    """Commands get the directory's path as `data_dir`, a text. `needs_data`: the command works on the data in it,
    and refuses, with exit status 2, when it is not named and `BLOTTER_STORE` says that they are elsewhere."""
    return click.Option(
        ["--data-dir"],
        callback=refuse_other_store if needs_data else None,
        default="blotter-data",
        envvar="BLOTTER_DATA_DIR",
        metavar="DIR",
        help="Directory that holds the data.  [BLOTTER_DATA_DIR; default: blotter-data]",
    )


_INSTEAD: Final = {
    "check": "`blotter store check` looks for damage in the store",
    "inspect": "`blotter store check` looks for damage in the store, and psql shows its tables",
    "snapshot": "`blotter store copy` copies the store into a data directory, pg_basebackup all of PostgreSQL",
    "keys": "a store gets other keys by `blotter store copy` into a new one, which `blotter store init "
    "--master-key …` makes",
}
"""By command, what does its work for a store in PostgreSQL."""


def refuse_other_store(context: click.Context, _parameter: click.Parameter | None, value: str) -> str:
    """The value of `--data-dir`. Ends the command if the data are in PostgreSQL."""
    given = context.get_parameter_source("data_dir") is ParameterSource.COMMANDLINE
    if os.environ.get("BLOTTER_STORE") and not given:
        instead = [_INSTEAD[name] for name in context.command_path.split() if name in _INSTEAD]
        click.echo(
            f"{context.command_path}: BLOTTER_STORE names a store in PostgreSQL, and this command works on a data "
            f"directory: name one with --data-dir; {''.join(instead) or 'see `blotter store --help`'}",
            err=True,
        )
        context.exit(2)
    return value


class _StoreType(click.ParamType[StoreUrl]):
    name = "URL"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> StoreUrl:
        hide_password(str(value))
        try:
            return StoreUrl(str(value))
        except ValueError as error:
            self.fail(f"must be {error}", param, ctx)  # without the value, which may hold a password


def store_option(required: bool = True) -> click.Option:
    """Commands get a `StoreUrl` as `store`; None if it is not required and not given."""
    return click.Option(
        ["--store"],
        type=_StoreType(),
        envvar="BLOTTER_STORE",
        required=required,
        metavar="URL",
        help=f"The store in PostgreSQL: {FORM}.  [BLOTTER_STORE]",
    )


class _MasterKeyType(click.ParamType[MasterKey]):
    name = "KEY"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> MasterKey:
        try:
            return parse_master_key(str(value))
        except ValueError as error:
            self.fail(f"must be {error}", param, ctx)  # without the value, which may be a key


def master_key_option(
    flag: str = "--master-key", envvar: str | None = "BLOTTER_MASTER_KEY", what: str = "encrypted data"
) -> click.Option:
    """The option; commands get a `MasterKey` or None as `master_key`."""
    source = f"  [{envvar}]" if envvar else ""
    return click.Option(
        [flag],
        type=_MasterKeyType(),
        envvar=envvar,
        metavar="KEY",
        help=f"Master key of {what}: {FORMS}.{source}",
    )


def json_option() -> click.Option:
    """Commands get `as_json`."""
    return click.Option(["--json", "as_json"], is_flag=True, help="Print the result as JSON.")


def print_json(value: object) -> None:
    """Prints a result of structs, for `--json`."""
    import msgspec

    click.echo(msgspec.json.format(msgspec.json.encode(value)).decode())
