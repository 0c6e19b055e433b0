"""Operations of services over the store: what they see, when they are answered, what a refusal leaves behind.

A made-up registry takes the place of a service's; the protocol is STS's, over every kind of store.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from blotter.database.http.messages import Request, Response
from blotter.database.security.open_access import OpenAccess
from blotter.database.services.api import ApiService, Call, Direct, Operation, Output, Reading, Writing
from blotter.database.services.errors import ServiceError
from blotter.database.storage.protocol import (
    RECORDS_SPACE,
    ReadTransaction,
    Storage,
    StorageUnavailable,
    StoredItem,
    WriteTransaction,
)
from tests.in_process import STORES

KEY = b"test/key"


def _say(text: str) -> Output:
    return {"Account": text}


def _look(_: Call, tx: ReadTransaction) -> Output:
    found = tx.get(RECORDS_SPACE, KEY)
    return _say("nothing" if found is None else found.body.decode())


def _put(call: Call, tx: WriteTransaction) -> Output:
    body = call.arguments["AccessKeyId"].encode()
    tx.put(RECORDS_SPACE, StoredItem(KEY, 0, body), tx.get(RECORDS_SPACE, KEY))
    if body == b"refused":
        raise ServiceError("DeleteConflict", "not this", 409)
    if body == b"broken":
        raise RuntimeError("secret")
    return _say(f"{call.caller.account} at {call.now:g}")


def _service(storage: Storage, operation: Operation) -> ApiService:
    registry = {"GetAccessKeyInfo": operation}
    return ApiService("sts", lambda: registry, OpenAccess("1" * 12).authenticate, storage, clock=lambda: 7.0)


async def _ask(storage: Storage, operation: Operation, body: str = "") -> tuple[int, str]:
    scope = "Credential=k/20261128/us-east-1/sts/aws4_request, SignedHeaders=host, Signature=0"
    headers = {
        "authorization": f"AWS4-HMAC-SHA256 {scope}",
        "x-amz-date": "20261128T000000Z",
        "content-type": "application/x-www-form-urlencoded",
    }
    form = f"Action=GetAccessKeyInfo&Version=2011-06-15&AccessKeyId={body}"
    answer = _service(storage, operation).answer(Request("POST", "/", headers, form.encode()))
    response = answer if isinstance(answer, Response) else await answer
    return response.status, response.body.decode()


@pytest.mark.parametrize("kind", STORES)
def test_a_write_is_read_by_the_next_request(kind: str, tmp_path: Path) -> None:
    async def scenario(storage: Storage) -> None:
        assert "nothing" in (await _ask(storage, Reading(_look)))[1]
        status, text = await _ask(storage, Writing(_put), "hello")
        assert status == 200
        assert "<Account>111111111111 at 7</Account>" in text
        assert "hello" in (await _ask(storage, Reading(_look)))[1]

    _with_store(kind, tmp_path, scenario)


@pytest.mark.parametrize("kind", STORES)
def test_what_a_refused_write_wrote_is_gone(kind: str, tmp_path: Path) -> None:
    async def scenario(storage: Storage) -> None:
        refused, broken, written = await asyncio.gather(
            _ask(storage, Writing(_put), "refused"),
            _ask(storage, Writing(_put), "broken"),
            _ask(storage, Writing(_put), "kept"),
        )
        assert refused[0] == 409
        assert "<Code>DeleteConflict</Code><Message>not this</Message>" in refused[1]
        assert broken[0] == 500
        assert "secret" not in broken[1]
        assert written[0] == 200
        assert "kept" in (await _ask(storage, Reading(_look)))[1]

    _with_store(kind, tmp_path, scenario)


@pytest.mark.parametrize("kind", STORES)
def test_a_heavy_read_is_answered_later(kind: str, tmp_path: Path) -> None:
    async def scenario(storage: Storage) -> None:
        await _ask(storage, Writing(_put), "hello")
        assert "hello" in (await _ask(storage, Reading(_look, heavy=True)))[1]
        refused = await _ask(storage, Reading(_refuse, heavy=True))
        assert "<Code>NoSuchEntity</Code>" in refused[1]

    _with_store(kind, tmp_path, scenario)


def _refuse(_: Call, __: ReadTransaction) -> Output:
    raise ServiceError("NoSuchEntity", "gone", 404)


@pytest.mark.parametrize("kind", STORES)
def test_a_read_that_fails_is_answered(kind: str, tmp_path: Path) -> None:
    async def scenario(storage: Storage) -> None:
        status, text = await _ask(storage, Reading(_refuse))
        assert status == 404
        assert "<Code>NoSuchEntity</Code>" in text

    _with_store(kind, tmp_path, scenario)


def test_a_store_that_accepts_nothing_is_a_failure_of_the_service(tmp_path: Path) -> None:
    class Full:
        def submit(self, *_: Any) -> None:
            raise StorageUnavailable("disk full in /srv")

    async def scenario(_: Storage) -> None:
        status, text = await _ask(Full(), Writing(_put), "x")  # type: ignore[arg-type]
        assert status == 500
        assert "<Code>InternalFailure</Code>" in text
        assert "/srv" not in text

    _with_store("memory", tmp_path, scenario)


def test_what_needs_no_store_runs_without_one(tmp_path: Path) -> None:
    async def scenario(_: Storage) -> None:
        status, text = await _ask(None, Direct(lambda call: _say(call.operation)))  # type: ignore[arg-type]
        assert (status, "GetAccessKeyInfo" in text) == (200, True)

    _with_store("memory", tmp_path, scenario)


def _with_store(kind: str, folder: Path, scenario: Any) -> None:
    async def run() -> None:
        storage = STORES[kind](folder)
        try:
            await scenario(storage)
        finally:
            await storage.close()

    asyncio.run(run())
