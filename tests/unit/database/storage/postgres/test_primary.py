"""The lease of reads, with a clock that the test moves and proofs that it makes."""

from __future__ import annotations

import asyncio

import pytest

from blotter.database.storage.postgres.connections.primary import LEASE, Primary
from blotter.database.storage.postgres.connections.url import Host
from blotter.database.storage.protocol import StorageUnavailable
from tests.waiting import until


class _Clock:
    def __init__(self) -> None:
        self.seconds = 1000.0
        self.proofs = 0

    def now(self) -> float:
        return self.seconds

    async def prove(self, _: Primary) -> None:
        self.proofs += 1


def _primary(clock: _Clock, is_synchronous: bool = True) -> Primary:
    return Primary(Host("db", 5432), 1, 0.0, is_synchronous, clock.prove, clock.now)


def test_a_lease_lasts_from_the_beginning_of_a_confirmed_commit() -> None:
    async def run() -> None:
        clock = _Clock()
        primary = _primary(clock)
        assert not primary.has_lease()
        begun = clock.seconds
        clock.seconds += LEASE / 4
        primary.note_commit(begun)
        assert primary.has_lease()
        clock.seconds = begun + LEASE
        assert not primary.has_lease()
        await primary.close()

    asyncio.run(run())


def test_a_lease_is_renewed_before_it_ends() -> None:
    async def run() -> None:
        clock = _Clock()
        primary = _primary(clock)
        await primary.proof()
        clock.seconds += LEASE / 2
        assert primary.has_lease()
        await primary.close()
        assert clock.proofs == 2
        clock.seconds += LEASE * 0.9
        assert primary.has_lease()
        await primary.close()

    asyncio.run(run())


def test_commits_from_before_there_were_standbys_prove_nothing() -> None:
    async def run() -> None:
        clock = _Clock()
        primary = _primary(clock, is_synchronous=False)
        primary.note_commit(clock.seconds)
        assert primary.has_lease()
        primary.note_standbys(True)
        assert not primary.has_lease()
        await primary.close()

    asyncio.run(run())


def test_a_primary_that_was_replaced_has_no_lease_and_no_proof() -> None:
    async def run() -> None:
        clock = _Clock()
        primary = _primary(clock)
        await primary.proof()
        primary.depose()
        assert not primary.has_lease()
        with pytest.raises(StorageUnavailable, match="db:5432 is the primary no longer"):
            await primary.proof()

    asyncio.run(run())


def test_a_proof_that_takes_longer_than_a_lease_is_a_reason_to_look_for_another_primary() -> None:
    async def run() -> None:
        clock, confirmed = _Clock(), asyncio.Event()

        async def prove(_: Primary) -> None:
            await confirmed.wait()

        primary = Primary(Host("db", 5432), 1, 0.0, True, prove, clock.now)
        assert not primary.is_in_doubt()
        proof = asyncio.ensure_future(primary.proof())
        await until(lambda: primary._renewal)
        await asyncio.sleep(0)
        assert not primary.is_in_doubt()
        clock.seconds += LEASE * 1.01
        assert primary.is_in_doubt()
        confirmed.set()
        await until(lambda: not primary.is_in_doubt())
        await primary.close()
        proof.cancel()

    asyncio.run(run())
