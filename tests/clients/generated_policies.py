"""Random policies with requests for them, over every feature that the evaluator has, for the comparison with an
independent simulator (`test_policy_judge.py`).

A case is what both sides need, as JSON. What the simulator is known to do otherwise than AWS documents is not
generated; the list stands with each generator below, so that every difference that remains needs an explanation.
"""

from __future__ import annotations

import base64
from random import Random
from typing import Any

HERE, THERE = "111111111111", "222222222222"
TABLE = f"arn:aws:dynamodb:us-east-1:{HERE}:table/"
ROLE = f"arn:aws:iam::{HERE}:role/worker"

CALLERS = [
    f"arn:aws:iam::{HERE}:user/alice",
    f"arn:aws:iam::{HERE}:user/team/bob",
    f"arn:aws:sts::{HERE}:assumed-role/reader/one",
    f"arn:aws:sts::{HERE}:assumed-role/reader/two",
    f"arn:aws:iam::{THERE}:user/eve",
    f"arn:aws:sts::{THERE}:assumed-role/guest/one",
]
ON_ITEMS = ["GetItem", "PutItem", "UpdateItem", "DeleteItem", "Query", "PartiQLSelect"]
ACTIONS = [*(f"dynamodb:{name}" for name in ON_ITEMS), "dynamodb:DescribeTable", "dynamodb:TagResource"]

Case = dict[str, Any]


def cases(seed: int, count: int) -> list[Case]:
    random = Random(seed)
    return [_case(random) for _ in range(count)]


def _case(random: Random) -> Case:
    caller = random.choice(CALLERS)
    if random.random() < 0.12:
        action, resource = "sts:AssumeRole", ROLE
    elif random.random() < 0.06:
        action, resource = "dynamodb:ListTables", "*"
    else:
        action, resource = random.choice(ACTIONS), TABLE + random.choice(["t", "alice", "bob-1", "Orders", "a.b"])
    context = _context(random, action, caller)
    made: Case = {
        "principal": caller,
        "action": action,
        "resource": resource,
        "account": HERE,
        "context": context,
        "identity": [_policy(random, action) for _ in range(random.choice([0, 1, 1, 2, 3]))],
    }
    if random.random() < 0.3:
        made["boundary"] = _policy(random, action)
    if ":assumed-role/" in caller and random.random() < 0.35:
        made["session"] = _policy(random, action)
    if action == "sts:AssumeRole" or (resource != "*" and random.random() < 0.5):
        made["resourcePolicy"] = _policy(random, action, caller)
    return made


# The request's own values. A key with several values always has two: the simulator takes one value of such a key
# for a list all the same, which no operator without ForAllValues or ForAnyValue can match.
def _context(random: Random, action: str, caller: str) -> dict[str, Any]:
    possible: dict[str, Any] = {
        "aws:username": caller.rpartition("/")[2] if ":user/" in caller else None,
        "aws:userid": random.choice(["AIDAALICE", "AIDABOB"]),
        "aws:PrincipalArn": random.choice(CALLERS[:2]),
        "aws:PrincipalTag/team": random.choice(["t", "blue", "Blue", "a*b", "b?b", None]),
        "aws:PrincipalTag/size": random.choice(["1", "10", "10.5", "-3", "big", None]),
        "aws:PrincipalTag/blob": base64.b64encode(random.choice([b"a", b"ab", b"\xff"])).decode(),
        "aws:SourceIp": random.choice(["10.0.0.7", "10.1.2.3", "203.0.113.9", "2001:db8::7"]),
        "aws:CurrentTime": random.choice(["2026-11-28T21:15:00Z", "2026-01-01T00:00:00Z"]),
        "aws:EpochTime": random.choice(["1795900500", "1000000000"]),
        "aws:SecureTransport": random.choice(["true", "false"]),
        "aws:RequestedRegion": random.choice(["us-east-1", "eu-west-1"]),
    }
    if action.removeprefix("dynamodb:") in ON_ITEMS:
        possible["dynamodb:LeadingKeys"] = random.choice([["alice", "bob"], ["bob", "eve"], None])
        possible["dynamodb:Attributes"] = random.choice([["id", "total"], ["id", "secret", "total"], None])
    if action in ("dynamodb:GetItem", "dynamodb:Query", "dynamodb:PartiQLSelect"):
        possible["dynamodb:Select"] = random.choice(["ALL_ATTRIBUTES", "SPECIFIC_ATTRIBUTES", None])
    if action == "dynamodb:TagResource":
        possible["aws:TagKeys"] = random.choice([["team", "cost"], ["team", "owner"], None])
        possible["aws:RequestTag/team"] = random.choice(["blue", "red", None])
    return {key: value for key, value in possible.items() if value is not None and random.random() < 0.85}


