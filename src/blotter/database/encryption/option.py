"""`--master-key` of commands that work on a data directory."""

from __future__ import annotations

from typing import Any

import click

from blotter.database.encryption.master_keys import FORMS, MasterKey, parse_master_key


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
