"""From a declaration to DynamoDB's own request parameters.

Pure translation in one direction; `observed.py` is the other. What CreateTable can take is in
`create_parameters`, the pieces are shared with the updates in `aspects.py` and `indexes.py`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal

from blotter.tables.declaring.declaration import (
    AWS_MANAGED,
    AWS_OWNED,
    Index,
    Key,
    OnDemandThroughput,
    ProvisionedThroughput,
    TableDeclaration,
    WarmThroughput,
    starting_throughput,
)

Parameters = dict[str, Any]


def create_parameters(name: str, table: TableDeclaration) -> Parameters:
    """Everything that CreateTable accepts; what it does not (time to live, recovery, …) follows as updates."""
    sort = [table.sort_key] if table.sort_key else []
    parameters: Parameters = {
        "TableName": name,
        "AttributeDefinitions": attribute_definitions(table.attributes()),
        "KeySchema": key_schema([table.partition_key], sort),
        "BillingMode": table.billing_mode or "PAY_PER_REQUEST",
    }
    optional = {
        "ProvisionedThroughput": provisioned(starting_throughput(table)),
        "OnDemandThroughput": on_demand(table.on_demand_throughput),
        "WarmThroughput": warm(table.warm_throughput),
        "TableClass": table.table_class,
        "DeletionProtectionEnabled": table.deletion_protection,
        "StreamSpecification": stream(table.stream) if table.stream else None,
        "SSESpecification": encryption(table.encryption) if table.encryption not in (None, AWS_OWNED) else None,
        "ResourcePolicy": json.dumps(table.resource_policy) if table.resource_policy else None,
        "Tags": tags(table.tags),
        "GlobalSecondaryIndexes": [global_index(n, index) for n, index in table.indexes_of("global").items()],
        "LocalSecondaryIndexes": [_index(n, index) for n, index in table.indexes_of("local").items()],
    }
    return parameters | {key: value for key, value in optional.items() if value not in (None, [], {})}


def attribute_definitions(attributes: dict[str, str]) -> list[Parameters]:
    return [{"AttributeName": name, "AttributeType": kind} for name, kind in attributes.items()]


def key_schema(partition: list[Key], sort: list[Key]) -> list[Parameters]:
    return [{"AttributeName": key.name, "KeyType": "HASH"} for key in partition] + [
        {"AttributeName": key.name, "KeyType": "RANGE"} for key in sort
    ]


def global_index(name: str, index: Index, units: ProvisionedThroughput | None = None) -> Parameters:
    """A global index as CreateTable and UpdateTable's Create action take it.

    `units`: what it gets in a provisioned table when its declaration has none.
    """
    throughput = {
        "ProvisionedThroughput": provisioned(starting_throughput(index) or units),
        "OnDemandThroughput": on_demand(index.on_demand_throughput),
        "WarmThroughput": warm(index.warm_throughput),
    }
    return _index(name, index) | {key: value for key, value in throughput.items() if value}


def _index(name: str, index: Index) -> Parameters:
    return {
        "IndexName": name,
        "KeySchema": key_schema(*index.keys()),
        "Projection": projection(index.projection),
    }


def projection(declared: str | list[str]) -> Parameters:
    if isinstance(declared, str):
        return {"ProjectionType": declared}
    return {"ProjectionType": "INCLUDE", "NonKeyAttributes": declared}


def provisioned(throughput: ProvisionedThroughput | None) -> Parameters | None:
    if throughput is None:
        return None
    return {
        "ReadCapacityUnits": throughput.read_capacity_units,
        "WriteCapacityUnits": throughput.write_capacity_units,
    }


NO_MAXIMUM = -1  # how DynamoDB shows that on-demand units have no upper bound


def on_demand(throughput: OnDemandThroughput | Literal[False] | None) -> Parameters | None:
    """For a table or index that is made: what is declared off is off there already."""
    if not throughput:
        return None
    return _given(
        MaxReadRequestUnits=throughput.max_read_request_units or None,
        MaxWriteRequestUnits=throughput.max_write_request_units or None,
    )


def warm(throughput: WarmThroughput | None) -> Parameters | None:
    if throughput is None:
        return None
    return _given(
        ReadUnitsPerSecond=throughput.read_units_per_second,
        WriteUnitsPerSecond=throughput.write_units_per_second,
    )


def stream(declared: str | bool) -> Parameters:
    if isinstance(declared, bool):
        return {"StreamEnabled": False}
    return {"StreamEnabled": True, "StreamViewType": declared}


def encryption(declared: str | None) -> Parameters:
    if declared in (None, AWS_OWNED):
        return {"Enabled": False}
    key = {} if declared == AWS_MANAGED else {"KMSMasterKeyId": declared}
    return {"Enabled": True, "SSEType": "KMS", **key}


def tags(declared: Mapping[str, str | Literal[False]] | None) -> list[Parameters]:
    return [{"Key": key, "Value": value} for key, value in (declared or {}).items() if value is not False]


def _given(**values: int | None) -> Parameters:
    return {key: value for key, value in values.items() if value is not None}
