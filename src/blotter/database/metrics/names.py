"""Every metric that the server itself makes: unit, dimensions, valid statistics.

`AWS/DynamoDB` holds AWS's metrics with AWS's names and dimensions; `Blotter` holds a few of the server's own. A
metric with its dimensions is identified by a `Metric`:

    Metric("123456789012", "us-east-1", "AWS/DynamoDB", "ConsumedReadCapacityUnits", (("TableName", "results"),))

Counted values are whole numbers of `scale`: half units, nanoseconds, bytes. So sums are exact.
Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/metrics-dimensions.html (November 2026)
"""

from __future__ import annotations

from typing import Final, NamedTuple

DYNAMODB: Final = "AWS/DynamoDB"
BLOTTER: Final = "Blotter"

Dimensions = tuple[tuple[str, str], ...]
"""Names and values, sorted by name."""

# Names of dimensions.
TABLE: Final = "TableName"
INDEX: Final = "GlobalSecondaryIndexName"
VECTOR_INDEX: Final = "VectorIndexName"
OPERATION: Final = "Operation"
STREAM: Final = "StreamLabel"
REGION: Final = "ReceivingRegion"
DELEGATED: Final = "DelegatedOperation"

MINUTE: Final = 60
FIVE_MINUTES: Final = 300


class Metric(NamedTuple):
    """One metric of one account and region. `dimensions` are sorted by name (`dimensions`)."""

    account: str
    region: str
    namespace: str
    name: str
    dimensions: Dimensions = ()

    def value_of(self, dimension: str) -> str | None:
        return next((value for name, value in self.dimensions if name == dimension), None)


def dimensions(**values: str | None) -> Dimensions:
    """Dimensions by name, without those that are None: `dimensions(TableName="results", Operation="GetItem")`."""
    return tuple(sorted((name, value) for name, value in values.items() if value is not None))


class Declared(NamedTuple):
    """What is known of a metric. `dimensions` lists the sets of dimensions that it comes with."""

    name: str
    unit: str
    dimensions: tuple[tuple[str, ...], ...]
    statistics: tuple[str, ...]
    scale: float = 1.0
    """What one counted unit stands for."""
    period: int = MINUTE
    namespace: str = DYNAMODB
    help: str = ""


_ALL: Final = ("Minimum", "Maximum", "Average", "SampleCount", "Sum")
_SUM: Final = ("Sum", "SampleCount")
_LEVEL: Final = ("Minimum", "Maximum", "Average")
_EVENTS: Final = ("Sum", "SampleCount", "Minimum", "Maximum")
_NONE: Final[tuple[tuple[str, ...], ...]] = ((),)
_TABLE: Final = ((TABLE,),)
_TABLE_OR_INDEX: Final = ((TABLE,), (INDEX, TABLE))
_INDEX: Final = ((INDEX, TABLE),)
_VECTOR_INDEX: Final = ((TABLE, VECTOR_INDEX),)
_OPERATION: Final = ((OPERATION, TABLE),)
_STREAM_READ: Final = ((OPERATION, STREAM, TABLE),)
_REPLICA: Final = ((REGION, TABLE),)
_DELEGATED: Final = ((DELEGATED, TABLE),)

HALF_UNIT: Final = 0.5
"""Capacity units are consumed in halves."""
NANOSECOND_IN_MS: Final = 1e-6
MICROSECOND: Final = 1e-6


def _five(name: str, unit: str, where: tuple[tuple[str, ...], ...], text: str) -> Declared:
    """A level that is sampled every five minutes."""
    scale = 0.001 if unit == "Percent" else 1.0
    return Declared(name, unit, where, _LEVEL, scale, FIVE_MINUTES, DYNAMODB, text)


def _own(
    name: str, unit: str, where: tuple[tuple[str, ...], ...], statistics: tuple[str, ...], scale: float, text: str
) -> Declared:
    return Declared(name, unit, where, statistics, scale, MINUTE, BLOTTER, text)


