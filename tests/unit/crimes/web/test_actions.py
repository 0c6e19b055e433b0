"""Cancel, retry, delete: in every state, through the API; what a worker and a sweep do then."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest
from fastapi.testclient import TestClient

from blotter.crimes.jobs.local_queue import LocalQueue
from blotter.crimes.jobs.processing import Processor
from blotter.crimes.jobs.sweeper import Sweeper
from blotter.crimes.settings import Application
from blotter.crimes.storage.objects import ObjectStore
from blotter.crimes.storage.results import LeaseLost

CSV = b"Date,Primary Type\n2022-03-04 21:30:00,NARCOTICS\n"


def of(key: str, action: str = "") -> str:
    return f"/api/results/{quote(key, safe='')}{action}"


@pytest.fixture
def key(client: TestClient) -> str:
    """A file that was uploaded and not processed yet."""
    return str(client.post("/api/files", files={"file": ("a.csv", CSV)}).json()["file_key"])


def test_a_waiting_file_is_canceled_and_its_event_does_nothing(
    client: TestClient, key: str, processor: Processor
) -> None:
    answer = client.post(of(key, "/cancel"))
    assert (answer.status_code, answer.json()["status"], answer.json()["error_code"]) == (
        200,
        "FAILED",
        "CANCELED",
    )
    assert processor.process(key).what == "FINISHED_BEFORE"


def test_the_worker_of_a_canceled_file_loses_its_lease(client: TestClient, files: Any) -> None:
    claim = files.processing("uploads/x/a.csv")
    assert client.post(of("uploads/x/a.csv", "/cancel")).status_code == 200
    with pytest.raises(LeaseLost):
        files.results.completed(claim, files.summary, "p.csv")
    found = files.results.find("uploads/x/a.csv")
    assert (found.status, found.error_code, found.lease_owner) == ("FAILED", "CANCELED", None)


def test_a_canceled_file_is_processed_again_on_request(
    client: TestClient, key: str, processor: Processor, queue: LocalQueue
) -> None:
    client.post(of(key, "/cancel"))
    for event in list(queue.due()):
        queue.done(event)
    answer = client.post(of(key, "/retry"))
    assert (answer.status_code, answer.headers["location"]) == (202, of(key))
    assert client.get(of(key)).json()["status"] == "UPLOADED"
    assert len(list(queue.due())) == 1
    assert processor.process(key).what == "COMPLETED"
    again = client.post(of(key, "/retry"))  # a completed file may be scored again too
    assert again.status_code == 202
    assert processor.process(key).what == "COMPLETED"


def test_a_deleted_file_is_gone_for_good(
    client: TestClient, key: str, processor: Processor, objects: ObjectStore, application: Application
) -> None:
    processor.process(key)
    assert len(list(objects.list("uploads"))) == 2
    assert client.delete(of(key)).status_code == 204
    assert client.get(of(key)).status_code == 404
    assert list(objects.list("uploads")) == []
    assert list(Sweeper(objects, application.results, 0.0).find_lost()) == []
    assert processor.process(key).what == "NO_OBJECT"
    assert client.delete(of(key)).status_code == 404


def test_a_file_under_way_is_canceled_before_it_is_deleted(client: TestClient, files: Any) -> None:
    claim = files.processing("uploads/x/a.csv")
    assert client.delete(of("uploads/x/a.csv")).status_code == 204
    with pytest.raises(LeaseLost):
        files.results.completed(claim, files.summary, "p.csv")
    assert files.results.find("uploads/x/a.csv") is None


def test_a_state_that_does_not_allow_it_is_said(client: TestClient, files: Any) -> None:
    done, open_ = files.completed("uploads/x/a.csv"), files.uploaded("uploads/y/b.csv")
    for key, action in ((done, "/cancel"), (open_, "/retry")):
        answer = client.post(of(key, action))
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "WRONG_STATE")
    gone = client.post(of(done, "/retry"))  # its upload was never stored
    assert (gone.status_code, gone.json()["error"]["code"]) == (410, "UPLOAD_GONE")
    for action in ("/cancel", "/retry"):
        assert client.post(of("none", action)).status_code == 404
