"""The sketch: exact while there are few keys, bounded and close when there are many."""

from __future__ import annotations

import random
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from blotter.database.insights.sketch import Sketch, estimated_keys


@given(st.lists(st.tuples(st.sampled_from("abcdefghijklmnop"), st.integers(1, 50))), st.integers(1, 20))
def test_no_sum_is_too_high_or_too_low_by_more_than_its_share(events: list[tuple[str, int]], keep: int) -> None:
    sketch, exact = Sketch(keep), Counter[str]()
    for key, amount in events:
        sketch.add(key, amount)
        exact[key] += amount
    assert len(sketch.sums) <= 2 * keep
    assert sketch.total == sum(exact.values())
    for key, total in exact.items():
        found = sketch.sums.get(key, 0.0)
        assert total - sketch.total / keep <= found <= total
    if len(exact) <= 2 * keep:
        assert dict(sketch.sums) == dict(exact)


def test_heavy_keys_are_found_among_very_many() -> None:
    chance = random.Random(1)
    sketch = Sketch(50, lambda key: hash(key) % 64)
    for _ in range(20_000):
        sketch.add(f"rare {chance.randrange(100_000)}", 1.0)
        sketch.add(f"heavy {chance.randrange(5)}", 1.0)
    assert {key for key, _ in sketch.heaviest(5)} == {f"heavy {number}" for number in range(5)}
    assert sum(sketch.spread) == sketch.total
    assert len(sketch.sums) <= 100


def test_the_number_of_different_keys_is_estimated() -> None:
    for count in (0, 1, 10, 1000, 5000):
        sketch = Sketch()
        for number in range(count):
            sketch.add(f"key {number}", 1.0)
        assert abs(estimated_keys(sketch.bitmap) - count) <= max(2, count * 0.1)
