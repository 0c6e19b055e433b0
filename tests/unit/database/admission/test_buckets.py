"""Token buckets: what they hold, that processes share them, and that a process may die at any moment."""

from __future__ import annotations

import os
import signal

import pytest

from blotter.database.admission.buckets import BURST_SECONDS, Bucket, Buckets


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def taken(buckets: Buckets, bucket: Bucket, units: float, most: int = 100_000) -> int:
    """How many times the units can be taken at this moment."""
    for count in range(most):
        if not buckets.take(bucket, units):
            return count
    return most


@pytest.mark.parametrize("rate", [1.0, 5.0, 7.0, 333.0])
def test_a_new_bucket_holds_the_units_of_300_seconds_and_not_one_more(rate: float) -> None:
    buckets = Buckets(shared=False, clock=Clock())
    assert taken(buckets, Bucket(1, rate), 1.0) == rate * BURST_SECONDS


def test_an_empty_bucket_fills_at_its_rate_up_to_300_seconds() -> None:
    clock = Clock()
    buckets, bucket = Buckets(shared=False, clock=clock), Bucket(1, 4.0)
    assert taken(buckets, bucket, 1.0) == 1200
    clock.now += 2.5
    assert taken(buckets, bucket, 1.0) == 10
    clock.now += 299.0
    assert taken(buckets, bucket, 0.5) == 2 * 1196
    clock.now += 100_000.0
    assert taken(buckets, bucket, 1.0) == 1200


def test_over_five_minutes_a_bucket_gives_its_rate() -> None:
    clock = Clock()
    buckets, bucket = Buckets(shared=False, clock=clock), Bucket(1, 10.0)
    taken(buckets, bucket, 1.0)
    given = 0
    for _ in range(3000):
        clock.now += 0.1
        given += taken(buckets, bucket, 1.0)
    assert given == pytest.approx(3000, abs=1)


def test_what_is_owed_is_filled_in_before_others_are_given() -> None:
    clock = Clock()
    buckets, bucket = Buckets(shared=False, clock=clock), Bucket(1, 2.0)
    buckets.charge(bucket, 700.0)
    assert buckets.holds(bucket) == pytest.approx(-100.0)
    clock.now += 50.0
    assert not buckets.take(bucket, 1.0)
    clock.now += 0.5
    assert buckets.take(bucket, 1.0)


def test_units_given_back_can_be_taken_again_and_never_overfill() -> None:
    buckets, bucket = Buckets(shared=False, clock=Clock()), Bucket(1, 1.0)
    buckets.take(bucket, 1.0)
    buckets.charge(bucket, -1.0)
    buckets.charge(bucket, -50.0)
    assert taken(buckets, bucket, 1.0) == 300


def test_another_rate_keeps_the_units_that_were_saved() -> None:
    clock = Clock()
    buckets = Buckets(shared=False, clock=clock)
    assert taken(buckets, Bucket(1, 10.0), 1.0, 2900) == 2900
    buckets.put_back()
    faster = Bucket(1, 100.0)
    assert taken(buckets, faster, 1.0) == 100
    clock.now += 300.0
    assert buckets.holds(faster) == pytest.approx(30_000)
    buckets.put_back()
    assert taken(buckets, Bucket(1, 1.0), 1.0) == 300


def test_a_lease_saves_locks_and_no_unit_is_given_twice_or_lost() -> None:
    """Two processes as two objects: what one has leased is not there for the other, until it is put back."""
    buckets, first, second = Buckets(shared=False, clock=Clock()), Bucket(1, 1000.0), Bucket(1, 1000.0)
    assert buckets.take(first, 0.5)
    assert first.leased == pytest.approx(10.0)
    assert buckets.take(first, 4.0)
    buckets.charge(first, 2.0)
    buckets.charge(first, -1.5)  # puts it back
    assert first.leased == 0.0
    assert buckets.holds(second) == pytest.approx(300_000 - 5)
    assert buckets.take(first, 0.0)
    assert first.leased == pytest.approx(10.0)
    assert buckets.holds(second) == pytest.approx(300_000 - 15)
    assert taken(buckets, second, 299_985.0) == 1
    assert not buckets.take(second, 1.0)
    assert not buckets.take(first, 11.0)  # more than the lease, which it puts back
    assert taken(buckets, second, 1.0) == 10
    assert first.leased == second.leased == 0.0


