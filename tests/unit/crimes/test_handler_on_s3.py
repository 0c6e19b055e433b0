"""The Lambda function as AWS calls it: configuration from the environment, objects in S3, nothing in the table."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from blotter.crimes import handler as handler_module
from blotter.crimes.handler import handler
from blotter.crimes.item import Result
from blotter.crimes.jobs.events import BadEvent, object_created_event
from blotter.crimes.storage.objects import ObjectStore
from blotter.crimes.storage.results import ResultsTable

CSV = b"Date,Primary Type\n2022-01-01,THEFT\n"
KEY = 'uploads/a+b c%20d "quoted" 🚓.csv'


class Context:
    """The part of Lambda's context that the function looks at."""

    def __init__(self, milliseconds: int = 300_000) -> None:
        self._milliseconds = milliseconds

    def get_remaining_time_in_millis(self) -> int:
        return self._milliseconds


@pytest.fixture
def bucket(
    make_client: Callable[[str], Any],
    aws_endpoint: str,
    results: ResultsTable,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> ObjectStore:
    name = f"bucket-{uuid.uuid4().hex}"
    client = make_client("s3")
    client.create_bucket(Bucket=name)
    client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    (tmp_path / "blotter.toml").write_text(
        'app = "crimes"\nenvironment = "prod"\n[environments.prod]\nregion = "us-east-1"\n'
        '[tables.results]\npartition_key = { name = "file_key", type = "S" }\n[crimes]\ngrace_seconds = 0\n'
    )
    for variable, value in {
        "BLOTTER_CONFIG": str(tmp_path / "blotter.toml"),
        "BLOTTER_CRIMES_OBJECTS": f"s3://{name}",
        "RESULTS_TABLE": results.table_name,
        "AWS_ENDPOINT_URL": aws_endpoint,
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }.items():
        monkeypatch.setenv(variable, value)
    for variable in ("BLOTTER_ENV", "AWS_PROFILE", "AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(variable, raising=False)
    handler_module._loaded_parts.cache_clear()
    return ObjectStore.open(f"s3://{name}")


def get(results: ResultsTable) -> Result:
    result = results.find(KEY)
    assert result is not None
    return result


def test_an_event_from_s3(bucket: ObjectStore, results: ResultsTable) -> None:
    event = object_created_event(bucket.bucket, bucket.put_stream(KEY, [CSV]))
    assert handler(event, Context()) == {"results": [{"file_key": KEY, "outcome": "COMPLETED"}]}
    result = get(results)
    assert (result.status, result.rows_scored) == ("COMPLETED", 1)
    assert result.predictions_key is not None
    info = bucket.head(result.predictions_key)
    assert b"".join(bucket.read(info)).startswith(
        b"Date,Primary Type,probability,skipped_reason\n2022-01-01,THEFT,0."
    )
    assert handler(event, Context()) == {"results": [{"file_key": KEY, "outcome": "FINISHED_BEFORE"}]}


def test_equal_bytes_uploaded_again_are_new_work_in_a_versioned_bucket(
    bucket: ObjectStore, results: ResultsTable
) -> None:
    first = object_created_event(bucket.bucket, bucket.put_stream(KEY, [CSV]))
    handler(first, Context())
    one = get(results)
    second = object_created_event(bucket.bucket, bucket.put_stream(KEY, [CSV]))
    assert handler(second, Context())["results"][0]["outcome"] == "COMPLETED"
    two = get(results)
    assert one.object_version != two.object_version
    assert handler(first, Context())["results"][0]["outcome"] == "FINISHED_BEFORE"
    assert results.find(KEY) == two


def test_a_scheduled_sweep_finds_what_no_event_told(bucket: ObjectStore, results: ResultsTable) -> None:
    bucket.put_stream(KEY, [CSV])
    assert handler({"blotter": "sweep"}, Context()) == {"results": [{"file_key": KEY, "outcome": "COMPLETED"}]}
    assert handler({"blotter": "sweep"}, Context()) == {"results": []}
    assert get(results).status == "COMPLETED"


def test_another_bucket_is_ignored(bucket: ObjectStore, results: ResultsTable) -> None:
    info = bucket.put_stream(KEY, [CSV])
    assert handler(object_created_event("somebody-elses", info), Context()) == {"results": []}
    assert results.find(KEY) is None


def test_too_little_time_left(bucket: ObjectStore, results: ResultsTable) -> None:
    event = object_created_event(bucket.bucket, bucket.put_stream(KEY, [CSV]))
    assert handler(event, Context(1000))["results"][0]["outcome"] == "FAILED"
    assert get(results).error_code == "TIME_LIMIT"


def test_a_bad_webhook_does_not_stop_the_function(
    bucket: ObjectStore, results: ResultsTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BLOTTER_CRIMES_WEBHOOK_URL", "ftp://host/secret")
    handler_module._loaded_parts.cache_clear()
    event = object_created_event(bucket.bucket, bucket.put_stream(KEY, [CSV]))
    assert handler(event, Context())["results"][0]["outcome"] == "COMPLETED"
    assert get(results).status == "COMPLETED"


def test_a_part_that_is_not_understood_fails_the_call_after_the_rest_was_done(
    bucket: ObjectStore, results: ResultsTable
) -> None:
    event = object_created_event(bucket.bucket, bucket.put_stream(KEY, [CSV]))
    event["Records"].insert(0, {"eventSource": "aws:kinesis"})
    with pytest.raises(BadEvent, match="neither of S3, SQS nor SNS"):
        handler({"Records": [{"messageId": "1", "eventSource": "aws:sqs", "body": json.dumps(event)}]}, Context())
    assert get(results).status == "COMPLETED"
