"""What each setting is declared with, and the forms that values are written in.

A form reads a value from the text of a flag or an environment variable, and shows it as a user would write it.
Reading raises ValueError with what the text must be ("a whole number from 1 to 256").
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec


class Form(NamedTuple):
    """How the values of a setting are written: from text, and to text."""

    read: Callable[[str], Any]
    show: Callable[[Any], str] = str


class Declared(msgspec.Struct, frozen=True):
    """What a field of an area is declared with."""

    form: Form
    help: str
    default: str = ""
    """Describes a default that is not the field's own."""
    flag_only: bool = False
    """Whether the flag takes no value."""
    secret: bool = False
    """Whether a wrong value is kept out of messages: it may be a secret, given where its place belongs."""


def whole(low: int, high: int) -> Form:
    """Whole numbers within bounds."""

    def read(text: str) -> int:
        if not text.isascii() or not text.isdigit() or len(text) > 20 or not low <= int(text) <= high:
            raise ValueError(f"a whole number from {low} to {high}")
        return int(text)

    return Form(read)


def megabytes(low: int, high: int) -> Form:
    """Bytes, written as whole megabytes."""
    numbers = whole(low, high)
    return Form(lambda text: numbers.read(text) * 1024 * 1024, lambda size: str(size // (1024 * 1024)))


def seconds(low: float, high: float) -> Form:
    """Seconds, fractions included."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = -1.0
        if not low <= value <= high:
            raise ValueError(f"a number of seconds from {low:g} to {high:g}")
        return value

    return Form(read, lambda value: f"{value:g}")


def text(what: str, fits: Callable[[str], bool]) -> Form:
    """Text that fits; `what` says which text does."""

    def read(given: str) -> str:
        if not fits(given):
            raise ValueError(what)
        return given

    return Form(read)


def one_of(values: tuple[str, ...]) -> Form:
    """One of a few words."""
    return text(f"one of {', '.join(values)}", values.__contains__)


def _read_on_or_off(text: str) -> bool:
    if text not in ("on", "off"):
        raise ValueError("on or off")
    return text == "on"


def _read_yes_or_no(text: str) -> bool:
    answers = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False, "": False}
    if text.lower() not in answers:
        raise ValueError("yes or no")
    return answers[text.lower()]


ON_OR_OFF = Form(_read_on_or_off, lambda value: "on" if value else "off")
YES_OR_NO = Form(_read_yes_or_no, lambda value: "yes" if value else "no")
NAMES = Form(lambda text: tuple(name for part in text.split(",") if (name := part.strip())), ",".join)
"""Names separated by commas."""
FILE = Form(lambda text: Path(text) if text else None, lambda path: "" if path is None else str(path))
"""A path, or "" for none."""
