"""The text of a document → a Policy.

Every kind of document has its own checks, in AWS's order and with AWS's messages (`identity_rules`,
`resource_rules`); what has passed them is made into statements here.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from blotter.database.security.policy import identity_rules, resource_rules
from blotter.database.security.policy.conditions import Condition
from blotter.database.security.policy.document import DocumentKind, MalformedPolicy, Policy, Statement, Version
from blotter.database.security.policy.json_text import NotJson, places_in, read_json
from blotter.database.security.policy.patterns import ArnPattern, Template
from blotter.database.security.policy.principals import PrincipalElement

LEGACY: Final = "2008-10-17"
"""The version of a document that names none. It has no variables."""


def parse_policy(text: str, kind: DocumentKind, *, name: str = "") -> Policy:
    """The policy; `name` is what it is called where it is kept. Raises MalformedPolicy with AWS's message: IAM's
    for identity and trust policies, DynamoDB's, without its "Invalid policy document: ", for resource policies."""
    try:
        document = read_json(text)
    except NotJson:
        not_json = identity_rules.SYNTAX if kind == "identity" else resource_rules.NOT_JSON
        raise MalformedPolicy(not_json) from None
    if kind == "identity":
        identity_rules.check(document)
    else:
        resource_rules.check(document, text, trust=kind == "trust")
    version: Version = document.get("Version", LEGACY)
    found = zip(listed_values(document["Statement"]), places_in(text, ("Statement",)), strict=True)
    statements = [
        _statement(number, element, place, kind, variables=version != LEGACY)
        for number, (element, place) in enumerate(found)
    ]
    return Policy(text, kind, version, tuple(statements), id=document.get("Id"), name=name)


def listed_values(value: Any) -> list[Any]:
    """Where the grammar allows one value or a list of them."""
    return value if isinstance(value, list) else [value]


def _statement(
    number: int, element: dict[str, Any], place: tuple[int, int], kind: DocumentKind, *, variables: bool
) -> Statement:
    excludes_resources = "NotResource" in element
    resources: Iterable[str | None] | None = None
    if kind != "trust":
        resources = listed_values(element["NotResource" if excludes_resources else "Resource"])
    return Statement(
        number,
        denies=element["Effect"].lower() == "deny",
        actions=tuple(
            _action(action) for action in listed_values(element.get("Action", element.get("NotAction")))
        ),
        excludes_actions="NotAction" in element,
        resources=None
        if resources is None
        else tuple(
            ArnPattern(resource, variables=variables, short_matches=kind == "identity")
            for resource in resources
            if resource is not None
        ),
        excludes_resources=excludes_resources,
        principal=_principal(element),
        conditions=tuple(_conditions(element.get("Condition", {}), variables=variables)),
        sid=element.get("Sid"),
        start=place[0],
        end=place[1],
    )


def _action(action: str) -> Any:
    return Template(action.lower(), variables=False).constant


def _principal(element: dict[str, Any]) -> PrincipalElement | None:
    excludes = "NotPrincipal" in element
    principal = element.get("NotPrincipal" if excludes else "Principal")
    if principal is None:
        return None
    if principal == "*":
        return PrincipalElement(everyone=True, excludes=excludes)
    aws = listed_values(principal.get("AWS", []))
    return PrincipalElement(
        everyone="*" in aws,
        aws=tuple(aws),
        services=tuple(listed_values(principal.get("Service", []))),
        excludes=excludes,
    )


def _conditions(element: dict[str, dict[str, Any]], *, variables: bool) -> Iterable[Condition]:
    for operator, tests in element.items():
        for key, values in tests.items():
            texts = [scalar_text(value) for value in listed_values(values)]
            yield Condition(operator, key, texts, variables=variables)


def scalar_text(value: str | bool | int | float) -> str:
    """A condition's value as text: the grammar allows numbers and truth values as they are."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
