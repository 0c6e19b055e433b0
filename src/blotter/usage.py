"""A command group whose usage errors exit with 64 (sysexits.h, EX_USAGE).

click's own code is 2, which `blotter tables plan --check` and others use for "differs": a mistyped command in a
nightly check must not look like a table that was changed by hand. The outermost group covers its subcommands.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

USAGE = 64


class CommandGroup(click.Group):
    """A group with that exit code, for itself and for everything below it."""

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        with _usage_errors():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        with _usage_errors():
            return super().invoke(ctx)


@contextmanager
def _usage_errors() -> Iterator[None]:
    try:
        yield
    except click.UsageError as error:
        error.exit_code = USAGE  # type: ignore[misc]  # click declares it a constant
        raise
