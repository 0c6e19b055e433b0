"""A body decoded in slices: no call decodes much at once, whatever the form of the body."""

from __future__ import annotations

from typing import Any

import pytest

from blotter.database.wire import slices
from blotter.database.wire.decode import decode_quickly
from blotter.database.wire.slices import decode_in_slices

_PIECE = 2048


def _list(element: bytes, count: int) -> bytes:
    return b'{"L":[%b]}' % b",".join([element] * count)


def _put(value: bytes) -> bytes:
    return b'{"TableName":"things","Item":{"p":{"S":"a"},"v":%b}}' % value


_NUMBER = b'{"N":"1"}'
_BODIES = {
    "one long list": ("PutItem", _put(_list(_NUMBER, 5000))),
    "lists of lists": ("PutItem", _put(_list(_list(_NUMBER, 40), 100))),
    "a large list in a list": ("PutItem", _put(b'{"L":[%b,%b]}' % (_NUMBER, _list(_NUMBER, 3000)))),
    "a map of many": (
        "PutItem",
        _put(b'{"M":{%b}}' % b",".join([b'"n\\u00e9%d\\"": %b' % (n, _NUMBER) for n in range(2000)])),
    ),
    "a set": ("PutItem", _put(b'{"SS":[%b]}' % b",".join([b'"%d"' % n for n in range(3000)]))),
    "many attributes": (
        "PutItem",
        b'{"TableName":"things","Item":{%b}}' % b",".join([b'"%d":%b' % (n, _NUMBER) for n in range(2000)]),
    ),
    "many writes": (
        "BatchWriteItem",
        b'{"RequestItems":{"things":[%b]}}'
        % b",".join([b'{"PutRequest":{"Item":{"p":%b}}}' % _list(_NUMBER, 400)] * 25),
    ),
    "many actions": (
        "TransactWriteItems",
        b'{"ClientRequestToken":null,"TransactItems":[%b]}'
        % b",".join([b'{"Delete":{"TableName":"things","Key":{"p":%b}}}' % _list(_NUMBER, 400)] * 25),
    ),
    "parameters": ("ExecuteStatement", b'{"Statement":"S","Parameters":%b}' % _list(_NUMBER, 3000)[5:-1]),
    "members given twice": (
        "PutItem",
        b'{"Item":{"a":%b},"Item":{"a":%b,"a":%b},"X":[1],"TableName":"things"}'
        % (_list(_NUMBER, 400), _list(_NUMBER, 500), _list(_NUMBER, 600)),
    ),
}


@pytest.mark.parametrize("name", _BODIES)
def test_no_piece_is_large(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    operation, body = _BODIES[name]
    decoded: list[int] = []
    decoder = slices._decoder

    class Measured:
        def __init__(self, type_: Any) -> None:
            self.type = type_

        def decode(self, raw: Any) -> Any:
            decoded.append(len(raw))
            return decoder(self.type).decode(raw)

    monkeypatch.setattr(slices, "PIECE", _PIECE)
    monkeypatch.setattr(slices, "_decoder", Measured)
    pieces: list[Any] = []
    pauses: list[None] = []
    request = decode_in_slices(operation, body, pieces, lambda: pauses.append(None))
    assert request == decode_quickly(operation, body)
    assert len(body) > 4 * _PIECE
    assert max(decoded) <= _PIECE
    assert len(pauses) >= len(decoded) >= len(pieces) >= 3


def test_it_can_be_freed_in_pieces() -> None:
    """Nothing large hangs on what is not a piece."""
    operation, body = "PutItem", _put(_list(_NUMBER, 200_000))
    pieces: list[Any] = []
    request = decode_in_slices(operation, body, pieces, lambda: None)
    (first, *_, last) = request.Item["v"]["L"]
    within = [piece for piece in pieces if isinstance(piece, list)]
    assert len(within) > 2
    assert sum(map(len, within)) == 200_000
    assert within[0][0] is first
    assert within[-1][-1] is last