_DECLARED: Final = (
    # Capacity
    Declared("ConsumedReadCapacityUnits", "Count", _TABLE_OR_INDEX, _ALL, HALF_UNIT, help="Read units consumed"),
    Declared("ConsumedWriteCapacityUnits", "Count", _TABLE_OR_INDEX, _ALL, HALF_UNIT, help="Write units consumed"),
    Declared(
        "VectorSearchRequestBytes",
        "Bytes",
        _VECTOR_INDEX,
        _ALL,
        help="Bytes of vector indexes that searches examined",
    ),
    Declared(
        "VectorWriteRequestBytes", "Bytes", _VECTOR_INDEX, _ALL, help="Bytes that writes changed in vector indexes"
    ),
    _five("ProvisionedReadCapacityUnits", "Count", _TABLE_OR_INDEX, "Read units provisioned, a second"),
    _five("ProvisionedWriteCapacityUnits", "Count", _TABLE_OR_INDEX, "Write units provisioned, a second"),
    _five("OnDemandMaxReadRequestUnits", "Count", _TABLE_OR_INDEX, "Maximum of on-demand read units, a second"),
    _five("OnDemandMaxWriteRequestUnits", "Count", _TABLE_OR_INDEX, "Maximum of on-demand write units, a second"),
    _five("AccountMaxReads", "Count", _NONE, "Read units that an account may provision"),
    _five("AccountMaxWrites", "Count", _NONE, "Write units that an account may provision"),
    _five("AccountMaxTableLevelReads", "Count", _NONE, "Read units that a table may have"),
    _five("AccountMaxTableLevelWrites", "Count", _NONE, "Write units that a table may have"),
    _five("AccountProvisionedReadCapacityUtilization", "Percent", _NONE, "Part of the account's read units"),
    _five("AccountProvisionedWriteCapacityUtilization", "Percent", _NONE, "Part of the account's write units"),
    _five("MaxProvisionedTableReadCapacityUtilization", "Percent", _NONE, "The same of the largest table"),
    _five("MaxProvisionedTableWriteCapacityUtilization", "Percent", _NONE, "The same of the largest table"),
    # Throttling
    Declared("ThrottledRequests", "Count", _OPERATION, _SUM, help="Requests throttled"),
    Declared("ReadThrottleEvents", "Count", _TABLE_OR_INDEX, _SUM, help="Reads throttled"),
    Declared("WriteThrottleEvents", "Count", _TABLE_OR_INDEX, _SUM, help="Writes throttled"),
    *(
        Declared(f"{kind}{cause}ThrottleEvents", "Count", _TABLE_OR_INDEX, _EVENTS, help=f"{kind}s {text}")
        for kind in ("Read", "Write")
        for cause, text in (
            ("AccountLimit", "throttled by a limit of the account"),
            ("KeyRangeThroughput", "throttled by the limit of a partition"),
            ("MaxOnDemandThroughput", "throttled by an on-demand maximum"),
            ("ProvisionedThroughput", "throttled by provisioned units"),
        )
    ),
    # Requests
    Declared(
        "SuccessfulRequestLatency",
        "Milliseconds",
        (*_OPERATION, *_STREAM_READ),
        (*_ALL, "Percentile"),
        NANOSECOND_IN_MS,
        help="Time that requests took in the server",
    ),
    Declared("ReturnedItemCount", "Count", _OPERATION, _ALL, help="Items that queries and scans returned"),
    Declared("ReturnedBytes", "Bytes", _STREAM_READ, _ALL, help="Bytes of stream records returned"),
    Declared("ReturnedRecordsCount", "Count", _STREAM_READ, _ALL, help="Stream records returned"),
    Declared("ConditionalCheckFailedRequests", "Count", _TABLE, _ALL, help="Writes whose condition failed"),
    Declared("TransactionConflict", "Count", _TABLE, _ALL, help="Item requests refused for a transaction"),
    Declared("UserErrors", "Count", _NONE, _SUM, help="Requests answered with status 400"),
    Declared("SystemErrors", "Count", _OPERATION, _SUM, help="Requests answered with status 500"),
    # Work in the background
    Declared("TimeToLiveDeletedItemCount", "Count", _TABLE, ("Sum",), help="Expired items deleted"),
    Declared(
        "OnlineIndexPercentageProgress", "Count", _INDEX, _ALL, 1.0, FIVE_MINUTES, help="How far an index is built"
    ),
    Declared("OnlineIndexConsumedWriteCapacity", "Count", _INDEX, _ALL, 1.0, FIVE_MINUTES, help="Always 0"),
    Declared("OnlineIndexThrottleEvents", "Count", _INDEX, _ALL, 1.0, FIVE_MINUTES, help="Always 0"),
    Declared(
        "ReplicationLatency", "Milliseconds", _REPLICA, _LEVEL, NANOSECOND_IN_MS, FIVE_MINUTES, help="To a replica"
    ),
    Declared(
        "PendingReplicationCount",
        "Count",
        _REPLICA,
        ("Average", "SampleCount", "Sum"),
        1.0,
        FIVE_MINUTES,
        help="Changes that a replica has not got yet",
    ),
    Declared(
        "AgeOfOldestUnreplicatedRecord",
        "Milliseconds",
        _DELEGATED,
        _LEVEL,
        NANOSECOND_IN_MS,
        FIVE_MINUTES,
        help="Age of the oldest change that is not in the Kinesis stream",
    ),
    Declared("ConsumedChangeDataCaptureUnits", "Count", _DELEGATED, _LEVEL, 1.0, FIVE_MINUTES, help="To Kinesis"),
    Declared(
        "FailedToReplicateRecordCount", "Count", _DELEGATED, ("Sum",), 1.0, FIVE_MINUTES, help="Refused by Kinesis"
    ),
    Declared(
        "ThrottledPutRecordCount",
        "Count",
        _DELEGATED,
        ("Minimum", "Maximum", "Average", "SampleCount"),
        1.0,
        FIVE_MINUTES,
        help="Throttled by Kinesis",
    ),
    # The server's own
    _own(
        "CommitLatency", "Milliseconds", _NONE, (*_ALL, "Percentile"), NANOSECOND_IN_MS, "Time of synced commits"
    ),
    _own("WriteAheadLogSize", "Bytes", _NONE, _LEVEL, 1.0, "Bytes of the write-ahead log's file"),
    _own("ArchiveLag", "Seconds", _NONE, _LEVEL, MICROSECOND, "Age of the oldest change that is not archived"),
    _own("Connections", "Count", _NONE, _LEVEL, 1.0, "Open connections of clients"),
    _own("WorkerRestarts", "Count", _NONE, _SUM, 1.0, "Processes that ended by themselves and were replaced"),
    _own("UncountedSamples", "Count", _NONE, _SUM, 1.0, "Samples that found no room to be counted"),
)

