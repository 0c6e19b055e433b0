"""What one file may cost: its size unpacked, its longest line, its predictions, its share of unusable rows.

A value of its own, so that settings make it and scoring takes it without importing each other.
"""

from __future__ import annotations

import msgspec


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What one file may cost. Sizes in bytes."""

    max_bytes: int
    """Of the unpacked content."""
    max_line: int
    """Of one line, and in characters of one record."""
    output_ratio: float
    """The predictions against the stored (packed) size of the file …"""
    output_floor: int
    """… with so much always allowed."""
    bad_rows_share: float
    """Skipped rows against the rows read …"""
    bad_rows_floor: int
    """… once so many were read."""
