"""GetCallerIdentity: the caller as authentication found it.

Under open access everybody is the account's root, whose user id is the account's number.
Source: https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html
"""

from __future__ import annotations

from typing import Any

from blotter.database.security.identity import Identity


def get_caller_identity(arguments: dict[str, Any], caller: Identity) -> dict[str, Any]:  # noqa: ARG001
    return {
        "UserId": caller.account,
        "Account": caller.account,
        "Arn": f"arn:aws:iam::{caller.account}:root",
    }
