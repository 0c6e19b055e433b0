"""The quotas that AWS has to protect a shared service, for who wants to meet them here too (`--aws-quotas on`).

How many tables and how much throughput an account has, how many tables may change at a time, how often a setting
may be changed. Set once, before a process answers its first request; off by default. Requests are refused before
anything is changed, and refused ones count for nothing. Numbers:
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ServiceQuotas.html. Messages as recorded in the
ACK project's notes on DynamoDB (ack-api-quirks, DDB-TABLE-081, -170, -171, -184, -326, -377, -443; 2026-10), those
on the number of tables and of simultaneous changes in Terraform's provider and older tools. A fifth switch to
on-demand mode within a day is documented as refused; its message is recorded of 2019, when it was the second.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from msgspec.structs import replace

from blotter.database.model.errors import DynamoDBError
from blotter.database.model.table import (
    CountedSetting,
    Index,
    OnDemandMaxima,
    Table,
    TableStatus,
    Throughput,
    WarmUnits,
)
from blotter.database.operations.context import Context
from blotter.database.operations.tables.update_vector_indexes import limit_error
from blotter.database.storage.protocol import ReadTransaction

TABLE_UNITS = 40_000
ACCOUNT_UNITS = 80_000
TABLES = 2_500
SIMULTANEOUS = 500
RULES = 100
"""Of contributor insights, a quota of CloudWatch's (DDB-TABLE-337)."""
FREE_DECREASES = 4
DECREASE_SECONDS = 3600.0
DAY = 86_400.0
SWITCHES = 4
CLASS_CHANGES, CLASS_SECONDS = 2, 30 * DAY
FREE_ENCRYPTIONS, ENCRYPTION_SECONDS = 4, 21_600.0
_REFER = "Refer to the Amazon DynamoDB Developer Guide for current limits and how to request higher limits."
_KEPT: dict[CountedSetting, float] = {"billing mode": DAY, "encryption": DAY, "table class": CLASS_SECONDS}
"""For how many seconds a change counts."""

_enforced = False


def enforce_quotas(on: bool) -> None:
    global _enforced
    _enforced = on


def may_have_rules(count: int) -> bool:
    """Whether contributor insights may have so many rules in one account and region."""
    return count <= RULES or not _enforced


def check_new_table(tx: ReadTransaction, table: Table, context: Context) -> None:
    """Raises LimitExceededException for a table that exceeds the account's quotas."""
    if not _enforced:
        return
    others = _tables(tx, context)
    if len(others) >= TABLES:
        raise limit_error(f"There is a limit of {TABLES} tables per subscriber")
    _check_simultaneous(others, context)
    _check_units(table, None, others)


def check_deletion(tx: ReadTransaction, context: Context) -> None:
    """Raises LimitExceededException when too many tables are changing already."""
    if _enforced:
        _check_simultaneous(_tables(tx, context), context)


def check_settings(table: Table, wanted: Iterable[CountedSetting], context: Context) -> None:
    """Raises LimitExceededException for settings that were changed too often. Before anything else about them is
    looked at: what would change nothing is refused too (DDB-TABLE-081)."""
    if not _enforced:
        return
    for setting in wanted:
        times = [when for name, when in table.counted_changes if name == setting]
        if setting == "table class" and len(_within(times, CLASS_SECONDS, context)) >= CLASS_CHANGES:
            raise limit_error(f"Updates to TableClass are limited to {CLASS_CHANGES} times in 30 day(s).")
        if setting == "encryption":
            _check_encryption(_within(times, DAY, context), context)
        if setting == "billing mode":
            _check_switches(_within(times, DAY, context))


def check_change(tx: ReadTransaction, old: Table, new: Table, context: Context) -> None:
    """Raises LimitExceededException for units beyond the account's quotas and for decreases that come too soon."""
    if not _enforced:
        return
    others = [table for table in _tables(tx, context) if table.id != old.id]
    _check_simultaneous(others, context)
    _check_units(new, old, others)
    if old.billing_mode != new.billing_mode:
        return
    _check_decrease(old.throughput, new.throughput, context)
    before = {index.space: index for index in old.indexes}
    for index in new.indexes:
        was = before.get(index.space)
        if was is not None:
            _check_decrease(was.throughput, index.throughput, context)


def counted(table: Table, settings: Iterable[CountedSetting], context: Context) -> Table:
    """The table with these changes counted, and without those that count no more."""
    if not _enforced:
        return table
    kept = [change for change in table.counted_changes if context.now - change[1] < _KEPT[change[0]]]
    kept += [(setting, context.now) for setting in settings]
    return replace(table, counted_changes=tuple(kept)) if kept or table.counted_changes else table


# Units


def _check_units(new: Table, old: Table | None, others: list[Table]) -> None:
    parts: list[tuple[Table | Index, str, str, str]] = [(new, "", "table", "table")]
    parts += [
        (index, f" for index {index.name},", "index", f"index : {index.name}")
        for index in new.indexes
        if index.is_global
    ]
    before: dict[int, Table | Index] = {} if old is None else {old.space: old}
    if old is not None:
        before |= {index.space: index for index in old.indexes}
    for part, of_index, kind, maxima_of in parts:
        was = before.get(part.space)
        if was is None or was.throughput != part.throughput:
            _check_part(new, part.throughput, of_index, kind)
        if was is None or was.on_demand_maxima != part.on_demand_maxima:
            _check_maxima(new, part.on_demand_maxima, maxima_of)
        if was is None or was.warm != part.warm:
            _check_warm(new, part.warm, kind if kind == "table" else f"index {part.name}")
    for number, name in enumerate(("ReadCapacityUnits", "WriteCapacityUnits")):
        reserved = sum(_reserved(table)[number] for table in others)
        present = 0 if old is None else _reserved(old)[number]
        requested = _reserved(new)[number]
        if requested > present and reserved + requested > ACCOUNT_UNITS:
            raise DynamoDBError(
                "LimitExceededException",
                f"This request would have caused the {name} limit to be exceeded for the account in {new.region}. "
                f"Current {name} reserved by the account: {reserved + present}. Limit: {ACCOUNT_UNITS}. "
                f"Requested: {requested}. {_REFER}",
            )


