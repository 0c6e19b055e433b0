"""A table's past: at every moment of a random history, and between any two, `TableHistory` gives what a model
holds, whatever has been shipped, trimmed or is still in the log, and while others write."""

from __future__ import annotations

import json
import random
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from blotter.database.background.change_log import ChangeLogTrimmer
from blotter.database.copies.history import HistoryLost, TableHistory
from blotter.database.copies.history_index import RECOVERY, parts
from blotter.database.copies.memory_objects import MemoryObjects
from blotter.database.copies.recovery import RecoveryLog
from blotter.database.copies.segments import DamagedSegment
from blotter.database.encryption.files import FileCipher
from blotter.database.model.keys import table_key
from blotter.database.model.recovery import recovery_window
from blotter.database.model.table import KeyAttribute, KeySchema, Table
from blotter.database.storage.change_log import find_reader
from tests.in_process import ACCOUNT, REGION, InProcessDatabase

PLAIN = FileCipher(None, lambda _: None)
SEEDS = (*range(4), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(4, 60)))
TABLE = "results"
KEYS = KeySchema((KeyAttribute("p", "S"),), (KeyAttribute("s", "N"),))
State = dict[bytes, dict[str, Any]]


class Past:
    """A table with recovery, its keeper, and a model of what was there when."""

    def __init__(self, folder: Path, store: str) -> None:
        self.now = 1_790_000_000.0
        self.database = InProcessDatabase(folder, clock=lambda: self.now, store=store)
        self.contents: dict[str, tuple[bytes, float]] = {}
        self.objects = MemoryObjects(self.contents, "")
        self.storage = self.database.storage
        self.keeper = self.new_keeper()
        self.current: State = {}
        self.states: list[tuple[float, State]] = []

    def new_keeper(self) -> RecoveryLog:
        return RecoveryLog(self.storage, self.objects, PLAIN, lambda: self.now)

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.database.run(work)

    def call(self, operation: str, **request: Any) -> dict[str, Any]:
        status, answer = self.database.call(operation, {"TableName": TABLE, **request})
        assert status == 200, answer
        return answer

    def create(self) -> None:
        self.call(
            "CreateTable",
            KeySchema=[{"AttributeName": "p", "KeyType": "HASH"}, {"AttributeName": "s", "KeyType": "RANGE"}],
            AttributeDefinitions=[
                {"AttributeName": "p", "AttributeType": "S"},
                {"AttributeName": "s", "AttributeType": "N"},
            ],
            BillingMode="PAY_PER_REQUEST",
        )

    def switch(self, on: bool) -> dict[str, Any]:
        return self.call(
            "UpdateContinuousBackups", PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": on}
        )

    @property
    def table(self) -> Table:
        table = self.run(self.storage.fetch(lambda tx: tx.find_table(ACCOUNT, REGION, TABLE)))
        assert isinstance(table, Table)
        return table

    @property
    def history(self) -> TableHistory:
        return TableHistory(self.storage, self.objects, PLAIN, self.table.id)

    def put(self, item: dict[str, Any]) -> None:
        self.call("PutItem", Item=item)
        self.current = {**self.current, table_key(KEYS, item): item}
        self.note()

    def delete(self, item: dict[str, Any]) -> None:
        self.call("DeleteItem", Key={name: item[name] for name in ("p", "s")})
        key = table_key(KEYS, item)
        self.current = {other: kept for other, kept in self.current.items() if other != key}
        self.note()

    def note(self) -> None:
        self.states.append((self.now, self.current))

    def at(self, time: float) -> State:
        """What the model had at a time."""
        found: State = {}
        for then, state in self.states:
            if then <= time:
                found = state
        return found

    async def restored(self, time: float, start: bytes = b"") -> State:
        history = self.history_in_loop
        position = await history.position_at(time)
        return await self.rows(position, start)

    async def rows(self, position: int, start: bytes = b"") -> State:
        found: State = {}
        last = b""
        async for rows in self.history_in_loop.rows_at(self._table, position, start):
            for key, size, body in rows:
                assert last < key, "not in key order"
                assert size > 0
                found[key], last = json.loads(body), key
        return found

    def prepare(self) -> None:
        """Looks the table up before a coroutine needs it."""
        self._table = self.table
        self.history_in_loop = self.history


def random_item(chance: random.Random) -> dict[str, Any]:
    item: dict[str, Any] = {"p": {"S": chance.choice("abcd")}, "s": {"N": str(chance.randrange(12))}}
    if chance.random() < 0.8:
        item["v"] = {"N": str(chance.randrange(1000))}
    if chance.random() < 0.1:
        item["long"] = {"S": "x" * chance.randrange(2000)}
    return item


