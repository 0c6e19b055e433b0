"""Whoever validates very many values gives way to others in between, whatever their form."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from blotter.database.operations.request_tokens import fingerprint
from blotter.database.validation import attribute_values
from blotter.database.validation.attribute_values import validate_item


def _tree(depth: int) -> dict[str, Any]:
    return {"L": [_tree(depth - 1), _tree(depth - 1)]} if depth else {"N": "1"}


_ITEMS: dict[str, dict[str, Any]] = {
    "a long list": {"a": {"L": [{"N": str(number)} for number in range(50_000)]}},
    "a long map": {"a": {"M": {f"k{number}": {"S": ""} for number in range(50_000)}}},
    "many attributes": {f"k{number}": {"BOOL": True} for number in range(50_000)},
    "many small lists": {"a": {"L": [{"L": [{"NULL": True}] * 10} for _ in range(5_000)]}},
    "a tree": {"a": _tree(15)},
    "a set of numbers": {"a": {"NS": [str(number) for number in range(50_000)]}},
}


@pytest.mark.parametrize("name", _ITEMS)
def test_no_long_stretch_is_validated_at_once(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[None] = []
    monkeypatch.setattr(attribute_values, "give_way", lambda: calls.append(None))
    item, size = validate_item(_ITEMS[name])
    assert item == _ITEMS[name]
    assert size > 30_000
    assert len(calls) >= 50_000 // 4096


def test_the_size_of_many_members_is_that_of_all() -> None:
    few = {f"k{number:05}": {"S": "abc"} for number in range(4096)}
    many = {f"k{number:05}": {"S": "abc"} for number in range(8192)}
    assert validate_item(many)[1] == 2 * validate_item(few)[1]
    assert validate_item({"a": {"M": many}})[1] - validate_item({"a": {"M": few}})[1] == (
        validate_item(few)[1] + 4096
    )


@pytest.mark.parametrize("actions", [[], [{"b": 1, "a": [2]}], [{"b": {"d": 1, "c": 2}}, {"a": "ä"}, {}]])
def test_the_fingerprint_of_a_list_is_that_of_its_json(actions: list[Any]) -> None:
    """It is made action by action; records of what was done before have the same."""
    whole = msgspec.Raw(msgspec.json.encode(actions, order="deterministic"))
    assert fingerprint(actions) == fingerprint(whole)
