"""How many units a target should have: pure.

Units are raised when consumption was above the target in each of the last two minutes, and lowered when it was
well below in each of the last fifteen, to what gives the target utilization for the greatest of these minutes.
Sources: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/AutoScaling.html; thresholds in `alarms`;
that an idle table is scaled in too, ack-api-quirks, DDB-TABLE-315, -316 (2026-10).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from blotter.database.services.autoscaling.alarms import HIGH_MINUTES, LOW_MINUTES, high_threshold, low_threshold
from blotter.database.services.autoscaling.records import Policy, Target

MINUTES = LOW_MINUTES
"""How many complete minutes a decision looks at."""


class Decision(msgspec.Struct, frozen=True):
    """`alarm` is the name of the alarm that is the cause."""

    capacity: int
    alarm: str


def bounded(target: Target, capacity: int) -> int | None:
    """The capacity within the target's bounds; None if it is within them already."""
    within = min(max(capacity, target.least), target.most)
    return None if within == capacity else within


def decide(target: Target, policy: Policy, capacity: int, minutes: Sequence[float], now: float) -> Decision | None:
    """What a policy wants; None: nothing. `minutes` are the units consumed in each of the last complete minutes
    since the policy was made, oldest first, at most `MINUTES`."""
    high, low = (minutes[-count:] for count in (HIGH_MINUTES, LOW_MINUTES))
    above = high_threshold(policy.goal, capacity)
    if len(high) == HIGH_MINUTES and min(high) > above and not target.suspended.scaling_out:
        wanted = min(_for(policy, max(high)), target.most)
        rested = now - target.scaled_out >= (policy.out_cooldown or 0)
        return Decision(wanted, policy.alarms[0]) if wanted > capacity and rested else None
    below = low_threshold(policy.goal, capacity)
    if len(low) < LOW_MINUTES or max(low) >= below or target.suspended.scaling_in or policy.disable_scale_in:
        return None
    wanted = max(_for(policy, max(low)), target.least)
    last = max(target.scaled_in, target.scaled_out)
    rested = now - last >= (policy.in_cooldown or 0)
    return Decision(wanted, policy.alarms[1]) if wanted < capacity and rested else None


def _for(policy: Policy, units: float) -> int:
    """The capacity that units a minute use to the policy's target."""
    return max(1, math.ceil(units / 60 / (policy.goal / 100) - 1e-9))
