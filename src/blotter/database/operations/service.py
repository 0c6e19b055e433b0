"""DescribeLimits and DescribeEndpoints.

Sources: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_DescribeLimits.html,
…/API_DescribeEndpoints.html
"""

from __future__ import annotations

from blotter.database.operations.answers import answer, encoded
from blotter.database.operations.context import Context
from blotter.database.storage.protocol import ReadTransaction
from blotter.database.wire import requests as wire

ACCOUNT_UNITS = 80_000
TABLE_UNITS = 40_000
ENDPOINT_CACHE_MINUTES = 1440


def describe_limits(request: wire.DescribeLimitsInput, tx: ReadTransaction, context: Context) -> bytes:  # noqa: ARG001
    return encoded_object(
        {
            "AccountMaxReadCapacityUnits": ACCOUNT_UNITS,
            "AccountMaxWriteCapacityUnits": ACCOUNT_UNITS,
            "TableMaxReadCapacityUnits": TABLE_UNITS,
            "TableMaxWriteCapacityUnits": TABLE_UNITS,
        }
    )


def describe_endpoints(request: wire.DescribeEndpointsInput, tx: ReadTransaction, context: Context) -> bytes:  # noqa: ARG001
    """The endpoint is the request's own Host: a client that discovers it must reach this server again."""
    address = context.host or f"dynamodb.{context.region}.amazonaws.com"
    return answer((b"Endpoints", encoded([{"Address": address, "CachePeriodInMinutes": ENDPOINT_CACHE_MINUTES}])))


def encoded_object(members: dict[str, int]) -> bytes:
    return answer(*((name.encode(), encoded(value)) for name, value in members.items()))
