"""The three traps of a fail-over, and who finds out that the primary is another one."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from blotter.database.storage.coroutines import outcome_of
from blotter.database.storage.postgres.connections import connecting, primary, searching, watching
from blotter.database.storage.postgres.connections.connecting import Connector
from blotter.database.storage.postgres.connections.primary import LEASE, PROMOTION_WAIT, Primary
from blotter.database.storage.postgres.connections.url import StoreUrl
from blotter.database.storage.postgres.layout import schema_versions
from blotter.database.storage.postgres.storage import PostgresStorage
from blotter.database.storage.protocol import StorageUnavailable
from tests.postgres_cluster import Cluster, Node, running_cluster
from tests.postgres_server import USER
from tests.unit.database.storage.postgres.test_connecting import initialize
from tests.waiting import until, wait_until

_FRONT_END = "front end"
_SCRIPT = Path(__file__).parents[5] / "deploy" / "postgresql" / "promote.sh"


@pytest.fixture(scope="module")
def servers() -> Iterator[Cluster]:
    with running_cluster() as cluster:
        initialize(cluster.url(_FRONT_END))
        yield cluster


@pytest.fixture
def cluster(servers: Cluster) -> Cluster:
    """A primary and a synchronous standby, with an empty store."""
    servers.heal()
    for node in servers.nodes.values():
        if node is not servers.primary and not node.query("SELECT pg_is_in_recovery()")[0][0]:
            servers.rejoin(node)
    servers.demand_standbys()
    servers.primary.execute("TRUNCATE blotter.items")
    return servers


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody gives up because the machine is slow."""
    monkeypatch.setattr(connecting, "HOST_SECONDS", 3600.0)
    monkeypatch.setattr(searching, "PATIENCE", 3600.0)


def connector_to(cluster: Cluster) -> Connector:
    return Connector(StoreUrl(cluster.url(_FRONT_END)))


async def until_primary_says(cluster: Cluster, question: str, answer: object) -> None:
    await asyncio.to_thread(wait_until, lambda: cluster.primary.query(question)[0][0] == answer)


async def until_leased(primary: Primary) -> None:
    """A proof gives a lease, unless it took longer than a lease lasts."""
    while not primary.has_lease():
        await primary.proof()


_WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND query LIKE 'INSERT%'"


def run_promote_script(node: Node, *others: Node, **variables: str) -> str:
    """What deploy/postgresql/promote.sh says; its settings are taken back, for the cluster has others."""
    environment = {"PATH": f"{node.bin_dir}:{os.environ['PATH']}", "LC_ALL": "C", **variables}
    command = [_SCRIPT, node.url(), *(f"{other.name}={other.url()}" for other in others)]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True)
    if not variables:
        node.execute("ALTER SYSTEM RESET ALL", "SELECT pg_reload_conf()")
    return ran.stdout if ran.returncode == 0 else ran.stderr


