"""The cache that counts bytes: bounded whatever is put in, and right about what it counts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from blotter.database.model.byte_cache import ByteCache


def test_what_was_put_in_first_goes_first() -> None:
    cache = ByteCache(1600)
    for number in range(20):
        cache.put(number, str(number), 100)
    assert len(cache) == 16
    assert cache.get(3) is None
    assert cache.get(4) == "4"


def test_what_is_too_large_is_not_kept() -> None:
    cache = ByteCache(1600)
    cache.put("small", "s", 100)
    cache.put("large", "l", 101)
    assert (cache.get("small"), cache.get("large"), cache.used) == ("s", None, 100)


def test_what_grows_too_large_is_given_up() -> None:
    cache = ByteCache(1600)
    value = object()
    cache.put("a", value, 50)
    cache.grow("a", value, 50)
    assert (cache.get("a"), cache.used) == (value, 100)
    cache.grow("a", value, -40)
    assert cache.used == 60
    cache.grow("a", value, 41)
    assert (cache.get("a"), cache.used) == (None, 0)


def test_what_is_no_longer_kept_does_not_grow() -> None:
    cache = ByteCache(1600)
    cache.put("a", "old", 50)
    cache.put("a", "new", 60)
    cache.grow("a", "old", 1000)
    cache.grow("b", "old", 1000)
    assert (cache.get("a"), cache.used) == ("new", 60)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 120), st.booleans())))
def test_it_never_holds_more_than_its_limit(steps: list[tuple[int, int, bool]]) -> None:
    cache = ByteCache(320)
    values: dict[int, object] = {}
    for key, size, grow in steps:
        if grow and key in values:
            cache.grow(key, values[key], size)
        else:
            values[key] = object()
            cache.put(key, values[key], size)
        assert 0 <= cache.used <= 320
    assert sum(cache._sizes.values()) == cache.used
    assert set(cache._sizes) == set(cache._entries)
