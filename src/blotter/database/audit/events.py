"""One request as a record in CloudTrail's format, version 1.11.

    {"eventVersion":"1.11","userIdentity":{…},"eventTime":"2026-11-28T21:15:00Z",
     "eventSource":"dynamodb.amazonaws.com","eventName":"CreateTable","awsRegion":"us-east-1",…}

Members come in CloudTrail's order. Nothing here decides what is recorded of parameters (`parameters`).
Sources: https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html
and …/cloudtrail-event-reference-user-identity.html; the examples in DynamoDB's, IAM's and STS's developer guides.
"""

from __future__ import annotations

import secrets
import time
import uuid
from typing import Any

import msgspec
import orjson

from blotter.database.http.messages import Request
from blotter.database.model.timestamps import iso
from blotter.database.security.identity import Identity
from blotter.database.security.principal import Principal

_VERSION = "1.11"
_LONGEST_TEXT = 1024
"""Of an error's message and of a user agent, in characters, as CloudTrail cuts them."""
_LARGEST_FIELD = 100 * 1024
"""Larger parameters or elements are left out, as CloudTrail does."""

_READING = (
    "Get",
    "List",
    "Describe",
    "Query",
    "Scan",
    "Search",
    "BatchGet",
    "TransactGet",
    "Lookup",
    "Simulate",
    "AssumeRole",
    "Decode",
)


