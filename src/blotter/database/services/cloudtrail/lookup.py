"""LookupEvents: the management events of an account and a region, of the last 90 days, newest first.

    {"LookupAttributes":[{"AttributeKey":"EventName","AttributeValue":"CreateTable"}],"MaxResults":10}
    → {"Events":[{"EventId":…,"EventName":"CreateTable","Username":"alice","CloudTrailEvent":"{…}"}],"NextToken":…}

A token names the last event of its page and what was asked, so that no state is kept between pages and events
that come meanwhile move nothing.
Source: https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_LookupEvents.html, the service's model.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, Protocol

import orjson

from blotter.database.audit.reading import Wanted, order_of
from blotter.database.model.timestamps import iso
from blotter.database.services.api import Call, Output
from blotter.database.services.errors import ServiceError, serialization_error, shortened

DAYS = 90
MOST = 50
"""Events of a page; without MaxResults, too."""
_KEYS = (
    "EventId",
    "EventName",
    "ReadOnly",
    "Username",
    "ResourceType",
    "ResourceName",
    "EventSource",
    "AccessKeyId",
)
_LONGEST_VALUE = 2000

# Members of IAM's and STS's parameters that name a resource, and its type.
_NAMED = {
    "userName": "AWS::IAM::User",
    "roleName": "AWS::IAM::Role",
    "groupName": "AWS::IAM::Group",
    "policyArn": "AWS::IAM::Policy",
    "policyName": "AWS::IAM::Policy",
    "accessKeyId": "AWS::IAM::AccessKey",
    "roleArn": "AWS::IAM::Role",
    "roleSessionName": "AWS::STS::AssumedRole",
}


class EventSource(Protocol):
    """The trail, as it is read."""

    def newest_first(
        self, start: str, end: str, wanted: Wanted, account: str = "*", region: str = "*"
    ) -> Iterator[dict[str, Any]]: ...


def lookup_events(call: Call, source: EventSource) -> Output:
    """A page of events. Raises ServiceError. Reads files."""
    arguments = call.arguments
    key, value = _attribute(arguments)
    start, end = _times(arguments, call.now)
    most = _most(arguments)
    category = arguments.get("EventCategory")
    if category is not None:
        if category != "insight":
            raise ServiceError(
                "InvalidEventCategoryException", f"The event category '{shortened(str(category))}' is not valid."
            )
        return {"Events": []}  # There are no Insights.
    asked = hashlib.sha256(repr((key, value, arguments.get("StartTime"), arguments.get("EndTime"))).encode())
    after = _after(arguments, asked.hexdigest())
    if after is not None:
        end = min(end, after[0])
    region = call.caller.region
    found: list[Output] = []
    last: tuple[str, str] = ("", "")
    for event in source.newest_first(start, end, _may_match(key, value), call.caller.account, region):
        if (after is not None and order_of(event) >= after) or event["eventCategory"] != "Management":
            continue
        shown = _shown(event)
        if key and not _matches(shown, key, value):
            continue
        if len(found) == most:
            return {"Events": found, "NextToken": _token(last, asked.hexdigest())}
        found.append(shown)
        last = order_of(event)
    return {"Events": found}


def _attribute(arguments: dict[str, Any]) -> tuple[str, str]:
    """The one attribute to look for; empty texts without one."""
    attributes = arguments.get("LookupAttributes") or []
    if not isinstance(attributes, list) or not all(isinstance(each, dict) for each in attributes):
        raise serialization_error("LookupAttributes is not a list of attributes.")
    if not attributes:
        return "", ""
    for position, each in enumerate(attributes, 1):
        key, value = each.get("AttributeKey"), each.get("AttributeValue")
        where = f"lookupAttributes.{position}.member"
        if not isinstance(key, str) or not isinstance(value, str):
            missing = "attributeKey" if not isinstance(key, str) else "attributeValue"
            raise _invalid("null", f"{where}.{missing}", "Member must not be null")
        if key not in _KEYS:
            raise _invalid(
                f"'{shortened(key)}'",
                f"{where}.attributeKey",
                f"Member must satisfy enum value set: [{', '.join(_KEYS)}]",
            )
        if not 1 <= len(value) <= _LONGEST_VALUE:
            bound = "greater than or equal to 1" if not value else f"less than or equal to {_LONGEST_VALUE}"
            raise _invalid(f"'{shortened(value)}'", f"{where}.attributeValue", f"Member must have length {bound}")
    if len(attributes) > 1:
        raise ServiceError("InvalidLookupAttributesException", "Only one lookup attribute can be specified.")
    key, value = attributes[0]["AttributeKey"], attributes[0]["AttributeValue"]
    if key == "ReadOnly" and value not in ("true", "false"):
        raise ServiceError(
            "InvalidLookupAttributesException", f"ReadOnly must be true or false, not '{shortened(value)}'."
        )
    return key, value


def _times(arguments: dict[str, Any], now: float) -> tuple[str, str]:
    """From and to, both included."""
    start, end = _time(arguments, "StartTime"), _time(arguments, "EndTime")
    if start is not None and end is not None and start > end:
        raise ServiceError("InvalidTimeRangeException", "StartTime must not be after EndTime.")
    earliest = now - DAYS * 86_400
    try:
        return iso(max(earliest, earliest if start is None else start)), iso(min(now + 60, end or now + 60))
    except (OverflowError, ValueError, OSError):
        raise ServiceError("InvalidTimeRangeException", "The time range is not valid.") from None


def _time(arguments: dict[str, Any], name: str) -> float | None:
    value = arguments.get(name)
    if value is None:
        return None
    if isinstance(value, str):
        try:
            return datetime.fromisoformat(value).timestamp()
        except ValueError:
            raise serialization_error(f"{name} is no time.") from None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise serialization_error(f"{name} is no time.")
    return float(value)


def _most(arguments: dict[str, Any]) -> int:
    most = arguments.get("MaxResults")
    if most is None:
        return MOST
    if isinstance(most, bool) or not isinstance(most, int):
        raise serialization_error("MaxResults is no integer.")
    if not 1 <= most <= MOST:
        raise ServiceError("InvalidMaxResultsException", f"MaxResults must be from 1 to {MOST}, not {most}.")
    return most


def _may_match(key: str, value: str) -> Callable[[bytes], bool]:
    """Rules most records out before they are decoded."""
    # The others' values are not in the record as they are looked for.
    literal = key not in ("", "ReadOnly", "ResourceType") and (key, value) != ("Username", "root")
    wanted = orjson.dumps(value)[1:-1] if literal else b""
    return lambda record: wanted in record and b'"eventCategory":"Data"' not in record[-512:]


def _shown(event: dict[str, Any]) -> Output:
    """An event as LookupEvents shows it."""
    identity = event["userIdentity"]
    shown: Output = {
        "EventId": event["eventID"],
        "EventName": event["eventName"],
        "ReadOnly": "true" if event.get("readOnly") else "false",
        "EventTime": datetime.fromisoformat(event["eventTime"]).timestamp(),
        "EventSource": event["eventSource"],
        "Resources": _resources(event),
        "CloudTrailEvent": orjson.dumps(event).decode(),
    }
    if identity.get("accessKeyId"):
        shown["AccessKeyId"] = identity["accessKeyId"]
    name = user_name(identity)
    if name:
        shown["Username"] = name
    return shown


def user_name(identity: dict[str, Any]) -> str:
    """Who it was, for people: the user's name, the session's name of a role, "root"."""
    if identity["type"] == "Root":
        return "root"
    return str(identity.get("userName") or identity.get("principalId", "").partition(":")[2])


def _resources(event: dict[str, Any]) -> list[Output]:
    found = []
    for resource in event.get("resources") or ():
        name = resource["ARN"]
        if resource["type"] == "AWS::DynamoDB::Table":
            name = name.rpartition(":table/")[2].partition("/")[0]
        found.append({"ResourceType": resource["type"], "ResourceName": name})
    if event["eventSource"] in ("iam.amazonaws.com", "sts.amazonaws.com"):
        parameters = event.get("requestParameters") or {}
        for member, kind in _NAMED.items():
            if isinstance(parameters.get(member), str):
                found.append({"ResourceType": kind, "ResourceName": parameters[member]})
        made = (event.get("responseElements") or {}).get("accessKey")
        if isinstance(made, dict):
            found.append({"ResourceType": "AWS::IAM::AccessKey", "ResourceName": made["accessKeyId"]})
    return found


def _matches(shown: Output, key: str, value: str) -> bool:
    if key in ("ResourceType", "ResourceName"):
        return any(value == resource[key] for resource in shown["Resources"])
    return bool(shown.get(key) == value)


def _token(last: tuple[str, str], asked: str) -> str:
    return base64.urlsafe_b64encode(orjson.dumps([*last, asked])).decode()


def _after(arguments: dict[str, Any], asked: str) -> tuple[str, str] | None:
    """The event after which the page begins."""
    token = arguments.get("NextToken")
    if token is None:
        return None
    try:
        time, event, before = orjson.loads(base64.urlsafe_b64decode(str(token).encode("ascii")))
    except (ValueError, TypeError):
        before = None
    if before != asked or not (isinstance(time, str) and isinstance(event, str)):
        raise ServiceError(
            "InvalidNextTokenException",
            "The NextToken is not valid, or was returned for a request with other parameters.",
        )
    return time, event


def _invalid(value: str, where: str, why: str) -> ServiceError:
    return ServiceError(
        "ValidationException",
        f"1 validation error detected: Value {value} at '{where}' failed to satisfy constraint: {why}",
    )
