"""The four alarms of a target-tracking policy, as CloudWatch shows them. The scaler decides by itself, by the same
thresholds; nothing waits for a state of theirs.

Definitions as recorded from AWS (ack-api-quirks, DDB-TABLE-314; 2026-10): for 5 units and a target of 70 %,
AlarmHigh at more than 210 consumed units in each of 2 minutes, AlarmLow at less than 150 in each of 15, and two
that see when somebody else changed the 5 units. Description and action:
https://docs.aws.amazon.com/autoscaling/application/userguide/application-auto-scaling-target-tracking.html
"""

from __future__ import annotations

import uuid

from msgspec.structs import replace

from blotter.database.alarms.changes import put_alarm, remove_alarm
from blotter.database.alarms.records import Settings, find_alarm
from blotter.database.metric_math.queries import Dimension
from blotter.database.metrics.names import DYNAMODB
from blotter.database.services.autoscaling.records import Place, Policy, save
from blotter.database.services.autoscaling.resources import Scaled
from blotter.database.storage.protocol import WriteTransaction

HIGH_MINUTES = 2
LOW_MINUTES = 15
_BELOW = 20.0
"""Percentage points under the target, at which units are lowered."""
_KINDS = ("AlarmHigh", "AlarmLow", "ProvisionedCapacityHigh", "ProvisionedCapacityLow")
_ABOVE, _UNDER = "GreaterThanThreshold", "LessThanThreshold"


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


def put_alarms(tx: WriteTransaction, policy: Policy, scaled: Scaled, now: float) -> None:
    """Saves a policy with its alarms, whose thresholds are those of the units that there are. While there are
    none, alarms stay as they are."""
    capacity = scaled.capacity
    if capacity is None:
        save(tx, policy)
        return
    save(tx, replace(policy, alarmed=capacity))
    side = "Write" if scaled.writes else "Read"
    consumed, provisioned = f"Consumed{side}CapacityUnits", f"Provisioned{side}CapacityUnits"
    high, low = high_threshold(policy.goal, capacity), low_threshold(policy.goal, capacity)
    definitions = (
        (consumed, "Sum", 60, HIGH_MINUTES, _ABOVE, high),
        (consumed, "Sum", 60, LOW_MINUTES, _UNDER, low),
        (provisioned, "Average", 300, 3, _ABOVE, float(capacity)),
        (provisioned, "Average", 300, 3, _UNDER, float(capacity)),
    )
    dimensions = [Dimension("TableName", scaled.name)]
    if scaled.index is not None:
        dimensions.append(Dimension("GlobalSecondaryIndexName", scaled.index))
    place = policy.place
    for name, (metric, statistic, period, periods, comparison, threshold) in zip(
        policy.alarms, definitions, strict=True
    ):
        settings = Settings(
            evaluation_periods=periods,
            comparison_operator=comparison,
            threshold=round(threshold, 6),
            alarm_description=f"DO NOT EDIT OR DELETE. For TargetTrackingScaling policy {policy.arn}.",
            alarm_actions=(policy.arn,),
            metric_name=metric,
            namespace=DYNAMODB,
            statistic=statistic,
            dimensions=tuple(dimensions),
            period=period,
        )
        before = find_alarm(tx, place.account, place.region, name)
        if before is None or before.settings != settings:
            put_alarm(tx, place.account, place.region, name, settings, {}, now)


def remove_alarms(tx: WriteTransaction, policy: Policy, now: float) -> None:
    for name in policy.alarms:
        alarm = find_alarm(tx, policy.place.account, policy.place.region, name)
        if alarm is not None:
            remove_alarm(tx, alarm, now)
