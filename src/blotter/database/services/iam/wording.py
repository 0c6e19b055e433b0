"""Where IAM has messages of its own for names and paths that do not match their patterns.

Sources: https://github.com/aws/aws-cli/issues/5860 (path prefixes),
https://github.com/aws-cloudformation/cfn-lint/issues/722 (paths), versitygw's tests of its IAM API against AWS's
answers (names, documents).
"""

from __future__ import annotations

_NAMES = {
    *("userNameType", "existingUserNameType", "groupNameType", "roleNameType", "policyNameType"),
    "entityNameType",
}


def own_words(shape: str, member: str) -> str | None:
    """IAM's message for a value of that shape; None where the pattern is shown."""
    invalid = f"The specified value for {member} is invalid. "
    if shape in _NAMES:
        return f"{invalid}It must contain only alphanumeric characters and/or the following: +=,.@_-"
    if shape == "accessKeyIdType":
        return f"{invalid}It must contain only alphanumeric characters."
    if shape == "policyDocumentType":
        return f"{invalid}It must contain only printable ASCII characters."
    if shape in ("pathPrefixType", "policyPathType") and member == "pathPrefix":
        return (
            f"{invalid}It must begin with the / character and contain only alphanumeric characters and/or / "
            "characters."
        )
    if shape in ("pathType", "policyPathType"):
        return (
            f"{invalid}It must begin and end with / and contain only alphanumeric characters and/or / characters."
        )
    return None
