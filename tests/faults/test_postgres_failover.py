"""Two front ends over two PostgreSQL servers, one of which dies or is cut off.

Nothing acknowledged is lost, nothing that was read is later gone, and clients see errors that SDKs repeat.

Three traps of synchronous replication each have a test: a primary that is cut off still answers reads, although
another was promoted; a primary that was restarted shows commits that no standby has; a commit whose waiting for a
standby was canceled becomes visible without one. Short versions of these, without front ends, are in
tests/unit/database/storage/postgres/test_failover.py.
"""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.conftest import servers_in
from tests.faults.front_ends import FrontEnds, create_store
from tests.faults.plain_client import Client
from tests.faults.shared_items import Address
from tests.faults.writers import Writers, create_table, put_once
from tests.network_namespaces import TwoSides, are_allowed, two_sides
from tests.postgres_cluster import Cluster, Node, running_cluster
from tests.waiting import wait_until

Serve = Callable[..., Any]  # tests/conftest.py


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with running_cluster() as cluster:
        yield cluster


@pytest.fixture(scope="module")
def front_ends_of_all(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FrontEnds]:
    """One beside each node."""
    with servers_in(tmp_path_factory.mktemp("servers")) as serve:
        database = cluster.primary.create_database()
        create_store(cluster.primary.url(database))
        front_ends = FrontEnds(serve, [cluster.url(f"fe-{name}", database) for name in cluster.nodes])
        create_table(front_ends.addresses[0])
        yield front_ends


@pytest.fixture
def front_ends(front_ends_of_all: FrontEnds, cluster: Cluster) -> Iterator[FrontEnds]:
    """After the test, both nodes are there again and both front ends serve."""
    _wait_until_noticed(front_ends_of_all, cluster)
    yield front_ends_of_all
    cluster.heal()
    for node in cluster.nodes.values():
        if node is not cluster.primary:
            cluster.rejoin(node)
    for address in front_ends_of_all.addresses:
        wait_until(lambda address=address: put_once(address, "restored", 0)[0] == 200)


def _wait_until_noticed(front_ends: FrontEnds, cluster: Cluster) -> None:
    """Returns when every process of the front ends knows that the primary has a standby to wait for: each asks now
    and then, and has worked on the answer when it asks again."""
    processes = sum(len(server.children()) for server in front_ends.servers)
    asked = (
        "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%synchronous_standby_names%' AND query_start > $1"
    )
    for _ in range(2):
        ((since,),) = cluster.primary.query("SELECT clock_timestamp()")
        wait_until(lambda since=since: cluster.primary.query(asked, since)[0][0] > processes)  # and this session


def _fail_over(cluster: Cluster) -> Node:
    """Kills the primary and promotes a standby; returns the dead one."""
    old = cluster.primary
    old.stop(signal.SIGKILL)
    cluster.promote()
    return old


def _promote_under_load(
    front_ends: FrontEnds, cluster: Cluster, rounds: int, seed: int
) -> tuple[Writers, list[float]]:
    """Returns also the longest stop of each round."""
    chance = random.Random(seed)
    writers = Writers(front_ends.addresses, 4, watchers=2)
    stops = []
    try:
        for _ in range(rounds):
            wait_until(writers.progress())
            time.sleep(chance.uniform(0, 0.3))  # Any moment will do.
            writers.forget_stops()
            old = _fail_over(cluster)
            wait_until(writers.progress())
            stops.append(writers.longest_stop)
            cluster.rejoin(old)
    finally:
        writers.stop()
    for address in front_ends.addresses:
        writers.check(address)
    return writers, stops


def test_a_promotion_under_load_loses_nothing(front_ends: FrontEnds, cluster: Cluster) -> None:
    writers, _ = _promote_under_load(front_ends, cluster, rounds=1, seed=1)
    assert writers.reads


@pytest.mark.slow
def test_fifty_promotions_under_load(front_ends: FrontEnds, cluster: Cluster) -> None:
    writers, stops = _promote_under_load(front_ends, cluster, rounds=50, seed=2)
    _print(writers, stops)


@pytest.mark.slow
def test_promotions_under_load_of_three(serve: Serve) -> None:
    """The new primary has a standby to wait for at once."""
    with running_cluster(("a", "b", "c")) as cluster:
        database = cluster.primary.create_database()
        create_store(cluster.primary.url(database))
        front_ends = FrontEnds(serve, [cluster.url(name, database) for name in ("fe1", "fe2")])
        create_table(front_ends.addresses[0])
        _print(*_promote_under_load(front_ends, cluster, rounds=20, seed=3))


def _print(writers: Writers, stops: list[float]) -> None:
    stops.sort()
    print(
        f"acknowledged {writers.acknowledged}, read {writers.reads}, longest stop {stops[-1]:.2f} s, "
        f"median {stops[len(stops) // 2]:.2f} s"
    )


