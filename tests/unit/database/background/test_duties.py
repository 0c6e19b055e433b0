"""Several servers on one store: who leads, how many they are, and what each does for itself."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from blotter.database.admission.buckets import Buckets
from blotter.database.admission.limits import LimitedTables
from blotter.database.admission.partitions import PartitionLimits
from blotter.database.background import duties as duties_module
from blotter.database.background.duties import Duties
from blotter.database.background.live_servers import LIVE_SECONDS, LiveServers
from blotter.database.background.metrics import MetricsKeeper
from blotter.database.metrics.collector import Collector
from blotter.database.metrics.counting import Counters
from blotter.database.metrics.names import Metric
from blotter.database.metrics.point_store import read_points
from blotter.database.metrics.shared import SharedCounters
from blotter.database.metrics.stored import KEPT_SECONDS
from blotter.database.operations.touches import Touch
from blotter.database.serving import background as background_setup
from blotter.database.serving import processes
from blotter.database.serving.metrics import MetricsSetup
from blotter.database.settings import Settings
from blotter.database.storage.memory import MemoryStore
from blotter.database.storage.protocol import METRICS_SPACE, RECORDS_SPACE, StorageUnavailable
from tests.distant_store import DistantStorage, DistantStore
from tests.unit.database.storage.conftest import make_table
from tests.waiting import until

ACCOUNT, REGION = "123456789012", "us-east-1"


class Clock:
    now = 1_796_040_000.0

    def __call__(self) -> float:
        return self.now


class Servers:
    """Servers on one store, each with its count of them."""

    def __init__(self) -> None:
        self.store = DistantStore()
        self.clock = Clock()
        self.counts: dict[str, int] = {}
        self.live: dict[str, LiveServers] = {}

    def add(self, name: str) -> LiveServers:
        def counted(number: int) -> None:
            self.counts[name] = number

        self.counts[name] = 1
        self.live[name] = LiveServers(self.store.open(), counted, self.clock)
        return self.live[name]

    async def round(self, *names: str) -> dict[str, int]:
        """A round of the servers that are named."""
        for name in names:
            await self.live[name].run_once()
        return {name: self.counts[name] for name in names}

    async def records(self) -> int:
        storage = self.store.open()
        return len(await storage.fetch(lambda tx: tx.items(RECORDS_SPACE, b"server/", b"server0", 100)))


def test_servers_count_each_other_by_what_they_see() -> None:
    async def check() -> None:
        servers = Servers()
        servers.add("a")
        assert await servers.round("a") == {"a": 1}
        servers.add("b")
        servers.add("c")
        await servers.round("a", "b", "c")
        assert await servers.round("a", "b", "c") == {"a": 3, "b": 3, "c": 3}
        await servers.live["c"].leave()
        assert await servers.round("b", "a") == {"a": 2, "b": 2}
        servers.clock.now += LIVE_SECONDS
        assert await servers.round("a") == {"a": 2}, "not silent for longer than it may be"
        servers.clock.now += 0.1
        assert await servers.round("a") == {"a": 1}
        assert await servers.records() == 1
        assert await servers.round("b", "a", "b") == {"b": 2, "a": 2}, "it was only slow"

    asyncio.run(check())


def test_a_server_that_lives_after_all_is_not_removed() -> None:
    async def check() -> None:
        servers = Servers()
        one, other = servers.add("a"), servers.add("b")
        await servers.round("a", "b", "a")
        dead = [other._key]
        await other.run_once()
        await one._storage.write(lambda tx: one._bury(tx, dead))
        assert await servers.records() == 2

    asyncio.run(check())


def test_tables_give_each_server_an_equal_part() -> None:
    buckets = Buckets(shared=False)
    limited = LimitedTables(MemoryStore().open(), buckets)
    version = buckets.version
    buckets.share_with(4)
    assert buckets.version != version
    table = make_table("t", 1, billing_mode="PROVISIONED")
    limits = limited._limits(table, 0.0)
    for limit, units in ((limits.own.read, table.throughput.read), (limits.own.write, table.throughput.write)):
        assert (None if limit is None else limit.bucket.rate) == (units / 4 if units else None)
    touch = Touch("dynamodb:PutItem", "t", {"id": {"S": "a"}}, (), None, "", "NONE", None)
    partition = PartitionLimits(buckets).limit(limits, limits.own, touch, writes=True)
    assert partition is not None
    assert partition.bucket.rate == 250


def test_a_server_that_has_other_settings_is_noticed_once_by_the_others() -> None:
    async def check() -> None:
        servers = Servers()
        told: list[tuple[str, list[str]]] = []

        def join(name: str, **settings: str) -> LiveServers:
            servers.counts[name] = 1
            servers.live[name] = LiveServers(
                servers.store.open(),
                lambda _: None,
                servers.clock,
                settings=settings,
                differ=lambda names: told.append((name, names)),
            )
            return servers.live[name]

        join("a", account="1", notify="x")
        servers.add("of an older version")  # and says nothing of its settings
        await servers.round("a", "of an older version", "a", "a")
        assert told == []
        join("b", account="1", notify="y", new="z")
        await servers.round("b", "a", "b", "a")
        assert sorted(told) == [("a", ["notify"]), ("b", ["notify"])]
        join("c", account="2", notify="x")
        await servers.round("c", "a", "a")
        assert told[2:] == [("c", ["account", "notify"]), ("a", ["account", "notify"])]
        servers.clock.now += LIVE_SECONDS + 1
        told.clear()
        await servers.round("a", "a")
        join("d", account="1", notify="y")
        await servers.round("d", "a")
        assert told == [("d", ["notify"]), ("a", ["notify"])]

    asyncio.run(check())


def test_duties_go_on_when_the_store_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duties_module, "BEAT_SECONDS", 0.001)

    class Failing(DistantStorage):
        failing = True

        async def write(self, handler: Any) -> Any:
            if self.failing:
                raise StorageUnavailable("gone")
            return await super().write(handler)

        async def wait_for_catalog_change(self) -> None:
            if self.failing:
                raise StorageUnavailable("gone")
            await super().wait_for_catalog_change()

    async def check() -> None:
        storage = Failing(DistantStore()._maps)
        changes: list[None] = []
        servers = LiveServers(storage, lambda _: None)
        duties = Duties(storage, None, servers, lambda: changes.append(None))
        task = asyncio.create_task(duties.run())
        await until(lambda: len(changes) > 2)
        await duties.leave()
        storage.failing = False
        await until(lambda: servers._beat > 100)
        rows = await storage.fetch(lambda tx: tx.items(RECORDS_SPACE, b"server/", b"server0", 100))
        assert len(rows) == 1
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await duties.leave()
        assert await storage.fetch(lambda tx: tx.items(RECORDS_SPACE, b"server/", b"server0", 100)) == []

    asyncio.run(check())


# Metrics


def test_what_several_servers_counted_in_a_minute_is_added_once_each() -> None:
    """Also when a collector is killed between storing and giving its memory back."""

    async def check() -> None:
        clock, store = Clock(), DistantStore()
        storage = store.open()
        servers = []
        for _ in range(2):
            shared = SharedCounters(1, ACCOUNT, REGION, arena_bytes=1 << 16)
            counters = Counters(shared.slot(0), ACCOUNT, REGION, clock)
            servers.append((shared, counters, Collector(storage, shared, 1 << 30, clock)))
            counters.add("UserErrors")
        minute = int(clock.now // 60) * 60
        clock.now += 60
        for shared, counters, collector in servers:
            counters.finish_minute()
            with pytest.MonkeyPatch.context() as killed:
                killed.setattr(shared, "free", lambda _: None)
                await collector.collect()
        for shared, _, _ in servers:
            await Collector(storage, shared, 1 << 30, clock).collect()

        def stored(tx: Any) -> list[float]:
            metric = Metric(ACCOUNT, REGION, "AWS/DynamoDB", "UserErrors")
            return [point.total for _, point in read_points(tx, metric, 60, minute, minute + 60)]

        assert await storage.fetch(stored) == [2]
        marks = await storage.fetch(lambda tx: tx.items(METRICS_SPACE, b"c", b"d", 10))
        assert len(marks) == 2
        clock.now += KEPT_SECONDS + 1
        await servers[0][2].trim()
        assert await storage.fetch(lambda tx: tx.items(METRICS_SPACE, b"c", b"d", 10)) == []

    asyncio.run(check())


# The leader


class Led(DistantStorage):
    """Leads when it is told to."""

    def __init__(self, store: DistantStore) -> None:
        super().__init__(store._maps)
        self.turn = asyncio.Event()
        self.lost: asyncio.Future[None] | None = None

    async def lead(self) -> asyncio.Future[None]:
        await self.turn.wait()
        self.turn.clear()
        self.lost = asyncio.get_running_loop().create_future()
        return self.lost


class LedStore(DistantStore):
    """Its servers open one storage for their own, and `leading` for what they do as the leader."""

    def open(self) -> DistantStorage:
        self.leading = Led(self)
        return self.leading


@pytest.fixture
def run_background(monkeypatch: pytest.MonkeyPatch) -> Any:
    """`run_background(check)` runs a server's background work and `check(store, started, keeper)` beside it."""
    started: list[Any] = []

    class Chores:
        def __init__(self, storage: Any, **_: Any) -> None:
            self.storage = storage

        async def run(self) -> None:
            started.append(self.storage)
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                started.remove(self.storage)

    monkeypatch.setattr(background_setup, "Background", Chores)
    monkeypatch.setattr(duties_module, "BEAT_SECONDS", 0.01)

    def run(check: Any) -> None:
        async def both() -> None:
            store, settings = LedStore(), Settings(workers=1, in_memory=True)
            own = DistantStorage(store._maps)
            setup = MetricsSetup(settings, store, memoryview(bytearray(4)).cast("I"))
            metrics = setup.start(0, own)
            buckets = Buckets(shared=False)
            work = background_setup.background(own, settings, store, setup, metrics, buckets)
            task = asyncio.create_task(work)
            await until(lambda: hasattr(store, "leading"))
            try:
                await check(store, started, task)
            finally:
                task.cancel()
                (ended,) = await asyncio.gather(task, return_exceptions=True)
            assert isinstance(ended, asyncio.CancelledError)
            assert started == []

        asyncio.run(both())

    return run


