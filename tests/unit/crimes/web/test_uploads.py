"""Uploads byte by byte: what arrives, what is refused, and that nothing half ever becomes an object."""

from __future__ import annotations

import math
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, ClassVar

import anyio
import pytest
from fastapi.testclient import TestClient
from starlette.requests import Request

from blotter.crimes.storage.objects import ObjectStore
from blotter.crimes.web.errors import WebError
from blotter.crimes.web.upload_slots import UploadLimits, UploadSlots
from blotter.crimes.web.uploads import Uploads

BOUNDARY = "a-boundary"


def body_of(content: bytes, *, name: str = "file", file_name: str | None = "a.csv") -> bytes:
    given = "" if file_name is None else f'; filename="{file_name}"'
    return (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{given}\r\n'.encode()
        + b"Content-Type: text/csv\r\n\r\n"
        + content
        + f"\r\n--{BOUNDARY}--\r\n".encode()
    )


def request_of(chunks: list[bytes], headers: dict[str, str] | None = None, *, cut: bool = False) -> Request:
    """A request whose body arrives in these chunks; `cut`: then the client is gone."""
    messages: list[dict[str, Any]] = [
        {"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks
    ]
    messages.append(
        {"type": "http.disconnect"} if cut else {"type": "http.request", "body": b"", "more_body": False}
    )
    waiting = iter(messages)

    async def receive() -> dict[str, Any]:
        return next(waiting)

    given = {"content-type": f"multipart/form-data; boundary={BOUNDARY}"} | (headers or {})
    raw = [(name.encode(), value.encode()) for name, value in given.items()]
    return Request({"type": "http", "method": "POST", "headers": raw, "path": "/"}, receive)  # type: ignore[arg-type]


class Kept:
    """An intake that keeps what it is given, and how it ended."""

    def __init__(self) -> None:
        self.name = ""
        self.blocks: list[bytes] = []
        self.whole = False
        self.discarded = False
        self.thread: threading.Thread | None = None

    def begin(self, name: str) -> Kept:
        self.name = name
        return self

    def write(self, data: bytes) -> None:
        self.thread = threading.current_thread()
        self.blocks.append(data)

    def finish(self) -> str:
        self.whole = True
        return "the-key"

    def discard(self) -> None:
        self.discarded = True

    @property
    def content(self) -> bytes:
        return b"".join(self.blocks)


def receive(kept: Kept, request: Request, max_bytes: int = 10_000_000) -> str:
    async def main() -> str:
        return await Uploads(kept.begin, max_bytes, UploadLimits(concurrent=2)).receive(request)

    return anyio.run(main)


@pytest.mark.parametrize("step", [1, 7, 1000, 1 << 20])
def test_the_file_arrives_whole_however_the_body_is_cut(step: int) -> None:
    content = b"a,b\r\n--a-boundar\r\n" * (30 if step == 1 else 3000)
    body = body_of(content, file_name="../x %22y%22 🚓.csv")
    kept = Kept()
    assert receive(kept, request_of([body[at : at + step] for at in range(0, len(body), step)])) == "the-key"
    assert kept.content == content
    assert kept.name == '../x "y" 🚓.csv'
    assert kept.thread is not threading.main_thread()


def test_blocks_are_large_and_memory_is_bounded() -> None:
    chunk = b"x" * 65536
    body = body_of(chunk * 160)
    kept = Kept()
    receive(kept, request_of([body[at : at + 65536] for at in range(0, len(body), 65536)]), 20_000_000)
    assert len(kept.content) == 160 * 65536
    assert max(map(len, kept.blocks)) < 2 * (1 << 20)
    assert len(kept.blocks) < 15


def test_a_slow_intake_holds_the_client_back() -> None:
    """While a block is being written nothing more is taken from the client."""
    taken = 0
    block = b"x" * (1 << 20)
    pieces = [body_of(b"")[: -len(f"\r\n--{BOUNDARY}--\r\n")], *[block] * 40]

    async def receive_message() -> dict[str, Any]:
        nonlocal taken
        if taken < len(pieces):
            taken += 1
            return {"type": "http.request", "body": pieces[taken - 1], "more_body": True}
        return {"type": "http.request", "body": f"\r\n--{BOUNDARY}--\r\n".encode(), "more_body": False}

    class Slow(Kept):
        taken_before_writing: ClassVar[list[int]] = []

        def write(self, data: bytes) -> None:
            self.taken_before_writing.append(taken)
            super().write(data)

    headers = [(b"content-type", f"multipart/form-data; boundary={BOUNDARY}".encode())]
    request = Request({"type": "http", "method": "POST", "headers": headers, "path": "/"}, receive_message)  # type: ignore[arg-type]
    kept = Slow()
    receive(kept, request, 1 << 30)
    assert len(kept.content) == 40 << 20
    assert kept.taken_before_writing[0] <= 3


@pytest.mark.parametrize(
    ("request_", "status", "code"),
    [
        (lambda: request_of([b"x"], {"content-type": "text/csv"}), 415, "NOT_MULTIPART"),
        (lambda: request_of([b"x"], {"content-type": "multipart/form-data"}), 415, "NOT_MULTIPART"),
        (
            lambda: request_of([b"x"], {"content-type": f"multipart/form-data; boundary={'b' * 300}"}),
            400,
            "INVALID_UPLOAD",
        ),
        (lambda: request_of([b"this is no multipart body"]), 400, "INVALID_UPLOAD"),
        (lambda: request_of([body_of(b"x", name="other")]), 400, "INVALID_UPLOAD"),
        (lambda: request_of([body_of(b"x", file_name=None)]), 400, "INVALID_UPLOAD"),
        (lambda: request_of([body_of(b"x", file_name="")]), 400, "INVALID_UPLOAD"),
        (lambda: request_of([body_of(b"x" * 70_000, name="other")]), 400, "INVALID_UPLOAD"),
        (lambda: request_of([]), 400, "INVALID_UPLOAD"),
        (lambda: request_of([f"--{BOUNDARY}\r\na: b\r\n\r\n\r\n".encode() * 101]), 400, "INVALID_UPLOAD"),
        (lambda: request_of([body_of(b"x")], {"content-length": "99999999"}), 413, "FILE_TOO_LARGE"),
        (lambda: request_of([body_of(b"x" * 1001)]), 413, "FILE_TOO_LARGE"),
    ],
)
def test_what_is_no_upload_is_refused(request_: Callable[[], Request], status: int, code: str) -> None:
    kept = Kept()
    with pytest.raises(WebError) as caught:
        receive(kept, request_(), 1000)
    assert (caught.value.status, caught.value.code) == (status, code)
    assert not kept.whole


def test_two_files_in_one_request_are_refused_before_anything_is_kept() -> None:
    first = body_of(b"x").removesuffix(b"--\r\n") + b"\r\n"
    kept = Kept()
    with pytest.raises(WebError, match="INVALID_UPLOAD"):
        receive(kept, request_of([first + body_of(b"y")]))
    assert not kept.whole


@pytest.mark.parametrize("cut", [True, False])
def test_a_body_that_breaks_off_never_looks_complete(cut: bool) -> None:
    body = body_of(b"x" * 5_000_000)
    kept = Kept()
    with pytest.raises(WebError, match="INVALID_UPLOAD"):
        receive(kept, request_of([body[:100], body[100:3_000_000]], cut=cut))
    assert kept.content
    assert not kept.whole
    assert kept.discarded


def test_an_intake_that_fails_answers_at_once_and_with_its_own_error() -> None:
    class Broken(Kept):
        def write(self, data: bytes) -> None:  # noqa: ARG002
            raise OSError(5, "Input/output error")

    pieces = [body_of(b"x" * 5_000_000)[at : at + 500_000] for at in range(0, 5_000_000, 500_000)]
    with pytest.raises(OSError, match="Input/output error"):
        receive(kept := Broken(), request_of(pieces))
    assert kept.discarded


def test_a_refused_upload_leaves_no_object(client: TestClient, objects: ObjectStore) -> None:
    answer = client.post("/api/files", files={"file": ("a.csv", b"x" * 3_000_001)})
    assert answer.status_code == 413
    assert "3.0 MB" in answer.json()["error"]["message"]
    assert list(objects.list("uploads")) == []
    assert client.get("/api/results").json()["results"] == []


def test_an_upload_that_is_refused_late_frees_its_space_at_once(client: TestClient, tmp_path: Path) -> None:
    """12 MB are several parts of a draft on the disk by the time the limit is reached."""
    content = {"file": ("a.csv", b"x" * 12_000_000)}
    answer = client.post("/api/files", files=content, headers={"content-length": ""})  # nothing declared
    assert answer.status_code == 413
    assert [path for path in (tmp_path / "objects").rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("committed", [True, False])
def test_a_discarded_draft_leaves_nothing(objects: ObjectStore, tmp_path: Path, committed: bool) -> None:
    draft = objects.open_draft("uploads/x/a.csv")
    for _ in range(6):
        draft.write(b"x" * (1 << 20))
    if committed:
        draft.commit()
    else:
        draft.discard()
    found = [path.name for path in (tmp_path / "objects").rglob("*") if path.is_file()]
    assert found == (["a.csv"] if committed else [])


async def _silent() -> AsyncIterator[bytes]:
    await anyio.sleep_forever()
    yield b""


async def _dripping() -> AsyncIterator[bytes]:
    while True:
        await anyio.sleep(0)
        yield b"x"


def test_a_silent_and_a_dripping_upload_are_cut_off() -> None:
    async def follow(limits: UploadLimits, body: AsyncIterator[bytes]) -> None:
        async with UploadSlots(limits).take("a") as slot:
            async for _ in slot.watched(body):
                pass

    for limits, body in (
        (UploadLimits(idle_seconds=0.02), _silent()),
        (UploadLimits(patience_seconds=0.02, young_seconds=0.0, least_rate=math.inf), _dripping()),
    ):
        with pytest.raises(WebError, match="UPLOAD_TOO_SLOW"):
            anyio.run(follow, limits, body)


def test_a_newcomer_takes_the_place_of_the_slowest_of_its_own_address() -> None:
    ended: list[str] = []

    async def main() -> None:
        slots = UploadSlots(UploadLimits(concurrent=3, per_client=2, young_seconds=0.0))

        async def hold(name: str, client: str, sent: int, started: anyio.Event) -> None:
            async def body() -> AsyncIterator[bytes]:
                yield b"x" * sent
                started.set()
                await anyio.sleep_forever()

            try:
                async with slots.take(client) as slot:
                    async for _ in slot.watched(body()):
                        pass
            except WebError as error:
                ended.append(f"{name} {error.code}")

        async with anyio.create_task_group() as tasks:
            for name, client, sent in (("fast", "a", 50_000_000), ("slow", "a", 1), ("other", "b", 0)):
                started = anyio.Event()
                tasks.start_soon(hold, name, client, sent, started)
                await started.wait()
            async with slots.take("a"):  # over its own limit: its own slowest gives way
                assert ended == ["slow UPLOAD_TOO_SLOW"]
            tasks.cancel_scope.cancel()

    anyio.run(main)


def test_fast_uploads_keep_their_places_and_the_newcomer_is_told_to_come_again() -> None:
    async def main() -> None:
        slots = UploadSlots(UploadLimits(concurrent=1, wait_seconds=0.0))
        async with slots.take("a"):  # young, so it counts as fast
            with pytest.raises(WebError, match="TOO_MANY_UPLOADS"):
                async with slots.take("b"):
                    raise AssertionError("not reached")

    anyio.run(main)


def test_a_full_disk_is_said_and_nothing_is_kept() -> None:
    class Full(Kept):
        def write(self, data: bytes) -> None:
            super().write(data)
            raise OSError("Generic error: no space (os error 28)")  # as obstore says it

    kept = Full()
    with pytest.raises(WebError) as caught:
        receive(kept, request_of([body_of(b"x")]))
    assert (caught.value.status, caught.value.code) == (507, "DISK_FULL")
    assert kept.discarded
