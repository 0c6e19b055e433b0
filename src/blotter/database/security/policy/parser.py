"""The text of a document → a Policy."""

from __future__ import annotations

from blotter.database.security.policy.document import DocumentKind, Policy


def parse_policy(text: str, kind: DocumentKind, *, name: str = "") -> Policy:
    """The policy; `name` is what it is called where it is kept. Raises MalformedPolicy with AWS's message."""
    raise NotImplementedError
