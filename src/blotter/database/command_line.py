"""What commands on a data directory have in common: the options that each of them declares, and how help looks."""

from __future__ import annotations

import os

import click
from click.core import ParameterSource

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


def refuse_other_store(context: click.Context, _parameter: click.Parameter | None, value: str) -> str:
    """The value of `--data-dir`. Ends the command if the data are in PostgreSQL."""
    given = context.get_parameter_source("data_dir") is ParameterSource.COMMANDLINE
    if os.environ.get("BLOTTER_STORE") and not given:
        click.echo(
            f"{context.command_path}: BLOTTER_STORE names a store in PostgreSQL, and this command works on a data "
            "directory: name one with --data-dir, or see `blotter store --help`",
            err=True,
        )
        context.exit(2)
    return value


def json_option() -> click.Option:
    """Commands get `as_json`."""
    return click.Option(["--json", "as_json"], is_flag=True, help="Print the result as JSON.")


def print_json(value: object) -> None:
    """Prints a result of structs, for `--json`."""
    import msgspec

    click.echo(msgspec.json.format(msgspec.json.encode(value)).decode())