@pytest.fixture(params=["sqlite", "memory"])
def past(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Past]:
    past = Past(tmp_path, request.param)
    yield past
    past.database.close()


@pytest.mark.parametrize("seed", SEEDS)
def test_every_moment_of_a_random_history_can_be_read(past: Past, seed: int) -> None:
    chance = random.Random(seed)
    past.create()
    for _ in range(20):  # from before recovery was switched on
        past.put(random_item(chance))
    past.now += 1
    past.switch(on=True)
    since = past.now
    past.note()
    for _ in range(60):
        past.now += chance.choice([0.0, 0.0, 0.3, 1.0, 7.0])
        item = random_item(chance)
        if chance.random() < 0.4:
            past.delete(item)
        else:
            past.put(item)
        if chance.random() < 0.15:
            past.now += 300
            past.run(past.keeper.run_once())
            past.run(ChangeLogTrimmer(past.storage, lambda: past.now).run_once())
    past.prepare()
    moments = sorted({since, *(then for then, _ in past.states if then >= since)})
    for moment in moments:
        for time in (moment, moment + 0.1):
            assert past.run(past.restored(time)) == past.at(time)
    middle = chance.choice(moments)
    expected = past.at(middle)
    for start in sorted(expected)[::5]:
        continued = past.run(past.restored(middle, start))
        assert continued == {key: item for key, item in expected.items() if key >= start}


def test_a_table_is_read_as_it_was_while_others_write_and_history_is_shipped(past: Past) -> None:
    chance = random.Random(7)
    past.create()
    for number in range(1300):  # three slices
        item = {"p": {"S": f"{number:04}"}, "s": {"N": "1"}, "v": {"N": "0"}}
        past.call("PutItem", Item=item)
        past.current[table_key(KEYS, item)] = item
    past.switch(on=True)
    past.note()
    past.prepare()
    wanted = past.now
    past.now += 1

    async def read() -> State:
        position = await past.history_in_loop.position_at(wanted)
        found: State = {}
        async for rows in past.history_in_loop.rows_at(past._table, position):
            found |= {key: json.loads(body) for key, _, body in rows}
            for _ in range(60):
                number = chance.randrange(1400)
                key = {"p": {"S": f"{number:04}"}, "s": {"N": "1"}}
                if chance.random() < 0.5:
                    await past.database.answer("DeleteItem", json.dumps({"TableName": TABLE, "Key": key}).encode())
                else:
                    item = {**key, "v": {"N": "1"}}
                    await past.database.answer("PutItem", json.dumps({"TableName": TABLE, "Item": item}).encode())
            past.now += 300
            await past.keeper.run_once()
            await ChangeLogTrimmer(past.storage, lambda: past.now).run_once()
        return found

    assert past.run(read()) == past.at(wanted)
    assert past.run(past.storage.fetch(lambda tx: list(parts(tx, past._table.id)))), (
        "nothing was shipped meanwhile"
    )


def test_a_transaction_is_in_or_out_as_a_whole(past: Past) -> None:
    past.create()
    past.switch(on=True)
    past.prepare()
    moments = []
    for number in range(5):
        past.now += 1
        moments.append(past.now)
        puts = [
            {"Put": {"TableName": TABLE, "Item": {"p": {"S": name}, "s": {"N": "1"}, "v": {"N": str(number)}}}}
            for name in "xyz"
        ]
        assert past.database.call("TransactWriteItems", {"TransactItems": puts})[0] == 200
    for number, moment in enumerate(moments):
        found = past.run(past.restored(moment))
        assert [item["v"]["N"] for item in found.values()] == [str(number)] * 3
        before = past.run(past.restored(moment - 0.5))
        assert [item["v"]["N"] for item in before.values()] == [str(number - 1)] * 3 * (number > 0)


def test_what_is_older_than_the_recovery_period_is_removed(past: Past) -> None:
    past.create()
    past.switch(on=True)
    past.call(
        "UpdateContinuousBackups",
        PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True, "RecoveryPeriodInDays": 1},
    )
    for number in range(4):
        past.put({"p": {"S": "a"}, "s": {"N": str(number)}})
        past.now += 10 * 3600
        past.run(past.keeper.run_once())
    assert len(past.contents) == 2  # what was put 20 and 30 hours after the first
    window = recovery_window(past.table, past.now)
    assert window is not None
    assert window.earliest == past.now - 86_400
    past.prepare()
    assert past.run(past.restored(window.earliest)) == past.at(window.earliest)


