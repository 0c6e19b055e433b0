"""What changed in a period, against a model that keeps everything, whatever fits into memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blotter.database.exporting.changes import changed_items
from blotter.database.storage.protocol import Change

History = list[tuple[int, bytes | None]]
"""Key and new body of each write, in order."""


def changes_of(history: History, before: dict[int, bytes]) -> list[Change]:
    state = dict(before)
    changes = []
    for number, (key, new) in enumerate(history):
        old = state.pop(key, None)
        if new is not None:
            state[key] = new
        changes.append(Change(number + 1, number + 0.25, "table", -1, bytes((key,)), old, new))
    return changes


def exported(
    changes: list[Change], start: bytes = b"", end: bytes | None = None, most: int = 1 << 20
) -> tuple[dict[bytes, tuple[int, bytes | None, bytes | None]], int]:
    """Key → time, old, new; and how often the history was read."""
    reads = 0

    async def history() -> AsyncIterator[list[Change]]:
        nonlocal reads
        reads += 1
        for first in range(0, len(changes), 3):
            yield changes[first : first + 3]

    async def collect() -> list[tuple[bytes, tuple[int, bytes | None, bytes | None]]]:
        return [
            (key, (item.micros, item.old, item.new))
            async for rows in changed_items(history, start, end, most)
            for key, _, item in rows
        ]

    found = asyncio.run(collect())
    assert [key for key, _ in found] == sorted({key for key, _ in found})
    return dict(found), reads


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
    found, _ = exported(changes_of([(7, write) for write in writes], {}))
    assert [images[1:] for images in found.values()] == ([] if expected is None else [expected])


@pytest.mark.parametrize(
    ("writes", "expected"),
    [([b"new"], (b"old", b"new")), ([None], (b"old", None)), ([None, b"again"], (b"old", b"again"))],
)
def test_an_item_that_was_there(writes: list[bytes | None], expected: tuple[bytes | None, bytes | None]) -> None:
    found, _ = exported(changes_of([(7, write) for write in writes], {7: b"old"}))
    assert [images[1:] for images in found.values()] == [expected]


_HISTORIES = st.lists(st.tuples(st.integers(0, 30), st.none() | st.binary(min_size=1, max_size=300)), max_size=80)


@given(_HISTORIES, st.dictionaries(st.integers(0, 30), st.just(b"before")), st.integers(500, 20_000))
def test_the_same_in_any_memory(history: History, before: dict[int, bytes], most: int) -> None:
    changes = changes_of(history, before)
    state = dict(before)
    expected: dict[bytes, tuple[int, bytes | None, bytes | None]] = {}
    for change in changes:
        old = expected[change.key][1] if change.key in expected else change.old
        expected[change.key] = (round(change.time * 1_000_000), old, change.new)
        state[change.key[0]] = change.new or b""
    expected = {key: images for key, images in expected.items() if images[1:] != (None, None)}
    found, _ = exported(changes, most=most)
    assert found == expected


def test_little_memory_means_more_passes() -> None:
    changes = changes_of([(key, b"x" * 1000) for key in range(40)], {})
    everything, reads = exported(changes)
    assert reads == 1
    again, reads = exported(changes, most=5000)
    assert again == everything
    assert 5 <= reads <= 40


def test_only_the_wanted_range() -> None:
    changes = changes_of([(key, b"x") for key in range(40)], {})
    found, _ = exported(changes, b"\x05", b"\x09")
    assert sorted(found) == [b"\x05", b"\x06", b"\x07", b"\x08"]
