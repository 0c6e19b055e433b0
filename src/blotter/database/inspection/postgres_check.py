"""All checks of a store in PostgreSQL, and their report. Read-only; servers may use the store meanwhile.

The same checks of tables, items, index entries and streams as of a data directory, over snapshots of PostgreSQL;
what is stored beside them is checked by `storage.postgres.layout.store_check`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial

import msgspec

from blotter.database.inspection.check import MOST_PROBLEMS, CheckResult, Report
from blotter.database.inspection.item_checks import ITEM_CHECKS
from blotter.database.storage.postgres.catalog import CatalogCache
from blotter.database.storage.postgres.connections.connecting import Connector
from blotter.database.storage.postgres.connections.failures import STORE_FAILURES, unavailable
from blotter.database.storage.postgres.connections.searching import ConnectError
from blotter.database.storage.postgres.connections.store_connection import StoreConnection
from blotter.database.storage.postgres.connections.url import StoreUrl
from blotter.database.storage.postgres.layout.store_check import STORE_CHECKS
from blotter.database.storage.postgres.reading import Reader
from blotter.database.storage.postgres.snapshots import BEGIN
from blotter.database.storage.postgres.suspended import run_suspendable, wait_for
from blotter.database.storage.protocol import DataDirectoryError, ReadTransaction, StorageUnavailable


def check_postgres(url: StoreUrl, monotonic: Callable[[], float] = time.monotonic) -> Report:
    """Runs every check. Raises DataDirectoryError if the store cannot be checked."""
    try:
        return asyncio.run(_check(url, monotonic))
    except (ConnectError, StorageUnavailable) as error:
        raise DataDirectoryError(str(error)) from None
    except STORE_FAILURES as error:
        raise DataDirectoryError(str(unavailable(error))) from None


async def _check(url: StoreUrl, monotonic: Callable[[], float]) -> Report:
    connection = await Connector(url).connect_patiently(url.connect_timeout)
    results: list[CheckResult] = []
    try:
        await connection.execute("SET enable_seqscan = on; SET enable_hashjoin = on")  # whole tables are counted
        for name, check_store in STORE_CHECKS.items():
            begun = monotonic()
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                results.append(_result(name, await check_store(connection), monotonic() - begun))
        await connection.execute("RESET enable_seqscan; RESET enable_hashjoin")
        for name, check_items in ITEM_CHECKS.items():
            begun = monotonic()
            problems = await run_suspendable(partial(_listed, connection, check_items))
            results.append(_result(name, problems, monotonic() - begun))
    finally:
        await connection.close(timeout=5)
    return Report(url.shown, tuple(results))


def _listed(
    connection: StoreConnection,
    check: Callable[[Callable[[], AbstractContextManager[ReadTransaction]]], Iterator[str]],
) -> list[str]:
    try:
        return list(check(lambda: _snapshot(connection)))
    except msgspec.DecodeError as error:
        return [f"cannot be read any further: {error}"]


@contextmanager
def _snapshot(connection: StoreConnection) -> Iterator[ReadTransaction]:
    """A snapshot of its own, for as long as the caller is inside; one at a time."""
    wait_for(connection.execute(BEGIN))
    try:
        reader = Reader(connection, CatalogCache())
        wait_for(reader.read_catalog_state())
        yield reader
    finally:
        wait_for(connection.execute("COMMIT"))


def _result(name: str, problems: list[str], seconds: float) -> CheckResult:
    return CheckResult(name, tuple(problems[:MOST_PROBLEMS]), max(0, len(problems) - MOST_PROBLEMS), seconds)