def test_what_no_standby_has_is_not_shown(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second trap, a primary that is restarted with a commit that nobody has confirmed; and the third, a wait
    for a confirmation that somebody ends."""
    monkeypatch.setattr(connecting, "HOST_SECONDS", 1.0)
    insert = "INSERT INTO items VALUES (1, 1, $1, 'x', NULL)"

    async def run() -> None:
        connector = connector_to(cluster)
        writer, other = [await connector.connect_patiently(60) for _ in range(2)]
        await until_leased(other.primary)
        await asyncio.to_thread(cluster.partition, cluster.standbys[0].name)
        writing = asyncio.ensure_future(writer.execute(insert, b"canceled"))
        await until_primary_says(cluster, _WAITING, 1)
        other.primary.note_commit(connecting.seconds_since_boot() + 100)  # as if its lease were a long one
        assert other.primary.has_lease()
        await other.execute("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
        await writing
        assert await other.fetchval("SELECT count(*) FROM items") == 1  # visible, and on this server only
        assert not other.primary.has_lease()

        waiting = asyncio.ensure_future(writer.execute(insert, b"waiting"))
        await until_primary_says(cluster, _WAITING, 1)
        await asyncio.to_thread(cluster.primary.stop, signal.SIGKILL)
        with pytest.raises((OSError, asyncpg.PostgresError, asyncpg.InterfaceError)):
            await waiting
        await asyncio.to_thread(cluster.primary.start)
        with pytest.raises(StorageUnavailable, match="no answer in time"):
            await connector.connect()
        await asyncio.to_thread(cluster.heal)
        again = await connector.connect_patiently(60)
        assert await again.fetchval("SELECT count(*) FROM items") == 2
        await connector.close()
        await again.close()

    asyncio.run(run())


def test_standbys_that_are_named_later_are_waited_for_and_a_silent_primary_is_given_up(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        cluster.primary.configure(synchronous_standby_names="")
        await until_primary_says(cluster, "SHOW synchronous_standby_names", "")
        connector = connector_to(cluster)
        connection = await connector.connect_patiently(60)
        connector.start_watching()
        found = connection.primary
        assert not found.is_synchronous
        assert found.has_lease()
        await asyncio.to_thread(cluster.demand_standbys)
        await until(lambda: found.is_synchronous)
        await until_leased(found)

        monkeypatch.setattr(watching, "SILENCE", 1.0)
        await asyncio.to_thread(cluster.partition, _FRONT_END)
        with pytest.raises((OSError, asyncpg.PostgresError, asyncpg.InterfaceError)):
            await connection.fetchval("SELECT 1")
        await asyncio.to_thread(cluster.heal)
        await (await connector.connect_patiently(60)).close()
        await connector.close()

    asyncio.run(run())


def test_a_primary_that_is_cut_off_answers_nothing_and_is_replaced(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first trap: it goes on answering reads, while another one accepts writes."""
    monkeypatch.setattr(primary, "_PATIENCE", 1.5 * LEASE)
    assert PROMOTION_WAIT > LEASE

    async def run() -> None:
        connector = connector_to(cluster)
        connection = await connector.connect_patiently(60)
        old = connection.primary
        assert old.is_synchronous
        await until_leased(old)
        before, standby = cluster.primary, cluster.standbys[0]
        await asyncio.to_thread(cluster.partition, before.name, _FRONT_END)
        await until(lambda: not old.has_lease())
        assert await connection.fetchval("SELECT count(*) FROM items") == 0  # as a front end would read it
        with pytest.raises(StorageUnavailable, match="no standby confirms what"):
            await old.proof()

        connector.start_watching()
        said = await asyncio.to_thread(run_promote_script, standby)
        assert said.startswith("promote.sh: promoted; no standby confirms its commits")
        cluster.primary = standby
        await asyncio.to_thread(cluster.heal)
        await until(lambda: old.is_deposed)
        assert connection.is_closed()
        with pytest.raises(StorageUnavailable, match="is the primary no longer"):
            await old.proof()
        new = await connector.connect_patiently(60)
        said = await asyncio.to_thread(run_promote_script, standby)
        assert said == "promote.sh: that server is no standby; nothing was done\n"
        assert new.primary.timeline == old.timeline + 1
        state = await schema_versions.read_state(new)
        assert state is not None
        assert state[schema_versions.TIMELINE] == str(new.primary.timeline).encode()
        await connector.close()
        await new.close()

    asyncio.run(run())


@pytest.mark.usefixtures("unhurried")
def test_a_standby_that_is_promoted_is_found_by_those_who_wait_while_the_old_primary_says_nothing(
    cluster: Cluster,
) -> None:
    asked = "SELECT 1 FROM pg_stat_activity WHERE query LIKE '%blotter.connection%' AND pid <> pg_backend_pid()"

    async def run() -> None:
        connector = connector_to(cluster)
        for _ in range(3):  # None is left over from a search.
            await (await connector.connect()).close()
        old, new = cluster.primary, cluster.standbys[0]
        timeline = connector.primary.timeline if connector.primary else 0
        await asyncio.to_thread(cluster.partition, old.name)
        waiting = asyncio.gather(connector.connect(), connector.connect())
        await asyncio.to_thread(wait_until, lambda: new.query(asked))
        await asyncio.to_thread(cluster.promote, new)
        for connection in await waiting:
            assert connection.primary.timeline == timeline + 1
            await connection.close()
        await connector.close()

    asyncio.run(run())


class _Clock:
    def __init__(self) -> None:
        self.seconds = 1000.0
        self.asked = 0

    def now(self) -> float:
        self.asked += 1
        return self.seconds

    async def until_asked_often(self) -> None:
        """By those who wait for a time that has not come."""
        often = self.asked + 20
        await until(lambda: self.asked > often)


@pytest.mark.usefixtures("unhurried")
def test_nothing_is_written_to_a_new_primary_until_leases_have_ended_or_another_front_end_has_waited(
    cluster: Cluster,
) -> None:
    """All connections of a process wait together."""
    clock = _Clock()

    async def run() -> None:
        connector = Connector(StoreUrl(cluster.url(_FRONT_END)), now=clock.now)
        tools = await Connector(StoreUrl(cluster.url(_FRONT_END)), wants_store=False).connect()

        async def note(timeline: bytes) -> None:
            await schema_versions.save_state(tools, schema_versions.TIMELINE, timeline)

        async def noted() -> bytes:
            return (await schema_versions.read_state(tools) or {})[schema_versions.TIMELINE]

        current = await noted()
        await note(b"0")
        first = asyncio.ensure_future(connector.connect())
        await clock.until_asked_often()
        clock.seconds += PROMOTION_WAIT - 0.01
        second = asyncio.ensure_future(connector.connect())
        await clock.until_asked_often()
        assert await noted() == b"0"
        assert not first.done()
        clock.seconds += 0.01
        for connecting_one in (first, second):
            await (await connecting_one).close()
        assert await noted() == current

        await note(b"0")
        other = Connector(StoreUrl(cluster.url(_FRONT_END)), now=clock.now)
        third = asyncio.ensure_future(other.connect())
        await clock.until_asked_often()
        await note(current)
        await (await third).close()
        for each in (connector, other):
            await each.close()
        await tools.close()

    asyncio.run(run())


def test_long_reads_on_their_thread_leave_the_proofs_of_others_alone(cluster: Cluster) -> None:
    clock = _Clock()

    async def run() -> None:
        storage = PostgresStorage(Connector(StoreUrl(cluster.url(_FRONT_END)), now=clock.now), "blotter")

        async def read_aside() -> object:
            return await outcome_of(lambda settled: storage.submit_aside(lambda tx: tx.last_change(), settled))

        assert await storage.fetch(lambda tx: tx.last_change()) == await read_aside()
        clock.seconds += LEASE / 2  # It lasts, and is renewed beside what is read.
        assert await read_aside() == 0
        clock.seconds += 2 * LEASE
        assert await storage.fetch(lambda tx: tx.last_change()) == 0
        assert await read_aside() == 0
        await storage.close()

    asyncio.run(run())


@pytest.mark.slow
def test_the_standby_that_has_received_most_is_promoted() -> None:
    with running_cluster(("a", "b", "c")) as three:
        behind, ahead = three.nodes["c"], three.nodes["b"]
        three.partition(behind.name)
        three.primary.execute("CREATE TABLE acknowledged (n int)")
        said = run_promote_script(behind, ahead)
        assert said == "promote.sh: b has received more: promote that one\n"
        three.heal()
        follow = f"host={ahead.host} port={ahead.port} user={USER}"
        said = run_promote_script(ahead, behind, FOLLOW=follow)
        assert said == "promote.sh: promoted; the other standbys follow it\n"
        ahead.execute("INSERT INTO acknowledged VALUES (1)")  # waits for the other one
        assert ahead.query("SELECT count(*) FROM acknowledged")[0][0] == 1


@pytest.mark.slow
def test_a_promoted_standby_acknowledges_nothing_while_no_other_one_follows_it() -> None:
    with running_cluster(("a", "b", "c")) as three:
        said = run_promote_script(three.nodes["b"], three.nodes["c"])
        assert said.startswith("promote.sh: promoted; let the other standbys follow it")
