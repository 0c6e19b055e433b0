"""`--store` of commands that work on a store in PostgreSQL."""

from __future__ import annotations

from typing import Any

import click

from blotter.database.hidden_arguments import hide_password
from blotter.database.storage.postgres.url import FORM, StoreUrl


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
