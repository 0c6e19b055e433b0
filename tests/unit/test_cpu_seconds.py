"""Which files `make quick` leaves out."""

from __future__ import annotations

import pytest

from tests.cpu_seconds import ALWAYS, ROOT, Quick, left_out


@pytest.mark.parametrize(
    ("enough", "expected"), [(8.0, set()), (7.9, {"b"}), (3.0, {"b"}), (2.9, {"b", "c"}), (0.0, {"a", "b", "c"})]
)
def test_the_longest_are_left_out_until_the_rest_fits(enough: float, expected: set[str]) -> None:
    assert left_out({"a": 1.0, "b": 5.0, "c": 2.0}, enough) == expected


def test_the_golden_scripts_are_always_taken() -> None:
    assert left_out({ALWAYS: 9.0, "a": 1.0, "b": 2.0}, 10.0) == {"b"}


def test_a_file_that_was_not_measured_is_taken() -> None:
    assert Quick().pytest_ignore_collect(ROOT / "tests" / "unit" / "new" / "test_new.py") is None
