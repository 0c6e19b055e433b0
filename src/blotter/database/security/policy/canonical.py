"""The canonical form of a resource policy, in which DynamoDB keeps, compares and returns it.

No white space, elements in a fixed order, Effect capitalized, a list of one value as that value, accounts among
the principals as the ARNs of their roots and each principal once. A document without Version stays one, and is
another document than the same with "2008-10-17"; it is read back with that version. Source: the AWS controllers'
notes of October 2026 (aws-controllers-k8s/dynamodb-controller, docs/api-quirks, DDB-TABLE-208, -351 to -355).
"""

from __future__ import annotations

import json
from typing import Any, Final

from blotter.database.security.policy.json_text import read_json
from blotter.database.security.policy.parser import LEGACY, listed_values

_DOCUMENT_ORDER: Final = ("Version", "Id", "Statement")
_STATEMENT_ORDER: Final = (
    *("Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition"),
)


def canonical(text: str) -> str:
    """The canonical form of the text of a parsed resource policy."""
    document = read_json(text)
    statements = [_statement(statement) for statement in listed_values(document["Statement"])]
    return _encoded(_ordered(document | {"Statement": statements}, _DOCUMENT_ORDER))


def shown(text: str) -> str:
    """A canonical form as it is read back: with a version."""
    document = read_json(text)
    return text if "Version" in document else _encoded({"Version": LEGACY, **document})


def _statement(statement: dict[str, Any]) -> dict[str, Any]:
    changed: dict[str, Any] = {"Effect": statement["Effect"].capitalize()}
    for element in ("Action", "NotAction", "Resource", "NotResource"):
        if element in statement:
            changed[element] = _single(statement[element])
    for element in ("Principal", "NotPrincipal"):
        if element in statement:
            changed[element] = _principal(statement[element])
    if "Condition" in statement:
        changed["Condition"] = {
            operator: {key: _single(values) for key, values in tests.items()}
            for operator, tests in statement["Condition"].items()
        }
    return _ordered(statement | changed, _STATEMENT_ORDER)


def _principal(principal: Any) -> Any:
    if not isinstance(principal, dict):
        return principal
    return {
        kind: _single(list(dict.fromkeys(map(_root, listed_values(names))))) for kind, names in principal.items()
    }


def _root(name: str) -> str:
    return f"arn:aws:iam::{name}:root" if len(name) == 12 and name.isdigit() else name


def _single(values: Any) -> Any:
    return values[0] if isinstance(values, list) and len(values) == 1 else values


def _ordered(members: dict[str, Any], order: tuple[str, ...]) -> dict[str, Any]:
    return {name: members[name] for name in order if name in members}


def _encoded(document: dict[str, Any]) -> str:
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False)
