"""A command group whose usage errors exit with 64 (sysexits.h, EX_USAGE) and whose Ctrl-C exits with 130.

click's own codes are 2 and 1, which `blotter tables` uses for "differs" and "refused": a mistyped command in a
nightly check must not look like a table that was changed by hand. The outermost group covers its subcommands.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

USAGE = 64
INTERRUPTED = 130


class CommandGroup(click.Group):
    """A group with that exit code, for itself and for everything below it."""

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        with _usage_errors():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with _usage_errors():
                return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("blotter: interrupted", err=True)
            raise click.exceptions.Exit(INTERRUPTED) from None


@contextmanager
def _usage_errors() -> Iterator[None]:
    try:
        yield
    except click.UsageError as error:
        error.exit_code = USAGE  # type: ignore[misc]  # click declares it a constant
        raise