DECLARED: Final[dict[tuple[str, str], Declared]] = {(each.namespace, each.name): each for each in _DECLARED}
"""(namespace, name) → what is known of the metric."""


def declared(namespace: str, name: str) -> Declared | None:
    """None for a metric that clients have made (PutMetricData)."""
    return DECLARED.get((namespace, name))


def namespace_of(name: str) -> str:
    """The namespace of a declared metric: no name is in both."""
    return DYNAMODB if (DYNAMODB, name) in DECLARED else BLOTTER


# What a `ThrottlingReason` counts: (for a table or an index, metrics of the event).
_CAUSES: Final = {
    "ProvisionedThroughputExceeded": "ProvisionedThroughput",
    "MaxOnDemandThroughputExceeded": "MaxOnDemandThroughput",
    "KeyRangeThroughputExceeded": "KeyRangeThroughput",
    "AccountLimitExceeded": "AccountLimit",
}


def throttle_metrics(reason: str) -> tuple[str, ...]:
    """The metrics that an event with this reason counts in, such as
    `throttle_metrics("TableReadProvisionedThroughputExceeded")` →
    `("ReadThrottleEvents", "ReadProvisionedThroughputThrottleEvents")`; none for an unknown reason."""
    rest = reason.removeprefix("Table").removeprefix("Index")
    for kind in ("Read", "Write"):
        cause = _CAUSES.get(rest.removeprefix(kind)) if rest.startswith(kind) else None
        if cause is not None:
            return f"{kind}ThrottleEvents", f"{kind}{cause}ThrottleEvents"
    return ()
