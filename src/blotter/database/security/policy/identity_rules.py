"""What an identity policy has to be like, and IAM's MalformedPolicyDocument messages, in the order of its checks.

Source: the service's answers as LocalStack recorded them in February 2026 (tests/aws/services/iam/
test_iam_policies.py) and moto before (tests/test_iam/test_iam_policies.py); the message about a principal: https://repost.aws/knowledge-center/iam-principal-policy
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

from blotter.database.security.policy.conditions import is_operator, split_operator
from blotter.database.security.policy.document import MalformedPolicy
from blotter.database.security.policy.patterns import Template

SYNTAX: Final = "Syntax errors in policy."
_VERSION: Final = "Policy document must be version 2012-10-17 or greater."
_PRINCIPAL: Final = "Policy document should not specify a principal."
_LEGACY: Final = "The policy failed legacy parsing"
_SIDS: Final = "Statement IDs (SID) in a single policy must be unique."
_NO_ACTIONS: Final = "Policy statement must contain actions."
_NO_RESOURCES: Final = "Policy statement must contain resources."
_NO_VENDOR: Final = "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."
_COLONS: Final = "Actions/Condition can contain only one colon."

_DOCUMENT_ELEMENTS: Final = {"Version", "Id", "Statement"}
_STATEMENT_ELEMENTS: Final = {
    *("Sid", "Effect", "Action", "NotAction", "Resource", "NotResource", "Condition"),
    *("Principal", "NotPrincipal"),
}
_VERSIONS: Final = ("2008-10-17", "2012-10-17")
_VENDOR: Final = re.compile(r"[a-zA-Z0-9.-]+")
_SCALARS: Final = (str, bool, int, float)
_NO_REGION: Final = {
    "iam": "IAM resource {} cannot contain region information.",
    "s3": "Resource {} can not contain region information.",
}
_WITH_REGION: Final = "accesspoint/"
_IAM_PATHS: Final = (
    *(
        "user/",
        "federated-user/",
        "role/",
        "group/",
        "instance-profile/",
        "mfa/",
        "server-certificate/",
        "policy/",
    ),
    *("sms-mfa/", "saml-provider/", "oidc-provider/", "report/", "access-report/"),
)


def check(document: Any) -> None:
    """Raises MalformedPolicy."""
    statements = _check_syntax(document)
    if document.get("Version") != "2012-10-17":
        raise MalformedPolicy(_VERSION)
    if any("Principal" in statement or "NotPrincipal" in statement for statement in statements):
        raise MalformedPolicy(_PRINCIPAL)
    problem = _legacy_problem(statements)
    sids = [statement["Sid"] for statement in statements if statement.get("Sid")]
    if len(set(sids)) < len(sids):
        raise MalformedPolicy(_SIDS)
    if not all(_values(statement, "Action") for statement in statements):
        raise MalformedPolicy(_NO_ACTIONS)
    if problem:
        raise MalformedPolicy(problem)
    for statement in statements:
        for action in _values(statement, "Action"):
            _check_action(action)
    if not all(_values(statement, "Resource") for statement in statements):
        raise MalformedPolicy(_NO_RESOURCES)


def _check_syntax(document: Any) -> list[dict[str, Any]]:
    """The statements. Raises MalformedPolicy for what the grammar does not know."""
    if not isinstance(document, dict) or not document.keys() <= _DOCUMENT_ELEMENTS:
        raise MalformedPolicy(SYNTAX)
    if document.get("Version", "2012-10-17") not in _VERSIONS or not isinstance(document.get("Id", ""), str):
        raise MalformedPolicy(SYNTAX)
    found = document.get("Statement")
    statements: list[Any] = found if isinstance(found, list) else [found]
    if not statements or not all(_is_statement(statement) for statement in statements):
        raise MalformedPolicy(SYNTAX)
    return statements


def _is_statement(statement: Any) -> bool:
    return (
        isinstance(statement, dict)
        and statement.keys() <= _STATEMENT_ELEMENTS
        and not {"Action", "NotAction"} <= statement.keys()
        and not {"Resource", "NotResource"} <= statement.keys()
        and str(statement.get("Effect")).lower() in ("allow", "deny")
        and isinstance(statement.get("Sid", ""), str)
        and all(is_text_or_texts(statement.get(element, [])) for element in ("Action", "NotAction"))
        and all(is_text_or_texts(_without_null(statement.get(e, []))) for e in ("Resource", "NotResource"))
        and is_condition(statement.get("Condition", {}))
    )


def is_text_or_texts(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, list) and all(isinstance(each, str) for each in value))


def is_condition(element: Any) -> bool:
    """Whether a Condition element follows the grammar. An unknown operator without keys is allowed."""
    return isinstance(element, dict) and all(
        isinstance(tests, dict)
        and (is_operator(operator) or not tests)
        and all(
            isinstance(value, _SCALARS)
            or (isinstance(value, list) and all(isinstance(each, _SCALARS) for each in value))
            for value in tests.values()
        )
        for operator, tests in element.items()
    )


def _values(statement: dict[str, Any], element: str) -> list[str]:
    """The values of Action or NotAction, Resource or NotResource; empty without any."""
    value = _without_null(statement.get(element, statement.get(f"Not{element}", [])))
    return value if isinstance(value, list) else [value]


def _without_null(value: Any) -> Any:
    """IAM ignores null in a list of resources."""
    return [each for each in value if each is not None] if isinstance(value, list) else value


def _legacy_problem(statements: list[dict[str, Any]]) -> str:
    """The message about resources that other checks come before; empty without one. Raises MalformedPolicy for
    what IAM's old parser refuses."""
    for statement in statements:
        if statement["Effect"] not in ("Allow", "Deny") or not all(map(is_date, _dates(statement))):
            raise MalformedPolicy(_LEGACY)
    problem = ""
    for statement in statements:
        resources = _values(statement, "Resource")
        for resource in sorted(resources):
            problem = problem or _resource_problem(resource)
        if not problem and not all(map(_passes_old_parser, resources)):
            raise MalformedPolicy(_LEGACY)
    return problem


