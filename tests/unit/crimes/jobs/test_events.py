"""Events: every envelope and spelling in which object-created events come, and nothing odd taken for handled."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blotter.crimes.jobs.events import ObjectCreated, parse_event

WANTED = [ObjectCreated("b", "uploads/a b+ü.csv")]
RECORD: dict[str, Any] = {
    "eventSource": "aws:s3",
    "eventName": "ObjectCreated:Put",
    "s3": {"bucket": {"name": "b"}, "object": {"key": "uploads/a+b%2B%C3%BC.csv"}},
}
S3: dict[str, Any] = {"Records": [RECORD]}
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html
EVENT_BRIDGE: dict[str, Any] = {
    "version": "0",
    "detail-type": "Object Created",
    "source": "aws.s3",
    "detail": {"bucket": {"name": "b"}, "object": {"key": "uploads/a b+ü.csv", "size": 5}},
}


def sqs(*bodies: object) -> dict[str, Any]:
    """https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html"""
    return {
        "Records": [
            {"messageId": str(number), "eventSource": "aws:sqs", "body": json.dumps(body)}
            for number, body in enumerate(bodies)
        ]
    }


def sns(message: object) -> dict[str, Any]:
    """https://docs.aws.amazon.com/lambda/latest/dg/with-sns.html"""
    notification = {"Type": "Notification", "Message": json.dumps(message)}
    return {"Records": [{"EventSource": "aws:sns", "EventVersion": "1.0", "Sns": notification}]}


# https://min.io/docs/minio/linux/administration/monitoring/bucket-notifications.html
MINIO: dict[str, Any] = {
    "EventName": "s3:ObjectCreated:Put",
    "Key": "b/uploads/a b+ü.csv",
    "Records": [
        {
            "eventSource": "minio:s3",
            "eventName": "s3:ObjectCreated:CompleteMultipartUpload",
            "s3": {"bucket": {"name": "b"}, "object": {"key": "uploads%2Fa+b%2B%C3%BC.csv"}},
        }
    ],
}


@pytest.mark.parametrize(
    "event",
    [
        S3,
        EVENT_BRIDGE,
        MINIO,
        sqs(S3),
        sqs(EVENT_BRIDGE),
        sqs(MINIO),
        sns(S3),
        sqs({"Type": "Notification", "Message": json.dumps(S3)}),
        sns(EVENT_BRIDGE),
        {"Type": "Notification", "Message": json.dumps(S3)},
        sqs({"Service": "Amazon S3", "Event": "s3:TestEvent"}, S3),
        {"Records": [{"eventName": "s3:ObjectRemoved:Delete", "s3": {}}, RECORD]},
    ],
)
def test_every_envelope_is_opened(event: dict[str, Any]) -> None:
    parsed = parse_event(event)
    assert (parsed.created, parsed.problems) == (WANTED, [])


@pytest.mark.parametrize(
    "odd",
    [
        {},
        {"eventName": "ObjectCreated:Put"},
        {"eventName": "Something:New", "s3": RECORD["s3"]},
        {"eventName": None, "s3": RECORD["s3"]},
        {"eventName": "ObjectCreated:Put", "s3": {"bucket": {"name": 1}, "object": {"key": "x"}}},
        {"eventName": "ObjectCreated:Put", "s3": {"bucket": {"name": "b"}, "object": {"key": "%ff"}}},
        {"eventName": "ObjectCreated:Put", "s3": [1]},
        {"eventSource": "aws:sqs", "body": "no JSON"},
        {"eventSource": "aws:sqs", "body": "[" * 100_000},
        {"eventSource": "aws:kinesis", "kinesis": {"data": "eA=="}},
        7,
        "x\n\x1b[31m",
    ],
)
def test_one_odd_record_hides_no_other_and_is_told(odd: object) -> None:
    parsed = parse_event({"Records": [odd, RECORD]})
    assert parsed.created == WANTED
    (problem,) = parsed.problems
    assert problem.isprintable()
    assert len(problem) < 400


@pytest.mark.parametrize(
    "event",
    [
        {},
        [],
        None,
        "x",
        {"Records": {}},
        EVENT_BRIDGE | {"source": "aws.ec2"},
        EVENT_BRIDGE | {"detail-type": "EC2 Instance State-change Notification"},
        EVENT_BRIDGE | {"detail": {}},
        sqs(sqs(sqs(sqs(sqs(S3))))),
    ],
)
def test_what_is_not_understood_is_never_taken_for_handled(event: object) -> None:
    parsed = parse_event(event)
    assert parsed.created == []
    assert len(parsed.problems) == 1


def test_s3s_other_events_are_left_out() -> None:
    assert parse_event(EVENT_BRIDGE | {"detail-type": "Object Deleted"}).problems == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            ["Records", "s3", "body", "Sns", "Message", "Type", "eventName", "detail-type", "source", "detail",
             "bucket", "object", "key", "name", "Event"]
        ),
        inner,
        max_size=4,
    ),
    max_leaves=12,
)  # fmt: skip


@given(JSON)
def test_no_json_is_an_error(event: object) -> None:
    parse_event(event)