def _policy(random: Random, action: str, caller: str | None = None) -> dict[str, Any]:
    statements = [_statement(random, action, caller) for _ in range(random.choice([1, 1, 2, 3]))]
    return {"Version": "2012-10-17", "Statement": statements if random.random() < 0.8 else statements[0]}


def _statement(random: Random, action: str, caller: str | None) -> dict[str, Any]:
    trust = action == "sts:AssumeRole" and caller is not None
    made: dict[str, Any] = {"Effect": "Allow" if random.random() < 0.78 else "Deny"}
    if caller is not None:
        made["Principal" if trust or random.random() < 0.85 else "NotPrincipal"] = _principal(random, caller)
    if trust:
        made["Action"] = random.choice(["sts:AssumeRole", "sts:*", ["sts:TagSession", "sts:assumerole"]])
    else:
        made["Action" if random.random() < 0.85 else "NotAction"] = _one_or_some(random, _actions(random, action))
        made["Resource" if random.random() < 0.85 else "NotResource"] = _one_or_some(random, _resources(random))
    condition = _conditions(random)
    return made | ({"Condition": condition} if condition else {})


def _one_or_some(random: Random, values: list[str]) -> str | list[str]:
    chosen = random.sample(values, random.choice([1, 1, 2, 3]))
    return chosen[0] if len(chosen) == 1 and random.random() < 0.5 else chosen


def _actions(random: Random, action: str) -> list[str]:
    service, _, name = action.partition(":")
    usual = ["*", action, action.lower(), f"{service}:*", f"{service}:{name[:3]}*", f"{service}:?{name[1:]}"]
    others = ["dynamodb:Get*", "dynamodb:*Item", "dynamodb:DeleteTable", "s3:*", "dynamodb:PartiQL*", "sts:*"]
    return random.sample(usual, 3) + random.sample(others, 2)


# A variable without a value and without a default is left out: AWS documents that negated operators match then,
# the simulator says that they do not.
def _resources(random: Random) -> list[str]:
    return random.sample(
        [
            "*",
            f"{TABLE}*",
            f"{TABLE}t",
            f"{TABLE}alice",
            f"{TABLE}b?b-1",
            f"{TABLE}*s",
            f"arn:aws:dynamodb:*:{HERE}:table/*",
            f"arn:aws:dynamodb:us-*:{HERE[:-1]}?:table/[a.b]",
            f"{TABLE}${{aws:username, 'nobody'}}",
            f"{TABLE}${{aws:PrincipalTag/team, 't'}}*",
            f"{TABLE}a.b",
            f"{TABLE}${{*}}",
            "arn:aws:iam::*:role/*",
            f"{ROLE}",
            "arn:aws:s3:::bucket/*",
        ],
        5,
    )


def _principal(random: Random, caller: str) -> Any:
    account = caller.split(":")[4]
    role = f"arn:aws:iam::{account}:role/{caller.split('/')[1]}" if ":assumed-role/" in caller else caller
    names = [account, f"arn:aws:iam::{account}:root", caller, role, *random.sample(CALLERS, 2), HERE]
    if random.random() < 0.15:
        return random.choice(["*", {"AWS": "*"}, {"Service": "lambda.amazonaws.com"}])
    return {"AWS": _one_or_some(random, names)}


STRINGS = ["aws:username", "aws:userid", "aws:PrincipalTag/team", "aws:RequestedRegion", "aws:RequestTag/team"]
LISTS = ["dynamodb:LeadingKeys", "dynamodb:Attributes", "aws:TagKeys"]
NAMES = ["alice", "bob", "t", "blue", "Blue", "BLUE", "us-east-1", "eu-west-1", "id", "total", "team", "AIDAALICE"]
VARIABLES = ["${aws:username, 'alice'}", "${aws:PrincipalTag/team, 'blue'}", "x${aws:userid, ''}"]
PATTERNS = [*NAMES, "*", "?lice", "b*", "us-*-?", "a${*}b", "b${?}b", "${$}", "*e*", "[ab]*", "t?tal", "("]


def _conditions(random: Random) -> dict[str, dict[str, Any]]:
    made: dict[str, dict[str, Any]] = {}
    for _ in range(random.choice([0, 0, 1, 1, 2, 3])):
        operator, key, values = random.choice(_KINDS)(random)
        made.setdefault(operator, {})[key] = values[0] if len(values) == 1 and random.random() < 0.6 else values
    return made


def _some(random: Random, values: list[str]) -> list[str]:
    return random.sample(values, random.choice([1, 1, 2, 3]))


def _if_exists(random: Random, operator: str) -> str:
    return operator + ("IfExists" if random.random() < 0.25 else "")