def _dates(statement: dict[str, Any]) -> Iterable[str]:
    for operator, tests in statement.get("Condition", {}).items():
        if split_operator(operator)[1].startswith("Date"):
            for value in tests.values():
                yield from map(str, value if isinstance(value, list) else [value])


_DATE: Final = re.compile(
    r"(?P<year>-?[0-9]{1,9})(-(?P<month>[0-9]+))?(-(?P<day>[0-9]+))?"
    r"(t((?P<hour>[0-9]+)(:(?P<minute>[0-9]+)(:(?P<second>[0-9]+)(\.(?P<fraction>[0-9]+))?"
    r"(z|\+(?P<zone_hour>[0-9]{2})(:(?P<zone_minute>[0-9]{2}))?)?)?)?)?)?"
)
_DATE_LIMITS: Final = {
    "year": (-292275054, 292278993),
    "month": (1, 12),
    "day": (1, 31),
    "hour": (0, 23),
    "minute": (0, 59),
    "second": (0, 59),
    "fraction": (0, 999999999),
    "zone_hour": (0, 23),
    "zone_minute": (0, 59),
}
_LATEST: Final = 2**63 - 1
_MOST_DIGITS: Final = 40


def is_date(text: str) -> bool:
    """Whether a value of a Date operator is a time: ISO 8601, or seconds since the epoch."""
    lowered = text.lower()
    if lowered.isascii() and lowered.isdigit():
        return len(lowered) < _MOST_DIGITS and int(lowered) <= _LATEST
    match = _DATE.fullmatch(lowered) if len(lowered) < 2 * _MOST_DIGITS else None
    if match is None:
        return False
    parts = {name: int(value) for name, value in match.groupdict().items() if value is not None}
    return all(_DATE_LIMITS[name][0] <= value <= _DATE_LIMITS[name][1] for name, value in parts.items())


def _resource_problem(resource: str) -> str:
    if resource == "*":
        return ""
    _arn, colon, rest = resource.partition(":")
    if not colon:
        return f'Resource {resource} must be in ARN format or "*".'
    partition, colon, rest = rest.partition(":")
    if not _may_be_aws(partition):
        parts = rest.split(":", 3) if rest else []
        shown = ":".join([*parts, *["*"] * (4 - len(parts))])
        return f'Partition "{partition}" is not valid for resource "arn:{partition}:{shown}".'
    if not colon:
        return "Resource vendor must be fully qualified and cannot contain regexes."
    service, _, rest = rest.partition(":")
    path = rest.partition(":")[2].partition(":")[2]
    if service in _NO_REGION and not rest.startswith(":") and not path.startswith(_WITH_REGION):
        return _NO_REGION[service].format(resource)
    first = path.partition("/")[0]
    if service == "iam" and not path.startswith(_IAM_PATHS) and path != "root" and "*" not in first:
        return f'IAM resource path must either be "*", root, or start with {", ".join(_IAM_PATHS)}.'
    return ""


def _may_be_aws(partition: str) -> bool:
    pattern = Template(partition, variables=False).constant
    return pattern is not None and pattern.matches("aws")


def _passes_old_parser(resource: str) -> bool:
    if resource == "*":
        return True
    return (resource.count(":") >= 5 or "::" not in resource) and resource.split(":")[2] != ""


def _check_action(action: str) -> None:
    if action == "*":
        return
    vendor, colon, name = action.partition(":")
    if not colon:
        raise MalformedPolicy(_NO_VENDOR)
    if ":" in name:
        raise MalformedPolicy(_COLONS)
    if vendor != "*" and not _VENDOR.fullmatch(vendor):
        raise MalformedPolicy(f"Vendor {vendor} is not valid")