def test_chores_are_done_while_a_server_leads(run_background: Any, caplog: pytest.LogCaptureFixture) -> None:
    async def check(store: LedStore, started: list[Any], task: asyncio.Task[None]) -> None:
        for _ in range(2):
            assert started == []
            store.leading.turn.set()
            await until(lambda: started == [store.leading])
            assert store.leading.lost is not None
            store.leading.lost.set_result(None)
            await until(lambda: not started)
        assert not task.done()
        assert "this server does the background work no longer" in caplog.text

    run_background(check)


def test_servers_with_nowhere_to_share_copies_are_told(
    run_background: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async def check(store: LedStore, started: list[Any], _: asyncio.Task[None]) -> None:
        assert not started
        other = LiveServers(DistantStorage(store._maps), lambda _: None)
        await other.run_once()
        await until(lambda: "2 servers use the store, and this one has no --objects" in caplog.text)
        assert "another server on the store has other values" not in caplog.text
        different = LiveServers(DistantStorage(store._maps), lambda _: None, settings={"--account": "another"})
        await different.run_once()
        await until(lambda: "another server on the store has other values of --account: what a" in caplog.text)

    run_background(check)


def test_levels_of_tables_are_sampled_by_the_leader_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    async def check() -> None:
        clock, storage = Clock(), DistantStore().open()
        shared = SharedCounters(1, ACCOUNT, REGION, arena_bytes=1 << 16)
        counters = Counters(shared.slot(0), ACCOUNT, REGION, clock)
        collector = Collector(storage, shared, 1 << 30, clock)
        keeper = MetricsKeeper(storage, shared, counters, collector, lambda: [("Connections", 3.0)], clock=clock)
        sampled: list[float] = []

        async def sample() -> None:
            sampled.append(clock.now)

        monkeypatch.setattr(keeper, "sample_levels", sample)
        keeper.leads = False
        await keeper.run_once()
        assert sampled == []
        keeper.leads = True
        await keeper.run_once()
        assert len(sampled) == 1

    asyncio.run(check())


# A process that starts while the store is out of reach


class Access:
    """Cannot be read twice."""

    def __init__(self) -> None:
        self.started = 0

    async def start(self) -> None:
        self.started += 1
        if self.started < 3:
            raise StorageUnavailable("no primary")


@pytest.mark.parametrize("several", [True, False])
def test_a_process_waits_for_a_store_that_may_come_back(
    several: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(processes, "_AGAIN_SECONDS", 0.001)
    access: Any = Access()
    store: Any = DistantStore() if several else MemoryStore()
    stop = asyncio.Event()
    if several:
        asyncio.run(processes._start_access(access, store, stop))
        assert access.started == 3
        assert "waiting for the store: no primary" in caplog.text
    else:
        with pytest.raises(StorageUnavailable):
            asyncio.run(processes._start_access(access, store, stop))
    stop.set()
    asyncio.run(processes._start_access(access, store, stop))
