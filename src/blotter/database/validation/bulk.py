"""What StartBulkPutItems can be refused for before anything is looked up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from blotter.database.model.errors import validation_error
from blotter.database.wire.requests import StartBulkPutItemsInput


def check_start_bulk_put_items(request: StartBulkPutItemsInput) -> None:
    output = request.OutputS3Configuration
    if not output.OutputType:
        raise validation_error("Invalid Request: OutputType must have at least one value")
    if len(set(output.OutputType)) < len(output.OutputType):
        raise validation_error("Invalid Request: OutputType has a value twice")
    if output.S3Bucket is None:
        raise validation_error("Invalid Request: S3Bucket of OutputS3Configuration is missing")
    if output.S3SseKmsKeyId is not None and output.S3SseAlgorithm != "KMS":  # as of exports: DDB-EXPORT-005
        raise validation_error("Invalid Request: KMS Key Id is not supported for this encryption type")


CHECKS: dict[str, Callable[[Any], Any]] = {"StartBulkPutItems": check_start_bulk_put_items}
