"""How many examples a property is tried with: few in every run, where they are the same each time and find what a
change broke; all of them, and others each time, at night (`--hypothesis-profile=random`)."""

from __future__ import annotations

from hypothesis import settings

_PART = 3


def examples(count: int) -> int:
    """`count` at night, a part of it otherwise."""
    return count if settings.get_current_profile_name() == "random" else max(1, count // _PART)
