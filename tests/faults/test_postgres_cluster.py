"""The cluster of PostgreSQL servers that other tests break: whether it does what they rely on."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Iterator

import asyncpg
import pytest

from tests.postgres_cluster import Cluster, running_cluster
from tests.tcp_proxy import TcpProxy
from tests.waiting import wait_until


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with running_cluster() as cluster:
        cluster.primary.execute("CREATE TABLE written (number int)")
        yield cluster


def _numbers(cluster: Cluster, name: str) -> list[int]:
    return [row[0] for row in cluster.nodes[name].query("SELECT number FROM written ORDER BY number")]


def test_a_killed_primary_comes_back_as_a_standby(cluster: Cluster) -> None:
    old, new = cluster.primary, cluster.standbys[0]
    old.execute("TRUNCATE written", "INSERT INTO written VALUES (1)")
    old.stop(signal.SIGKILL)
    cluster.promote(new)
    new.execute("INSERT INTO written VALUES (2)")
    cluster.rejoin(old)
    assert [node.name for node in cluster.standbys] == [old.name]
    new.execute("INSERT INTO written VALUES (3)")
    wait_until(lambda: _numbers(cluster, old.name) == [1, 2, 3])
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
        old.execute("INSERT INTO written VALUES (4)")


def test_what_only_a_cut_off_primary_has_is_thrown_away(cluster: Cluster) -> None:
    old, new = cluster.primary, cluster.standbys[0]
    old.execute("TRUNCATE written", "INSERT INTO written VALUES (1)")
    cluster.partition(old.name)
    old.execute("SET synchronous_commit = local; INSERT INTO written VALUES (2)")
    cluster.promote(new)
    cluster.heal()
    assert (_numbers(cluster, old.name), _numbers(cluster, new.name)) == ([1, 2], [1])
    cluster.rejoin(old)
    new.execute("INSERT INTO written VALUES (3)")
    wait_until(lambda: _numbers(cluster, old.name) == [1, 3])


def test_a_commit_waits_for_the_standby(cluster: Cluster) -> None:
    primary = cluster.primary
    cluster.partition(primary.name)
    with pytest.raises(TimeoutError):
        primary.query("INSERT INTO written VALUES (5)", timeout=0.2)
    cluster.heal()


@pytest.fixture
def echo() -> Iterator[TcpProxy]:
    """A proxy before a listening socket that sends what it gets back."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        try:
            while True:
                connection, _ = listening.accept()
                while data := connection.recv(100):
                    connection.sendall(data)
                connection.close()
        except OSError:
            pass

    threading.Thread(target=serve, daemon=True).start()
    proxy = TcpProxy(listening.getsockname())
    yield proxy
    proxy.close()
    listening.close()


def test_a_cut_wire_is_silent_and_goes_on_where_it_was(echo: TcpProxy) -> None:
    client = socket.create_connection(echo.address, timeout=30)
    client.sendall(b"one")
    assert client.recv(100) == b"one"
    echo.cut()
    client.sendall(b"two")
    client.settimeout(0.1)
    with pytest.raises(TimeoutError):
        client.recv(100)
    echo.heal()
    client.settimeout(30)
    assert client.recv(100) == b"two"
    echo.reset()
    assert _has_ended(client)


def _has_ended(client: socket.socket) -> bool:
    try:
        return client.recv(100) == b""
    except ConnectionError:
        return True
