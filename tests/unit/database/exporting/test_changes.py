"""What changed in a period, against a model that keeps everything."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blotter.database.exporting.changes import changed_items
from blotter.database.storage.protocol import Change
from blotter.database.storage.scratch import Scratch

History = list[tuple[bytes, bytes | None]]
"""Key and new body of each write, in order."""


def changes_of(history: History, before: dict[bytes, bytes]) -> list[Change]:
    state = dict(before)
    changes = []
    for number, (key, new) in enumerate(history):
        old = state.pop(key, None)
        if new is not None:
            state[key] = new
        changes.append(Change(number + 1, number + 0.25, "table", -1, key, old, new))
    return changes


def exported(
    changes: list[Change], start: bytes = b"", end: bytes | None = None
) -> dict[bytes, tuple[int, bytes | None, bytes | None]]:
    """Key → time, old, new."""

    async def history() -> AsyncIterator[list[Change]]:
        for first in range(0, len(changes), 3):
            yield changes[first : first + 3]

    async def collect() -> list[tuple[bytes, tuple[int, bytes | None, bytes | None]]]:
        scratch = Scratch.in_memory()
        found = [
            (key, (item.micros, item.old, item.new))
            async for rows in changed_items(history(), scratch, start, end)
            for key, _, item in rows
        ]
        scratch.close()
        return found

    found = asyncio.run(collect())
    assert [key for key, _ in found] == sorted({key for key, _ in found})
    return dict(found)


@pytest.mark.parametrize(
    ("writes", "expected"),
    [
        ([b"new"], (None, b"new")),
        ([b"new", b"newer"], (None, b"newer")),
        ([b"new", None], None),
        ([b"new", None, b"again"], (None, b"again")),
    ],
)
def test_a_new_item(writes: list[bytes | None], expected: tuple[bytes | None, bytes | None] | None) -> None:
    found = exported(changes_of([(b"7", write) for write in writes], {}))
    assert [images[1:] for images in found.values()] == ([] if expected is None else [expected])


@pytest.mark.parametrize(
    ("writes", "expected"),
    [([b"new"], (b"old", b"new")), ([None], (b"old", None)), ([None, b"again"], (b"old", b"again"))],
)
def test_an_item_that_was_there(writes: list[bytes | None], expected: tuple[bytes | None, bytes | None]) -> None:
    found = exported(changes_of([(b"7", write) for write in writes], {b"7": b"old"}))
    assert [images[1:] for images in found.values()] == [expected]


_KEYS = st.binary(max_size=3) | st.sampled_from([b"", b"\x00", b"\x00\x00", b"\x00\x01", b"\x00\xff", b"a\x00"])
_HISTORIES = st.lists(st.tuples(_KEYS, st.none() | st.binary(min_size=1, max_size=300)), max_size=80)


@given(_HISTORIES, st.dictionaries(_KEYS, st.just(b"before")))
def test_any_history(history: History, before: dict[bytes, bytes]) -> None:
    """Keys may be the beginnings of others."""
    changes = changes_of(history, before)
    expected: dict[bytes, tuple[int, bytes | None, bytes | None]] = {}
    for change in changes:
        old = expected[change.key][1] if change.key in expected else change.old
        expected[change.key] = (round(change.time * 1_000_000), old, change.new)
    assert exported(changes) == {key: images for key, images in expected.items() if images[1:] != (None, None)}


def test_only_the_wanted_range() -> None:
    changes = changes_of([(bytes((key,)), b"x") for key in range(40)], {})
    found = exported(changes, b"\x05", b"\x09")
    assert sorted(found) == [b"\x05", b"\x06", b"\x07", b"\x08"]
