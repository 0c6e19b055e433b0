"""PynamoDB against a running Blotter: an object mapper that reads answers more strictly than the SDK beneath it.

Models are made for each test, because a model class keeps its connection. PynamoDB has no PartiQL, for
reading streams or for changing indexes later; what it does have is here once: the table with its indexes, TTL,
tags and stream, every attribute type, versions, conditions, iterators over pages, batches and transactions.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from pynamodb.attributes import (
    BinaryAttribute,
    BinarySetAttribute,
    BooleanAttribute,
    JSONAttribute,
    ListAttribute,
    MapAttribute,
    NullAttribute,
    NumberAttribute,
    NumberSetAttribute,
    TTLAttribute,
    UnicodeAttribute,
    UnicodeSetAttribute,
    UTCDateTimeAttribute,
    VersionAttribute,
)
from pynamodb.connection import Connection
from pynamodb.exceptions import (
    DeleteError,
    DoesNotExist,
    PutError,
    QueryError,
    TransactWriteError,
    UpdateError,
)
from pynamodb.indexes import AllProjection, GlobalSecondaryIndex, KeysOnlyProjection, LocalSecondaryIndex
from pynamodb.models import Model
from pynamodb.transactions import TransactGet, TransactWrite

THEN = datetime(2026, 11, 22, 12, 30, 15, 123456, tzinfo=UTC)


class Place(MapAttribute[str, Any]):
    ward = NumberAttribute()
    street = UnicodeAttribute(null=True)


@pytest.fixture
def model(aws_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, request: Any) -> type[Any]:
    """A model class with its table made; the endpoint comes from the environment."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in aws_environment.items():
        if name.startswith("AWS_"):
            monkeypatch.setenv(name, value)

    class ByKind(GlobalSecondaryIndex[Any]):
        class Meta:
            index_name = "by-kind"
            projection = AllProjection()

        kind = UnicodeAttribute(hash_key=True)
        number = NumberAttribute(range_key=True)

    class ByRank(LocalSecondaryIndex[Any]):
        class Meta:
            index_name = "by-rank"
            projection = KeysOnlyProjection()

        beat = UnicodeAttribute(hash_key=True)
        rank = NumberAttribute(range_key=True)

    class Crime(Model):
        class Meta:
            table_name = request.node.name
            region = "us-east-1"
            billing_mode = "PAY_PER_REQUEST"
            stream_view_type = "KEYS_ONLY"
            tags = {"team": "crimes"}  # noqa: RUF012 — PynamoDB's way.

        beat = UnicodeAttribute(hash_key=True)
        number = NumberAttribute(range_key=True)
        kind = UnicodeAttribute(null=True)
        rank = NumberAttribute(null=True)
        arrest = BooleanAttribute(null=True)
        nothing = NullAttribute(null=True)
        photo = BinaryAttribute(legacy_encoding=False, null=True)
        words = UnicodeSetAttribute(null=True)
        figures = NumberSetAttribute(null=True)
        blobs = BinarySetAttribute(legacy_encoding=False, null=True)
        place = Place(null=True)
        notes: Any = ListAttribute(null=True)
        raw = JSONAttribute(null=True)
        seen = UTCDateTimeAttribute(null=True)
        expires = TTLAttribute(null=True)
        version = VersionAttribute()
        by_kind = ByKind()
        by_rank = ByRank()

    Crime.create_table(wait=True)
    return Crime


def test_the_table(model: Any) -> None:
    shown = model.describe_table()
    assert shown["TableStatus"] == "ACTIVE"
    assert shown["StreamSpecification"] == {"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"}
    assert [index["IndexName"] for index in shown["GlobalSecondaryIndexes"]] == ["by-kind"]
    assert [index["IndexName"] for index in shown["LocalSecondaryIndexes"]] == ["by-rank"]
    client = boto3.Session().client("dynamodb")
    assert client.list_tags_of_resource(ResourceArn=shown["TableArn"])["Tags"] == [
        {"Key": "team", "Value": "crimes"}
    ]
    setting = client.describe_time_to_live(TableName=shown["TableName"])["TimeToLiveDescription"]
    assert setting == {"TimeToLiveStatus": "ENABLED", "AttributeName": "expires"}
    assert model.exists()
    model.delete_table(wait=True)
    assert not model.exists()
    with pytest.raises(PutError) as refused:
        model("0112", 1).save()
    assert refused.value.cause_response_code == "ResourceNotFoundException"
    assert refused.value.cause_response_message == "Requested resource not found"


def test_every_attribute_type(model: Any) -> None:
    values = {
        "kind": "THEFT",
        "rank": -1.5,
        "arrest": False,
        "photo": bytes(range(256)),
        "words": {"a", "ü"},
        "figures": {1, -2, 2.5},
        "blobs": {b"\0", b"\xff"},
        "notes": ["a", 1, [True, {"deep": "er"}]],
        "raw": {"any": ["thing"]},
        "seen": THEN,
        "expires": THEN.replace(microsecond=0),
    }
    model("0112", 12345678901234567890, place=Place(ward=42, street="N STATE ST"), **values).save()
    found = model.get("0112", 12345678901234567890, consistent_read=True)
    assert {name: getattr(found, name) for name in values} == values
    assert (found.place.ward, found.place.street) == (42, "N STATE ST")
    assert (found.nothing, found.version) == (None, 1)
    with pytest.raises(DoesNotExist):
        model.get("0112", 2)


