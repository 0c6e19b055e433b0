"""Pages of lists: MaxItems, Marker, IsTruncated.

Every list is in an order of its own keys, and a marker is the key of the last element of a page, so a list may
change between two pages and each element that stays is returned once. A marker says which list it belongs to.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable
from typing import TypeVar

from blotter.database.services.api import Output
from blotter.database.services.iam.calls import IamCall
from blotter.database.services.iam.errors import validation_error

DEFAULT_ITEMS = 100

T = TypeVar("T")


def start_after(call: IamCall) -> str:
    """The key that a page begins after, "" for the first page. Raises ValidationError for a marker that was not
    given out for this operation."""
    marker = call.argument("Marker")
    if marker is None:
        return ""
    try:
        operation, _, key = base64.urlsafe_b64decode(marker.encode("ascii")).decode().partition("\n")
    except (binascii.Error, ValueError):
        operation = key = ""
    if operation != call.operation or not key:
        raise validation_error("Invalid Marker.")
    return key


def page(
    call: IamCall, elements: Iterable[T], key: Callable[[T], str], view: Callable[[T], object], member: str
) -> Output:
    """The page that was asked for, of elements in ascending order of their keys; those before the marker may be
    among them. `member` is the output's name for the list."""
    after, limit = start_after(call), call.argument("MaxItems") or DEFAULT_ITEMS
    chosen: list[T] = []
    for element in elements:
        if key(element) <= after:
            continue
        if len(chosen) == limit:
            return {member: list(map(view, chosen)), "IsTruncated": True, "Marker": _marker(call, key(chosen[-1]))}
        chosen.append(element)
    return {member: list(map(view, chosen)), "IsTruncated": False}


def _marker(call: IamCall, key: str) -> str:
    return base64.urlsafe_b64encode(f"{call.operation}\n{key}".encode()).decode()
