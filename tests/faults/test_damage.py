"""A file damaged anywhere, at random: it is refused, or what can be read is, and reading changes nothing.

Pages are overwritten by zeros, noise or other pages, bits flip, the end is missing. Whatever is asked then is
answered, or refused as the server's own fault; never does a request fail otherwise, or the process with it. Where
bits have flipped, whatever is answered is right, too: pages carry checksums. What a client gets to see of one
damaged page is tested over HTTP in test_server_disk.py.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from blotter.database.storage.protocol import DataDirectoryError, StorageUnavailable
from blotter.database.storage.sqlite.schema import FILE_NAME, PAGE_SIZE
from tests.faults.operations_power_loss import MAIN, TABLE
from tests.in_process import InProcessDatabase

ITEMS = 150
Damage = Callable[[random.Random, bytes], bytes]


def _item(number: int) -> dict[str, Any]:
    key = {"p": {"S": f"p{number % 7}"}, "s": {"N": str(number)}}
    return key | {"a": {"S": "xyz"[number % 3]}, "b": {"N": str(number)}, "d": {"S": "x" * (number * 37 % 3000)}}


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("good")
    database = InProcessDatabase(folder)
    assert database.call("CreateTable", MAIN)[0] == 200
    for number in range(ITEMS):
        assert database.call("PutItem", {"TableName": TABLE, "Item": _item(number)})[0] == 200
    database.close()
    return (folder / FILE_NAME).read_bytes()


def _overwrite_a_page(choice: random.Random, content: bytes) -> bytes:
    pages = len(content) // PAGE_SIZE
    at, other = (choice.randrange(pages) * PAGE_SIZE for _ in range(2))
    page = choice.choice([bytes(PAGE_SIZE), choice.randbytes(PAGE_SIZE), content[other : other + PAGE_SIZE]])
    return content[:at] + page + content[at + PAGE_SIZE :]


def _flip_bits(choice: random.Random, content: bytes) -> bytes:
    damaged = bytearray(content)
    for _ in range(choice.choice([1, 5, 50])):
        damaged[choice.randrange(len(damaged))] ^= 1 << choice.randrange(8)
    return bytes(damaged)


def _cut(choice: random.Random, content: bytes) -> bytes:
    return content[: choice.randrange(1, len(content))]


_KEYS = [{name: _item(number)[name] for name in "ps"} for number in range(0, ITEMS, 10)]
_READS: list[tuple[str, dict[str, Any]]] = [
    ("ListTables", {}),
    *(("GetItem", {"TableName": TABLE, "Key": key}) for key in _KEYS),
    *(("Scan", {"TableName": TABLE, **index}) for index in ({}, {"IndexName": "by-a"})),
]


@pytest.fixture(scope="module")
def right(good: bytes, tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """What an undamaged file answers to `_READS`."""
    folder = tmp_path_factory.mktemp("right")
    (folder / FILE_NAME).write_bytes(good)
    database = InProcessDatabase(folder)
    answers = [database.call(*read) for read in _READS]
    database.close()
    assert all(status == 200 for status, _ in answers)
    return [answer for _, answer in answers]


def _use(folder: Path, content: bytes, right: list[Any] | None) -> Counter[str]:
    """What became of the requests. Answers must be `right`, if that is promised."""
    path = folder / FILE_NAME
    path.write_bytes(content)
    try:
        database = InProcessDatabase(folder)
    except DataDirectoryError:
        assert path.read_bytes() == content
        return Counter(["not opened"])
    outcomes: Counter[str] = Counter()
    for number, read in enumerate(_READS):
        outcome, answer = _ask(database, *read)
        outcomes[outcome] += 1
        if right is not None:
            assert outcome == "refused" or answer == right[number], "damaged data were served"
    assert path.read_bytes() == content, "reading changed the file"
    for number in range(ITEMS - 3, ITEMS + 3):
        outcomes[_ask(database, "PutItem", {"TableName": TABLE, "Item": _item(number)})[0]] += 1
    database.close()
    return outcomes


def _ask(database: InProcessDatabase, operation: str, request: dict[str, Any]) -> tuple[str, Any]:
    try:
        status, answer = database.call(operation, request)
    except StorageUnavailable:  # The connection answers 500.
        return "refused", None
    except ValueError:  # What the answer quotes has been damaged.
        return "damaged", None
    assert status in (200, 500) or answer["__type"].endswith("#ResourceNotFoundException"), answer
    return "answered" if status == 200 else "refused", answer


def _check(good: bytes, right: list[Any], damage: Damage, folder: Path, rounds: int, seed: int) -> Counter[str]:
    choice = random.Random(seed)
    outcomes: Counter[str] = Counter()
    for number in range(rounds):
        place = folder / str(number)
        place.mkdir()
        outcomes += _use(place, damage(choice, good), right if damage is _flip_bits else None)
    return outcomes


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (_overwrite_a_page, {"answered", "refused"}),
        (_flip_bits, {"answered", "refused"}),
        (_cut, {"not opened"}),
    ],
)
def test_what_is_damaged_is_refused_and_left_alone(
    good: bytes, right: list[Any], tmp_path: Path, damage: Damage, expected: set[str]
) -> None:
    assert _check(good, right, damage, tmp_path, rounds=25, seed=1).keys() >= expected


@pytest.mark.slow
@pytest.mark.parametrize("damage", [_overwrite_a_page, _flip_bits, _cut])
def test_a_thousand_damages(good: bytes, right: list[Any], tmp_path: Path, damage: Damage) -> None:
    assert _check(good, right, damage, tmp_path, rounds=1000, seed=2)
