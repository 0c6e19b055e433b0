"""GetCallerIdentity and GetAccessKeyInfo.

GetCallerIdentity needs no permission, and no policy can deny it. Under open access everybody is the account's
root, whose user id is the account's number. Sources:
https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html, …/API_GetAccessKeyInfo.html
"""

from __future__ import annotations

from blotter.database.security.identifiers import account_of
from blotter.database.services.api import Call, Output
from blotter.database.services.errors import ServiceError


def get_caller_identity(call: Call) -> Output:
    principal = call.caller.principal
    if principal is None:
        account = call.caller.account
        return {"UserId": account, "Account": account, "Arn": f"arn:aws:iam::{account}:root"}
    return {"UserId": principal.user_id, "Account": principal.account, "Arn": principal.arn}


def get_access_key_info(call: Call) -> Output:
    """The account of any access key, which its id contains, whether or not there is such a key."""
    account = account_of(call.arguments["AccessKeyId"])
    if account is None:
        raise ServiceError("ValidationError", "The access key id contains no account.")
    return {"Account": account}
