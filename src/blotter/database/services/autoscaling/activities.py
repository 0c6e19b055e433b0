"""DescribeScalingActivities: what the scaler did, newest first.

Activities that did not scale (`IncludeNotScaledActivities`) are not kept.
"""

from __future__ import annotations

from typing import Any

from blotter.database.services.api import Output
from blotter.database.services.autoscaling.calls import ScalingCall, page
from blotter.database.services.autoscaling.records import Activity, of_account
from blotter.database.storage.protocol import ReadTransaction


def describe_scaling_activities(call: ScalingCall, tx: ReadTransaction) -> Output:
    found = [each for each in of_account(tx, Activity, call.account, call.region) if call.wants(each.place)]
    found.sort(key=_newest_first)
    return page(call, found, _newest_first, _view, "ScalingActivities")


def _newest_first(activity: Activity) -> str:
    return activity.suffix


def _view(activity: Activity) -> dict[str, Any]:
    place = activity.place
    shown: dict[str, Any] = {
        "ActivityId": activity.id,
        "ServiceNamespace": "dynamodb",
        "ResourceId": place.resource,
        "ScalableDimension": place.dimension,
        "Description": activity.description,
        "Cause": activity.cause,
        "StartTime": round(activity.started, 3),
        "StatusCode": activity.status,
        "StatusMessage": activity.message,
    }
    if activity.ended is not None:
        shown["EndTime"] = round(activity.ended, 3)
    return shown
