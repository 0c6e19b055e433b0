"""Server-sent events: one per change, heartbeats, the end; over a real socket where only that can show it."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing
from typing import Any
from urllib.parse import urlsplit

import anyio
import httpx
import pytest
from botocore.exceptions import EndpointConnectionError
from fastapi.testclient import TestClient

from blotter.crimes.item import Result
from blotter.crimes.settings import Application
from blotter.crimes.web import connections
from blotter.crimes.web.errors import WebError
from blotter.crimes.web.live import Pace, Streams
from blotter.crimes.web.server import WebServer
from blotter.crimes.web.services import Services

FAST = Pace(poll=0.001, heartbeat=1000)


def result(status: str = "PROCESSING", **values: Any) -> Result:
    return Result(file_key="k", status=status, **values)  # type: ignore[arg-type]


def event_stream(
    first: Result, read: Callable[[], Result | None], pace: Pace, closing: Callable[[], bool]
) -> AsyncIterator[bytes]:
    """The events of one stream alone."""
    return Streams(lambda _: read(), pace, closing).events(first, "a")


async def collect(stream: AsyncIterator[bytes]) -> str:
    with anyio.fail_after(30):  # a stream that does not end is what some of these tests look for
        return b"".join([part async for part in stream]).decode()


def test_changes_are_told_once_and_the_end_ends() -> None:
    states = iter(
        [result(progress=10), result(progress=10), result(progress=20), result("COMPLETED", progress=100)]
    )
    text = anyio.run(lambda: collect(event_stream(result("UPLOADED"), lambda: next(states), FAST, lambda: False)))
    data = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: ")]
    assert [(one["status"], one["progress"]) for one in data] == [
        ("UPLOADED", 0), ("PROCESSING", 10), ("PROCESSING", 20), ("COMPLETED", 100),
    ]  # fmt: skip
    assert text.startswith("retry: ")
    assert text.endswith("\n\n")
    assert "id: final\n" in text


def test_a_final_result_is_told_without_reading_again() -> None:
    def read() -> Result:
        raise AssertionError("not asked for")

    text = anyio.run(lambda: collect(event_stream(result("FAILED", error_code="X"), read, FAST, lambda: False)))
    assert '"error_code":"X"' in text


def test_silence_is_filled_with_heartbeats() -> None:
    states = iter([result()] * 30 + [result("COMPLETED")])
    pace = Pace(poll=0.001, heartbeat=0.005)
    text = anyio.run(lambda: collect(event_stream(result(), lambda: next(states), pace, lambda: False)))
    assert ": still here\n\n" in text


def test_a_table_that_is_away_for_a_while_does_not_end_the_stream() -> None:
    answers: Iterator[Any] = iter([EndpointConnectionError(endpoint_url="x"), result("COMPLETED")])

    def read() -> Result:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        assert isinstance(answer, Result)
        return answer

    assert '"COMPLETED"' in anyio.run(lambda: collect(event_stream(result(), read, FAST, lambda: False)))


def test_a_deleted_result_a_stopping_server_and_the_time_limit_end_the_stream() -> None:
    assert "event: gone" in anyio.run(lambda: collect(event_stream(result(), lambda: None, FAST, lambda: False)))
    text = anyio.run(lambda: collect(event_stream(result(), result, FAST, lambda: True)))
    assert text.count("event: ") == 1
    text = anyio.run(lambda: collect(event_stream(result(), result, Pace(max_seconds=0), lambda: False)))
    assert text.count("event: ") == 1


def test_a_client_that_leaves_stops_the_reading() -> None:
    reads = 0

    def read() -> Result:
        nonlocal reads
        reads += 1
        return result(progress=reads)

    async def main() -> None:
        async with aclosing(event_stream(result(), read, FAST, lambda: False)) as stream:  # type: ignore[type-var]
            for _ in range(4):
                await anext(stream)

    anyio.run(main)
    assert reads <= 3


def test_a_thousand_streams_of_one_file_read_its_item_as_often_as_one() -> None:
    reads = 0
    states = iter([result(progress=number) for number in range(5)] + [result("COMPLETED")])

    def read(_: str) -> Result:
        nonlocal reads
        reads += 1
        return next(states)

    async def main() -> None:
        streams = Streams(read, FAST, lambda: False)
        texts: list[str] = []

        async def follow() -> None:
            texts.append(await collect(streams.events(result(), "a")))

        async with anyio.create_task_group() as tasks:
            for _ in range(1000):
                tasks.start_soon(follow)
        assert len(texts) == 1000
        assert all('"COMPLETED"' in text for text in texts)

    anyio.run(main)
    assert reads == 6


def test_streams_are_limited_for_a_client_and_in_all() -> None:
    async def main() -> None:
        streams = Streams(lambda _: result(), Pace(poll=60, streams=2, streams_per_client=1), lambda: False)
        async with aclosing(streams.events(result(), "a")) as one, aclosing(streams.events(result(), "b")) as two:  # type: ignore[type-var]
            for stream in (one, two):
                await anext(stream)
                await anext(stream)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(anext, one)  # type: ignore[arg-type]
                await anyio.wait_all_tasks_blocked()
                with pytest.raises(WebError, match="TOO_MANY_STREAMS"):
                    streams.check("a")
                streams.check("c")
                tasks.start_soon(anext, two)  # type: ignore[arg-type]
                await anyio.wait_all_tasks_blocked()
                with pytest.raises(WebError, match="TOO_MANY_STREAMS"):
                    streams.check("c")
                tasks.cancel_scope.cancel()
        streams.check("a")

    anyio.run(main)


def test_the_endpoint_streams_and_a_returning_client_is_told_to_stay_away(client: TestClient, files: Any) -> None:
    key = files.completed("uploads/x/a.csv")
    answer = client.get(f"/api/results/{key}/events")
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert "no-cache" in answer.headers["cache-control"]
    assert '"status":"COMPLETED"' in answer.text
    again = client.get(f"/api/results/{key}/events", headers={"last-event-id": "final"})
    assert again.status_code == 204
    assert client.get("/api/results/none/events").status_code == 404


@pytest.fixture
def served(services: Services) -> Iterator[tuple[WebServer, str]]:
    server = WebServer(services, "127.0.0.1", 0)
    url = server.bind()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server, url
    server.stop()
    thread.join(60)
    assert not thread.is_alive(), "open streams must not hold the server up"


def events(answer: httpx.Response) -> Iterator[dict[str, Any]]:
    for line in answer.iter_lines():
        if line.startswith("data: "):
            yield json.loads(line[6:])


def test_progress_reaches_a_real_client_while_the_work_runs(served: tuple[WebServer, str], files: Any) -> None:
    claim = files.processing("uploads/x/a.csv")
    with httpx.stream("GET", f"{served[1]}/api/results/uploads/x/a.csv/events", timeout=60) as answer:
        seen = events(answer)
        assert next(seen)["progress"] == 0
        files.results.progress(claim, percent=40, rows_read=7, rows_scored=7, rows_skipped=0, lease_seconds=60)
        assert next(seen)["progress"] == 40
        files.results.completed(claim, files.summary, "uploads/x/a.csv.predictions.csv")
        assert [event["status"] for event in seen] == ["COMPLETED"]


def test_a_real_client_that_leaves_ends_the_reading(
    served: tuple[WebServer, str], files: Any, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    files.processing("uploads/x/a.csv")
    reads = 0
    find = files.results.find

    def counted(key: str) -> Result | None:
        nonlocal reads
        reads += 1
        return find(key)  # type: ignore[no-any-return]

    monkeypatch.setattr(type(files.results), "find", lambda _self, key: counted(key))
    with httpx.stream("GET", f"{served[1]}/api/results/uploads/x/a.csv/events", timeout=60) as answer:
        next(answer.iter_lines())
    wait_until_still(lambda: reads)


def wait_until_still(count: Callable[[], int]) -> None:
    """Returns when the count has stopped to grow; a stream that reads on makes the test run into its limit."""
    pause = threading.Event()
    for _ in range(100):
        before = count()
        pause.wait(0.3)  # fifteen polls of the fixture's pace
        if count() == before:
            return
    raise AssertionError("the stream still reads")


def test_the_server_stops_although_a_page_is_open(served: tuple[WebServer, str], files: Any) -> None:
    files.processing("uploads/x/a.csv")
    with httpx.stream("GET", f"{served[1]}/api/results/uploads/x/a.csv/events", timeout=60) as answer:
        seen = events(answer)
        next(seen)
        served[0].stop()
        assert list(seen) == []


def test_a_head_that_never_ends_is_closed(served: tuple[WebServer, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.1)
    address = urlsplit(served[1])
    assert address.hostname is not None
    for start in (b"", b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: "):
        with socket.create_connection((address.hostname, address.port or 80), timeout=60) as slow:
            slow.sendall(start)
            assert slow.recv(1) == b""


def test_a_head_that_is_too_long_is_refused(served: tuple[WebServer, str]) -> None:
    answer = httpx.get(served[1] + "/health", headers={f"x-{number}": "y" * 1000 for number in range(70)})
    assert answer.status_code == 431


def test_the_address_that_is_listened_on_is_a_name_to_come_by(application: Application) -> None:
    server = WebServer(Services.of(application, "192.0.2.7"), "192.0.2.7", 0)
    client = TestClient(server.config.app, base_url="http://192.0.2.7:8080")  # type: ignore[arg-type]
    assert client.get("/health").status_code == 200
    assert client.get("/health", headers={"host": "evil.example"}).status_code == 421
