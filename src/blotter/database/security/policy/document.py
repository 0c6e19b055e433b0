"""A policy as the evaluator reads it: statements whose elements are ready to be compared with a request.

`parse_policy` makes these values from a document's text; they never change. Source:
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from blotter.database.security.policy.conditions import Condition
from blotter.database.security.policy.patterns import ArnPattern, Glob
from blotter.database.security.policy.principals import PrincipalElement

DocumentKind = Literal["identity", "resource", "trust"]
"""What a document is for: attached to an identity (also boundaries and session policies), to a resource, or to a
role as its trust policy. The grammar of each differs in Principal and Resource."""

Version = Literal["2008-10-17", "2012-10-17"]


class MalformedPolicy(Exception):
    """A document that is no policy of its kind; the message is AWS's."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class Statement:
    """One statement. `number` counts from 0 within the policy; `start` and `end` are the places of its first and
    behind its last character in the policy's text."""

    __slots__ = (
        "_actions",
        "_excludes_actions",
        "_excludes_resources",
        "_resources",
        "conditions",
        "denies",
        "end",
        "names",
        "number",
        "principal",
        "sid",
        "start",
        "varies",
    )

    def __init__(
        self,
        number: int,
        *,
        denies: bool,
        actions: tuple[Glob, ...],
        excludes_actions: bool = False,
        resources: tuple[ArnPattern, ...] | None = None,
        excludes_resources: bool = False,
        principal: PrincipalElement | None = None,
        conditions: tuple[Condition, ...] = (),
        sid: str | None = None,
        start: int = 0,
        end: int = 0,
    ) -> None:
        self.number: Final = number
        self.denies: Final = denies
        self.sid: Final = sid
        self.start: Final = start
        self.end: Final = end
        self.principal: Final = principal
        """None in identity policies."""
        self.conditions: Final = conditions
        self._actions: Final = actions
        self._excludes_actions: Final = excludes_actions
        self._resources: Final = resources
        self._excludes_resources: Final = excludes_resources
        self.varies: Final = any(pattern.names for pattern in resources or ())
        """Whether a variable stands in its Resource or NotResource."""
        names = [name for pattern in resources or () for name in pattern.names]
        self.names: Final = (*names, *(name for condition in conditions for name in condition.names))
        """The context keys that it refers to, as the document spells them."""

    def concerns_action(self, action: str) -> bool:
        """Whether the Action or NotAction element includes an action, which is given in lower case."""
        for pattern in self._actions:
            if pattern.matches(action):
                return not self._excludes_actions
        return self._excludes_actions

    def concerns_resource(self, resource: str, context: Mapping[str, tuple[str, ...]]) -> bool:
        """Whether the Resource or NotResource element includes a resource. A trust policy has none and concerns
        its role. A variable without a value includes nothing, by NotResource neither."""
        if self._resources is None:
            return True
        for pattern in self._resources:
            if pattern.matches(resource, context):
                return not self._excludes_resources
            if self._excludes_resources and pattern.is_unresolved(context):
                return False
        return self._excludes_resources

    def conditions_hold(self, context: Mapping[str, tuple[str, ...]]) -> bool:
        return all(condition.holds(context) for condition in self.conditions)


class Policy:
    """A parsed document. Two policies are equal when their texts, kinds and names are."""

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
    ) -> None:
        self.text: Final = text
        self.kind: Final = kind
        self.version: Final = version
        self.statements: Final = statements
        self.id: Final = id
        """The document's Id element."""
        self.name: Final = name
        """What the policy is called where it is kept: a name, an ARN; "" if it has none."""
        self.context_keys: Final = frozenset(name for statement in statements for name in statement.names)
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