def test_leases_are_put_back_before_their_buckets_are_forgotten() -> None:
    buckets, buckets_made = Buckets(shared=False, clock=Clock()), [Bucket(key, 1000.0) for key in (1, 2)]
    for bucket in buckets_made:
        buckets.take(bucket, 1.0)
    buckets.put_back()
    assert [bucket.leased for bucket in buckets_made] == [0.0, 0.0]
    assert [buckets.holds(Bucket(key, 1000.0)) for key in (1, 2)] == pytest.approx([299_999.0] * 2)
    assert buckets.take(buckets_made[0], 1.0)
    assert buckets_made[0].leased == pytest.approx(10.0)
    buckets.put_back()
    assert buckets.holds(buckets_made[0]) == buckets.holds(Bucket(1, 1000.0)) == pytest.approx(299_998.0)


def test_a_bucket_that_is_thrown_away_has_no_lease() -> None:
    buckets = Buckets(shared=False, clock=Clock())
    assert buckets.take(Bucket(1, 3000.0, 1.0, leases=False), 0.5)
    assert buckets.holds(Bucket(1, 3000.0, 1.0)) == pytest.approx(2999.5)


def test_a_bucket_is_asked_for_a_whole_unit_without_taking_it() -> None:
    buckets, bucket = Buckets(shared=False, clock=Clock()), Bucket(1, 1.0)
    buckets.charge(bucket, 299.0)
    assert buckets.take(bucket, 0.0)
    assert buckets.take(bucket, 0.0)
    buckets.charge(bucket, 0.5)
    assert not buckets.take(bucket, 0.0)


def test_memory_is_bounded_and_full_buckets_make_room_first() -> None:
    clock = Clock()
    buckets = Buckets(shared=False, slots=64, clock=clock)
    for key in range(1, 65):
        buckets.charge(Bucket(key, 1.0), 10.0 if key == 7 else 300.0)
    clock.now += 15.0  # only the seventh is full again
    assert taken(buckets, Bucket(100, 1.0), 1.0) == 300
    kept = [buckets.holds(Bucket(key, 1.0)) for key in range(1, 65) if key != 7]
    assert kept == pytest.approx([15.0] * 63)


def test_the_version_is_another_after_every_change() -> None:
    buckets = Buckets(shared=False)
    versions = {buckets.version}
    for _ in range(100):
        buckets.changed()
        versions.add(buckets.version)
    assert len(versions) == 101


def run_apart(work: object, *arguments: object) -> int:
    """Forks a process that calls `work`; returns its id."""
    pid = os.fork()
    if pid == 0:
        try:
            work(*arguments)  # type: ignore[operator]
        finally:
            os._exit(0)
    return pid


def test_processes_that_take_at_the_same_time_get_no_unit_twice() -> None:
    """With a clock that stands still, four processes take all there is: together exactly the burst."""
    buckets = Buckets(clock=lambda: 1000.0, patience=600)
    reader, writer = os.pipe()

    def work() -> None:
        count = taken(buckets, Bucket(3, 20.0), 1.0)
        os.write(writer, count.to_bytes(4, "big"))

    for pid in [run_apart(work) for _ in range(4)]:
        os.waitpid(pid, 0)
    os.close(writer)
    counts = os.read(reader, 16)
    os.close(reader)
    assert sum(int.from_bytes(counts[n : n + 4], "big") for n in range(0, 16, 4)) == 6000


def test_a_process_that_is_killed_while_it_takes_leaves_a_bucket_that_works() -> None:
    """Killed again and again in the middle of what it does, a process takes no more units than there are, and
    leaves no lock behind."""
    buckets = Buckets(clock=lambda: 1000.0, patience=600)
    bucket = Bucket(3, 1000.0)

    def work() -> None:
        own = Bucket(3, 1000.0)  # with leases of its own
        while True:
            buckets.take(own, 1.0)
            buckets.charge(own, -1.0)

    for _ in range(20):
        pid = run_apart(work)
        assert buckets.take(bucket, 1.0)  # beside it
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        assert 0 < buckets.holds(bucket) <= 300_000
    most_lost = 20 * (1 + bucket.most_leased)
    left = buckets.holds(bucket)
    assert 300_000 - 20 - most_lost - 0.1 < left < 300_000 - 20 + 0.1
    assert taken(buckets, bucket, 1000.0) == 299


def test_a_holder_that_does_not_run_is_not_waited_for_long() -> None:
    buckets = Buckets(clock=lambda: 1000.0, patience=0.01)
    bucket = Bucket(3, 1.0)
    buckets.take(bucket, 1.0)
    reader, writer = os.pipe()

    def work() -> None:
        buckets._lock(Bucket(3, 1.0))
        os.write(writer, b"!")
        signal.pause()

    pid = run_apart(work)
    os.read(reader, 1)
    try:
        assert buckets.take(bucket, 1.0)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(reader)
        os.close(writer)