class _Item:
    """One item, written and read through one front end or another."""

    def __init__(self, front_ends: FrontEnds, name: str) -> None:
        self._key = {"pk": {"S": name}}
        self._addresses = front_ends.addresses

    def put(self, number: int, value: int) -> int:
        """Through the front end of this number; returns the status."""
        item = {**self._key, "v": {"N": str(value)}}
        return self._call(number, "PutItem", Item=item)[0]

    def read(self, number: int) -> int | None:
        """The value; 0 for no item, None for an error that SDKs repeat."""
        status, answer = self._call(number, "GetItem", Key=self._key, ConsistentRead=True)
        if status != 200:
            return None
        return int(answer["Item"]["v"]["N"]) if "Item" in answer else 0

    def read_often(self) -> set[int | None]:
        """What both front ends answer to several readers at once."""
        with ThreadPoolExecutor(8) as threads:
            return set(threads.map(self.read, [0, 1] * 4))

    def wait_for(self, number: int) -> int | None:
        """The first value that is read."""
        values: list[int | None] = []
        wait_until(lambda: values.append(self.read(number)) or values[-1] is not None)
        return values[-1]

    def _call(self, number: int, operation: str, **request: Any) -> tuple[int, Any]:
        status, answer = Client(self._addresses[number]).call(operation, TableName="killed", **request)
        assert status == 200 or answer["__type"].endswith("#InternalServerError"), answer
        return status, answer


_ONE = {":one": {"N": "1"}}


def _ways_to_read(name: str) -> dict[str, dict[str, Any]]:
    """Of an item whose value is 1."""
    table = {"TableName": "killed"}
    key = {"pk": {"S": name}}
    other_than_one = {**table, "ConditionExpression": "v <> :one", "ExpressionAttributeValues": _ONE}
    return {
        "GetItem": {**table, "Key": key, "ConsistentRead": True},
        "BatchGetItem": {"RequestItems": {"killed": {"Keys": [key]}}},
        "TransactGetItems": {"TransactItems": [{"Get": {**table, "Key": key}}]},
        "Query": {**table, "KeyConditionExpression": "pk = :pk", "ExpressionAttributeValues": {":pk": key["pk"]}},
        "Scan": table,
        "ExecuteStatement": {"Statement": f"SELECT * FROM killed WHERE pk = '{name}'"},
        "DescribeTable": table,
        "ListTables": {},
        # Refused, and so reads.
        "CreateTable": {
            **table,
            "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
            "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
            "BillingMode": "PAY_PER_REQUEST",
        },
        "PutItem": {**other_than_one, "Item": key},
        "TransactWriteItems": {"TransactItems": [{"ConditionCheck": {**other_than_one, "Key": key}}]},
    }


def _statuses(address: Address, requests: dict[str, dict[str, Any]]) -> dict[str, int]:
    """What is answered to requests that are sent at once."""
    with ThreadPoolExecutor(len(requests)) as threads:
        answers = threads.map(lambda operation: Client(address).call(operation, **requests[operation]), requests)
        return {operation: status for operation, (status, _) in zip(requests, answers, strict=True)}


def _waiting_commits(node: Node) -> list[int]:
    """Sessions whose commit waits for a standby."""
    return [row[0] for row in node.query("SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'")]


def _cut_standby_off(cluster: Cluster, item: _Item) -> None:
    """Returns when no front end takes the primary's word any more."""
    cluster.partition(cluster.standbys[0].name)
    wait_until(lambda: item.read_often() == {None})


def _beside(cluster: Cluster, node: Node) -> int:
    """The number of the front end beside a node."""
    return list(cluster.nodes.values()).index(node)


def test_a_primary_that_is_cut_off_answers_no_read(front_ends: FrontEnds, cluster: Cluster) -> None:
    item = _Item(front_ends, "cut-off")
    old, new = cluster.primary, cluster.standbys[0]
    here, there = _beside(cluster, old), _beside(cluster, new)
    wait_until(lambda: item.put(here, 1) == 200)
    wait_until(lambda: item.read_often() == {1})
    cluster.partition(old.name, f"fe-{old.name}")
    cluster.promote(new)
    wait_until(lambda: item.put(there, 2) == 200)
    ways = _ways_to_read("cut-off")
    assert _statuses(front_ends.addresses[here], ways) == dict.fromkeys(ways, 500)
    assert item.wait_for(there) == 2
    cluster.heal()
    assert item.wait_for(here) == 2, "it finds the other one by itself"


@pytest.mark.slow
def test_a_restarted_primary_shows_no_commit_that_no_standby_has(front_ends: FrontEnds, cluster: Cluster) -> None:
    item = _Item(front_ends, "restarted")
    old, new = cluster.primary, cluster.standbys[0]
    wait_until(lambda: item.put(0, 1) == 200)
    _cut_standby_off(cluster, item)
    with ThreadPoolExecutor() as threads:
        waiting = threads.submit(item.put, 0, 2)
        wait_until(lambda: _waiting_commits(old))
        old.stop(signal.SIGKILL)
        assert waiting.result() == 500
    old.start()
    assert item.read_often() == {None}
    old.stop(signal.SIGKILL)
    cluster.heal()
    cluster.promote(new)
    assert [item.wait_for(number) for number in (0, 1)] == [1, 1]


