"""The database as a client meets it: requests over a real socket to a running `blotter serve`.

Every script gets a region of its own, so that scripts share a server without seeing each other's tables; in what a
script says and reads, that region is called us-east-1.
"""

from __future__ import annotations

import http.client
import json
import time
import zlib
from typing import Any

from tests.in_process import REGION, headers_for

_SETTLE_SECONDS = 60.0
_CHANGES_TABLES = frozenset({"CreateTable", "UpdateTable", "DeleteTable"})


class HttpDatabase:
    """`call` is a `golden.Call`. Waits after a change of a table until the table and its indexes have settled."""

    def __init__(self, address: tuple[str, int], region: str) -> None:
        self._connection = http.client.HTTPConnection(*address, timeout=60)
        self._region = region

    def call(self, operation: str, request: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        status, answer = self._send(operation, request)
        if operation in _CHANGES_TABLES and status == 200:
            self._settle(request["TableName"])
        return status, answer

    def _send(self, operation: str, request: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        body = json.dumps(request).replace(REGION, self._region).encode()
        self._connection.request("POST", "/", body, headers_for(operation, self._region))
        response = self._connection.getresponse()
        content = response.read()
        assert response.headers["x-amz-crc32"] == str(zlib.crc32(content))
        return response.status, json.loads(content.replace(self._region.encode(), REGION.encode()) or b"{}")

    def _settle(self, table: str) -> None:
        deadline = time.monotonic() + _SETTLE_SECONDS
        while time.monotonic() < deadline:
            status, answer = self._send("DescribeTable", {"TableName": table})
            if status != 200:
                return
            description = answer["Table"]
            indexes = [*description.get("GlobalSecondaryIndexes", ()), *description.get("VectorIndexes", ())]
            states = [index["IndexStatus"] for index in indexes]
            if {description["TableStatus"], *states} == {"ACTIVE"}:
                return
            time.sleep(0.02)
        raise AssertionError(f"{table} did not settle: {answer}")

    def close(self) -> None:
        self._connection.close()
