"""A policy as the evaluator reads it: statements with their elements, conditions parsed and ready to be tested.

`parse_policy` makes these values from a document's text; they never change. Source:
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html
"""

from __future__ import annotations

from typing import Final, Literal

DocumentKind = Literal["identity", "resource", "trust"]
"""What a document is for: attached to an identity (also boundaries and session policies), to a resource, or to a
role as its trust policy. The grammar of each differs in Principal and Resource."""

Version = Literal["2008-10-17", "2012-10-17"]


class MalformedPolicy(Exception):
    """A document that is no policy of its kind; the message is AWS's."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class PrincipalPatterns:
    """The Principal or NotPrincipal element: values by type, each as the document has it."""

    __slots__ = ("aws", "canonical_user", "everyone", "federated", "service")

    def __init__(
        self,
        *,
        everyone: bool = False,
        aws: tuple[str, ...] = (),
        service: tuple[str, ...] = (),
        federated: tuple[str, ...] = (),
        canonical_user: tuple[str, ...] = (),
    ) -> None:
        self.everyone: Final = everyone
        """ "*" or {"AWS": "*"}."""
        self.aws: Final = aws
        """Account numbers and ARNs."""
        self.service: Final = service
        self.federated: Final = federated
        self.canonical_user: Final = canonical_user


class ConditionTest:
    """One operator on one context key: {"StringEquals": {"aws:username": ["a", "b"]}}."""

    __slots__ = ("if_exists", "key", "operator", "quantifier", "values")

    def __init__(
        self,
        operator: str,
        key: str,
        values: tuple[str, ...],
        *,
        if_exists: bool = False,
        quantifier: Literal["", "all", "any"] = "",
    ) -> None:
        self.operator: Final = operator
        """The base operator, lower-cased: "stringequals"."""
        self.key: Final = key
        """The context key, lower-cased: key names do not depend on case."""
        self.values: Final = values
        self.if_exists: Final = if_exists
        self.quantifier: Final = quantifier
        """ "all" for ForAllValues, "any" for ForAnyValue."""


class Statement:
    """One statement. `number` counts from 0 within the policy."""

    __slots__ = (
        "actions",
        "conditions",
        "effect",
        "not_actions",
        "not_principals",
        "not_resources",
        "number",
        "principals",
        "resources",
        "sid",
    )

    def __init__(
        self,
        number: int,
        effect: Literal["Allow", "Deny"],
        *,
        sid: str | None = None,
        actions: tuple[str, ...] | None = None,
        not_actions: tuple[str, ...] | None = None,
        resources: tuple[str, ...] | None = None,
        not_resources: tuple[str, ...] | None = None,
        principals: PrincipalPatterns | None = None,
        not_principals: PrincipalPatterns | None = None,
        conditions: tuple[ConditionTest, ...] = (),
    ) -> None:
        self.number: Final = number
        self.effect: Final = effect
        self.sid: Final = sid
        self.actions: Final = actions
        self.not_actions: Final = not_actions
        self.resources: Final = resources
        self.not_resources: Final = not_resources
        self.principals: Final = principals
        self.not_principals: Final = not_principals
        self.conditions: Final = conditions


class Policy:
    """A parsed document. Two policies are equal when their texts and kinds are."""

    __slots__ = ("context_keys", "id", "kind", "name", "statements", "text", "version")

    def __init__(
        self,
        text: str,
        kind: DocumentKind,
        version: Version,
        statements: tuple[Statement, ...],
        *,
        id: str | None = None,  # noqa: A002
        name: str = "",
        context_keys: frozenset[str] = frozenset(),
    ) -> None:
        self.text: Final = text
        self.kind: Final = kind
        self.version: Final = version
        self.statements: Final = statements
        self.id: Final = id
        """The document's Id element."""
        self.name: Final = name
        """What the policy is called where it is kept: a name, an ARN; "" if it has none."""
        self.context_keys: Final = context_keys
        """The context keys that conditions and policy variables refer to, as the document spells them."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Policy) and (self.text, self.kind, self.name) == (
            other.text,
            other.kind,
            other.name,
        )

    def __hash__(self) -> int:
        return hash((self.text, self.kind, self.name))

    def __repr__(self) -> str:
        return f"Policy({self.kind}, {self.name or self.text!r})"
