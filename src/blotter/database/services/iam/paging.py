"""Pages of lists: MaxItems, Marker, IsTruncated."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from blotter.database.services.api import Output
from blotter.database.services.iam.calls import IamCall
from blotter.database.services.iam.errors import validation_error
from blotter.database.services.paging import marker_of, place_of, take

DEFAULT_ITEMS = 100

T = TypeVar("T")


def start_after(call: IamCall) -> str:
    """The key that a page begins after, "" for the first page. Raises ValidationError for a marker that was not
    given out for this operation."""
    place = place_of(call.operation, call.argument("Marker"))
    if place is None:
        raise validation_error("Invalid Marker.")
    return place


def page(
    call: IamCall, elements: Iterable[T], key: Callable[[T], str], view: Callable[[T], object], member: str
) -> Output:
    """The page that was asked for, of elements in ascending order of their keys; those before the marker may be
    among them. `member` is the output's name for the list."""
    limit = call.argument("MaxItems") or DEFAULT_ITEMS
    chosen, more = take(elements, key, start_after(call), limit)
    output: Output = {member: list(map(view, chosen)), "IsTruncated": more}
    if more:
        output["Marker"] = marker_of(call.operation, key(chosen[-1]))
    return output
