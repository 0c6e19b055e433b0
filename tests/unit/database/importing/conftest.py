"""A database in memory whose jobs run when the test says so, and one that breaks off at a given write."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from blotter.database.copies.jobs import Tools, all_jobs, run_of
from tests.in_process import InProcessDatabase


class Broken(Exception):
    """The process was killed here."""


class BreakingStorage:
    """A store of which one write fails before it is made: what a kill leaves."""

    def __init__(self, storage: Any, writes: int) -> None:
        self._storage = storage
        self._left = writes

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)

    async def write(self, handler: Callable[[Any], Any]) -> Any:
        self._count()
        return await self._storage.write(handler)

    async def write_slice(self, handler: Callable[[Any, float], Any]) -> Any:
        self._count()
        return await self._storage.write_slice(handler)

    def _count(self) -> None:
        if self._left == 0:
            raise Broken
        self._left -= 1


class Imports:
    """Puts objects, starts imports and bulk operations, and runs their jobs."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.database = InProcessDatabase(folder, **{"store": "memory", "background": False, **options})
        self.source = self.database.tools.objects.bucket("source")

    def call(self, operation: str, **request: Any) -> dict[str, Any]:
        status, answer = self.database.call(operation, request)
        assert status == 200, answer
        return answer

    def refused(self, operation: str, **request: Any) -> tuple[str, str]:
        status, answer = self.database.call(operation, request)
        assert status == 400, answer
        return answer["__type"].partition("#")[2], answer["message"]

    def run_jobs(self, writes: int | None = None) -> bool:
        """Runs every job once; `writes`: each fails after so many writes. False if one of them did."""
        tools = self.database.tools
        if writes is not None:
            storage: Any = BreakingStorage(tools.storage, writes)
            tools = Tools(storage, "memory:", tools.cipher, tools.scratch, tools.clock)
            tools.__dict__["objects"] = self.database.tools.objects
        for job in self.database.run(self.database.storage.fetch(all_jobs)):
            try:
                self.database.run(run_of(job.kind)(job, tools))  # type: ignore[arg-type]
            except Broken:
                return False
        return True

    def items(self, table: str, **more: Any) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        start: dict[str, Any] = {}
        while True:
            page = self.call("Scan", TableName=table, **more, **start)
            found += page["Items"]
            if "LastEvaluatedKey" not in page:
                return found
            start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}

    def begin(self, table: str, prefix: str = "", form: str = "DYNAMODB_JSON", **more: Any) -> dict[str, Any]:
        """ImportTable with a hash key p; `creation` adds to the parameters of the table."""
        creation = {
            "TableName": table,
            "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [{"AttributeName": "p", "AttributeType": "S"}],
            "KeySchema": [{"AttributeName": "p", "KeyType": "HASH"}],
            **more.pop("creation", {}),
        }
        request = {
            "ClientToken": more.pop("token", f"token-{table}-{prefix}"),
            "S3BucketSource": {"S3Bucket": "source", "S3KeyPrefix": prefix},
            "InputFormat": form,
            "TableCreationParameters": creation,
            **more,
        }
        described: dict[str, Any] = self.call("ImportTable", **request)["ImportTableDescription"]
        return described

    def ended(self, described: dict[str, Any]) -> dict[str, Any]:
        """What has become of an import."""
        found: dict[str, Any] = self.call("DescribeImport", ImportArn=described["ImportArn"])
        return found["ImportTableDescription"]  # type: ignore[no-any-return]

    def log_of(self, described: dict[str, Any]) -> list[dict[str, Any]]:
        """The errors that were logged."""
        internal = self.database.tools.objects.within("_blotter")
        place = f"imports/{described['ImportArn'].rpartition('/')[2]}/error/"
        contents = [internal.get(info.name) for info in internal.list(place)]
        return [json.loads(line) for content in contents for line in content.splitlines()]


@pytest.fixture
def imports(tmp_path: Path) -> Iterator[Imports]:
    made = Imports(tmp_path)
    yield made
    made.database.close()


@pytest.fixture
def new_imports(tmp_path: Path) -> Iterator[Callable[..., Imports]]:
    """Makes further ones, each with a database of its own."""
    made: list[Imports] = []

    def new(**options: Any) -> Imports:
        made.append(Imports(tmp_path / str(len(made)), **options))
        return made[-1]

    yield new
    for each in made:
        each.database.close()
