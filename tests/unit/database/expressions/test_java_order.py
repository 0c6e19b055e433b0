"""The order of a java.util.HashSet, against what OpenJDK 17 prints for the same members."""

from __future__ import annotations

import pytest

from blotter.database.expressions.java_order import in_hash_set_order


@pytest.mark.parametrize(
    ("members", "listed"),
    [
        ([], []),
        (["b", "a", "c"], ["a", "b", "c"]),
        (["a", "a"], ["a"]),
        # "Aa" and "BB" have one hash code, so one bucket: they stay in the order in which they came.
        (["BB", "Aa"], ["BB", "Aa"]),
        (["Aa", "BB"], ["Aa", "BB"]),
        (["banana", "apple", "cherry"], ["banana", "apple", "cherry"]),
        # 13 members do not fit in 16 buckets any more: "q" (113) leaves bucket 1 for bucket 17 of 32.
        ([*"bcdefghijklq"], ["q", *"bcdefghijkl"]),
        ([*"bcdefghijklmq"], ["b", *"cdefghijklm", "q"]),
        # Characters beyond 16 bits count as the two units Java has for them.
        (["\U0001f600", "a"], ["a", "\U0001f600"]),
    ],
)
def test_order(members: list[str], listed: list[str]) -> None:
    assert in_hash_set_order(members) == listed
