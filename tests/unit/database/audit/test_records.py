"""Records in CloudTrail's format: who it was, what was asked without the values of items, how it ended."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blotter.database.audit.events import Event, record_of
from blotter.database.audit.parameters import HIDDEN, data_parameters, elements
from blotter.database.audit.recorder import DATA_EVENTS
from blotter.database.audit.statements import redacted_statement
from blotter.database.http.messages import Request, TlsSession
from blotter.database.operations.registry import OPERATIONS
from blotter.database.security.identity import Identity
from blotter.database.security.principal import Principal, Session

_ACCOUNT = "111122223333"


def _keys(table: str) -> tuple[str, ...]:
    return ("Artist", "SongTitle") if table == "Music" else ()


def _event(caller: Identity | None, **more: Any) -> dict[str, Any]:
    headers = {"user-agent": "aws-cli/2", "host": "db.example.com:8000"}
    request = Request(
        "POST", "/", headers, b"", "192.0.2.7", "ID", TlsSession("TLSv1.3", "TLS_AES_128_GCM_SHA256")
    )
    event = Event(
        request=request,
        source="dynamodb.amazonaws.com",
        name=more.pop("name", "DeleteTable"),
        api_version="2012-08-10",
        account=_ACCOUNT,
        region="us-west-2",
        at=1795900500.9,
        caller=caller,
        **more,
    )
    found: dict[str, Any] = json.loads(record_of(event))
    return found


def _caller(principal: Principal | None) -> Identity:
    return Identity(_ACCOUNT, "us-west-2", "AKIAIOSFODNN7EXAMPLE", principal)


_SESSION = Session(1795896900.0, 1795904100.0, mfa_authenticated=True, source_identity="bob")
_ROLE = f"arn:aws:iam::{_ACCOUNT}:role/app/worker"
_IDENTITIES: dict[str, tuple[Identity | None, dict[str, Any]]] = {
    "open access": (
        _caller(None),
        {
            "type": "Root",
            "principalId": _ACCOUNT,
            "arn": f"arn:aws:iam::{_ACCOUNT}:root",
            "accountId": _ACCOUNT,
            "accessKeyId": "AKIAIOSFODNN7EXAMPLE",
        },
    ),
    "a user": (
        _caller(Principal("user", _ACCOUNT, f"arn:aws:iam::{_ACCOUNT}:user/x/alice", "AIDAEXAMPLE", "alice")),
        {
            "type": "IAMUser",
            "principalId": "AIDAEXAMPLE",
            "arn": f"arn:aws:iam::{_ACCOUNT}:user/x/alice",
            "accountId": _ACCOUNT,
            "accessKeyId": "AKIAIOSFODNN7EXAMPLE",
            "userName": "alice",
        },
    ),
    "a role's session": (
        _caller(
            Principal(
                "assumed-role",
                _ACCOUNT,
                f"arn:aws:sts::{_ACCOUNT}:assumed-role/worker/i-1",
                "AROAEXAMPLE:i-1",
                "worker",
                role_arn=_ROLE,
                session_name="i-1",
                session=_SESSION,
            )
        ),
        {
            "type": "AssumedRole",
            "principalId": "AROAEXAMPLE:i-1",
            "arn": f"arn:aws:sts::{_ACCOUNT}:assumed-role/worker/i-1",
            "accountId": _ACCOUNT,
            "accessKeyId": "AKIAIOSFODNN7EXAMPLE",
            "sessionContext": {
                "sessionIssuer": {
                    "type": "Role",
                    "principalId": "AROAEXAMPLE",
                    "arn": _ROLE,
                    "accountId": _ACCOUNT,
                    "userName": "worker",
                },
                "attributes": {"creationDate": "2026-11-28T20:15:00Z", "mfaAuthenticated": "true"},
                "sourceIdentity": "bob",
            },
        },
    ),
    "a federated user": (
        _caller(
            Principal(
                "federated-user",
                _ACCOUNT,
                f"arn:aws:sts::{_ACCOUNT}:federated-user/carol",
                f"{_ACCOUNT}:carol",
                "carol",
                session=Session(1795896900.0, 1795904100.0),
            )
        ),
        {
            "type": "FederatedUser",
            "principalId": f"{_ACCOUNT}:carol",
            "arn": f"arn:aws:sts::{_ACCOUNT}:federated-user/carol",
            "accountId": _ACCOUNT,
            "accessKeyId": "AKIAIOSFODNN7EXAMPLE",
            "sessionContext": {
                "attributes": {"creationDate": "2026-11-28T20:15:00Z", "mfaAuthenticated": "false"}
            },
        },
    ),
    "nobody": (None, {"type": "Unknown", "accountId": _ACCOUNT}),
}


@pytest.mark.parametrize("kind", _IDENTITIES)
def test_who_it_was(kind: str) -> None:
    caller, identity = _IDENTITIES[kind]
    assert _event(caller)["userIdentity"] == identity


def test_a_record() -> None:
    record = _event(_caller(None), error=("AccessDeniedException", "no"), parameters={"tableName": "Music"})
    assert record["eventID"][14] == "7"
    assert {name: record[name] for name in record if name not in ("userIdentity", "eventID")} == {
        "eventVersion": "1.11",
        "eventTime": "2026-11-28T21:15:00Z",
        "eventSource": "dynamodb.amazonaws.com",
        "eventName": "DeleteTable",
        "awsRegion": "us-west-2",
        "sourceIPAddress": "192.0.2.7",
        "userAgent": "aws-cli/2",
        "errorCode": "AccessDeniedException",
        "errorMessage": "no",
        "requestParameters": {"tableName": "Music"},
        "responseElements": None,
        "requestID": "ID",
        "readOnly": False,
        "eventType": "AwsApiCall",
        "apiVersion": "2012-08-10",
        "managementEvent": True,
        "recipientAccountId": _ACCOUNT,
        "eventCategory": "Management",
        "tlsDetails": {
            "tlsVersion": "TLSv1.3",
            "cipherSuite": "TLS_AES_128_GCM_SHA256",
            "clientProvidedHostHeader": "db.example.com:8000",
        },
    }


def test_fields_are_bounded() -> None:
    record = _event(_caller(None), error=("X", "y" * 5000), parameters={"a": "b" * 200_000}, elements={"n": 2**70})
    assert len(record["errorMessage"]) == 1024
    assert record["requestParameters"] is record["responseElements"] is None


def test_elements_are_spelled_and_secrets_hidden() -> None:
    found = elements(
        {
            "Credentials": {"AccessKeyId": "A", "SecretAccessKey": "s", "SessionToken": "t", "Expiration": 0},
            "SSESpecification": {"KMSMasterKeyId": "k"},
            "CreationDateTime": 1795900500,
            "ExportTime": 1e300,
            "BadDate": 1e300,
        }
    )
    assert found == {
        "credentials": {
            "accessKeyId": "A",
            "secretAccessKey": HIDDEN,
            "sessionToken": HIDDEN,
            "expiration": "Jan 1, 1970 12:00:00 AM",
        },
        "sSESpecification": {"kMSMasterKeyId": "k"},
        "creationDateTime": "Nov 28, 2026 9:15:00 PM",
        "exportTime": 1e300,
        "badDate": 1e300,
    }


_KEY = {"Artist": {"S": "No One You Know"}, "SongTitle": {"S": "Call Me Today"}}
_PLAIN_KEY = {"Artist": "No One You Know", "SongTitle": "Call Me Today"}


def test_parameters_of_items_as_cloudtrail_shows_them() -> None:
    put = {"TableName": "Music", "Item": _KEY | {"AlbumTitle": {"S": "x"}}, "ReturnConsumedCapacity": "TOTAL"}
    assert data_parameters("PutItem", put, _keys) == {
        "tableName": "Music",
        "key": _PLAIN_KEY,
        "item": ["AlbumTitle", "Artist", "SongTitle"],
        "returnConsumedCapacity": "TOTAL",
    }
    update = {
        "TableName": "Music",
        "Key": _KEY,
        "UpdateExpression": "SET #Y = :y",
        "ExpressionAttributeNames": {"#Y": "Year"},
        "ExpressionAttributeValues": {":y": {"S": "x"}},
        "Expected": {"a": {"Value": {"S": "x"}}},
    }
    assert data_parameters("UpdateItem", update, _keys) == {
        "tableName": "Music",
        "key": _PLAIN_KEY,
        "updateExpression": "SET #Y = :y",
        "expressionAttributeNames": {"#Y": "Year"},
        "expected": ["a"],
    }
    transaction = {"TransactItems": [{"Put": put}, {"Delete": {"TableName": "Other", "Key": _KEY}}]}
    assert data_parameters("TransactWriteItems", transaction, _keys) == {
        "requestItems": [
            {
                "operation": "Put",
                "tableName": "Music",
                "key": _PLAIN_KEY,
                "returnConsumedCapacity": "TOTAL",
                "items": ["AlbumTitle", "Artist", "SongTitle"],
            },
            {"operation": "Delete", "tableName": "Other", "key": {}},
        ]
    }
    batch = {"RequestItems": {"Music": {"Keys": [_KEY], "ConsistentRead": True}}}
    assert data_parameters("BatchGetItem", batch, _keys) == {
        "requestItems": {"Music": {"consistentRead": True, "keys": [_PLAIN_KEY]}}
    }


_STATEMENTS = {
    "UPDATE Music SET Album = 'a' WHERE Artist = 'No One You Know' AND SongTitle = 'Call Me Today'": (
        "UPDATE Music SET Album = ***(Redacted) WHERE Artist = 'No One You Know' AND SongTitle = 'Call Me Today'"
    ),
    "INSERT INTO Music VALUE {'Artist' : 'a', 'SongTitle' : 'b', 'Album' : 1}": (
        "INSERT INTO Music VALUE {'Artist' : ***(Redacted), 'SongTitle' : ***(Redacted), 'Album' : ***(Redacted)}"
    ),
    "SELECT * FROM Music WHERE Artist = 'No One You Know' AND nonKeyAttr = 'x'": (
        "SELECT * FROM Music WHERE Artist = 'No One You Know' AND nonKeyAttr = ***(Redacted)"
    ),
    'select * from "Music"."by-x" where a.Artist = 1 and "Artist" = 2 and x in [\'a\', true]': (
        'select * from "Music"."by-x" where a.Artist = ***(Redacted) and "Artist" = 2 '
        "and x in [***(Redacted), ***(Redacted)]"
    ),
    "DELETE FROM Other/* 'x' */WHERE Artist = 'a' -- secret": "DELETE FROM Other WHERE Artist = ***(Redacted)  ",
    "SELECT 'no end": "***(Redacted)",
}


@pytest.mark.parametrize("statement", _STATEMENTS)
def test_statements_lose_their_values(statement: str) -> None:
    assert redacted_statement(statement, _keys) == _STATEMENTS[statement]


_MARK = "Q7secretQ7"
_VALUES = st.recursive(
    st.sampled_from([{"S": _MARK}, {"B": _MARK}, {"SS": [_MARK]}, {"N": _MARK}, {"NULL": _MARK}]) | st.just(_MARK),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda each: {"L": each})
        | st.dictionaries(st.sampled_from("abc"), inner, max_size=3).map(lambda each: {"M": each})
    ),
    max_leaves=5,
)
_ITEMS = st.dictionaries(st.sampled_from(["a", "b", "Album"]), _VALUES, max_size=3)
_MEMBERS = st.fixed_dictionaries(
    {"TableName": st.sampled_from(["Music", "Other"])},
    optional={
        "Key": _ITEMS.map(lambda item: item | _KEY),
        "Item": _ITEMS.map(lambda item: item | _KEY),
        "ExclusiveStartKey": _ITEMS,
        "ExpressionAttributeValues": st.dictionaries(st.sampled_from([":a", ":b"]), _VALUES),
        "AttributeUpdates": st.dictionaries(st.sampled_from("ab"), st.fixed_dictionaries({"Value": _VALUES})),
        "Expected": st.dictionaries(st.sampled_from("ab"), st.fixed_dictionaries({"Value": _VALUES})),
        "ScanFilter": st.dictionaries(st.sampled_from("ab"), st.fixed_dictionaries({"x": _VALUES})),
        "Unheard": _VALUES,
        "Parameters": st.lists(_VALUES, max_size=2),
        "Statement": st.sampled_from(
            [
                f"SELECT * FROM Music WHERE Album = '{_MARK}'",
                f"UPDATE Other SET a='{_MARK}'",
                f"'{_MARK}",
                _MARK * 0,
            ]
        ),
    },
)
_REQUESTS = st.one_of(
    st.tuples(
        st.sampled_from(["PutItem", "UpdateItem", "Query", "Scan", "GetItem", "ExecuteStatement"]), _MEMBERS
    ),
    st.tuples(
        st.just("TransactWriteItems"),
        st.lists(st.dictionaries(st.sampled_from(["Put", "Update"]), _MEMBERS), max_size=3).map(
            lambda each: {"TransactItems": each, "ClientRequestToken": _MARK}
        ),
    ),
    st.tuples(
        st.sampled_from(["BatchWriteItem", "BatchGetItem"]),
        st.dictionaries(
            st.sampled_from(["Music", "Other"]),
            st.lists(st.fixed_dictionaries({"PutRequest": _MEMBERS, "DeleteRequest": _MEMBERS}), max_size=2)
            | st.fixed_dictionaries({"Keys": st.lists(_ITEMS, max_size=2), "Other": _VALUES})
            | _VALUES,
        ).map(lambda each: {"RequestItems": each}),
    ),
    st.tuples(
        st.sampled_from(["BatchExecuteStatement", "ExecuteTransaction"]),
        st.lists(_MEMBERS, max_size=2).map(lambda each: {"Statements": each, "TransactStatements": each}),
    ),
)


@given(_REQUESTS)
def test_no_value_of_an_item_is_recorded(request: tuple[str, dict[str, Any]]) -> None:
    """Whatever the request looks like, right or wrong."""
    operation, body = request
    assert _MARK not in json.dumps(data_parameters(operation, body, _keys))


def test_operations_on_items_are_data_events_and_no_others() -> None:
    on_items = re.compile("Item|Query|Scan|Statement|ExecuteTransaction|GetRecords|GetShardIterator|SearchVectors")
    found = {name for name in OPERATIONS if on_items.search(name)} - {"StartBulkPutItems"}
    assert found == DATA_EVENTS & OPERATIONS.keys()
