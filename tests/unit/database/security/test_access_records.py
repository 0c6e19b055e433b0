"""Records of access state: found in any case of their names, listed completely, and counted by the generation."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from blotter.database.security.access_records import (
    AccessKey,
    Group,
    KeyUse,
    ManagedPolicy,
    PolicyVersion,
    Role,
    User,
    delete,
    every,
    find,
    generation,
    save,
)
from blotter.database.storage.memory import MemoryStorage
from blotter.database.storage.memory.maps import OrderedMaps
from blotter.database.storage.protocol import WriteTransaction

HERE, THERE = "111111111111", "222222222222"


def _in_store(handler: Callable[[WriteTransaction], Any]) -> Any:
    async def run() -> Any:
        storage = MemoryStorage(OrderedMaps())
        try:
            return await storage.write(handler)
        finally:
            await storage.close()

    return asyncio.run(run())


def test_every_kind_is_kept_as_it_was() -> None:
    records = [
        User("Ann", "/a/", "AIDA1", 1.5, {"p": "{}"}, ("arn:x",), ("team",), "arn:b", {"k": "v"}),
        Group("Team", "/", "AGPA1", 2.0),
        Role("Worker", "/", "AROA1", 3.0, trust="{}", max_session=7200, tags={"a": ""}),
        ManagedPolicy("Read", "/", "ANPA1", 4.0, 4.5, (PolicyVersion("v1", "{}", 4.0),)),
        AccessKey("AKIAX", "Ann", 5.0, b"\x00sealed", "Inactive"),
        KeyUse("AKIAX", 6.0, "dynamodb", "us-east-1"),
    ]

    def handler(tx: WriteTransaction) -> None:
        for record in records:
            save(tx, HERE, record)
        for record in records:
            assert find(tx, HERE, type(record), record.key_name) == record
            assert list(every(tx, HERE, type(record))) == [record]
            assert find(tx, THERE, type(record), record.key_name) is None

    _in_store(handler)


def test_names_are_not_distinguished_by_case() -> None:
    def handler(tx: WriteTransaction) -> None:
        save(tx, HERE, User("Ann", "/", "AIDA1", 1.0))
        found = find(tx, HERE, User, "aNN")
        assert found is not None
        assert found.name == "Ann"

    _in_store(handler)


def test_all_of_many_are_listed_by_name_and_no_other_kind() -> None:
    def handler(tx: WriteTransaction) -> None:
        for number in range(600):
            save(tx, HERE, User(f"user{number:04}", "/", "AIDA", 1.0))
        save(tx, HERE, Group("users", "/", "AGPA", 1.0))
        assert [user.name for user in every(tx, HERE, User)] == [f"user{number:04}" for number in range(600)]

    _in_store(handler)


def test_the_generation_rises_with_every_change_of_access() -> None:
    def handler(tx: WriteTransaction) -> None:
        seen = [generation(tx)]
        user = User("Ann", "/", "AIDA1", 1.0)
        save(tx, HERE, user)
        seen.append(generation(tx))
        save(tx, THERE, user)
        seen.append(generation(tx))
        delete(tx, HERE, user)
        seen.append(generation(tx))
        assert seen == sorted(set(seen))
        save(tx, HERE, KeyUse("AKIAX", 6.0, "dynamodb", "us-east-1"))
        delete(tx, HERE, user)  # It is gone already.
        assert generation(tx) == seen[-1]

    _in_store(handler)
