"""The handler: events in S3's JSON, work done once, crashes and races survived, outcomes always written."""

from __future__ import annotations

import csv
import gzip
import io
import time
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import msgspec
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from obstore.exceptions import GenericError

from blotter.crimes.clock import text_of
from blotter.crimes.handler import Parts, handle_event, sweep
from blotter.crimes.item import Result
from blotter.crimes.jobs.events import ParsedEvent, object_created_event, parse_event
from blotter.crimes.jobs.intake import Intake
from blotter.crimes.jobs.local_queue import LocalQueue
from blotter.crimes.jobs.processing import Processor, WorkerStopping, is_predictions_key
from blotter.crimes.learning.model import Model
from blotter.crimes.settings import Application
from blotter.crimes.storage.objects import ObjectStore
from blotter.crimes.storage.results import ResultsTable

CSV = "Date,Primary Type\n" + "2022-01-02 03:04:05,THEFT\n" * 5 + "x,THEFT\n"
EMPTY_KEY = {"eventName": "ObjectCreated:Put", "s3": {"bucket": {"name": "local"}, "object": {"key": ""}}}
Change = Callable[..., None]


@pytest.fixture
def parts(application: Application, processor: Processor) -> Parts:
    parts = Parts(application)
    parts.processor = processor
    return parts


@pytest.fixture
def change(results: ResultsTable) -> Change:
    """Sets attributes of an item as if time had passed or a worker had died."""

    def change(key: str, **attributes: str) -> None:
        for name, value in attributes.items():
            results._client.update_item(
                TableName=results.table_name,
                Key={"file_key": {"S": key}},
                UpdateExpression="SET #n = :v",
                ExpressionAttributeNames={"#n": name},
                ExpressionAttributeValues={":v": {"S": value}},
            )

    return change


def get(results: ResultsTable, key: str) -> Result:
    result = results.find(key)
    assert result is not None
    return result


def predictions(objects: ObjectStore, result: Result) -> list[dict[str, str]]:
    assert result.predictions_key is not None
    data = b"".join(objects.read(objects.head(result.predictions_key)))
    return list(csv.DictReader(io.StringIO(data.decode())))


def outcomes(parts: Parts, event: dict[str, Any]) -> list[str]:
    return [done.what for done in handle_event(parts, event).values()]


def dead_worker(results: ResultsTable, objects: ObjectStore, key: str, attempt: int = 1) -> None:
    """An item as a killed worker leaves it, its lease just ended."""
    for number in range(attempt):
        claim = results.claim(
            results.find(key),
            key,
            file_name="a.csv",
            object_version=objects.head(key).version,
            size_bytes=1,
            uploaded_at=text_of(0),
            owner=f"dead-{number}",
            lease_seconds=-1,
        )
        assert claim is not None


def test_from_upload_to_completed(
    parts: Parts, intake: Intake, queue: LocalQueue, results: ResultsTable, objects: ObjectStore
) -> None:
    key = intake.accept("a file with 'odd' name 🚓.csv.gz", [gzip.compress(CSV.encode())])
    (queued,) = queue.due()
    assert outcomes(parts, queued.event) == ["COMPLETED"]
    result = get(results, key)
    assert (result.status, result.progress, result.attempt) == ("COMPLETED", 100, 1)
    assert (result.rows_read, result.rows_scored, result.rows_skipped) == (6, 5, 1)
    assert result.uploaded_at is not None
    assert result.started_at is not None
    assert result.completed_at is not None
    assert result.uploaded_at <= result.started_at <= result.completed_at
    assert result.file_name == "a file with 'odd' name 🚓.csv.gz"
    rows = predictions(objects, result)
    assert [row["skipped_reason"] for row in rows] == [""] * 5 + ["BAD_DATE"]


def test_aws_writes_no_uploaded_item(parts: Parts, objects: ObjectStore, results: ResultsTable) -> None:
    info = objects.put_stream("incoming/some file+%.csv", [CSV.encode()])
    assert outcomes(parts, object_created_event("local", info)) == ["COMPLETED"]
    result = get(results, "incoming/some file+%.csv")
    assert (result.status, result.file_name, result.size_bytes) == ("COMPLETED", "some file+%.csv", len(CSV))
    assert result.uploaded_at is not None


def test_several_records_in_one_event(parts: Parts, objects: ObjectStore) -> None:
    events = [object_created_event("local", objects.put_stream(f"k/{n}.csv", [CSV.encode()])) for n in range(3)]
    event = {"Records": [record for one in events for record in one["Records"]]}
    assert outcomes(parts, event) == ["COMPLETED"] * 3


