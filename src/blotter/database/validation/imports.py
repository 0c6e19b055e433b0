"""What ImportTable, DescribeImport and ListImports can be refused for before anything is looked up.

Messages: ack-api-quirks, DDB-IMPORT-009 and -010, and ScyllaDB's tests of imports, both run on AWS in 2026.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from blotter.database.model.errors import validation_error
from blotter.database.validation.tables import check_create_table
from blotter.database.wire.requests import CreateTableInput, ImportTableInput, TableCreationParameters


def check_import_table(request: ImportTableInput) -> None:
    options = request.InputFormatOptions
    if options is not None and options.Csv is not None and request.InputFormat != "CSV":
        raise validation_error(
            f"Invalid Request: Unsupported InputFormatOptions for the given input format: {request.InputFormat}."
        )
    parameters = request.TableCreationParameters
    if any(index.WarmThroughput is not None for index in parameters.GlobalSecondaryIndexes or ()):
        raise validation_error(
            "Invalid Request: WarmThroughput is not supported on Global Secondary Indexes via ImportTable"
        )
    check_create_table(creation(parameters))


def creation(parameters: TableCreationParameters) -> CreateTableInput:
    """The CreateTable that makes the table of an import."""
    return CreateTableInput(
        TableName=parameters.TableName,
        AttributeDefinitions=parameters.AttributeDefinitions,
        KeySchema=parameters.KeySchema,
        BillingMode=parameters.BillingMode,
        ProvisionedThroughput=parameters.ProvisionedThroughput,
        OnDemandThroughput=parameters.OnDemandThroughput,
        SSESpecification=parameters.SSESpecification,
        GlobalSecondaryIndexes=parameters.GlobalSecondaryIndexes,
        VectorIndexes=parameters.VectorIndexes,
    )


CHECKS: dict[str, Callable[[Any], Any]] = {"ImportTable": check_import_table}
