"""Which limits a table and its global indexes have at present, looked up for every request and so kept.

A provisioned table has its units, and so has each of its global indexes; local indexes use the table's. A table on
demand has its maxima, where it has any, and with `account_quotas` what AWS gives each table of an account. While a
table is UPDATING, the units before the change are in force.

Kept limits hold as long as no commit changed the catalog, which every process notes in the shared memory of the
buckets; and for `KEPT_SECONDS`, should a process have died between a commit and its note.
"""

from __future__ import annotations

from typing import Final

from blotter.database.admission.buckets import Bucket, Buckets
from blotter.database.admission.refusals import ACCOUNT, MAXIMUM, PROVISIONED, Limit
from blotter.database.model.arns import parse_arn
from blotter.database.model.table import Index, KeySchema, Table, Throughput, is_over
from blotter.database.storage.at_hand import GoOn, NotAtHand
from blotter.database.storage.protocol import Storage

KEPT_SECONDS: Final = 10.0
ACCOUNT_UNITS: Final = 40_000
"""Read and write units of one table on demand, and of each of its indexes. Source:
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ServiceQuotas.html#default-limits-throughput"""
_MOST_KEPT: Final = 20_000
_LONGEST_KEPT: Final = 512
"""Characters of a table's name or ARN in a request. Longer ones name nothing."""
_FEW: Final = 32
"""Tables that are looked at whenever the catalog changed, to see whether any has limits at all."""
_NEVER: Final = float("inf")
_WRITES: Final = 1


class Pair:
    """The limits of a table, or of an index, for reads and for writes; None for one that is not limited."""

    __slots__ = ("index", "keys", "read", "space", "write")

    def __init__(self, index: str, space: int, keys: KeySchema, read: Limit | None, write: Limit | None) -> None:
        self.index: Final = index
        self.space: Final = space
        self.keys: Final = keys
        self.read: Final = read
        self.write: Final = write


class Limits:
    """The limits of a table. `blocking` are those of writes to its global indexes: an index that cannot keep up
    stops the writes of its table."""

    __slots__ = ("arn", "blocking", "ends_at", "indexes", "name", "own", "provisioned")

    def __init__(self, table: Table, own: Pair, indexes: dict[str, Pair], ends_at: float) -> None:
        self.arn: Final = table.arn
        self.name: Final = table.name
        self.provisioned: Final = table.billing_mode == "PROVISIONED"
        self.own: Final = own
        self.indexes: Final = indexes
        self.blocking: Final = [pair.write for pair in indexes.values() if pair.write is not None]
        self.ends_at: Final = ends_at
        """When other units will be in force, in seconds since the epoch."""

    def reading(self, index: str | None) -> Pair:
        """The limits of a read of the table or of one of its indexes: a local one uses the table's."""
        return self.own if index is None else self.indexes.get(index, self.own)

    @property
    def none(self) -> bool:
        """Whether nothing is limited."""
        limits = [self.own.read, self.own.write]
        for pair in self.indexes.values():
            limits += [pair.read, pair.write]
        return all(limit is None for limit in limits)


class _Known:
    """What was found for a name or an ARN, as requests of one account in one region have it."""

    __slots__ = ("account", "limits", "region")

    def __init__(self, account: str, region: str, limits: Limits | None) -> None:
        self.account: Final = account
        self.region: Final = region
        self.limits: Final = limits