def test_a_redelivered_event_repeats_nothing(parts: Parts, objects: ObjectStore, results: ResultsTable) -> None:
    event = object_created_event("local", objects.put_stream("k/a.csv", [CSV.encode()]))
    assert outcomes(parts, event) == ["COMPLETED"]
    before = results.find("k/a.csv")
    assert outcomes(parts, event) == ["FINISHED_BEFORE"]
    assert results.find("k/a.csv") == before


def test_a_failed_file_is_not_tried_again(parts: Parts, objects: ObjectStore) -> None:
    event = object_created_event("local", objects.put_stream("k/a.csv", [b""]))
    assert outcomes(parts, event) == ["FAILED"]
    assert outcomes(parts, event) == ["FINISHED_BEFORE"]


def test_a_new_upload_under_an_old_key_is_new_work(
    parts: Parts, objects: ObjectStore, results: ResultsTable
) -> None:
    first = object_created_event("local", objects.put_stream("k/a.csv", [CSV.encode()]))
    handle_event(parts, first)
    old = get(results, "k/a.csv")
    second = object_created_event("local", objects.put_stream("k/a.csv", [CSV.encode(), b"2022-01-01,ARSON\n"]))
    assert outcomes(parts, second) == ["COMPLETED"]
    new = get(results, "k/a.csv")
    assert (old.rows_read, new.rows_read, new.attempt) == (6, 7, 1)
    assert old.predictions_key != new.predictions_key
    assert outcomes(parts, first) == ["FINISHED_BEFORE"]
    assert results.find("k/a.csv") == new


def test_our_own_predictions_are_no_uploads(parts: Parts, objects: ObjectStore, results: ResultsTable) -> None:
    handle_event(parts, object_created_event("local", objects.put_stream("k/a.csv", [CSV.encode()])))
    key = get(results, "k/a.csv").predictions_key
    assert key is not None
    assert is_predictions_key(key)
    assert outcomes(parts, object_created_event("local", objects.head(key))) == ["NOT_AN_UPLOAD"]
    assert results.find(key) is None


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "EMPTY_FILE"),
        (b"Date,Primary Type\n", "NO_ROWS"),
        (b"Block,Arrest\nx,y\n", "MISSING_COLUMNS"),
        (gzip.compress(CSV.encode() * 99)[:-20], "TRUNCATED_GZIP"),
        (b"Date,Primary Type\n2022-01-01,\xff\xfe\n", "NOT_UTF8"),
        (CSV.replace(",", "^").encode(), "WRONG_DELIMITER"),
        (b"%PDF-1.4 ...", "NOT_CSV"),
        (b"Date,Primary Type\nx,THEFT\n", "NO_VALID_ROWS"),
        (b'Date,Primary Type\n"' + b"x" * 2_000_000, "FIELD_TOO_LONG"),
    ],
)
def test_bad_files_fail_with_their_code(
    parts: Parts, objects: ObjectStore, results: ResultsTable, content: bytes, code: str
) -> None:
    info = objects.put_stream("k/a.csv", [content])
    assert outcomes(parts, object_created_event("local", info)) == ["FAILED"]
    result = get(results, "k/a.csv")
    assert (result.status, result.error_code, result.predictions_key) == ("FAILED", code, None)
    assert result.error_message
    assert result.lease_until is None
    assert [entry.key for entry in objects.list("k/")] == ["k/a.csv"]


def test_a_failed_file_counts_its_rows(processor: Processor, objects: ObjectStore, results: ResultsTable) -> None:
    objects.put_stream("k/a.csv", [b"Date,Primary Type\nx,THEFT\n,THEFT\nx,THEFT\n"])
    assert processor.process("k/a.csv").what == "FAILED"
    result = get(results, "k/a.csv")
    assert (result.error_code, result.rows_read, result.rows_scored, result.rows_skipped) == (
        "NO_VALID_ROWS",
        3,
        0,
        3,
    )
    assert result.skipped_reasons == {"BAD_DATE": 2, "MISSING_DATE": 1}
    objects.put_stream("k/b.csv", [b""])
    assert processor.process("k/b.csv").what == "FAILED"
    assert get(results, "k/b.csv").rows_read == 0