class Resource(msgspec.Struct, frozen=True):
    type: str
    arn: str
    account: str


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a finished request. `caller` is None for one that did not authenticate; `access_key` is
    then what it claims."""

    request: Request
    source: str
    name: str
    api_version: str
    account: str
    region: str
    at: float
    caller: Identity | None
    access_key: str = ""
    parameters: Any = None
    elements: Any = None
    additional: dict[str, Any] | None = None
    resources: tuple[Resource, ...] = ()
    error: tuple[str, str] | None = None
    """Code and message."""
    management: bool = True


def is_reading(name: str) -> bool:
    """Whether an operation counts as one that changes nothing."""
    return name.startswith(_READING)


def record_of(event: Event) -> bytes:
    """The record, as JSON without line breaks."""
    request = event.request
    record: dict[str, Any] = {
        "eventVersion": _VERSION,
        "userIdentity": _identity(event),
        "eventTime": iso(event.at),
        "eventSource": event.source,
        "eventName": event.name,
        "awsRegion": event.region,
        "sourceIPAddress": request.peer,
        "userAgent": _cut(request.headers.get("user-agent", "")),
    }
    if event.error is not None:
        record["errorCode"] = event.error[0]
        if event.error[1]:
            record["errorMessage"] = _cut(event.error[1])
    record["requestParameters"] = _bounded(event.parameters)
    record["responseElements"] = _bounded(event.elements)
    if event.additional is not None:
        record["additionalEventData"] = event.additional
    record["requestID"] = request.id
    record["eventID"] = event_id()
    record["readOnly"] = is_reading(event.name)
    if event.resources:
        record["resources"] = [
            {"accountId": each.account, "type": each.type, "ARN": each.arn} for each in event.resources
        ]
    record["eventType"] = "AwsApiCall"
    record["apiVersion"] = event.api_version
    record["managementEvent"] = event.management
    record["recipientAccountId"] = event.account
    record["eventCategory"] = "Management" if event.management else "Data"
    if request.tls is not None:
        record["tlsDetails"] = {
            "tlsVersion": request.tls.version,
            "cipherSuite": request.tls.cipher,
            "clientProvidedHostHeader": _cut(request.headers.get("host", "")),
        }
    return orjson.dumps(record)


def event_id() -> str:
    """A UUID of version 7: it begins with the time, to a quarter of a microsecond, so that events of one second
    can be ordered by it."""
    milliseconds, rest = divmod(time.time_ns(), 1_000_000)
    bits = (milliseconds << 80) | (7 << 76) | ((rest * 4096 // 1_000_000) << 64)
    return str(uuid.UUID(int=bits | (2 << 62) | secrets.randbits(62)))


def lost_record(lost: int, account: str, region: str, at: float) -> bytes:
    """The record of events that could not be kept until the trail could be written again."""
    return orjson.dumps(
        {
            "eventVersion": _VERSION,
            "userIdentity": {"type": "AWSService", "invokedBy": "blotter"},
            "eventTime": iso(at),
            "eventSource": "cloudtrail.amazonaws.com",
            "eventName": "EventsLost",
            "awsRegion": region,
            "sourceIPAddress": "blotter",
            "userAgent": "blotter",
            "requestParameters": None,
            "responseElements": None,
            "additionalEventData": {"eventsLost": lost},
            "eventID": event_id(),
            "readOnly": False,
            "eventType": "AwsServiceEvent",
            "managementEvent": True,
            "recipientAccountId": account,
            "eventCategory": "Management",
        }
    )


def _identity(event: Event) -> dict[str, Any]:
    caller = event.caller
    if caller is None:
        unknown = {"type": "Unknown", "accountId": event.account}
        return unknown | ({"accessKeyId": event.access_key} if event.access_key else {})
    if caller.principal is None:  # Open access: everybody is root.
        return _root(caller.account, caller.access_key)
    return _IDENTITIES[caller.principal.kind](caller, caller.principal)


def _root(account: str, access_key: str) -> dict[str, Any]:
    return {
        "type": "Root",
        "principalId": account,
        "arn": f"arn:aws:iam::{account}:root",
        "accountId": account,
        "accessKeyId": access_key,
    }


def _of_root(caller: Identity, principal: Principal) -> dict[str, Any]:
    return _root(principal.account, caller.access_key) | _session(principal, None)


def _of_user(caller: Identity, principal: Principal) -> dict[str, Any]:
    return {
        "type": "IAMUser",
        "principalId": principal.user_id,
        "arn": principal.arn,
        "accountId": principal.account,
        "accessKeyId": caller.access_key,
        "userName": principal.name,
    } | _session(principal, None)


def _of_role(caller: Identity, principal: Principal) -> dict[str, Any]:
    issuer = {
        "type": "Role",
        "principalId": principal.user_id.partition(":")[0],
        "arn": principal.role_arn,
        "accountId": principal.account,
        "userName": principal.name,
    }
    return _temporary("AssumedRole", caller, principal, issuer)


def _of_federated_user(caller: Identity, principal: Principal) -> dict[str, Any]:
    return _temporary("FederatedUser", caller, principal, None)


def _temporary(kind: str, caller: Identity, principal: Principal, issuer: dict[str, Any] | None) -> dict[str, Any]:
    return {
        "type": kind,
        "principalId": principal.user_id,
        "arn": principal.arn,
        "accountId": principal.account,
        "accessKeyId": caller.access_key,
    } | _session(principal, issuer)


_IDENTITIES = {
    "root": _of_root,
    "user": _of_user,
    "assumed-role": _of_role,
    "federated-user": _of_federated_user,
}


def _session(principal: Principal, issuer: dict[str, Any] | None) -> dict[str, Any]:
    """`sessionContext`, for temporary credentials."""
    session = principal.session
    if session is None:
        return {}
    context: dict[str, Any] = {} if issuer is None else {"sessionIssuer": issuer}
    context["attributes"] = {
        "creationDate": iso(session.issued_at),
        "mfaAuthenticated": "true" if session.mfa_authenticated else "false",
    }
    if session.source_identity:
        context["sourceIdentity"] = session.source_identity
    return {"sessionContext": context}


def _cut(text: str) -> str:
    """A text of bounded length that UTF-8 can hold."""
    return text[:_LONGEST_TEXT].encode("utf-8", "replace").decode()


def _bounded(value: Any) -> Any:
    if value is None:
        return None
    try:
        encoded = orjson.dumps(value)
    except orjson.JSONEncodeError:  # A number of more than 64 bits, which CBOR can hold.
        return None
    return None if len(encoded) > _LARGEST_FIELD else orjson.Fragment(encoded)