def test_the_history_of_a_deleted_table_and_the_reader_are_released(past: Past) -> None:
    past.create()
    past.switch(on=True)
    past.put({"p": {"S": "a"}, "s": {"N": "1"}})
    past.now += 300
    past.run(past.keeper.run_once())
    assert past.contents
    past.prepare()
    past.call("DeleteTable")
    past.run(past.keeper.run_once())
    assert not past.contents
    assert past.run(past.storage.fetch(lambda tx: find_reader(tx, RECOVERY))) is None
    with pytest.raises(HistoryLost, match="was deleted"):
        past.run(past.rows(0))


def test_recovery_switched_off_and_on_begins_anew(past: Past) -> None:
    past.create()
    past.switch(on=True)
    past.put({"p": {"S": "a"}, "s": {"N": "1"}})
    past.now += 300
    past.run(past.keeper.run_once())
    past.switch(on=False)
    past.put({"p": {"S": "a"}, "s": {"N": "2"}})
    past.now += 1
    past.switch(on=True)
    past.note()
    since = past.now
    past.put({"p": {"S": "a"}, "s": {"N": "3"}})
    past.run(past.keeper.run_once())
    assert not past.contents
    past.now += 300
    past.run(past.keeper.run_once())
    past.prepare()
    assert past.run(past.restored(since)) == past.current
    assert past.run(past.restored(past.now)) == past.current


@pytest.mark.parametrize("crash", ["put", "confirm"])
def test_a_crash_between_an_object_and_its_record_loses_and_repeats_nothing(
    past: Past, crash: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    past.create()
    past.switch(on=True)
    past.put({"p": {"S": "a"}, "s": {"N": "1"}})
    past.now += 300
    with monkeypatch.context() as patch:

        def fail(*_: object, **__: object) -> None:
            raise OSError("killed")

        if crash == "put":
            patch.setattr(MemoryObjects, "put", fail)
        else:
            patch.setattr("blotter.database.copies.recovery._confirm", fail)
        with pytest.raises(OSError, match="killed"):
            past.run(past.keeper.run_once())
    past.put({"p": {"S": "a"}, "s": {"N": "2"}})
    past.run(past.new_keeper().run_once())
    assert len(past.contents) == 1
    past.prepare()
    for time, state in past.states:
        assert past.run(past.restored(time)) == state


@pytest.mark.parametrize("damage", ["flipped", "missing", "mixed"])
def test_damage_is_refused_by_name_and_the_rest_is_usable(past: Past, damage: str) -> None:
    past.create()
    past.switch(on=True)
    for number in range(3):
        past.put({"p": {"S": "a"}, "s": {"N": str(number)}})
        past.now += 300
        past.run(past.keeper.run_once())
    names = sorted(past.contents)
    damaged, other = names[1], names[2]
    content, time = past.contents[damaged]
    if damage == "flipped":
        middle = len(content) // 2
        past.contents[damaged] = (content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :], time)
    elif damage == "mixed":
        past.contents[damaged] = past.contents[other]
    else:
        del past.contents[damaged]
    past.prepare()
    with pytest.raises((DamagedSegment, HistoryLost), match=damaged):
        past.run(past.restored(past.states[0][0]))
    assert past.run(past.restored(past.states[2][0])) == past.states[2][1]


def test_a_reader_that_was_given_up_makes_the_history_begin_anew(past: Past) -> None:
    past.create()
    past.switch(on=True)
    past.put({"p": {"S": "a"}, "s": {"N": "1"}})
    past.now += 8 * 86_400  # the objects could not be written for longer than the log waits
    past.run(ChangeLogTrimmer(past.storage, lambda: past.now).run_once())
    past.note()
    past.run(past.keeper.run_once())
    window = recovery_window(past.table, past.now)
    assert window is not None
    assert window.earliest == past.now
    past.prepare()
    assert past.run(past.restored(past.now)) == past.current


def test_nothing_is_written_for_tables_without_recovery(past: Past) -> None:
    past.create()
    past.put({"p": {"S": "a"}, "s": {"N": "1"}})
    before = past.run(past.storage.fetch(lambda tx: tx.last_change()))
    past.put({"p": {"S": "a"}, "s": {"N": "2"}})
    past.run(past.keeper.run_once())
    assert past.run(past.storage.fetch(lambda tx: tx.last_change())) == before
    assert not past.contents
