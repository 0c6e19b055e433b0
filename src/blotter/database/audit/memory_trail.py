"""The trail of a server in memory: its last events, for `lookup-events`. Nothing is written."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

from blotter.database.audit.reading import Wanted, ordered
from blotter.database.http.messages import Pending, Response

MOST_EVENTS = 10_000


class MemoryTrail:
    """A `Trail`, and the source of events at the same time."""

    failing = False

    def __init__(self) -> None:
        self._records: deque[bytes] = deque(maxlen=MOST_EVENTS)

    def record(
        self,
        record: bytes,
        answer: Response,
        refusal: Response,  # noqa: ARG002
        *,
        changed: bool,  # noqa: ARG002
    ) -> Response | Pending:
        self._records.append(record)
        return answer

    def note(self, record: bytes) -> None:
        self._records.append(record)

    async def close(self) -> None:
        self._records.clear()

    def newest_first(
        self, start: str, end: str, wanted: Wanted, account: str = "*", region: str = "*"
    ) -> Iterator[dict[str, Any]]:
        records = [record for record in self._records.copy() if wanted(record)]
        return iter(ordered(records, start, end, account, region)[::-1])
