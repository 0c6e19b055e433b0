"""Decodes a heavy body in pieces, with a pause between them: the same request as `decode.decode_quickly` makes.

One call of a decoder keeps the interpreter's lock to its end: for the 16 MB of 25 legal items a third of a second,
and freeing what it made takes a third of that. So structures, lists and maps of a large body are first split into
the bytes of their members (`msgspec.Raw`), and members are decoded when they are small enough. A body comes here
only when `decode_quickly` was seen to accept it, in another process (`database.checking`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints, is_typeddict

import msgspec

from blotter.database.wire.requests import INPUTS

PIECE = 512 * 1024
"""Bytes of JSON that are decoded at once: at most 60,000 values, some 15 ms. Splitting more finely costs more than
decoding does."""

_Part = TypeVar("_Part")

_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ELEMENTS = msgspec.json.Decoder(list[msgspec.Raw])


def decode_in_slices(operation: str, body: bytes, pieces: list[Any], pause: Callable[[], None]) -> Any:
    """The `<operation>Input` that the body holds. Calls `pause` after each piece, and adds it to `pieces`: so that
    the request can be freed in pieces too, when nothing else has it any more."""
    return _Slicer(pieces, pause).read(INPUTS[operation], body)


class _Slicer:
    """Decodes one body."""

    def __init__(self, pieces: list[Any], pause: Callable[[], None]) -> None:
        self._pieces = pieces
        self._pause = pause

    def read(self, type_: Any, raw: Any) -> Any:
        """The value of this type in the bytes."""
        split = _split_of(type_) if len(raw) > PIECE else None
        return self._piece(type_, raw) if split is None else split(self, raw)

    def _piece(self, type_: Any, raw: Any) -> Any:
        value = _decoder(type_).decode(raw)
        if isinstance(value, dict | list | msgspec.Struct):
            self._pieces.append(value)
        self._pause()
        return value

    def members(self, fields: Mapping[str, Any], raw: Any) -> dict[str, Any]:
        """Those members of an object that a structure has."""
        return {
            name: self.read(fields[name], member) for name, member in self._split(raw).items() if name in fields
        }

    def map(self, type_: Any, element: Any, raw: Any) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for group in _groups(self._split(raw).items(), lambda member: len(member[1]) + 6 * len(member[0])):
            if len(group) == 1:
                ((name, member),) = group
                made[name] = self.read(element, member)
            else:
                made |= self._piece(type_, b"{%b}" % b",".join([_named(*member) for member in group]))
        return made

    def list(self, type_: Any, element: Any, raw: Any) -> list[Any]:
        made: list[Any] = []
        for group in _groups(_ELEMENTS.decode(raw), len):
            if len(group) == 1:
                made.append(self.read(element, group[0]))
            else:
                made += self._piece(type_, b"[%b]" % b",".join(group))
        self._pause()
        return made

    def _split(self, raw: Any) -> dict[str, msgspec.Raw]:
        members = _MEMBERS.decode(raw)
        self._pause()
        return members


@cache
def _decoder(type_: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(type_)


@cache
def _split_of(type_: Any) -> Callable[[_Slicer, Any], Any] | None:
    """What makes a value of a type from its bytes in pieces; None for what is decoded whole, such as a text."""
    bare = _bare(type_)
    if isinstance(bare, type) and issubclass(bare, msgspec.Struct):
        fields = {field.name: field.type for field in msgspec.structs.fields(bare)}
        return lambda slicer, raw: bare(**slicer.members(fields, raw))
    if is_typeddict(bare):
        hints = get_type_hints(bare)
        return lambda slicer, raw: slicer.members(hints, raw)
    arguments = get_args(bare)
    if get_origin(bare) is dict:
        return lambda slicer, raw: slicer.map(bare, arguments[1], raw)
    if get_origin(bare) is list:
        return lambda slicer, raw: slicer.list(bare, arguments[0], raw)
    return None


def _bare(type_: Any) -> Any:
    """A type without limits on its values, and without None: large values are not null."""
    if get_origin(type_) is Annotated:
        return _bare(get_args(type_)[0])
    if get_origin(type_) in (Union, UnionType):
        (others,) = [each for each in get_args(type_) if each is not type(None)]
        return _bare(others)
    return type_


def _named(name: str, raw: msgspec.Raw) -> bytes:
    return b"%b:%b" % (msgspec.json.encode(name), raw)


def _groups(parts: Iterable[_Part], size: Callable[[_Part], int]) -> Iterator[list[_Part]]:
    """The parts in their order, those that are not large in groups of no more than a piece."""
    group: list[_Part] = []
    total = 0
    for part in parts:
        length = size(part) + 4
        if group and total + length > PIECE:
            yield group
            group, total = [], 0
        group.append(part)
        total += length
    if group:
        yield group
