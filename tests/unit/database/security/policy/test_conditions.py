"""Condition operators, as AWS documents them."""

from __future__ import annotations

import pytest

from blotter.database.security.policy.conditions import Condition

CONTEXT = {
    "name": ("Alice",),
    "count": ("10",),
    "time": ("2026-11-28T21:15:00Z",),
    "secure": ("true",),
    "blob": ("QQ==",),
    "ip": ("203.0.113.7",),
    "ip6": ("2001:db8::7",),
    "arn": ("arn:aws:iam::123456789012:user/div/alice",),
    "tags": ("a", "b"),
    "empty": (),
}


def holds(operator: str, key: str, *values: str) -> bool:
    return Condition(operator, key, values, variables=True).holds(CONTEXT)


@pytest.mark.parametrize(
    ("operator", "key", "values", "expected"),
    [
        ("StringEquals", "NAME", ["Bob", "Alice"], True),
        ("StringEquals", "name", ["alice"], False),
        ("StringEquals", "name", ["Al*"], False),
        ("StringNotEquals", "name", ["Bob", "Alice"], False),
        ("StringNotEquals", "name", ["Bob"], True),
        ("StringEqualsIgnoreCase", "name", ["aLICE"], True),
        ("StringNotEqualsIgnoreCase", "name", ["aLICE"], False),
        ("StringLike", "name", ["A?i*"], True),
        ("StringNotLike", "name", ["A?i*"], False),
        ("StringLike", "name", ["${name}"], True),
        ("StringNotEquals", "name", ["${missing}"], True),
        ("StringEquals", "name", ["${missing, 'Alice'}"], True),
        ("NumericEquals", "count", ["10.0"], True),
        ("NumericNotEquals", "count", ["9", "10"], False),
        ("NumericLessThan", "count", ["10"], False),
        ("NumericLessThanEquals", "count", ["10"], True),
        ("NumericGreaterThan", "count", ["9", "11"], True),
        ("NumericGreaterThanEquals", "count", ["11"], False),
        ("NumericEquals", "name", ["1"], False),
        ("NumericNotEquals", "name", ["1"], False),
        ("DateEquals", "time", ["2026-11-28T22:15:00+01:00"], True),
        ("DateNotEquals", "time", ["1795900500"], False),
        ("DateLessThan", "time", ["2026-12"], True),
        ("DateLessThanEquals", "time", ["2026-11-28"], False),
        ("DateGreaterThan", "time", ["2026-11-28T21:14:59.999Z"], True),
        ("DateGreaterThanEquals", "time", ["1795900501"], False),
        ("Bool", "secure", ["TRUE"], True),
        ("Bool", "secure", ["false"], False),
        ("BinaryEquals", "blob", ["QQ=="], True),
        ("BinaryEquals", "blob", ["QUE="], False),
        ("IpAddress", "ip", ["10.0.0.0/8", "203.0.113.0/24"], True),
        ("IpAddress", "ip", ["203.0.113.7"], True),
        ("NotIpAddress", "ip", ["203.0.113.0/24"], False),
        ("NotIpAddress", "ip", ["10.0.0.0/8"], True),
        ("IpAddress", "ip6", ["2001:db8::/32"], True),
        ("IpAddress", "ip", ["2001:db8::/32"], False),
        ("IpAddress", "name", ["0.0.0.0/0"], False),
        ("ArnEquals", "arn", ["arn:aws:iam::*:user/*/alice"], True),
        ("ArnLike", "arn", ["arn:aws:iam:*"], False),
        ("ArnNotEquals", "arn", ["arn:aws:iam::123456789012:user/*"], False),
        ("ArnNotLike", "arn", ["arn:aws:sts::*:*"], True),
        ("ArnNotLike", "name", ["arn:aws:sts::*:*"], False),
        ("ArnNotLike", "arn", ["arn:aws:sts::*:*", "no ARN"], False),
        ("Null", "name", ["false"], True),
        ("Null", "missing", ["true"], True),
        ("Null", "empty", ["true"], True),
        ("Null", "name", ["true"], False),
        # A key that the request does not have.
        ("StringEquals", "missing", ["a"], False),
        ("StringNotEquals", "missing", ["a"], True),
        ("NotIpAddress", "missing", ["10.0.0.0/8"], True),
        ("StringEqualsIfExists", "missing", ["a"], True),
        ("StringEqualsIfExists", "name", ["a"], False),
        ("NumericLessThanIfExists", "missing", ["1"], True),
        # Keys of several values.
        ("StringEquals", "tags", ["a", "b"], False),
        ("StringNotEquals", "tags", ["c"], False),
        ("ForAllValues:StringEquals", "tags", ["a", "b", "c"], True),
        ("ForAllValues:StringEquals", "tags", ["a"], False),
        ("ForAllValues:StringNotEquals", "tags", ["c"], True),
        ("ForAllValues:StringEquals", "missing", ["a"], True),
        ("ForAllValues:StringEquals", "empty", ["a"], True),
        ("ForAnyValue:StringEquals", "tags", ["b"], True),
        ("ForAnyValue:StringLike", "tags", ["c*"], False),
        ("ForAnyValue:StringNotEquals", "tags", ["a"], True),
        ("ForAnyValue:StringEquals", "missing", ["a"], False),
        ("ForAnyValue:StringNotEquals", "missing", ["a"], False),
        ("ForAnyValue:StringEqualsIfExists", "missing", ["a"], True),
        ("ForAnyValue:StringEquals", "empty", ["a"], False),
        ("ForAllValues:StringEquals", "name", ["Alice"], True),
        # No values in the policy.
        ("StringEquals", "name", [], False),
        ("StringNotEquals", "name", [], True),
    ],
)
def test_a_condition_holds_or_not(operator: str, key: str, values: list[str], expected: bool) -> None:
    assert holds(operator, key, *values) is expected


def test_without_variables_their_text_is_meant() -> None:
    condition = Condition("StringLike", "name", ["${name}"], variables=False)
    assert not condition.holds(CONTEXT)
    assert condition.holds({"name": ("${name}",)})