def test_too_large(application: Application, model: Model, processor: Processor) -> None:
    small = msgspec.structs.replace(application.settings, max_decompressed_bytes=1000)
    own = Processor(small, application.objects, application.results, lambda: model, processor._notifier)
    application.objects.put_stream("k/a.csv.gz", [gzip.compress(CSV.encode() * 100)])
    assert own.process("k/a.csv.gz").what == "FAILED"
    assert get(application.results, "k/a.csv.gz").error_code == "TOO_LARGE"


def test_an_unexpected_error_is_an_outcome(application: Application, processor: Processor) -> None:
    def broken() -> Model:
        raise RuntimeError("the disk is on fire")

    own = Processor(application.settings, application.objects, application.results, broken, processor._notifier)
    application.objects.put_stream("k/a.csv", [CSV.encode()])
    assert own.process("k/a.csv").what == "FAILED"
    result = get(application.results, "k/a.csv")
    assert (result.error_code, result.error_message) == ("INTERNAL_ERROR", "RuntimeError: the disk is on fire")


def test_a_file_under_work_is_left_alone(parts: Parts, objects: ObjectStore, results: ResultsTable) -> None:
    info = objects.put_stream("k/a.csv", [CSV.encode()])
    claim = results.claim(
        None,
        "k/a.csv",
        file_name="a.csv",
        object_version=info.version,
        size_bytes=1,
        uploaded_at=text_of(0),
        owner="other",
        lease_seconds=60,
    )
    assert claim is not None
    done = parts.processor.process("k/a.csv")
    assert done.what == "BUSY"
    assert done.again_at is not None
    assert get(results, "k/a.csv").lease_owner == "other"


def test_a_dead_workers_file_is_taken_over(parts: Parts, objects: ObjectStore, results: ResultsTable) -> None:
    objects.put_stream("k/a.csv", [CSV.encode()])
    dead_worker(results, objects, "k/a.csv")
    assert parts.processor.process("k/a.csv").what == "COMPLETED"
    assert get(results, "k/a.csv").attempt == 2


def test_a_file_that_kills_its_workers_is_given_up(
    parts: Parts, objects: ObjectStore, results: ResultsTable
) -> None:
    objects.put_stream("k/a.csv", [CSV.encode()])
    dead_worker(results, objects, "k/a.csv", attempt=3)
    assert parts.processor.process("k/a.csv").what == "FAILED"
    assert get(results, "k/a.csv").error_code == "TOO_MANY_ATTEMPTS"


def test_an_object_that_is_gone(parts: Parts, intake: Intake, objects: ObjectStore, results: ResultsTable) -> None:
    assert parts.processor.process("k/never.csv").what == "NO_OBJECT"
    assert results.find("k/never.csv") is None
    key = intake.accept("a.csv", [CSV.encode()])
    objects.delete(key)
    assert parts.processor.process(key).what == "FAILED"
    assert get(results, key).error_code == "OBJECT_MISSING"


def test_a_sweep_is_in_no_hurry_to_fail_what_may_be_somebody_elses(
    parts: Parts, intake: Intake, objects: ObjectStore, results: ResultsTable, change: Change
) -> None:
    key = intake.accept("a.csv", [CSV.encode()])
    objects.delete(key)
    assert [done.what for done in sweep(parts).values()] == ["NO_OBJECT"]
    assert get(results, key).status == "UPLOADED"
    change(key, uploaded_at=text_of(0))
    assert [done.what for done in sweep(parts).values()] == ["FAILED"]


def test_an_object_replaced_while_it_is_read(
    objects: ObjectStore, results: ResultsTable, processor: Processor
) -> None:
    objects.put_stream("k/a.csv", [CSV.encode()])
    load_model, replaced = processor._load_model, []

    def replace_once() -> Model:
        if not replaced:
            replaced.append(objects.put_stream("k/a.csv", [CSV.encode(), b"2022-01-01,ARSON\n"]))
        return load_model()

    processor._load_model = replace_once
    assert processor.process("k/a.csv").what == "COMPLETED"
    result = get(results, "k/a.csv")
    assert (result.rows_read, result.object_version) == (7, replaced[0].version)


def test_a_worker_that_lost_its_lease_writes_no_outcome(
    objects: ObjectStore, results: ResultsTable, processor: Processor, change: Change
) -> None:
    objects.put_stream("k/a.csv", [CSV.encode()])
    load_model = processor._load_model

    def lose() -> Model:
        change("k/a.csv", lease_owner="another")
        return load_model()

    processor._load_model = lose
    assert processor.process("k/a.csv").what == "LEASE_LOST"
    assert get(results, "k/a.csv").status == "PROCESSING"