def _check_part(table: Table, units: Throughput, of_index: str, kind: str) -> None:
    for name, count in (("ReadCapacityUnits", units.read), ("WriteCapacityUnits", units.write)):
        if count > TABLE_UNITS:
            raise DynamoDBError(
                "LimitExceededException",
                f"The requested {name}{of_index or ','} {count}, is above the per {kind} maximum for the account "
                f"in {table.region}. Per table maximum: {TABLE_UNITS}. {_REFER}",  # of an index too (-170)
            )


def _check_maxima(table: Table, maxima: OnDemandMaxima | None, what: str) -> None:
    if maxima is None:
        return
    for name, units in (("Read", maxima.read), ("Write", maxima.write)):
        if units is not None and units > TABLE_UNITS:
            raise limit_error(
                f"Requested Max{name}RequestUnits for OnDemandThroughput for {what} exceeds "
                f"TableMax{name}CapacityUnits of the account in region {table.region}"
            )


def _check_warm(table: Table, warm: WarmUnits, what: str) -> None:
    for name, units in (("Read", warm.read), ("Write", warm.write)):
        if units > TABLE_UNITS:
            raise limit_error(
                f"Requested {name}UnitsPerSecond for WarmThroughput for {what} exceeds "
                f"TableMax{name}CapacityUnits of the account in region {table.region}"
            )


def _reserved(table: Table) -> tuple[int, int]:
    """What a table and its indexes reserve of the account's units."""
    parts = [table.throughput, *(index.throughput for index in table.indexes if index.is_global)]
    return sum(units.read for units in parts), sum(units.write for units in parts)


# How often


def _check_decrease(old: Throughput, new: Throughput, context: Context) -> None:
    if (new.read >= old.read and new.write >= old.write) or old.last_decrease is None:
        return
    today = old.decreases_on(context.now)
    midnight = (context.now // DAY + 1) * DAY
    allowed = min(old.last_decrease + DECREASE_SECONDS, midnight)
    if today >= FREE_DECREASES and context.now < allowed:
        raise limit_error(
            "Provisioned throughput decreases are limited within a given UTC day. After the first "
            f"{FREE_DECREASES} decreases, each subsequent decrease in the same UTC day can be performed at most "
            f"once every {DECREASE_SECONDS:.0f} seconds. Number of decreases today: {today}. "
            f"Last decrease at {_spoken(old.last_decrease)}. Next decrease can be made at {_spoken(allowed)}"
        )


def _check_encryption(times: list[float], context: Context) -> None:
    if len(times) < FREE_ENCRYPTIONS:
        return
    allowed = min(times[-1] + ENCRYPTION_SECONDS, times[0] + DAY)
    if context.now < allowed:
        raise limit_error(
            f"Encryption mode changes are limited in the 24h window ending at {_stamp(times[0] + DAY)}. After the "
            f"first {FREE_ENCRYPTIONS} change, each subsequent change in the same window can be performed at most "
            f"once every {ENCRYPTION_SECONDS:.0f} seconds. Number of updates today: {len(times)}. "
            f"Last change at {_stamp(times[-1])}. Next changes can be made at {_stamp(allowed)}."
        )


def _check_switches(times: list[float]) -> None:
    if len(times) >= SWITCHES:
        raise limit_error(
            f"Update to PayPerRequest mode are limited to {SWITCHES} times in 1 day(s). Last update at "
            f"{_dated(times[-1])}. Next update can be made at {_dated(times[0] + DAY)}"
        )


def _within(times: list[float], seconds: float, context: Context) -> list[float]:
    return [when for when in times if context.now - when < seconds]


# The account


def _tables(tx: ReadTransaction, context: Context) -> list[Table]:
    present = (table.at(context.now) for table in tx.tables())
    return [
        table
        for table in present
        if table is not None and (table.account, table.region) == (context.account, context.region)
    ]


def _check_simultaneous(tables: list[Table], context: Context) -> None:
    if sum(table.status_at(context.now) is not TableStatus.ACTIVE for table in tables) >= SIMULTANEOUS:
        raise limit_error(f"Only {SIMULTANEOUS} tables can be created, updated, or deleted simultaneously")


# Times as the messages have them


def _spoken(moment: float) -> str:
    """Friday, October 9, 2026 at 1:21:34 AM Coordinated Universal Time"""
    at = time.gmtime(moment)
    clock = f"{at.tm_hour % 12 or 12}:{at.tm_min:02}:{at.tm_sec:02} {'AM' if at.tm_hour < 12 else 'PM'}"
    return f"{time.strftime('%A, %B', at)} {at.tm_mday}, {at.tm_year} at {clock} Coordinated Universal Time"


def _stamp(moment: float) -> str:
    """2026-10-09T23:23:37.938Z"""
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(moment))}.{int(moment * 1000) % 1000:03}Z"


def _dated(moment: float) -> str:
    """Sat Feb 23 03:07:45 UTC 2019"""
    return time.strftime("%a %b %d %H:%M:%S UTC %Y", time.gmtime(moment))
