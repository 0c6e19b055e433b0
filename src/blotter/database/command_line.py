"""What commands on a data directory have in common: the options that each of them declares, and how help looks."""

from __future__ import annotations

import click

CONTEXT_SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 110}
"""The `context_settings` of every command and group."""


def data_dir_option() -> click.Option:
    """Commands get the directory's path as `data_dir`, a text."""
    return click.Option(
        ["--data-dir"],
        default="blotter-data",
        envvar="BLOTTER_DATA_DIR",
        metavar="DIR",
        help="Directory that holds the data.  [BLOTTER_DATA_DIR; default: blotter-data]",
    )


def json_option() -> click.Option:
    """Commands get `as_json`."""
    return click.Option(["--json", "as_json"], is_flag=True, help="Print the result as JSON.")
