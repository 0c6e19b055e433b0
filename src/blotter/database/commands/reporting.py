"""What commands say on standard error: how far they are, and why they end."""

from __future__ import annotations

import sys
import time
from typing import NoReturn

import click

PROGRESS_SECONDS = 2.0
"""A command that takes longer tells how far it is, every so often."""


def tell(command: str, message: str) -> None:
    click.echo(f"blotter {command}: {message}", err=True)


def fail(command: str, message: str, status: int) -> NoReturn:
    """Ends the process."""
    tell(command, message)
    sys.exit(status)


class Pace:
    """When to tell how far a command is."""

    def __init__(self) -> None:
        self._told_at = time.monotonic()

    def is_due(self) -> bool:
        """Whether it is time again. If it is, the next time is counted from now."""
        now = time.monotonic()
        if now - self._told_at < PROGRESS_SECONDS:
            return False
        self._told_at = now
        return True


class Progress:
    """Tells now and then what a command does and how many items of it are done."""

    def __init__(self, command: str) -> None:
        self._command = command
        self._pace = Pace()

    def __call__(self, what: str, done: int) -> None:
        if self._pace.is_due():
            tell(self._command, f"{what}, {done} done")