@pytest.mark.slow
@pytest.mark.parametrize("how", ["pg_cancel_backend", "pg_terminate_backend"])
def test_a_canceled_commit_is_neither_acknowledged_nor_seen(
    front_ends: FrontEnds, cluster: Cluster, how: str
) -> None:
    item = _Item(front_ends, how)
    old, new = cluster.primary, cluster.standbys[0]
    wait_until(lambda: item.put(0, 1) == 200)
    _cut_standby_off(cluster, item)
    with ThreadPoolExecutor() as threads:
        waiting = threads.submit(item.put, 0, 2)
        wait_until(lambda: waiting.done() or _cancel_commits(old, how))
        assert waiting.result() == 500
    assert item.read_often() == {None}
    old.stop(signal.SIGKILL)
    cluster.heal()
    cluster.promote(new)
    assert [item.wait_for(number) for number in (0, 1)] == [1, 1]


def _cancel_commits(node: Node, how: str) -> bool:
    """That of the write, and those that prove that the primary is one; never true, to be called again."""
    for pid in _waiting_commits(node):
        node.query(f"SELECT {how}({pid})")
    return False


@pytest.mark.slow
def test_a_standby_that_comes_back_ends_the_waiting(front_ends: FrontEnds, cluster: Cluster) -> None:
    item = _Item(front_ends, "waiting")
    wait_until(lambda: item.put(0, 1) == 200)
    _cut_standby_off(cluster, item)
    with ThreadPoolExecutor() as threads:
        waiting = threads.submit(item.put, 0, 2)
        wait_until(lambda: _waiting_commits(cluster.primary))
        cluster.heal()
        assert waiting.result() in (200, 500)
    wait_until(lambda: item.read_often() == {2})


@pytest.mark.slow
def test_standbys_that_are_demanded_later_are_demanded_of_those_who_are_connected(
    front_ends: FrontEnds, cluster: Cluster
) -> None:
    """Between a fail-over of two and the return of the old primary nothing can be replicated."""
    item = _Item(front_ends, "later")
    dead = _fail_over(cluster)
    new = cluster.primary
    here, there = _beside(cluster, new), _beside(cluster, dead)
    wait_until(lambda: item.put(here, 1) == 200)
    assert item.wait_for(here) == 1
    cluster.rejoin(dead)
    _wait_until_noticed(front_ends, cluster)
    cluster.partition(new.name, f"fe-{new.name}")
    cluster.promote(dead)
    wait_until(lambda: item.put(there, 2) == 200)
    assert item.read(here) is None


# Network namespaces


class _FarCluster(Cluster):
    """Each node in a namespace of its own, with no proxy between."""

    def __init__(self, sides: TwoSides) -> None:
        super().__init__(("a", "b"), lambda name: _FarNode(name, sides))

    def address(self, _source: str, target: str) -> tuple[str, int]:
        node = self.nodes[target]
        return node.host, node.port


class _FarNode(Node):
    def __init__(self, name: str, sides: TwoSides) -> None:
        super().__init__(name)
        self.host = sides.addresses[name]
        self._sides = sides

    def initialize(self) -> None:
        super().initialize()
        with (self.data / "pg_hba.conf").open("a") as file:
            file.write("host all all 10.213.0.0/24 trust\nhost replication all 10.213.0.0/24 trust\n")

    def start(self) -> None:
        self._sides.run(self.name, super().start)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_a_partition_in_network_namespaces(serve: Serve, seed: int) -> None:
    """A front end is on either side; the writers and watchers on each go on, one side without success."""
    if not are_allowed():
        pytest.skip("only a superuser may make network namespaces")
    chance = random.Random(seed)
    with two_sides("a", "b") as sides, running_cluster(cluster=_FarCluster(sides)) as cluster:
        database = cluster.primary.create_database()
        create_store(cluster.primary.socket_url(database))
        url = cluster.url("", database)
        front_ends = {side: sides.run(side, lambda: FrontEnds(serve, [url])) for side in sides.addresses}
        addresses = [each.addresses[0] for each in front_ends.values()]
        sides.run("a", lambda: create_table(addresses[0]))
        # Each stays on its side: TCP would try ever more seldom to reach the other one, also after it is healed.
        writers = Writers(
            addresses, 4, watchers=4, prepare=lambda number: sides.enter("ab"[number % 2]), moves=False
        )
        try:
            wait_until(writers.progress())
            time.sleep(chance.uniform(0, 0.3))  # Any moment will do.
            sides.cut()
            cluster.promote(cluster.nodes["b"])
            before = writers.last["writer-1"]
            wait_until(lambda: writers.failures or writers.last["writer-1"] > before + 50)
            sides.heal()
            wait_until(lambda: writers.failures or writers.last["writer-1"] > before + 100)
            cluster.rejoin(cluster.nodes["a"])
            wait_until(writers.progress())
        finally:
            writers.stop()
        for side, address in zip(sides.addresses, addresses, strict=True):
            sides.run(side, lambda address=address: writers.check(address))
