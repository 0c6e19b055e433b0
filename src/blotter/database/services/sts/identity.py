"""GetCallerIdentity: the caller as authentication found it.

Under open access everybody is the account's root, whose user id is the account's number.
Source: https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html
"""

from __future__ import annotations

from blotter.database.services.api import Call, Output


def get_caller_identity(call: Call) -> Output:
    account = call.caller.account
    return {"UserId": account, "Account": account, "Arn": f"arn:aws:iam::{account}:root"}
