"""The trail of a process: answers wait for synced records, groups share a sync, a full disk refuses, and a process
that is killed at any step loses no record and writes none twice."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from blotter.database.audit import archive, chain, files, journal
from blotter.database.audit.archive import CURRENT
from blotter.database.audit.reading import Reader
from blotter.database.audit.reserve import FILE_NAME as RESERVE
from blotter.database.audit.reserve import LAST_BYTES, MOST_BYTES, Reserve
from blotter.database.audit.trail import FileTrail
from blotter.database.http.messages import Pending, Response
from tests.unit.database.audit.trails import KEYS, PLAIN, OnDisk, record
from tests.waiting import until

_ANSWER, _REFUSAL = Response(200), Response(500)


def _lost(count: int) -> bytes:
    return record(f"lost {count}")


def _trail(folder: Path, **more: Any) -> FileTrail:
    trail = FileTrail(folder, KEYS, PLAIN, **more)
    trail.start(_lost)
    return trail


async def _result(answer: Response | Pending) -> int:
    return (await answer if isinstance(answer, Pending) else answer).status


def test_an_answer_waits_for_its_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    may_sync = threading.Event()
    fdatasync = os.fdatasync
    monkeypatch.setattr(os, "fdatasync", lambda descriptor: (may_sync.wait(60), fdatasync(descriptor))[1])

    async def run() -> None:
        trail = _trail(tmp_path)
        answer = trail.record(record("a"), _ANSWER, _REFUSAL, changed=True)
        assert isinstance(answer, Pending)
        result = asyncio.ensure_future(_result(answer))
        await asyncio.sleep(0)
        assert not result.done()
        may_sync.set()
        assert await result == 200
        assert OnDisk(tmp_path).names() == ["a"]
        await trail.close()
        assert not list((tmp_path / CURRENT).iterdir())

    asyncio.run(run())
    assert OnDisk(tmp_path).names() == ["a"]
    assert OnDisk(tmp_path).verdict().problems == []


def test_many_records_share_a_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    syncs = []
    may_sync = threading.Event()
    fdatasync = os.fdatasync
    monkeypatch.setattr(
        os, "fdatasync", lambda descriptor: (syncs.append(may_sync.wait(60)), fdatasync(descriptor))[1]
    )

    async def run() -> None:
        trail = _trail(tmp_path)
        answers = [trail.record(record(f"e{number}"), _ANSWER, _REFUSAL, changed=True) for number in range(100)]
        may_sync.set()
        assert await asyncio.gather(*map(_result, answers)) == [200] * 100
        assert syncs == [True] * 3  # The journal's head, the first record, all others.
        await trail.close()

    asyncio.run(run())
    assert OnDisk(tmp_path).names() == [f"e{number}" for number in range(100)]


def test_data_events_do_not_wait_and_are_written(tmp_path: Path) -> None:
    async def run() -> None:
        trail = _trail(tmp_path)
        trail.note(record("data"))
        await until(lambda: OnDisk(tmp_path).names() == ["data"])
        await trail.close()

    asyncio.run(run())


def test_journals_are_closed_by_size_and_by_age(tmp_path: Path) -> None:
    now = [1000.0]

    async def run() -> None:
        trail = _trail(tmp_path, rotate_bytes=2000, rotate_seconds=60, clock=lambda: now[0])
        for number in range(12):
            assert await _result(trail.record(record(f"e{number}"), _ANSWER, _REFUSAL, changed=True)) == 200
        await until(lambda: len(list(tmp_path.glob("AWSLogs/**/*.gz"))) >= 2)
        now[0] += 61
        trail._look_again()
        await until(lambda: not list((tmp_path / CURRENT).glob("*.journal")))
        await trail.close()

    asyncio.run(run())
    assert OnDisk(tmp_path).names() == [f"e{number}" for number in range(12)]
    assert OnDisk(tmp_path).verdict().problems == []


class _Disk:
    """Writes of journals fail while it is full, the reserve not counted."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.full = False
        write = journal.write_all
        monkeypatch.setattr(
            journal, "write_all", lambda descriptor, content: self._write(write, descriptor, content)
        )

    def _write(self, write: Callable[[int, bytes], None], descriptor: int, content: bytes) -> None:
        if self.full:
            os.write(descriptor, content[: len(content) // 2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(descriptor, content)


def test_a_full_disk_refuses_and_nothing_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = _Disk(monkeypatch)

    async def run() -> None:
        trail = _trail(tmp_path)
        assert await _result(trail.record(record("before"), _ANSWER, _REFUSAL, changed=True)) == 200
        await until((tmp_path / RESERVE).exists)
        disk.full = True
        assert await _result(trail.record(record("during"), _ANSWER, _REFUSAL, changed=True)) == 500
        assert trail.failing  # What comes now is refused before it does anything.
        assert (tmp_path / RESERVE).stat().st_size < MOST_BYTES
        assert await _result(trail.record(record("refused"), _ANSWER, _REFUSAL, changed=True)) == 500
        assert OnDisk(tmp_path).names() == ["before"]
        disk.full = False
        await until(lambda: not trail.failing)
        assert await _result(trail.record(record("after"), _ANSWER, _REFUSAL, changed=True)) == 200
        await trail.close()

    asyncio.run(run())
    assert OnDisk(tmp_path).names() == ["before", "during", "refused", "after"]
    assert OnDisk(tmp_path).verdict().problems == []


class _StoresDisk:
    """What the store can spare: nothing while its disk is full. `free` is what is free on the disk; the trail's
    files take what is `taken` from it."""

    def __init__(self, folder: Path, free: int) -> None:
        self._folder = folder
        self.total = free + self.taken()
        self.full = False

    def taken(self) -> int:
        return sum(path.stat().st_blocks * 512 for path in self._folder.rglob("*") if path.is_file())

    @property
    def free(self) -> int:
        return self.total - self.taken()

    def spare(self) -> int:
        return 0 if self.full else self.free


def test_records_of_refused_requests_leave_the_stores_room_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The disk is full for the store; clients repeat refused requests for as long as they are answered otherwise
    than the rest, and then tables are deleted."""
    monkeypatch.setattr("blotter.database.audit.trail._RETRY_SECONDS", 0.01)
    disk = _StoresDisk(tmp_path, 64 << 20)
    refused: list[str] = []

    async def run() -> None:
        trail = _trail(tmp_path, spare=disk.spare)
        await until(lambda: (tmp_path / RESERVE).exists() and (tmp_path / RESERVE).stat().st_size == MOST_BYTES)
        disk.full = True
        before = disk.free
        for number in range(4 * MOST_BYTES // 4096):
            answer = trail.record(record(f"refused{number}", text="x" * 4096), _ANSWER, _REFUSAL, changed=False)
            refused.append(f"refused{number}" if await _result(answer) == 200 else "")
        assert not refused[-1]
        assert not trail.failing
        for number in range(20):
            assert await _result(trail.record(record(f"del{number}"), _ANSWER, _REFUSAL, changed=True)) == 200
        trail.note(record("left out"))
        assert disk.free >= before - 8 * 4096, "names in directories take room too"
        disk.full = False
        await until(lambda: not trail._reserve.short)
        assert await _result(trail.record(record("after"), _ANSWER, _REFUSAL, changed=False)) == 200
        await trail.close()

    asyncio.run(run())
    names = OnDisk(tmp_path).names()
    recorded = [name for name in refused if name]
    size = sum(len(record(name, text="x" * 4096)) for name in recorded)
    assert MOST_BYTES - LAST_BYTES - 32 * 4096 <= size <= MOST_BYTES - LAST_BYTES
    assert [name for name in names if name.startswith("refused")] == recorded
    assert [name for name in names if name.startswith("del")] == [f"del{number}" for number in range(20)]
    lost = sum(int(name.split()[1]) for name in names if name.startswith("lost"))
    assert lost == len(refused) - len(recorded) + 1
    assert "after" in names
    assert "of management operations, only those that change something are accepted" in caplog.text
    assert OnDisk(tmp_path).verdict().problems == []


def test_without_any_room_changes_are_refused_and_recorded_later(tmp_path: Path) -> None:
    disk = _StoresDisk(tmp_path, 64 << 20)

    async def run() -> None:
        trail = _trail(tmp_path, spare=disk.spare)
        await until(lambda: (tmp_path / RESERVE).exists() and (tmp_path / RESERVE).stat().st_size == MOST_BYTES)
        disk.full = True
        statuses = []
        while not statuses or statuses[-1] == 200:
            big = record(f"e{len(statuses)}", text="x" * 100_000)
            statuses.append(await _result(trail.record(big, _ANSWER, _REFUSAL, changed=True)))
        assert trail.failing
        assert (MOST_BYTES - 100_000 - 16 * 4096) // 104_000 <= len(statuses) - 1 <= MOST_BYTES // 100_000
        assert OnDisk(tmp_path).names() == [f"e{number}" for number in range(len(statuses) - 1)]
        disk.full = False
        await until(lambda: not trail.failing)
        await trail.close()
        assert OnDisk(tmp_path).names() == [f"e{number}" for number in range(len(statuses))]

    asyncio.run(run())
    assert OnDisk(tmp_path).verdict().problems == []


def test_journals_are_closed_when_there_is_room_for_their_files(tmp_path: Path) -> None:
    disk = _StoresDisk(tmp_path, 64 << 20)
    OnDisk(tmp_path).write([record("left behind")], close=False)

    async def run() -> None:
        trail = _trail(tmp_path, spare=disk.spare)
        await until(lambda: not list((tmp_path / CURRENT).glob("*.journal")))
        assert await _result(trail.record(record("a"), _ANSWER, _REFUSAL, changed=True)) == 200
        disk.full = True
        await trail.close()
        assert len(list((tmp_path / CURRENT).glob("*.journal"))) == 1
        disk.full = False
        trail = _trail(tmp_path, spare=disk.spare)
        await until(lambda: not list((tmp_path / CURRENT).glob("*.journal")))
        await trail.close()

    asyncio.run(run())
    assert sorted(OnDisk(tmp_path).names()) == ["a", "left behind"]
    assert OnDisk(tmp_path).verdict().problems == []


def test_processes_share_the_reserve(tmp_path: Path) -> None:
    one, two = (Reserve(tmp_path, lambda: spare[0]) for _ in range(2))
    spare = [16 * MOST_BYTES]
    one.refill()
    spare[0] = 0
    one.take(1)
    two.take(4097)
    assert (tmp_path / RESERVE).stat().st_size == MOST_BYTES - 3 * 4096
    two.take(MOST_BYTES - LAST_BYTES)
    assert two.short
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        one.take(LAST_BYTES)
    assert one.short
    spare[0] = LAST_BYTES
    one.refill()
    assert not one.short, "there is room without the reserve"
    spare[0] = 16 * MOST_BYTES
    two.refill()
    assert (tmp_path / RESERVE).stat().st_size == MOST_BYTES


def test_events_that_do_not_fit_into_memory_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("blotter.database.audit.trail._KEPT_BYTES", 1000)
    disk = _Disk(monkeypatch)

    async def run() -> None:
        trail = _trail(tmp_path)
        disk.full = True
        assert await _result(trail.record(record("first"), _ANSWER, _REFUSAL, changed=True)) == 500
        for number in range(20):
            trail.note(record(f"e{number}"))
        disk.full = False
        await until(lambda: not trail.failing)
        trail.note(record("after"))
        await trail.close()

    asyncio.run(run())
    names = OnDisk(tmp_path).names()
    assert names[0] == "first"
    lost = next(int(name.split()[1]) for name in names if name.startswith("lost"))
    assert lost + len(names) - 3 == 20


class _Killed(BaseException):
    """The process ends here."""


_STEPS = (
    (files, "write_all"),
    (journal, "write_all"),
    (chain, "write_all"),
    (os, "fsync"),
    (os, "fdatasync"),
    (os, "pwrite"),
    (Path, "rename"),
    (Path, "unlink"),
)


@contextlib.contextmanager
def _killed_at(step: int) -> Iterator[list[int]]:
    """Ends the work before its `step`-th change of a file; what was written stays. Yields the steps made."""
    made, write = [0], files.write_all
    with pytest.MonkeyPatch.context() as patch:
        for place, name in _STEPS:
            original = getattr(place, name)

            def counted(*arguments: Any, original: Any = original, **more: Any) -> Any:
                if made[0] == step:
                    if original is write:  # Half of it is in the file.
                        write(arguments[0], arguments[1][: len(arguments[1]) // 2])
                    raise _Killed
                made[0] += 1
                return original(*arguments, **more)

            patch.setattr(place, name, counted)
        yield made


def test_killed_at_every_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A journal is opened, written twice and closed, by a process that is killed before each of its steps; then
    another process adopts what is left. All records that were synced are there, once; none is torn; nothing looks
    like a change."""
    for name in ("fsync", "fdatasync"):  # What a process has written stays when it is killed, synced or not.
        monkeypatch.setattr(os, name, lambda _: None)
    step = 0
    while True:
        folder = tmp_path / str(step)
        trail = OnDisk(folder)
        synced: list[str] = []
        opened: list[Any] = []
        with _killed_at(step) as made, contextlib.suppress(_Killed):
            current = trail.open()
            opened.append(current)
            current.append([record("a"), record("b", awsRegion="eu-west-1")], 0.0)
            synced = ["a", "b"]
            current.append([record("c")], 0.0)
            synced = ["a", "b", "c"]
            trail.archive.close(current.path)
        ended = made[0] < step
        for each in opened:
            each.close()  # As the kernel does with the files of a process that ends.
        assert trail.verdict().problems == [], step
        other = OnDisk(folder)
        other.archive.adopt()
        assert other.verdict().problems == [], step
        names = other.names()
        assert names[: len(synced)] == synced, step
        assert names == ["a", "b", "c"][: len(names)], step  # None was torn, none is there twice.
        assert not list((folder / CURRENT).glob("*.journal")), step
        other.write([record("later")], close=True)
        assert other.verdict().problems == [], step
        if ended:
            break
        step += 1
    assert step > 20


def test_only_journals_without_a_process_are_adopted(tmp_path: Path) -> None:
    trail = OnDisk(tmp_path)
    living = trail.open()
    living.append([record("living")], 0.0)
    trail.write([record("dead")], close=False)
    workers = [threading.Thread(target=OnDisk(tmp_path).archive.adopt) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [path.stem for path in (tmp_path / CURRENT).glob("*.journal")] == [living.head.journal]
    assert sorted(trail.names()) == ["dead", "living"]
    assert trail.verdict().problems == []
    living.close()


def test_a_stop_closes_what_was_left_behind_just_before(tmp_path: Path) -> None:
    async def run() -> None:
        trail = _trail(tmp_path)
        await trail._closer.call(_nothing)  # type: ignore[union-attr]
        OnDisk(tmp_path).write([record("dead")], close=False)
        await trail.close()

    asyncio.run(run())
    assert not list((tmp_path / CURRENT).iterdir())
    assert OnDisk(tmp_path).names() == ["dead"]


def _nothing() -> None:
    """Done when everything is done that the thread was given before."""


def test_a_file_holds_what_cloudtrail_holds(tmp_path: Path) -> None:
    trail = OnDisk(tmp_path)
    trail.write([record("a"), record("b", awsRegion="../../up", recipientAccountId="1" * 12)], close=True)
    paths = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.glob("AWSLogs/**/*.gz"))
    assert paths[0].startswith(
        "AWSLogs/111111111111/CloudTrail/unknown/2026/11/28/111111111111_CloudTrail_unknown_"
    )
    first = (
        "AWSLogs/123456789012/CloudTrail/us-east-1/2026/11/28/123456789012_CloudTrail_us-east-1_20261128T2115Z_"
    )
    assert paths[1].startswith(first)
    assert paths[1].endswith(".json.gz")
    (found,) = archive.records_in((tmp_path / paths[1]).read_bytes())
    assert b'"eventName":"a"' in bytes(found)


def test_events_are_read_newest_first_over_files_and_days(tmp_path: Path) -> None:
    """Journals of several processes overlap, one is in use, a clock was set back, and pages end anywhere."""
    trail = OnDisk(tmp_path)
    times = [
        f"2026-11-2{8 + hour // 24}T{hour % 24:02}:{minute:02}:00Z"
        for hour in (1, 9, 23, 25)
        for minute in range(9)
    ]
    for journal_number in range(4):
        mine = times[journal_number::4]
        kept = mine[:3] + mine[5:2:-1] + mine[6:]
        trail.write([record(time, time=time) for time in kept], close=journal_number != 1)
    reader = Reader(tmp_path, PLAIN)
    everything = [event["eventName"] for event in reader.newest_first("", "9", lambda _: True)]
    assert everything == sorted(times, reverse=True)
    for start, end in ((times[3], times[20]), (times[9], times[9]), ("2026-11-29", "9")):
        found = [event["eventName"] for event in reader.newest_first(start, end, lambda _: True)]
        assert found == [time for time in everything if start <= time <= end]
    assert list(reader.newest_first("", "9", lambda _: True, region="eu-west-1")) == []
