"""What `blotter tables` writes to stdout and stderr: the only file that does, and the one place that cleans it.

Names, states and messages come from endpoints and files. Whatever they hold, one line given here is one line
shown, in printable characters only (`blotter.printable`): nothing can move the cursor, hide text or fake a line.
Text of several lines is given as a list of lines, never as one string, so that a line break in a value cannot pass
for one of ours.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import click

from blotter.printable import one_line, printable, without_secrets
from blotter.tables.applying.progress import News
from blotter.tables.output.quoting import json_text


def write(lines: str | Iterable[str]) -> None:
    """Lines on stdout. A single string is one line."""
    for line in [lines] if isinstance(lines, str) else lines:
        click.echo(printable(without_secrets(line)))


def write_generated(text: str) -> None:
    """A document that `quoting` wrote, line by line; it is printable already and must not be changed."""
    for line in text.split("\n"):
        click.echo(printable(line))


def write_json(value: Any) -> None:
    """One JSON document on stdout."""
    write_generated(json_text(value, indent=2))


def fail(message: str) -> None:
    """One line on stderr."""
    click.echo(f"blotter: {one_line(message)}", err=True)


def question(text: str) -> str:
    """What a person types as an answer."""
    return str(click.prompt(one_line(text), default="", show_default=False))


def cleaned(news: News) -> News:
    """News for a live display, which writes by itself."""
    parts = {printable(part): printable(state) for part, state in news.parts.items()}
    return news._replace(name=printable(news.name), text=one_line(news.text), parts=parts)
