"""The copy of the access records: as new as the last look, whoever changed them, and changed as a whole."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from blotter.database.security import access_records, key_uses
from blotter.database.security.access_records import (
    AccessKey,
    Group,
    KeyUse,
    ManagedPolicy,
    PolicyVersion,
    ResourcePolicy,
    User,
    delete,
    find,
    save,
)
from blotter.database.security.access_state import AccessState, secret_context
from blotter.database.security.enforced_access import Use
from blotter.database.security.identifiers import new_access_key_id
from blotter.database.security.key_uses import KeyUses
from blotter.database.security.principal import Principal, Session
from blotter.database.security.sealing import sealer_in_memory
from blotter.database.storage.memory import MemoryStore

ACCOUNT = "111122223333"
ALLOW = '{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"dynamodb:GetItem","Resource":"*"}}'
DENY = ALLOW.replace("Allow", "Deny")


class Store:
    """A store, and the copies that two processes have of its access records."""

    def __init__(self) -> None:
        self.storage = MemoryStore().open()
        self.sealer = sealer_in_memory()
        self.mine, self.others = (AccessState(self.storage, self.sealer) for _ in range(2))

    def change(self, work: Callable[[Any], object]) -> None:
        asyncio.run(self.storage.write(work))

    def save(self, *records: Any) -> None:
        self.change(lambda tx: [save(tx, ACCOUNT, record) for record in records])

    def read(self, kind: type, name: str) -> Any:
        with self.storage.read() as tx:
            return find(tx, ACCOUNT, kind, name)


@pytest.fixture
def store() -> Store:
    return Store()


def _documents(principal: Principal | None) -> list[str]:
    assert principal is not None
    return [policy.text for policy in principal.policies]


ANN = User("ann", "/", "AIDA1", 1.0)


@pytest.mark.parametrize("kept", [1000, 2])
def test_changes_are_seen_at_the_next_look_however_many(
    store: Store, monkeypatch: pytest.MonkeyPatch, kept: int
) -> None:
    """Also when more was changed than the store remembers."""
    monkeypatch.setattr(access_records, "_CHANGES_KEPT", kept)
    states = (store.mine, store.others)
    store.save(ANN)
    for state in states:
        state.refresh()
    group = Group("team", "/", "AGPA1", 1.0, inline={"p": ALLOW})
    policy = ManagedPolicy("m", "/", "ANPA1", 1.0, 1.0, (PolicyVersion("v1", DENY, 1.0),))
    arn = f"arn:aws:iam::{ACCOUNT}:policy/m"
    store.save(group, policy, replace(ANN, groups=("team",), attached=(arn,), boundary=arn))
    for state in states:
        assert _documents(state.principal_of_user(ACCOUNT, "ann")) == []
        state.refresh()
        principal = state.principal_of_user(ACCOUNT, "ANN")
        assert _documents(principal) == [DENY, ALLOW]
        assert principal is not None
        assert principal.boundary is not None
        assert principal.boundary.text == DENY
    for record in (group, policy):
        store.change(lambda tx, record=record: delete(tx, ACCOUNT, record))
    for state in states:
        state.refresh()
        principal = state.principal_of_user(ACCOUNT, "ann")
        assert _documents(principal) == []
        assert principal is not None
        assert principal.boundary is not None
        assert principal.boundary.statements == ()  # a boundary that is gone allows nothing
    store.change(lambda tx: delete(tx, ACCOUNT, ANN))
    for state in states:
        state.refresh()
        assert state.principal_of_user(ACCOUNT, "ann") is None


def test_a_policy_is_parsed_once_for_all_who_have_it_and_over_changes(store: Store) -> None:
    store.save(ANN, replace(ANN, name="bob", inline={"p": ALLOW}), replace(ANN, inline={"p": ALLOW}))
    store.mine.refresh()
    ann, bob = (store.mine.principal_of_user(ACCOUNT, name) for name in ("ann", "bob"))
    assert ann is not None
    assert bob is not None
    assert ann.policies[0] is bob.policies[0]
    store.save(replace(ANN, name="eve"))
    store.mine.refresh()
    again = store.mine.principal_of_user(ACCOUNT, "ann")
    assert again is not None
    assert again is not ann
    assert again.policies[0] is ann.policies[0]


def test_listeners_hear_of_changes_and_of_nothing_else(store: Store) -> None:
    heard: list[int] = []
    store.mine.on_change(lambda: heard.append(1))
    store.mine.refresh()
    store.mine.refresh()
    assert len(heard) == 1  # the first reading
    store.save(KeyUse("AKIA", 1.0, "sts", "eu-west-1"))
    store.mine.refresh()
    assert len(heard) == 1
    store.save(ANN)
    store.mine.refresh()
    assert len(heard) == 2


def test_resource_policies_distinguish_case(store: Store) -> None:
    arn = f"arn:aws:dynamodb:eu-west-1:{ACCOUNT}:table/T"
    document = ALLOW.replace('"Resource"', '"Principal":"*","Resource"')
    store.save(ResourcePolicy(arn, document, "1", 1.0))
    store.mine.refresh()
    assert store.mine.resource_policy(ACCOUNT, arn.lower()) is None
    policy = store.mine.resource_policy(ACCOUNT, arn)
    assert policy is not None
    assert policy.text == document


def test_made_up_names_take_no_memory(store: Store) -> None:
    store.mine.refresh()
    for number in range(3):
        assert store.mine.find_access_key(new_access_key_id("AKIA", ACCOUNT)) is None
        arn = f"arn:aws:dynamodb:eu-west-1:{ACCOUNT}:table/unknown{number}"
        assert store.mine.resource_policy(ACCOUNT, arn) is None
    assert store.mine._view.credentials == {}
    assert store.mine._view.resource_policies == {}


def test_no_secret_is_in_a_representation(store: Store) -> None:
    access_key = new_access_key_id("AKIA", ACCOUNT)
    store.save(AccessKey(access_key, "", 1.0, store.sealer.seal(b"hidden", secret_context(ACCOUNT, access_key))))
    store.mine.refresh()
    credential = store.mine.find_access_key(access_key)
    assert credential is not None
    assert credential.secret == "hidden"
    assert "hidden" not in repr(credential)


class Requests:
    """Stands for the authenticators whose requests used keys."""

    def __init__(self) -> None:
        self.uses: list[Use] = []

    def take_uses(self) -> list[Use]:
        return self.uses


def test_the_last_use_of_keys_and_roles_is_noted(store: Store) -> None:
    requests, now = Requests(), [1000.0]
    uses = KeyUses(store.storage, {"dynamodb": requests}, lambda: now[0])  # type: ignore[dict-item]
    role = Principal("assumed-role", ACCOUNT, "arn", "AROA1:s", "Worker", session=Session(1.0, 2.0))
    user = Principal("user", ACCOUNT, "arn", "AIDA1", "ann")

    async def note(*found: Use) -> None:
        requests.uses = list(found)
        uses.stop()
        await store.storage.write(lambda _: None)

    asyncio.run(note(Use("AKIA1", user, 990.0, "dynamodb", "r"), Use("ASIA1", role, 995.0, "sts", "r")))
    assert store.read(KeyUse, "AKIA1") == KeyUse("AKIA1", 990.0, "dynamodb", "r")
    assert store.read(KeyUse, "role/worker").used == 995.0
    asyncio.run(note(Use("AKIA1", user, 1000.0, "dynamodb", "r")))
    assert store.read(KeyUse, "AKIA1").used == 990.0  # not worth a write yet
    now[0] = 990.0 + key_uses.PRECISION_SECONDS
    asyncio.run(note(Use("AKIA1", user, 5000.0, "dynamodb", "r")))
    assert store.read(KeyUse, "AKIA1").used == now[0]  # a client's clock may be ahead
    session = replace(user, session=Session(1.0, 2.0))
    asyncio.run(note(Use("ASIA2", session, 1000.0, "dynamodb", "r")))
    assert store.read(KeyUse, "ASIA2") is None
