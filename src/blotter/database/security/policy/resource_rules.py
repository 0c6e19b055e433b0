"""What a resource policy or a trust policy has to be like, and AWS's messages about one that is not.

What only DynamoDB asks of the policies of its tables is in `operations.resource_policies`. Sources: the AWS
controllers' notes of October 2026 (aws-controllers-k8s/dynamodb-controller, docs/api-quirks, DDB-TABLE-210, -211,
-352, -355, -356); the same checks answer to a trust policy as MalformedPolicyDocument.
"""

from __future__ import annotations

import re
from typing import Any, Final

from blotter.database.security.policy.conditions import is_operator
from blotter.database.security.policy.document import MalformedPolicy
from blotter.database.security.policy.identity_rules import is_condition, is_text_or_texts
from blotter.database.security.policy.json_text import line_and_column, place_of
from blotter.database.security.policy.patterns import Template

NOT_JSON: Final = "This policy contains invalid Json"
_EMPTY: Final = "Could not parse the policy: Statement is empty!"
_VERSION: Final = "The policy must contain a valid version string"
_SIDS: Final = "The Statement Ids in the policy are not unique"
_ONLY_STS: Final = "AssumeRole policy may only specify STS AssumeRole actions."
_TRUST_ACTIONS: Final = (
    *("sts:assumerole", "sts:assumerolewithsaml", "sts:assumerolewithwebidentity"),
    *("sts:setcontext", "sts:setsourceidentity", "sts:tagsession"),
)

_DOCUMENT_ELEMENTS: Final = ("Version", "Id", "Statement")
_STATEMENT_ELEMENTS: Final = (
    *("Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition"),
)
_VERSIONS: Final = ("2008-10-17", "2012-10-17")
_PRINCIPAL_TYPES: Final = ("AWS", "Service", "Federated", "CanonicalUser")
_AWS_PRINCIPAL: Final = re.compile(
    r"\*|[0-9]{12}|A[A-Z]{3}[A-Z0-9]{16,}"
    r"|arn:[a-z-]+:iam::[0-9]{12}:(root|(user|role)/[\w+=,.@/-]+)"
    r"|arn:[a-z-]+:sts::[0-9]{12}:(assumed-role/[\w+=,.@-]+/[\w+=,.@-]+|federated-user/[\w+=,.@-]+)",
    re.ASCII,
)


def check(document: Any, text: str, *, trust: bool) -> None:
    """Raises MalformedPolicy. `text` is the document's, for the positions of syntax errors."""
    if not trust:
        _check_nothing(document, text)
    if not isinstance(document, dict):
        raise _syntax_error(text)
    for element in document:
        if element not in _DOCUMENT_ELEMENTS:
            raise MalformedPolicy(f"Unknown field {element}")
    if document.get("Version", _VERSIONS[0]) not in _VERSIONS:
        raise MalformedPolicy(_VERSION)
    if not isinstance(document.get("Id", ""), str):
        raise _syntax_error(text, "Id")
    if "Statement" not in document:
        raise MalformedPolicy("Missing required field Statement")
    statements = document["Statement"]
    listed = isinstance(statements, list)
    if not statements:
        raise MalformedPolicy(_EMPTY)
    for number, statement in enumerate(statements if listed else [statements]):
        _check_statement(statement, text, ("Statement", number) if listed else ("Statement",), trust=trust)
    sids = [statement["Sid"] for statement in statements if statement.get("Sid")] if listed else []
    if len(set(sids)) < len(sids):
        raise MalformedPolicy(_SIDS)


def _check_nothing(document: Any, text: str) -> None:
    """Documents that hold nothing, as recorded for resource policies (ack-api-quirks, DDB-TABLE-457)."""
    if document is None:
        raise MalformedPolicy("This text appears not to be a policy")
    if document == []:
        raise MalformedPolicy("This policy contains invalid Json")
    if document == {}:
        line, column = line_and_column(text, len(text))
        raise MalformedPolicy(f"Syntax error at position ({line},{column})")


def _check_statement(statement: Any, text: str, path: tuple[str | int, ...], *, trust: bool) -> None:
    if not isinstance(statement, dict):
        raise _syntax_error(text, *path)
    for element in statement:
        if element not in _STATEMENT_ELEMENTS:
            raise MalformedPolicy(f"Unknown field {element}")
        if trust and element.endswith("Resource"):
            raise MalformedPolicy(f"Has prohibited field {element}")
    _check_effect(statement, text, path)
    for element in ("Principal", "Action") if trust else ("Principal", "Action", "Resource"):
        if {element, f"Not{element}"} <= statement.keys():
            raise _syntax_error(text, *path, f"Not{element}")
        if element not in statement and f"Not{element}" not in statement:
            raise MalformedPolicy(f"Missing required field {element}")
    if not isinstance(statement.get("Sid", ""), str):
        raise _syntax_error(text, *path, "Sid")
    for element in ("Action", "NotAction", "Resource", "NotResource"):
        value = statement.get(element, "*")
        if not is_text_or_texts(value):
            raise _syntax_error(text, *path, element)
        if _is_empty(value):
            raise MalformedPolicy(f"Missing required field {element}")
    for element in ("Principal", "NotPrincipal"):
        if element in statement:
            _check_principal(statement[element], text, (*path, element))
    _check_condition(statement.get("Condition", {}), text, (*path, "Condition"))
    if trust:
        _check_trust_actions(statement)


def _is_empty(value: Any) -> bool:
    """Whether an element has no value, or one that is no text: a list of one is the same as its value."""
    return not value or (isinstance(value, list) and not all(value))


def _check_effect(statement: dict[str, Any], text: str, path: tuple[str | int, ...]) -> None:
    if "Effect" not in statement:
        raise MalformedPolicy("Missing required field Effect")
    effect = statement["Effect"]
    if not isinstance(effect, str):
        raise _syntax_error(text, *path, "Effect")
    if effect.lower() not in ("allow", "deny"):
        raise MalformedPolicy(f"Invalid effect: {effect}")


def _check_principal(principal: Any, text: str, path: tuple[str | int, ...]) -> None:
    if principal == "*":
        return
    if not isinstance(principal, dict) or not principal:
        raise _syntax_error(text, *path)
    for kind, names in principal.items():
        if kind not in _PRINCIPAL_TYPES or not is_text_or_texts(names) or _is_empty(names):
            raise _syntax_error(text, *path, kind)
        for name in names if isinstance(names, list) else [names]:
            if kind == "AWS" and not _AWS_PRINCIPAL.fullmatch(name):
                raise MalformedPolicy(f'Invalid principal in policy: "{kind}":"{name}"')


def _check_condition(condition: Any, text: str, path: tuple[str | int, ...]) -> None:
    if is_condition(condition):
        return
    if isinstance(condition, dict):
        for operator in condition:
            if not is_operator(operator):
                raise MalformedPolicy(f"Invalid Condition type : {operator}")
    raise _syntax_error(text, *path)


def _check_trust_actions(statement: dict[str, Any]) -> None:
    actions: Any = statement.get("Action", statement.get("NotAction"))
    for action in actions if isinstance(actions, list) else [actions]:
        pattern = Template(action.lower(), variables=False).constant
        if pattern is None or not any(map(pattern.matches, _TRUST_ACTIONS)):
            raise MalformedPolicy(_ONLY_STS)


def _syntax_error(text: str, *path: str | int) -> MalformedPolicy:
    line, column = line_and_column(text, place_of(text, path)[0])
    return MalformedPolicy(f"Syntax error at position ({line},{column})")