class LimitedTables:
    """The limits of the tables of a store, in one process. `all_tables`: also of those that have none, because
    their partitions are limited."""

    def __init__(
        self, storage: Storage, buckets: Buckets, *, account_quotas: bool = False, all_tables: bool = False
    ) -> None:
        self._storage = storage
        self._buckets = buckets
        self._account_quotas = account_quotas
        self._all_tables = all_tables
        self._any = True
        self._many = False
        self._version = -1
        self._kept_since = 0.0
        self._kept: dict[tuple[str, str, str], _Known] = {}
        self._recent: dict[str, _Known] = {}
        """Of the tables of each name, the one that was asked for last."""
        storage.on_catalog_change(buckets.changed)

    def may_limit(self, now: float) -> bool:
        """Whether some table of the store may have limits. If none has, no request needs to be looked at."""
        version = self._buckets.version
        if version != self._version or not 0.0 <= now - self._kept_since <= KEPT_SECONDS:
            self._forget()
            self._version = version
            self._kept_since = now
            self._any = self._all_tables or self._look_at_all(now)
        return self._any

    def find(self, account: str, region: str, name_or_arn: str, now: float) -> Limits | None:
        """The limits in force; None for a table without any, and for one that does not exist. The caller has just
        asked `may_limit`. Raises NotAtHand where the store answers later."""
        known = self._recent.get(name_or_arn)
        if known is None or known.account != account or known.region != region:
            key = (account, region, name_or_arn)
            known = self._kept.get(key)
            if known is None:
                return self._look_up(key, now)
            self._recent[name_or_arn] = known
        limits = known.limits
        if limits is None or now < limits.ends_at:
            return limits
        return self._look_up((account, region, name_or_arn), now)

    def _forget(self) -> None:
        self._buckets.put_back()
        self._kept.clear()
        self._recent.clear()

    def _look_at_all(self, now: float) -> bool:
        """Whether some table has limits, or there are too many tables to look at all of them, once and for all."""
        if self._many:
            return True
        snapshot = self._storage.read()
        if snapshot is None:  # some may have: each is looked at until it is known
            version = self._version
            self._storage.submit_read(
                lambda tx: list(tx.tables()), lambda tables, error: self._looked(tables, error, version, now)
            )
            return True
        with snapshot as tx:
            return self._any_limited(list(tx.tables()), now)

    def _looked(self, tables: list[Table], error: BaseException | None, version: int, now: float) -> None:
        if error is None and version == self._version and now == self._kept_since:
            self._any = self._any_limited(tables, now)

    def _any_limited(self, tables: list[Table], now: float) -> bool:
        self._many = len(tables) > _FEW
        if self._many:
            return True
        every = [self._limits(table, now) for table in tables]
        return not all(limits.none and limits.ends_at == _NEVER for limits in every)

    def _look_up(self, key: tuple[str, str, str], now: float) -> Limits | None:
        account, region, name = key
        if len(name) > _LONGEST_KEPT:
            return None
        if name.startswith("arn:"):
            arn = parse_arn(name)
            if arn is None:
                return None
            account, region, name = arn.account, arn.region, arn.table
        snapshot = self._storage.read()
        if snapshot is None:
            raise self._not_at_hand(key, account, region, name, now)
        with snapshot as tx:
            table = tx.find_table(account, region, name)
        return self._found(key, table, now)

    def _not_at_hand(
        self, key: tuple[str, str, str], account: str, region: str, name: str, now: float
    ) -> NotAtHand:
        def use(table: Table | None, go_on: GoOn) -> None:
            self._found(key, table, now)
            go_on()

        return NotAtHand(lambda tx: tx.find_table(account, region, name), use)

    def _found(self, key: tuple[str, str, str], table: Table | None, now: float) -> Limits | None:
        limits = None if table is None else self._limits(table, now)
        if limits is not None and limits.none and not self._all_tables:
            limits = None
        if len(self._kept) >= _MOST_KEPT:
            self._forget()
        known = _Known(key[0], key[1], limits)
        self._kept[key] = known
        self._recent[key[2]] = known
        return limits

    def _limits(self, table: Table, now: float) -> Limits:
        ends_at = _NEVER
        units = table.throughput
        if table.before is not None and not is_over(table.updating_until, now):
            ends_at, units = table.updating_until, table.before.throughput
        own = self._pair(table, None, units)
        indexes = {}
        for index in table.indexes:
            if not index.is_global or index.deleting:
                continue
            units = index.throughput
            if index.throughput_before is not None and not is_over(index.updating_until, now):
                ends_at, units = min(ends_at, index.updating_until), index.throughput_before
            indexes[index.name] = self._pair(table, index, units)
        return Limits(table, own, indexes, ends_at)

    def _pair(self, table: Table, index: Index | None, units: Throughput) -> Pair:
        part = table if index is None else index
        provisioned = table.billing_mode == "PROVISIONED"
        name = "" if index is None else index.name
        resource = table.arn if index is None else f"{table.arn}/index/{name}"
        maxima = part.on_demand_maxima
        highest = (
            (units.read, units.write) if provisioned else (maxima.read, maxima.write) if maxima else (None, None)
        )
        limits: list[Limit | None] = []
        for kind, most in enumerate(highest):
            cause = PROVISIONED if provisioned else MAXIMUM
            if not most and not provisioned and self._account_quotas:
                most, cause = ACCOUNT_UNITS, ACCOUNT
            if not most:
                limits.append(None)
                continue
            bucket = Bucket(4 * part.space + kind + 1, most / self._buckets.servers)
            limits.append(
                Limit(bucket, resource, name, writes=kind == _WRITES, cause=cause, provisioned=provisioned)
            )
        return Pair(name, part.space, part.keys, limits[0], limits[1])