def test_a_worker_asked_to_stop_gives_its_file_back(
    application: Application, model: Model, processor: Processor, results: ResultsTable
) -> None:
    application.objects.put_stream("k/a.csv", [CSV.encode()])
    own = Processor(
        application.settings, application.objects, results, lambda: model, processor._notifier, lambda: True
    )
    with pytest.raises(WorkerStopping):
        own.process("k/a.csv")
    result = get(results, "k/a.csv")
    assert (result.status, result.attempt, result.lease_owner) == ("UPLOADED", 0, None)
    assert processor.process("k/a.csv").what == "COMPLETED"


def test_the_functions_time_runs_out(processor: Processor, objects: ObjectStore, results: ResultsTable) -> None:
    objects.put_stream("k/a.csv", [CSV.encode()])
    assert processor.process("k/a.csv", time_left=lambda: 1.0).what == "FAILED"
    assert get(results, "k/a.csv").error_code == "TIME_LIMIT"


def test_the_table_out_of_reach_leaves_the_file_for_later(
    parts: Parts, objects: ObjectStore, results: ResultsTable, change: Change
) -> None:
    event = object_created_event("local", objects.put_stream("k/a.csv", [CSV.encode()]))
    unreachable = EndpointConnectionError(endpoint_url="http://127.0.0.1:1")
    with (
        patch.object(ResultsTable, "completed", side_effect=unreachable),
        patch("blotter.crimes.jobs.processing.time.sleep"),
        pytest.raises(EndpointConnectionError),
    ):
        handle_event(parts, event)
    assert get(results, "k/a.csv").status == "PROCESSING"
    change("k/a.csv", lease_until=text_of(0))
    assert [done.what for done in sweep(parts).values()] == ["COMPLETED"]


def test_a_throttled_outcome_is_tried_again(parts: Parts, objects: ObjectStore) -> None:
    event = object_created_event("local", objects.put_stream("k/a.csv", [CSV.encode()]))
    throttled = ClientError({"Error": {"Code": "ThrottlingException", "Message": ""}}, "UpdateItem")
    real, calls = ResultsTable.completed, []

    def sometimes(self: ResultsTable, *arguments: Any) -> None:
        calls.append(1)
        if len(calls) < 3:
            raise throttled
        real(self, *arguments)

    with patch.object(ResultsTable, "completed", sometimes), patch("blotter.crimes.jobs.processing.time.sleep"):
        assert outcomes(parts, event) == ["COMPLETED"]
    assert len(calls) == 3


def test_one_bad_object_does_not_stop_the_others(parts: Parts, objects: ObjectStore) -> None:
    good = object_created_event("local", objects.put_stream("k/b.csv", [CSV.encode()]))
    event = {"Records": [*good["Records"], *good["Records"]]}
    event["Records"][0] = {
        "eventName": "ObjectCreated:Put",
        "s3": {"bucket": {"name": "local"}, "object": {"key": "../../etc/passwd"}},
    }
    assert outcomes(parts, event) == ["BAD_KEY", "COMPLETED"]


def test_lost_files_are_found(
    parts: Parts, intake: Intake, objects: ObjectStore, results: ResultsTable, queue: LocalQueue
) -> None:
    lost_event = intake.accept("lost-event.csv", [CSV.encode()])
    objects.put_stream("uploads/20990101T000000.000Z-x/no-item.csv", [CSV.encode()])
    dead = intake.accept("dead.csv", [CSV.encode()])
    dead_worker(results, objects, dead)
    for queued in queue.due():
        queue.done(queued)
    found = sweep(parts)
    assert set(found) == {lost_event, dead, "uploads/20990101T000000.000Z-x/no-item.csv"}
    assert {done.what for done in found.values()} == {"COMPLETED"}
    assert sweep(parts) == {}


def test_a_new_version_whose_event_got_lost_is_found(
    parts: Parts, objects: ObjectStore, results: ResultsTable
) -> None:
    key = "uploads/z/a.csv"
    objects.put_stream(key, [CSV.encode()])
    assert list(sweep(parts)) == [key]
    assert sweep(parts) == {}
    objects.put_stream(key, [CSV.encode(), b"2022-01-01,ARSON\n"])
    assert list(sweep(parts)) == [key]
    assert get(results, key).rows_read == 7


