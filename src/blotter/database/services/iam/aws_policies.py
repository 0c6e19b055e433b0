"""AWS's own managed policies: what `arn:aws:iam::aws:policy/AmazonDynamoDBFullAccess` and its like allow.

`aws_policies.json` is written by scripts/compile_aws_policies.py and read when one of them is first needed. Of
each only the current version exists.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib import resources
from typing import Any

import orjson

from blotter.database.security.access_records import ManagedPolicy, PolicyVersion


def aws_policies() -> list[ManagedPolicy]:
    """All of them, by lower-cased name."""
    return list(_load().values())


def find_aws_policy(arn: str) -> ManagedPolicy | None:
    return _load().get(arn)


def aws_policy_document(arn: str) -> str | None:
    """The document of one of them, None if there is none of that ARN."""
    policy = find_aws_policy(arn)
    return None if policy is None else policy.document


@cache
def _load() -> dict[str, ManagedPolicy]:
    text = (resources.files(__package__) / "aws_policies.json").read_bytes()
    published = orjson.loads(text)
    return {
        f"arn:aws:iam::aws:policy{published[name]['path']}{name}": _policy(name, published[name])
        for name in sorted(published, key=str.lower)
    }


def _policy(name: str, published: dict[str, Any]) -> ManagedPolicy:
    document = orjson.dumps(published["document"], option=orjson.OPT_INDENT_2).decode()
    version = published["version"]
    # AWS's own ids are not published.
    unique = base64.b32encode(hashlib.sha256(name.encode()).digest()).decode()[:17]
    return ManagedPolicy(
        name,
        published["path"],
        f"ANPA{unique}",
        published["created"],
        published["updated"],
        (PolicyVersion(version, document, published["updated"]),),
        default=version,
        last_number=int(version[1:]),
    )
