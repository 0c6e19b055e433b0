"""The lease of a primary: what counts as proof, and since when."""

from __future__ import annotations

import asyncio

from blotter.database.storage.postgres.primary import LEASE, Primary
from blotter.database.storage.postgres.url import StoreUrl


class _Server:
    """A primary whose proofs take as long as the test wants, and a clock that the test moves."""

    def __init__(self) -> None:
        self.now = 100.0
        self.answer = asyncio.Event()
        (host,) = StoreUrl("postgresql://me@localhost/store").hosts
        self.primary = Primary(host, 1, 0.0, True, self._prove, lambda: self.now)

    async def _prove(self, _: Primary) -> None:
        await self.answer.wait()


def test_a_lease_lasts_from_the_beginning_of_a_commit() -> None:
    async def work() -> None:
        server = _Server()
        assert not server.primary.has_lease()
        server.primary.note_commit(100.0)
        server.now = 100.0 + 0.99 * LEASE
        assert server.primary.has_lease()
        server.now = 100.0 + LEASE
        assert not server.primary.has_lease()

    asyncio.run(work())


def test_a_proof_that_was_begun_before_a_doubt_proves_nothing() -> None:
    """A commit whose wait for a standby was canceled may be later in the log than the proof."""

    async def work() -> None:
        server = _Server()
        proof = asyncio.create_task(server.primary.proof())
        await asyncio.sleep(0)
        server.now += 0.01
        server.primary.doubt()
        server.answer.set()
        await proof  # The one after it counts.
        assert server.primary.has_lease()
        server.primary.doubt()
        server.primary.note_commit(server.now - 0.001)
        assert not server.primary.has_lease()

    asyncio.run(work())
