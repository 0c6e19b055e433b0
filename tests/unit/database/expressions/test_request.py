"""One request's expressions share placeholders: which were used, and what is kept between requests."""

from __future__ import annotations

import pytest

from blotter.database.expressions import ExpressionAttributes
from blotter.database.expressions import attributes as module
from blotter.database.model.errors import DynamoDBError


def test_unused_names_and_values_are_refused_at_the_end() -> None:
    # nubo-db/dynamodb-conformance, tests/tier3/error-messages/updateItem.test.ts
    attributes = ExpressionAttributes({"#unused": "someattr"}, {":v": {"S": "val"}})
    attributes.update("SET attr1 = :v")
    with pytest.raises(DynamoDBError) as refusal:
        attributes.finish()
    assert refusal.value.message == (
        "Value provided in ExpressionAttributeNames unused in expressions: keys: {#unused}"
    )
    attributes = ExpressionAttributes(None, {":v": {"S": "val"}, ":unused": {"S": "extra"}})
    attributes.update("SET attr1 = :v")
    with pytest.raises(DynamoDBError) as refusal:
        attributes.finish()
    assert refusal.value.message == (
        "Value provided in ExpressionAttributeValues unused in expressions: keys: {:unused}"
    )


def test_unused_keys_stand_in_the_order_of_a_java_hash_set() -> None:
    # Of 16 buckets, their hashes 1896, 1895, 1878 and 1880 fall into the 9th, 8th, 7th and 9th.
    values = {name: {"S": "x"} for name in (":b", ":a", ":P", ":R")}
    attributes = ExpressionAttributes(None, values)
    attributes.condition("ConditionExpression", "attribute_exists(a)")
    with pytest.raises(DynamoDBError) as refusal:
        attributes.finish()
    assert refusal.value.message.endswith("keys: {:P, :a, :b, :R}")


def test_placeholders_of_all_expressions_count_even_when_evaluation_would_not_reach_them() -> None:
    attributes = ExpressionAttributes({"#n": "a"}, {":one": {"N": "1"}, ":two": {"N": "2"}})
    attributes.update("SET #n = :one")
    condition = attributes.condition("ConditionExpression", "attribute_exists(#n) OR #n = :two")
    attributes.finish()
    assert condition.matches({"a": {"N": "1"}})


def test_the_parameter_is_named_in_the_message() -> None:
    attributes = ExpressionAttributes(None, None)
    for parameter in ("ConditionExpression", "FilterExpression"):
        with pytest.raises(DynamoDBError) as refusal:
            attributes.condition(parameter, "#missing = a")
        assert refusal.value.message == (
            f"Invalid {parameter}: An expression attribute name used in the document path is not defined; "
            "attribute name: #missing"
        )


def test_a_known_text_is_not_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "only_in_this_test = :v AND #alias > :v"

    def match(names: dict[str, str], value: dict[str, str], item: dict[str, dict[str, str]]) -> bool:
        attributes = ExpressionAttributes(names, {":v": value})
        condition = attributes.condition("FilterExpression", text)
        attributes.finish()
        return condition.matches(item)

    item = {"only_in_this_test": {"N": "5"}, "x": {"N": "6"}, "y": {"N": "4"}}
    assert match({"#alias": "x"}, {"N": "5"}, item)

    def unexpected(*_: object) -> None:
        raise AssertionError("parsed again")

    monkeypatch.setattr(module, "parse", unexpected)
    monkeypatch.setattr(module.checks, "check_condition", unexpected)
    assert match({"#alias": "x"}, {"N": "5"}, item)
    assert not match({"#alias": "x"}, {"N": "4"}, item)
    monkeypatch.undo()
    monkeypatch.setattr(module, "parse", unexpected)
    # Another meaning of the alias, and another type of the value, are compiled apart.
    assert not match({"#alias": "y"}, {"N": "5"}, item)
    assert not match({"#alias": "x"}, {"S": "5"}, item)


def test_a_wrong_value_is_refused_though_the_text_is_known() -> None:
    for value, right in (({"N": "1"}, True), ({"BOOL": True}, False), ({"S": "a"}, True), ({"BOOL": True}, False)):
        attributes = ExpressionAttributes(None, {":v": value})
        if right:
            attributes.condition("FilterExpression", "known < :v")
        else:
            with pytest.raises(DynamoDBError):
                attributes.condition("FilterExpression", "known < :v")


def test_what_is_kept_is_bounded() -> None:
    for number in range(3 * module.MAX_MEANINGS):
        ExpressionAttributes({"#n": f"attribute{number}"}, None).projection("bounded.#n")
    assert 0 < len(module._parsed("projection", "bounded.#n").by_meaning) <= module.MAX_MEANINGS
