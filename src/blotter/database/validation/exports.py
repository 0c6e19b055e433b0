"""What ExportTableToPointInTime and DescribeExport can be refused for before the table is known.

Messages: ack-api-quirks, DDB-EXPORT-001 to -006 and -008 (2026-10). The record cuts the pattern of a KMS key off;
the messages about the expressions of a FilterSpecification are not recorded: here they are those of Query and
Scan, behind what AWS puts before the one that is.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from blotter.database.model.arns import parse_arn
from blotter.database.model.errors import DynamoDBError, parameter_error, validation_error
from blotter.database.validation.parameters import Parameters, check_names_and_values, check_parameters
from blotter.database.wire.requests import ExportTableToPointInTimeInput, FilterSpecification

FILTER_INVALID: Final = "Invalid Request: Invalid FilterSpecification: "
_ANY_ARN: Final = re.compile(r"arn:[^:]+:[^:]+:[^:]*:[^:]*:.+", re.DOTALL)
_KMS_KEY: Final = re.compile(r"[a-zA-Z0-9:/_-]+", re.ASCII)
_FILTER: Final = Parameters(
    ("FilterExpression", "ProjectionExpression", "KeyConditionExpression"),
    (),
    with_values=("FilterExpression", "KeyConditionExpression"),
)


def check_export(request: ExportTableToPointInTimeInput) -> None:
    _check_table_arn(request.TableArn)
    _check_type(request)
    _check_encryption(request)
    if request.FilterSpecification is not None:
        _check_filter(request.FilterSpecification)


def in_filter(error: DynamoDBError) -> DynamoDBError:
    """An error about an expression, as one about the FilterSpecification that holds it."""
    if error.code != "ValidationException" or error.message.startswith(FILTER_INVALID):
        return error
    return validation_error(f"{FILTER_INVALID}{error.message}")


def _check_table_arn(text: str) -> None:
    if _ANY_ARN.fullmatch(text) is None:
        raise parameter_error("tableArn is not a valid ARN")
    arn = parse_arn(text)
    if arn is None or not arn.is_table:
        raise validation_error("Invalid Request: Table ARN is invalid.")


def _check_type(request: ExportTableToPointInTimeInput) -> None:
    period = request.IncrementalExportSpecification
    if request.ExportType != "INCREMENTAL_EXPORT":
        if period is None:
            return
        if request.ExportType is None:
            raise validation_error(
                "Invalid Request: Export Type expected to be Incremental Export when incremental export "
                "specification is provided"
            )
        raise validation_error(
            "Invalid Request: When Export Type is Full Export , Incremental Export Specification should not be "
            "provided"
        )
    if period is None:
        raise validation_error(
            "Invalid Request: Incremental Export Specification expected when export type is set as Incremental "
            "Export"
        )
    if period.ExportFromTime is None:
        raise validation_error(
            "Invalid Request: ExportFromTime must be provided in IncrementalExportSpecification"
        )


def _check_encryption(request: ExportTableToPointInTimeInput) -> None:
    key = request.S3SseKmsKeyId
    if key is None:
        return
    if request.S3SseAlgorithm != "KMS":
        raise validation_error("Invalid Request: KMS Key Id is not supported for this encryption type")
    if _KMS_KEY.fullmatch(key) is None:
        raise validation_error(
            f"Invalid Request: 1 validation error detected: Value '{key}' at 's3SseKmsKeyId' failed to satisfy "
            f"constraint: Member must satisfy regular expression pattern: ^{_KMS_KEY.pattern}$"
        )


def _check_filter(given: FilterSpecification) -> None:
    expressions = (given.FilterExpression, given.ProjectionExpression, given.KeyConditionExpression)
    if expressions == (None, None, None) and not given.ExpressionAttributeNames:
        raise validation_error(f"{FILTER_INVALID}The specification can not be empty")
    try:
        check_parameters(given, _FILTER)
        check_names_and_values(given.ExpressionAttributeNames, given.ExpressionAttributeValues)
    except DynamoDBError as error:
        raise in_filter(error) from None


CHECKS: dict[str, Callable[[Any], Any]] = {"ExportTableToPointInTime": check_export}
