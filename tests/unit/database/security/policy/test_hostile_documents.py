"""Documents with anything in them: each is refused with a message, or can be used and kept."""

from __future__ import annotations

import json
from contextlib import suppress
from random import Random
from typing import Any

import pytest

from blotter.database.model.errors import DynamoDBError
from blotter.database.security.policy import (
    AccessRequest,
    Caller,
    MalformedPolicy,
    PolicySet,
    evaluate,
    parse_policy,
)
from blotter.database.security.policy.canonical import canonical, shown
from blotter.database.security.policy.document import DocumentKind
from blotter.database.validation.resource_policies import parse_resource_policy

CALLER = Caller("user", "111111111111", "arn:aws:iam::111111111111:user/alice")
SOUND: dict[str, Any] = {
    "Version": "2012-10-17",
    "Id": "a",
    "Statement": [
        {
            "Sid": "one",
            "Effect": "Allow",
            "Principal": {"AWS": ["111111111111", CALLER.arn], "Service": "lambda.amazonaws.com"},
            "Action": ["dynamodb:GetItem", "sts:AssumeRole"],
            "Resource": "arn:aws:dynamodb:*:*:table/${aws:username}",
            "Condition": {"StringLike": {"aws:username": ["a*"]}, "DateEquals": {"aws:CurrentTime": "2026-11-28"}},
        },
        {"Effect": "Deny", "Principal": "*", "NotAction": "dynamodb:*", "NotResource": ["*"]},
    ],
}
ODD: list[Any] = [
    *(None, True, 1, -1.5, "", "*", "a", "arn:", "::::::", "${", "${a, 'b'}", "\u0000", "é", 10**400),
    *([], {}, [""], [None], [[]], {"AWS": ""}, {"AWS": [""]}, {"a": []}, {"Bool": {"a": None}}),
]


def sound(kind: DocumentKind) -> dict[str, Any]:
    """A document of a kind, which each lack elements that others have."""
    lacking = {"identity": "Principal", "resource": "none", "trust": "Resource"}[kind]
    statements = [
        {name: value for name, value in statement.items() if not name.endswith(lacking)}
        | ({"Action": "sts:*"} if kind == "trust" and "Action" in statement else {})
        for statement in SOUND["Statement"]
        if kind != "trust" or "Action" in statement
    ]
    return SOUND | {"Statement": statements}


def mutated(random: Random, value: Any) -> Any:
    if random.random() < 0.1:
        return random.choice(ODD)
    if isinstance(value, dict):
        return {key: mutated(random, inner) for key, inner in value.items() if random.random() < 0.93}
    if isinstance(value, list):
        return [mutated(random, inner) for inner in value if random.random() < 0.95]
    return value


@pytest.mark.parametrize("kind", ["identity", "resource", "trust"])
def test_a_document_is_refused_or_can_be_used(kind: DocumentKind) -> None:
    random = Random(7)
    used = 0
    for _ in range(1_500):
        text = json.dumps(mutated(random, sound(kind)))
        try:
            policy = parse_policy(text, kind)
        except MalformedPolicy:
            continue
        used += 1
        context = {key.lower(): ("a",) for key in policy.context_keys}
        policies = PolicySet((policy,)) if kind == "identity" else PolicySet(resource=policy)
        evaluate(AccessRequest("dynamodb:GetItem", "arn:aws:dynamodb:r:1:table/a", CALLER, context), policies)
        if kind == "resource":
            kept = canonical(text)
            assert canonical(kept) == kept
            assert parse_policy(shown(kept), kind).text
    assert used > 10


def test_what_dynamodb_asks_beside_raises_its_own_error() -> None:
    random = Random(8)
    for _ in range(1_500):
        text = json.dumps(mutated(random, SOUND))
        with suppress(DynamoDBError):
            parse_resource_policy(text, stream=random.random() < 0.5)