def test_a_young_upload_is_not_lost(application: Application, intake: Intake) -> None:
    patient = Parts(
        Application(
            msgspec.structs.replace(application.settings, grace_seconds=3600.0),
            application.objects,
            application.results,
            application.queue,
            intake,
        )
    )
    intake.accept("a.csv", [CSV.encode()])
    assert list(patient.sweeper.find_lost()) == []


@pytest.mark.parametrize("records", [None, 1, [1], [{"eventName": "ObjectCreated:Put"}], [EMPTY_KEY]])
def test_what_is_no_event(records: object) -> None:
    parsed = parse_event({"Records": records})
    assert (parsed.created, len(parsed.problems)) == ([], 1)


def test_events_that_are_about_something_else() -> None:
    for event in (
        {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "b"},
        {"Records": [{"eventName": "ObjectRemoved:Delete"}]},
    ):
        assert parse_event(event) == ParsedEvent()


def test_keys_in_events_are_url_encoded(objects: ObjectStore) -> None:
    key = "k/a+b c%20d ü🚓\"'.csv"
    event = object_created_event("local", objects.put_stream(key, [b""]))
    encoded = event["Records"][0]["s3"]["object"]["key"]
    assert encoded == "k/a%2Bb+c%2520d+%C3%BC%F0%9F%9A%93%22%27.csv"
    assert parse_event(event).created[0].key == key


class _FullDraft:
    """A draft on a disk that fills up after the first write."""

    key = "x"

    def write(self, data: bytes, /) -> int:
        raise GenericError(f"Generic LocalFileSystem error: {len(data)} No space left on device (os error 28)")

    def commit(self) -> None:
        raise AssertionError("a draft that could not be written is not committed")

    def discard(self) -> None:
        return


def test_a_full_disk_is_waited_for_and_costs_no_attempt(
    processor: Processor, objects: ObjectStore, results: ResultsTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk while scoring failed the file for good."""
    objects.put_stream("k/a.csv", [CSV.encode()])
    with monkeypatch.context() as patch:
        patch.setattr(objects, "open_draft", lambda _: _FullDraft())
        for _ in range(5):
            processor._waiting.clear()
            done = processor.process("k/a.csv")
            assert done.what == "NO_SPACE"
            assert done.again_at is not None
            assert done.again_at > time.time()
        found = results.find("k/a.csv")
        assert found is not None
        assert (found.status, found.attempt, found.lease_until) == ("UPLOADED", 0, None)
    assert processor.process("k/a.csv").what == "NO_SPACE", "it waits a while"
    processor._waiting.clear()
    assert processor.process("k/a.csv").what == "COMPLETED"


def test_without_room_for_the_predictions_no_work_begins(
    processor: Processor, objects: ObjectStore, results: ResultsTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    objects.put_stream("k/a.csv", [CSV.encode()])
    monkeypatch.setattr(objects, "free_bytes", lambda: 1000)
    assert processor.process("k/a.csv").what == "NO_SPACE"
    assert results.find("k/a.csv") is None


@pytest.mark.parametrize("key", ["a//b.csv", "a\tb.csv", "", "x" * 1025, "\ud800", "k/" + "n" * 256])
def test_a_key_that_no_file_can_have_is_told(
    processor: Processor, key: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert processor.process(key).what == "BAD_KEY"
    assert "cannot be worked on" in caplog.text


def test_one_file_gets_so_much_time(processor: Processor, objects: ObjectStore, results: ResultsTable) -> None:
    processor._settings = msgspec.structs.replace(processor._settings, file_seconds=0.0)
    objects.put_stream("k/a.csv", [CSV.encode()])
    assert processor.process("k/a.csv").what == "FAILED"
    found = results.find("k/a.csv")
    assert found is not None
    assert found.error_code == "TIME_LIMIT"


def test_a_canceled_file_is_dropped_by_its_worker_and_may_begin_again(
    processor: Processor, objects: ObjectStore, results: ResultsTable, intake: Intake, queue: LocalQueue
) -> None:
    key = intake.accept("a.csv", [CSV.encode()])
    assert results.cancel(key)
    assert not results.cancel(key)
    assert processor.process(key).what == "FINISHED_BEFORE"
    assert intake.again(key)
    assert not intake.again(key)
    assert processor.process(key).what == "COMPLETED"
    assert intake.again(key)
    assert len(list(queue.due())) == 3
    assert processor.process(key).what == "COMPLETED"
    assert intake.remove(key)
    assert not intake.remove(key)
    assert results.find(key) is None
    assert list(objects.list("uploads/")) == []
    assert processor.process(key).what == "NO_OBJECT"
