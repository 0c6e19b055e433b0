"""EnableKinesisStreamingDestination, DisableKinesisStreamingDestination, UpdateKinesisStreamingDestination and
DescribeKinesisStreamingDestination.

Enabling does not look at the stream: the background process does and makes the destination ACTIVE or ENABLE_FAILED
(`background.kinesis`). States, messages and which of them comes first are as recorded from AWS in the notes of the
AWS controllers (aws-controllers-k8s/dynamodb-controller, docs/api-quirks, DDB-TABLE-234, -236, -268, -299 to -304,
-318, -319, -455, -460; 2026-10) and in LocalStack's tests recorded from the service (test_dynamodb.snapshot.json,
test_kinesis_streaming_destination_crud; 2025-07).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from blotter.database.model.errors import DynamoDBError, table_not_found, validation_error
from blotter.database.model.table import Table, TableStatus
from blotter.database.operations.answers import answer, encoded
from blotter.database.operations.context import Context, get_table
from blotter.database.operations.streams.kinesis_destinations import (
    Destination,
    Precision,
    begin,
    destinations,
    disable,
    save_destination,
)
from blotter.database.operations.touches import Touch
from blotter.database.storage.protocol import ReadTransaction, WriteTransaction
from blotter.database.wire import requests as wire

_DEFAULT_PRECISION: Precision = "MILLISECOND"

_MAY_NOT_ENABLE = (
    "EnableKinesisStreamingDestination must be DISABLED or ENABLE_FAILED to perform ENABLE operation."
)
_MAY_NOT_DISABLE = "KinesisStreamingDestination must be ACTIVE to perform DISABLE operation."


def touches_of_enable(request: wire.EnableKinesisStreamingDestinationInput) -> Sequence[Touch]:
    """The server writes to the stream with its own credentials, so the caller's policies must allow that, too.
    Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/kds_iam.html"""
    return [
        Touch("dynamodb:EnableKinesisStreamingDestination", request.TableName),
        Touch("kinesis:DescribeStream", request.StreamArn),
        Touch("kinesis:PutRecords", request.StreamArn),
    ]


def enable(request: wire.EnableKinesisStreamingDestinationInput, tx: WriteTransaction, context: Context) -> bytes:
    table = _table(request.TableName, tx, context)
    if any(destination.is_live for destination in destinations(tx, table)):
        raise _wrong_state(_MAY_NOT_ENABLE)
    precision = _precision(request.EnableKinesisStreamingConfiguration)
    begin(tx, table, request.StreamArn, precision, context.now, context.settled_at)
    return _answer(table, request.StreamArn, "ENABLING", "EnableKinesisStreamingConfiguration", precision)


def disable_destination(
    request: wire.DisableKinesisStreamingDestinationInput, tx: WriteTransaction, context: Context
) -> bytes:
    if _precision(request.EnableKinesisStreamingConfiguration) is not None:
        raise validation_error("Stream cannot be disabled using EnableKinesisStreamingConfiguration parameters")
    table = _table(request.TableName, tx, context)
    destination = _find(tx, table, request.StreamArn)
    status = None if destination is None else _status(destination, table, context)
    if destination is None or status not in ("ACTIVE", "DISABLING"):
        raise _wrong_state(_MAY_NOT_DISABLE)
    if status == "ACTIVE":
        disable(tx, destination, table, context.now, context.settled_at)
    return _answer(table, request.StreamArn, "DISABLING")


def update(request: wire.UpdateKinesisStreamingDestinationInput, tx: WriteTransaction, context: Context) -> bytes:
    table = _table(request.TableName, tx, context)
    precision = _precision(request.UpdateKinesisStreamingConfiguration)
    if precision is None:
        raise validation_error(
            "Streaming destination cannot be updated with given parameters: "
            "UpdateKinesisStreamingConfiguration cannot be null or contain only null values"
        )
    arn = request.StreamArn
    destination = _find(tx, table, arn)
    if destination is None:
        raise _wrong_state(
            f"No streaming destination with streamArn: {arn} found for table with tableName: {table.name}"
        )
    if destination.state != "ACTIVE" or destination.is_updating_at(context.now):
        raise _wrong_state(
            "Kinesis streaming is not in ACTIVE state. Updates are only allowed in ACTIVE state. "
            f"TableName: {table.name}, kdsArn: {arn}"
        )
    if precision == (destination.precision or _DEFAULT_PRECISION):
        raise validation_error(
            f"Invalid Request: Precision is already set to the desired value of {precision} "
            f"for tableId: {table.id}, kdsArn: {arn}"
        )
    save_destination(tx, replace(destination, precision=precision, settles_at=context.settled_at))
    return _answer(table, arn, "UPDATING", "UpdateKinesisStreamingConfiguration", precision)


def describe(
    request: wire.DescribeKinesisStreamingDestinationInput, tx: ReadTransaction, context: Context
) -> bytes:
    table = _table(request.TableName, tx, context)
    listed = [_described(destination, table, context) for destination in destinations(tx, table)]
    return answer((b"TableName", encoded(table.name)), (b"KinesisDataStreamDestinations", encoded(listed)))


def _table(name: str, tx: ReadTransaction, context: Context) -> Table:
    """The table; ResourceNotFoundException while it is CREATING too."""
    table = get_table(tx, context, name)
    if table.status_at(context.now) is TableStatus.CREATING:
        raise table_not_found(f"Requested resource not found: Table: {table.name} not found")
    return table


def _find(tx: ReadTransaction, table: Table, arn: str) -> Destination | None:
    return next((each for each in destinations(tx, table) if each.stream_arn == arn), None)


def _status(destination: Destination, table: Table, context: Context) -> str:
    """DestinationStatus. A destination of a table that is being deleted is UPDATING (DDB-TABLE-236)."""
    if destination.is_updating_at(context.now) or (
        destination.state == "ACTIVE" and table.deleting_until is not None
    ):
        return "UPDATING"
    return destination.state


def _described(destination: Destination, table: Table, context: Context) -> dict[str, Any]:
    described = {
        "StreamArn": destination.stream_arn,
        "DestinationStatus": _status(destination, table, context),
    }
    if destination.description:
        described["DestinationStatusDescription"] = destination.description
    if destination.precision is not None:
        described["ApproximateCreationDateTimePrecision"] = destination.precision
    return described


def _precision(
    configuration: wire.EnableKinesisStreamingConfiguration | wire.UpdateKinesisStreamingConfiguration | None,
) -> Precision | None:
    return None if configuration is None else configuration.ApproximateCreationDateTimePrecision


def _answer(
    table: Table, arn: str, status: str, configuration: str = "", precision: Precision | None = None
) -> bytes:
    body: dict[str, Any] = {"TableName": table.name, "StreamArn": arn, "DestinationStatus": status}
    if configuration:
        given = {} if precision is None else {"ApproximateCreationDateTimePrecision": precision}
        body[configuration] = given
    return encoded(body) or b""


def _wrong_state(why: str) -> DynamoDBError:
    return validation_error(f"Table is not in a valid state to enable Kinesis Streaming Destination: {why}")