def _string(random: Random) -> tuple[str, str, list[str]]:
    like = random.random() < 0.5
    operators = ["StringLike", "StringNotLike"]
    if not like:
        operators = ["StringEquals", "StringNotEquals", "StringEqualsIgnoreCase", "StringNotEqualsIgnoreCase"]
    values = _some(random, PATTERNS if like else [*NAMES, "a*b", "${*}"])
    if random.random() < 0.3:
        values[0] = random.choice(VARIABLES)
    return _if_exists(random, random.choice(operators)), random.choice(STRINGS), values


# ForAnyValue with IfExists is left out: by the rule for IfExists a missing key satisfies it, the simulator ignores
# it.
def _set(random: Random) -> tuple[str, str, list[str]]:
    operators = ["StringEquals", "StringNotEquals", "StringLike", "StringNotLike", "StringEqualsIgnoreCase"]
    operator = random.choice(operators)
    values = _some(random, PATTERNS if "Like" in operator else NAMES)
    quantifier = random.choice(["ForAllValues", "ForAnyValue"])
    if quantifier == "ForAllValues":
        operator = _if_exists(random, operator)
    return f"{quantifier}:{operator}", random.choice([*LISTS, *LISTS, *STRINGS]), values


def _several(random: Random) -> tuple[str, str, list[str]]:
    """An operator for one value on a key that has several."""
    return random.choice(["StringEquals", "StringNotEquals"]), random.choice(LISTS), _some(random, NAMES)


def _number(random: Random) -> tuple[str, str, list[str]]:
    compare = random.choice(
        ["Equals", "NotEquals", "LessThan", "LessThanEquals", "GreaterThan", "GreaterThanEquals"]
    )
    values = _some(random, ["1", "10", "10.5", "-3", "1795900500", "0"])
    return (
        _if_exists(random, f"Numeric{compare}"),
        random.choice(["aws:PrincipalTag/size", "aws:EpochTime"]),
        values,
    )


# Times and seconds since the epoch are not mixed: the simulator compares seconds with milliseconds then.
def _time(random: Random) -> tuple[str, str, list[str]]:
    compare = random.choice(
        ["Equals", "NotEquals", "LessThan", "LessThanEquals", "GreaterThan", "GreaterThanEquals"]
    )
    if random.random() < 0.3:
        return (
            _if_exists(random, f"Date{compare}"),
            "aws:EpochTime",
            _some(random, ["1795900500", "1", "1795900501"]),
        )
    times = [
        "2026-11-28T21:15:00Z",
        "2026-11-28T22:15:00+01:00",
        "2026-11-28",
        "2026-12",
        "2026-01-01T00:00:00.001Z",
    ]
    return _if_exists(random, f"Date{compare}"), "aws:CurrentTime", _some(random, times)


# No variables: AWS documents that Bool takes none, the simulator replaces them.
def _bool(random: Random) -> tuple[str, str, list[str]]:
    return _if_exists(random, "Bool"), "aws:SecureTransport", [random.choice(["true", "false", "True"])]


def _binary(random: Random) -> tuple[str, str, list[str]]:
    return _if_exists(random, "BinaryEquals"), "aws:PrincipalTag/blob", _some(random, ["YQ==", "YWI=", "/w=="])


# Addresses stand as ranges: of a plain one the simulator says that an address of the other family is neither it
# nor another one. The range 0.0.0.0/0 it takes for one address.
def _address(random: Random) -> tuple[str, str, list[str]]:
    operator = _if_exists(random, random.choice(["IpAddress", "NotIpAddress"]))
    ranges = ["10.0.0.0/8", "10.0.0.7/32", "203.0.113.0/24", "10.0.0.0/30", "2001:db8::/32", "0.0.0.0/1"]
    return operator, "aws:SourceIp", _some(random, ranges)


def _arn(random: Random) -> tuple[str, str, list[str]]:
    operator = _if_exists(random, random.choice(["ArnEquals", "ArnLike", "ArnNotEquals", "ArnNotLike"]))
    patterns = [
        f"arn:aws:iam::{HERE}:user/*",
        *CALLERS[:2],
        "arn:*:iam::*:user/team/?ob",
        "arn:aws:sts::*:*",
        "no-arn",
    ]
    return operator, random.choice(["aws:PrincipalArn", "aws:PrincipalArn", "aws:userid"]), _some(random, patterns)


def _null(random: Random) -> tuple[str, str, list[str]]:
    return "Null", random.choice([*STRINGS, *LISTS, "aws:SourceIp"]), [random.choice(["true", "false"])]


_KINDS = [_string, _string, _set, _set, _several, _number, _time, _bool, _binary, _address, _arn, _null]
