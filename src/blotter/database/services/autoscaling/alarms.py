"""The four alarms of a target-tracking policy: their names and thresholds.

Definitions as recorded from AWS (ack-api-quirks, DDB-TABLE-314; 2026-10): for 5 units and a target of 70 %,
AlarmHigh at more than 210 consumed units in each of 2 minutes, AlarmLow at less than 150 in each of 15.
"""

from __future__ import annotations

import uuid

from blotter.database.services.autoscaling.records import Place

HIGH_MINUTES = 2
LOW_MINUTES = 15
_BELOW = 20.0
"""Percentage points under the target, at which units are lowered."""
_KINDS = ("AlarmHigh", "AlarmLow", "ProvisionedCapacityHigh", "ProvisionedCapacityLow")


def names(place: Place) -> tuple[str, ...]:
    """New names for the alarms of a policy."""
    return tuple(f"TargetTracking-{place.resource}-{kind}-{uuid.uuid4()}" for kind in _KINDS)


def high_threshold(goal: float, capacity: int) -> float:
    """Consumed units a minute above which units are raised."""
    return goal / 100 * capacity * 60


def low_threshold(goal: float, capacity: int) -> float:
    """Consumed units a minute below which units are lowered. Of targets below 40 % nothing is recorded; half of
    such a target keeps it above 0."""
    return max(goal - _BELOW, goal / 2) / 100 * capacity * 60
