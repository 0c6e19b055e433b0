"""Identifiers have AWS's shape and do not repeat."""

from __future__ import annotations

import re
from itertools import islice

from blotter.database.http.request_ids import request_ids


def test_shape_and_uniqueness() -> None:
    first = list(islice(request_ids(), 5000))
    second = list(islice(request_ids(), 5000))
    assert all(re.fullmatch(r"[0-9A-V]{52}", identifier) for identifier in first)
    assert len({*first, *second}) == 10_000