def test_versions_and_conditions(model: Any) -> None:
    crime = model("0112", 1, kind="THEFT", rank=1, words={"a", "b"}, notes=["one"])
    crime.save(model.beat.does_not_exist())
    stale = model.get("0112", 1)
    crime.update(
        actions=[
            model.rank.add(2),
            model.words.delete({"a"}),
            model.notes.set(model.notes.append(["two"])),
            model.place.set(Place(ward=1)),
            model.kind.remove(),
        ],
        condition=model.kind.startswith("TH") & (model.rank < 2),
    )
    assert (crime.rank, crime.words, crime.notes, crime.place.ward) == (3, {"b"}, ["one", "two"], 1)
    assert (crime.kind, crime.version) == (None, 2)
    for failing, error in (
        (lambda: stale.save(), PutError),
        (lambda: stale.update(actions=[model.rank.set(0)]), UpdateError),
        (lambda: stale.delete(), DeleteError),
    ):
        with pytest.raises(error) as refused:
            failing()
        assert refused.value.cause_response_code == "ConditionalCheckFailedException"
        assert refused.value.cause_response_message == "The conditional request failed"
    crime.refresh()
    crime.delete()
    with pytest.raises(DoesNotExist):
        crime.refresh()


def test_batches_queries_scans_and_counts(model: Any) -> None:
    with model.batch_write() as batch:
        for number in range(60):
            batch.save(model(f"b{number % 2}", number, kind=f"k{number % 3}", rank=-number))
    evens = model.query("b0", model.number.between(10, 30), filter_condition=model.kind == "k0", page_size=3)
    assert [crime.number for crime in evens] == [12, 18, 24, 30]
    some = model.query("b1", limit=5, scan_index_forward=False)
    assert [crime.number for crime in some] == [59, 57, 55, 53, 51]
    assert some.last_evaluated_key == {"beat": {"S": "b1"}, "number": {"N": "51"}}
    more = model.query("b1", limit=1, scan_index_forward=False, last_evaluated_key=some.last_evaluated_key)
    assert [crime.number for crime in more] == [49]
    assert [crime.number for crime in model.by_kind.query("k1", model.number > 50)] == [52, 55, 58]
    assert [crime.number for crime in model.by_rank.query("b0", model.rank >= -4)] == [4, 2, 0]
    assert model.by_kind.count("k2") == 20
    assert model.count() == 60
    scanned = [
        crime.number for part in (0, 1) for crime in model.scan(segment=part, total_segments=2, page_size=7)
    ]
    assert sorted(scanned) == list(range(60))
    keys = [(f"b{number % 2}", number) for number in range(60)] + [("b0", 1001)]
    assert sorted(crime.number for crime in model.batch_get(keys)) == list(range(60))
    with model.batch_write() as batch:
        for crime in model.scan():
            batch.delete(crime)
    assert model.count() == 0
    with pytest.raises(QueryError) as refused:
        list(model.query(""))
    assert refused.value.cause_response_code == "ValidationException"


def test_batches_that_must_ask_again(model: Any) -> None:
    """48 items of 390 KB do not fit one answer of 16 MB; PynamoDB requests the rest by itself."""
    with model.batch_write() as batch:
        for number in range(48):
            batch.save(model("b", number, photo=bytes(390_000)))
    assert sum(1 for _ in model.batch_get([("b", number) for number in range(48)])) == 48


def test_transactions(model: Any) -> None:
    connection = Connection(region="us-east-1")
    first, second = model("b", 1, rank=1), model("b", 2, rank=1)
    with TransactWrite(connection=connection) as transaction:
        transaction.save(first)
        transaction.save(second)
    with TransactWrite(connection=connection, client_request_token="once") as transaction:
        transaction.condition_check(model, "b", 3, condition=model.beat.does_not_exist())
        transaction.update(first, actions=[model.rank.add(1)])
    with TransactGet(connection=connection) as reading:
        futures = [reading.get(model, "b", number) for number in (1, 2, 3)]
    assert [future.get().rank for future in futures[:2]] == [2, 1]
    with pytest.raises(DoesNotExist):
        futures[2].get()

    refused = TransactWrite(connection=connection)
    refused.save(model("b", 4))
    refused.save(model("b", 2), condition=model.rank > 5, return_values="ALL_OLD")
    with pytest.raises(TransactWriteError) as cancelled, refused:
        pass
    assert cancelled.value.cause_response_code == "TransactionCanceledException"
    nothing, reason = cancelled.value.cancellation_reasons
    assert nothing is None
    assert reason is not None
    assert (reason.code, reason.message) == ("ConditionalCheckFailed", "The conditional request failed")
    assert reason.raw_item is not None
    assert reason.raw_item["rank"] == {"N": "1"}
    assert model.count("b") == 2


def test_expiry_is_written_as_seconds(model: Any) -> None:
    model("b", 1, expires=timedelta(hours=1)).save()
    expires = model.get("b", 1).expires
    assert timedelta(minutes=59) < expires - datetime.now(UTC) <= timedelta(hours=1)
