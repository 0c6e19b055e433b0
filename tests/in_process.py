"""The database without a socket: requests go straight into the pipeline, over a store in the test's folder."""

from __future__ import annotations

import asyncio
import inspect
import json
import time
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from blotter.database.admission.buckets import Buckets
from blotter.database.admission.limits import LimitedTables
from blotter.database.admission.partitions import PartitionLimits
from blotter.database.admission.stage import Admission
from blotter.database.background.jobs import JobRunner
from blotter.database.background.tables import TableKeeper
from blotter.database.copies.jobs import Tools
from blotter.database.copies.objects import MEMORY
from blotter.database.encryption.files import FileCipher
from blotter.database.http.messages import Request
from blotter.database.metrics.counting import Counters
from blotter.database.pipeline import Account, BodyChecker, Pipeline
from blotter.database.security.open_access import OpenAccess
from blotter.database.storage.memory import MemoryStorage
from blotter.database.storage.memory.maps import OrderedMaps
from blotter.database.storage.memory.transactions import MemoryWriter
from blotter.database.storage.protocol import UNLIMITED, Storage, TooMuchWork
from blotter.database.storage.sqlite import SqliteStorage
from tests.distant_store import DistantStorage

T = TypeVar("T")

SNAPSHOT_SECONDS = 3600.0
"""No snapshot grows too old because a machine is slow; what happens then is tested with other stores."""
ACCOUNT = "123456789012"
REGION = "us-east-1"


def headers_for(operation: str, region: str = REGION) -> dict[str, str]:
    """What a client sends beside the body; a signature, which open access does not check."""
    api = "DynamoDBStreams_20120810" if operation in _STREAMS else "DynamoDB_20120810"
    return {
        "host": "127.0.0.1",
        "x-amz-date": "20261122T000000Z",
        "x-amz-target": f"{api}.{operation}",
        "authorization": f"AWS4-HMAC-SHA256 Credential=local/20261122/{region}/dynamodb/aws4_request, "
        "SignedHeaders=host;x-amz-date;x-amz-target, Signature=0000",
        "content-type": "application/x-amz-json-1.0",
    }


class _HeavyWriter(MemoryWriter):
    """Finds every limited handler too much work."""

    def limit_work(self, limit: int) -> None:
        if limit != UNLIMITED:
            raise TooMuchWork
        super().limit_work(limit)


class HeavyStorage(MemoryStorage):
    """Takes every write for a heavy one, so that it is run ahead of the write lock."""

    def __init__(self, maps: OrderedMaps, clock: Callable[[], float] = time.time) -> None:
        super().__init__(maps, clock=clock, snapshot_max_age=SNAPSHOT_SECONDS)
        self._writer = _HeavyWriter(maps, clock)


Open = Callable[..., Storage]
"""Opens a store in a folder; takes a `clock`."""

STORES: dict[str, Open] = {
    "sqlite": partial(SqliteStorage.open, snapshot_max_age=SNAPSHOT_SECONDS),
    "memory": lambda _, **clock: MemoryStorage(OrderedMaps(), snapshot_max_age=SNAPSHOT_SECONDS, **clock),
    "distant": lambda _, **clock: DistantStorage(OrderedMaps(), snapshot_max_age=SNAPSHOT_SECONDS, **clock),
    "heavy": lambda _, **clock: HeavyStorage(OrderedMaps(), **clock),
}


class InProcessDatabase:
    """`call` is a `golden.Call`. Tables settle after `table_delay` seconds, at once by default. The upkeep of
    tables and jobs run after every request unless `background` is False; `clock` may be moved by the test.
    `store` is a name of STORES, or opens one; `objects` is the URL of the store of copies. Nothing is throttled,
    unless the test gives the `buckets`."""

    def __init__(
        self,
        folder: Path,
        clock: Callable[[], float] = time.time,
        table_delay: float = 0.0,
        background: bool = True,
        account: Account | None = None,
        counters: Counters | None = None,
        store: str | Open = "sqlite",
        objects: str = MEMORY,
        buckets: Buckets | None = None,
        partition_limits: bool = False,
        account_quotas: bool = False,
        checker: BodyChecker | None = None,
    ) -> None:
        self.background = background
        self._loop = asyncio.new_event_loop()
        self.storage = (STORES[store] if isinstance(store, str) else store)(folder, clock=clock)
        authenticate = OpenAccess(ACCOUNT).authenticate
        admission = None
        if buckets is not None:
            tables = LimitedTables(
                self.storage, buckets, account_quotas=account_quotas, all_tables=partition_limits
            )
            admission = Admission(tables, buckets, PartitionLimits(buckets) if partition_limits else None)
        self.pipeline = Pipeline(
            self.storage,
            authenticate,
            clock=clock,
            table_delay=table_delay,
            account=account,
            counters=counters,
            admission=admission,
            checker=checker,
        )
        self._keeper = TableKeeper(self.storage, clock)
        cipher = FileCipher(None, lambda _: None)
        self.tools = Tools(self.storage, objects, cipher, folder / "scratch", clock)
        self._jobs = JobRunner(self.tools)

    def call(self, operation: str, request: dict[str, Any], region: str = REGION) -> tuple[int, dict[str, Any]]:
        return self._loop.run_until_complete(self.answer(operation, json.dumps(request).encode(), region=region))

    def call_raw(self, operation: str, body: bytes, encoding: str = "identity") -> tuple[int, dict[str, Any]]:
        return self._loop.run_until_complete(self.answer(operation, body, encoding))

    def call_together(self, *calls: tuple[str, dict[str, Any]]) -> list[tuple[int, dict[str, Any]]]:
        """Several requests at once, sent in the order given."""

        async def together() -> list[tuple[int, dict[str, Any]]]:
            return await asyncio.gather(
                *(self.answer(name, json.dumps(request).encode()) for name, request in calls)
            )

        return self._loop.run_until_complete(together())

    async def answer(
        self, operation: str, body: bytes, encoding: str = "identity", region: str = REGION
    ) -> tuple[int, dict[str, Any]]:
        headers = headers_for(operation, region)
        if encoding != "identity":
            headers["content-encoding"] = encoding
        answer = self.pipeline.answer(Request("POST", "/", headers, body))
        response = await answer if inspect.isawaitable(answer) else answer
        while self.background and (await self._keeper.run_once() or await self._jobs.run_once()):
            pass
        return response.status, json.loads(response.body or b"{}")

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Runs other work over the same store, for instance a chore of the background."""
        return self._loop.run_until_complete(work)

    def close(self) -> None:
        self._loop.run_until_complete(self.storage.close())
        self._loop.close()


_STREAMS = frozenset({"DescribeStream", "GetRecords", "GetShardIterator", "ListStreams"})
