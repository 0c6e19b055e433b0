"""PostgreSQL servers that replicate: a primary and synchronous standbys, for tests that break them.

The operator's part of a fail-over is here: `promote` a standby, let the others follow it, bring the old primary
back as a standby of the new one (`rejoin`: pg_rewind, or a new copy where that cannot help). Whoever connects to a
node goes through a proxy of its own (`link`), so that a `partition` cuts exactly the wires between two sides.
"""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from tests.postgres_server import USER, PostgresServer
from tests.tcp_proxy import TcpProxy
from tests.waiting import wait_until

# In the file, not on the command line: pg_rewind starts a server of its own on the directory.
_SETTINGS = {
    "wal_log_hints": "on",  # For pg_rewind.
    "wal_keep_size": "512MB",
    "wal_sender_timeout": "5s",
    "wal_receiver_timeout": "5s",
    "wal_retrieve_retry_interval": "100ms",
    "recovery_target_timeline": "latest",
}
_FILE = "node.conf"


class Node(PostgresServer):
    """One server of a cluster. What differs between primary and standby stands in a file that it reads again."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def initialize(self) -> None:
        super().initialize()
        with (self.data / "postgresql.conf").open("a") as file:
            file.writelines(f"{name} = '{value}'\n" for name, value in _SETTINGS.items())
            file.write(f"include_if_exists '{_FILE}'\n")

    def configure(self, **settings: str) -> None:
        """Replaces what is special to this node; a running server reads it."""
        self._write(_FILE, "".join(f"{name} = '{value}'\n" for name, value in settings.items()))
        if self.is_running():
            os.kill(self.pid, signal.SIGHUP)

    def _write(self, name: str, text: str) -> None:
        """A file that the server's user may remove."""
        path = self.data / name
        path.write_text(text)
        owner = self.data.stat()
        os.chown(path, owner.st_uid, owner.st_gid)

    def mark_as_standby(self) -> None:
        self._write("standby.signal", "")

    def promote(self) -> None:
        """Makes a standby a primary; returns when it accepts writes."""
        self._write("promote", "")
        os.kill(self.pid, signal.SIGUSR1)
        wait_until(lambda: self.query("SELECT NOT pg_is_in_recovery()")[0][0])


class Cluster:
    """The first of `names` begins as the primary; the others are standbys, one of which confirms each commit."""

    def __init__(self, names: Sequence[str] = ("a", "b"), node: Callable[[str], Node] = Node) -> None:
        self.nodes = {name: node(name) for name in names}
        self.primary = next(iter(self.nodes.values()))
        self._links: dict[tuple[str, str], TcpProxy] = {}

    def start(self) -> None:
        self.primary.start()
        for node in self.nodes.values():
            if node is not self.primary:
                self._copy_primary(node)
                self._start_standby(node)
        self.demand_standbys()

    @property
    def standbys(self) -> list[Node]:
        """Those that run."""
        return [node for node in self.nodes.values() if node is not self.primary and node.is_running()]

    # Who sees whom

    def link(self, source: str, target: str) -> TcpProxy:
        """The wire on which `source`, a node or a name for a client, reaches the node `target`."""
        if (source, target) not in self._links:
            self._links[source, target] = TcpProxy(("127.0.0.1", self.nodes[target].port))
        return self._links[source, target]

    def address(self, source: str, target: str) -> tuple[str, int]:
        """Where `source` reaches the node `target`."""
        return self.link(source, target).address

    def url(self, source: str, database: str = "postgres", query: str = "") -> str:
        """Where `source` finds the primary: all nodes, on its own wires to them."""
        addresses = [self.address(source, name) for name in self.nodes]
        hosts = ",".join(f"{host}:{port}" for host, port in addresses)
        return f"postgresql://{USER}@{hosts}/{database}" + (f"?{query}" if query else "")

    def partition(self, *side: str) -> None:
        """Cuts every wire between one of `side` (nodes and clients) and one that is not of it."""
        for (source, target), link in self._links.items():
            if (source in side) != (target in side):
                link.cut()

    def heal(self) -> None:
        for link in self._links.values():
            link.heal()

    # What an operator does

    def demand_standbys(self, *names: str) -> None:
        """From now on a commit on the primary waits for one of these standbys; without names, for one of those
        that run, if there are any. Returns when one of them follows."""
        wanted = names or tuple(node.name for node in self.standbys)
        self.primary.configure(synchronous_standby_names=f"ANY 1 ({', '.join(wanted)})" if wanted else "")
        if wanted:
            wait_until(self._is_replicated)

    def _is_replicated(self) -> bool:
        return bool(self.primary.query("SELECT 1 FROM pg_stat_replication WHERE sync_state IN ('sync', 'quorum')"))

    def promote(self, node: Node | None = None) -> None:
        """Makes a standby the primary, the one that has received most if none is named; the other running ones
        follow it from before that on. Before all this, no standby follows the old primary any more: one that did
        would go on to confirm its commits. If no other standby runs, the new primary waits for none."""
        standbys = self.standbys
        for each in standbys:
            each.configure()
        for each in standbys:
            wait_until(lambda each=each: not each.query("SELECT 1 FROM pg_stat_wal_receiver"))
        node = node or max(standbys, key=_received)
        others = [each for each in standbys if each is not node]
        names = ", ".join(other.name for other in others)
        node.configure(synchronous_standby_names=f"ANY 1 ({names})" if others else "")
        for other in others:
            self._follow(other, node)
        node.promote()
        self.primary = node

    def rejoin(self, node: Node) -> None:
        """Makes a node that was the primary a standby of the one that is; what only it has is thrown away."""
        if node.is_running():
            node.stop()
        source = f"host={self.primary.directory} port={self.primary.port} user={USER} dbname=postgres"
        self.primary.execute("CHECKPOINT")  # Its control file names the new timeline.
        try:
            node.run("pg_rewind", "--target-pgdata", str(node.data), "--source-server", source, "--no-sync")
        except AssertionError:
            shutil.rmtree(node.data)
            self._copy_primary(node)
        self._start_standby(node)
        self.demand_standbys()

    def _copy_primary(self, node: Node) -> None:
        where = ["-h", str(self.primary.directory), "-p", str(self.primary.port), "-U", USER]
        node.run("pg_basebackup", *where, "-D", str(node.data), "--checkpoint=fast", "--no-sync")

    def _start_standby(self, node: Node) -> None:
        node.mark_as_standby()
        self._follow(node, self.primary)
        node.start()

    def _follow(self, node: Node, target: Node) -> None:
        host, port = self.address(node.name, target.name)
        node.configure(primary_conninfo=f"host={host} port={port} user={USER} application_name={node.name}")

    def remove(self) -> None:
        for node in self.nodes.values():
            node.remove()
        for link in self._links.values():
            link.close()


def _received(standby: Node) -> int:
    return int(standby.query("SELECT pg_wal_lsn_diff(pg_last_wal_receive_lsn(), '0/0')")[0][0])


@contextmanager
def running_cluster(names: Sequence[str] = ("a", "b"), cluster: Cluster | None = None) -> Iterator[Cluster]:
    """A cluster that runs inside the `with`, and is gone with its files after it."""
    cluster = cluster or Cluster(names)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.remove()
