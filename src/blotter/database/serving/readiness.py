"""The answer to `GET /ready`: whether a worker can answer requests now."""

from __future__ import annotations

import asyncio
import logging

from blotter.database.http.messages import Pending, Response
from blotter.database.storage.protocol import RECORDS_SPACE, Storage

log = logging.getLogger(__name__)

_JSON = (("Content-Type", "application/json"),)
# Less than `blotter healthcheck` and load balancers wait for.
_READY_SECONDS = 2.0
HEALTHY = Response(200, b'{"status":"ok"}', _JSON)


def readiness(storage: Storage) -> Response | Pending:
    """Whether this worker can answer requests now: whether it can read its storage."""
    try:
        snapshot = storage.read()
        if snapshot is not None:
            with snapshot:
                return HEALTHY
        return _asked(storage)
    except Exception as error:
        return _ready_or_not(error)


def _asked(storage: Storage) -> Pending:
    """Whether a store across a network answers a read, in time."""
    pending = Pending()
    answered: asyncio.Future[BaseException | None] = asyncio.get_running_loop().create_future()

    def settle(error: BaseException | None) -> None:
        if not answered.done():
            late.cancel()
            answered.set_result(error)
            pending.settle(_ready_or_not(error))

    late = asyncio.get_running_loop().call_later(_READY_SECONDS, settle, TimeoutError("the store does not answer"))
    storage.submit_read(lambda tx: tx.get(RECORDS_SPACE, b"ready"), lambda _, error: settle(error))
    return pending


def _ready_or_not(error: BaseException | None) -> Response:
    if error is None:
        return HEALTHY
    log.warning("not ready: %s", error)
    return Response(503, b'{"status":"the storage cannot be read"}', _JSON)
