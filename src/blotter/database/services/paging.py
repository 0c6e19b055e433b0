"""Pages of lists in the order of a key. The marker of the next page holds the operation and the last key.

A list may change between two pages, and each element that stays is returned once.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable
from typing import TypeVar

T = TypeVar("T")


def marker_of(operation: str, key: str) -> str:
    return base64.urlsafe_b64encode(f"{operation}\n{key}".encode()).decode()


def place_of(operation: str, marker: str | None) -> str | None:
    """The key that a page begins after: "" without a marker; None for one that was not given out for this
    operation."""
    if marker is None:
        return ""
    try:
        named, _, key = base64.urlsafe_b64decode(marker.encode("ascii")).decode().partition("\n")
    except (binascii.Error, ValueError):
        return None
    return key if named == operation and key else None


def take(elements: Iterable[T], key: Callable[[T], str], after: str, limit: int) -> tuple[list[T], bool]:
    """The elements of a page, and whether more follow. `elements` are in ascending order of their keys; those up
    to `after` may be among them."""
    chosen: list[T] = []
    for element in elements:
        if key(element) <= after:
            continue
        if len(chosen) == limit:
            return chosen, True
        chosen.append(element)
    return chosen, False
