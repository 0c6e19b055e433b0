"""Access over a store across a network, where two servers change who may what."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from blotter.database.http.messages import Request, Response
from blotter.database.pipeline import Pipeline
from blotter.database.security.access import Access, enforced_access
from blotter.database.security.access_records import AccessKey, save
from blotter.database.security.access_state import AccessState, secret_context
from blotter.database.security.identifiers import new_access_key_id, new_secret
from blotter.database.security.sealing import sealer_in_memory
from blotter.database.services.table import make_dispatcher
from tests.distant_store import DistantStore
from tests.waiting import until

ACCOUNT = "111122223333"


class Server:
    """One of two servers on a store."""

    def __init__(self, store: DistantStore, sealer: Any) -> None:
        self.storage = store.open()
        self.sealer = sealer
        self.access: Access = enforced_access(ACCOUNT, AccessState(self.storage, sealer), sealer)
        pipeline = Pipeline(self.storage, self.access.authenticator("dynamodb"))
        self.answers = make_dispatcher(pipeline.answer, self.access, self.storage)

    async def add_key(self) -> tuple[str, str]:
        access_key, secret = new_access_key_id("AKIA", ACCOUNT), new_secret()
        sealed = self.sealer.seal(secret.encode(), secret_context(ACCOUNT, access_key))
        await self.storage.write(lambda tx: save(tx, ACCOUNT, AccessKey(access_key, "", 1.0, sealed)))
        return access_key, secret

    async def ask(self, request: Request) -> tuple[int, bytes]:
        answer = self.answers(request)
        response = answer if isinstance(answer, Response) else await answer
        return response.status, response.body


def signed(key: tuple[str, str], service: str, body: bytes, **headers: str) -> Request:
    request = AWSRequest("POST", "http://localhost:8000/", headers, body)
    SigV4Auth(Credentials(*key), service, "us-east-1").add_auth(request)
    sent = {name.lower(): str(value) for name, value in request.headers.items()}
    sent.setdefault("x-amz-date", datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ"))
    return Request("POST", "/", {"host": "localhost:8000", **sent}, body)


def list_tables(key: tuple[str, str]) -> Request:
    headers = {"X-Amz-Target": "DynamoDB_20120810.ListTables", "Content-Type": "application/x-amz-json-1.0"}
    return signed(key, "dynamodb", b"{}", **headers)


def caller_identity(key: tuple[str, str]) -> Request:
    body = b"Action=GetCallerIdentity&Version=2011-06-15"
    return signed(key, "sts", body, **{"Content-Type": "application/x-www-form-urlencoded"})


@pytest.mark.parametrize(("request_of", "refused"), [(list_tables, 400), (caller_identity, 403)])
def test_a_key_that_another_server_made_just_now_is_taken(
    request_of: Callable[[tuple[str, str]], Request], refused: int
) -> None:
    async def check() -> None:
        store, sealer = DistantStore(), sealer_in_memory()
        one, other = Server(store, sealer), Server(store, sealer)
        for server in (one, other):
            await server.access.start()
        unknown = (new_access_key_id("AKIA", ACCOUNT), new_secret())
        status, body = await other.ask(request_of(unknown))
        assert status == refused
        assert b"security token included in the request is invalid" in body
        key = await one.add_key()
        for server in (other, one):
            assert (await server.ask(request_of(key)))[0] == 200
            server.access.stop()

    asyncio.run(check())


def test_who_may_what_is_known_before_the_first_request() -> None:
    async def check() -> None:
        store, sealer = DistantStore(), sealer_in_memory()
        key = await Server(store, sealer).add_key()
        server = Server(store, sealer)
        await server.access.start()
        assert server.access.state.find_access_key(key[0]) is not None
        server.access.stop()

    asyncio.run(check())


def test_an_older_look_that_is_answered_late_changes_nothing() -> None:
    async def check() -> None:
        store, sealer = DistantStore(), sealer_in_memory()
        server = Server(store, sealer)
        state, storage = server.access.state, server.storage
        await state.load()
        first = await storage.fetch(state._changed_view)
        assert first is None
        key = await server.add_key()
        late = await storage.fetch(state._changed_view)
        second = await server.add_key()
        await state.load()
        state._use(late)
        assert all(state.find_access_key(each[0]) is not None for each in (key, second))

    asyncio.run(check())


def test_the_store_that_cannot_be_read_refuses_no_key_for_good(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that is not known while the store does not answer gets an error that SDKs repeat."""

    async def check() -> None:
        store, sealer = DistantStore(), sealer_in_memory()
        server = Server(store, sealer)
        await server.access.start()
        key = await server.add_key()
        failing = OSError("gone")
        monkeypatch.setattr(server.access.state, "_changed_view", lambda _: (_ for _ in ()).throw(failing))
        status, body = await server.ask(list_tables(key))
        assert (status, json.loads(body)["__type"].rpartition("#")[2]) == (500, "InternalServerError")
        assert (await server.ask(caller_identity(key)))[0] == 500
        server.access.stop()

    asyncio.run(check())


def test_a_store_that_does_not_answer_is_looked_at_once_at_a_time(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """And reported once, however long it takes."""

    async def check() -> None:
        store, sealer = DistantStore(), sealer_in_memory()
        server = Server(store, sealer)
        state, storage = server.access.state, server.storage
        await state.load()
        waiting: list[Any] = []
        with monkeypatch.context() as silent:
            silent.setattr(storage, "submit_read", lambda _, settled: waiting.append(settled))
            for _ in range(3):
                state._refresh_now()
            assert len(waiting) == 1
            for _ in range(3):
                waiting.pop()(None, OSError("gone"))
                state._refresh_now()
            assert caplog.text.count("access state cannot be read: gone") == 1
        waiting.pop()(None, None)
        key = await server.add_key()
        state._refresh_now()
        await until(lambda: state.find_access_key(key[0]) is not None)
        state.stop()

    asyncio.run(check())
