"""The settings of access and audit, as `declaring` describes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from blotter.database.settings.declaring import YES_OR_NO, Declared, one_of, text

ACCESS = ("open", "enforced")
AUDITS = ("management", "all", "off")


@dataclass(frozen=True)
class Access:
    """Who may do what, and what the audit trail records."""

    access: Annotated[
        str,
        Declared(
            one_of(ACCESS),
            "`open`: any credentials are accepted. `enforced`: every request must be signed with an access key "
            "that the server knows, and may do what the policies of the key's owner allow. The first start makes "
            "the root key of `--account` and writes it to `root-credentials` in the data directory.",
        ),
    ] = "open"
    insecure_open_access: Annotated[
        bool,
        Declared(
            YES_OR_NO,
            "Allows a `--host` that other machines can reach, though credentials are not checked: everyone "
            "who reaches the port can read, change and delete all data.",
            flag_only=True,
        ),
    ] = False
    account: Annotated[
        str,
        Declared(
            text("12 digits", lambda digits: len(digits) == 12 and digits.isascii() and digits.isdigit()),
            "AWS account that tables belong to, as their ARNs show it. With `--access enforced` tables belong to "
            "the account of the access key; this one gets a root key at the first start, others by `blotter "
            "access add-account`.",
        ),
    ] = "123456789012"
    audit: Annotated[
        str,
        Declared(
            one_of(AUDITS),
            "What the audit trail in `<data-dir>/audit` records: `management` (operations on tables, users and "
            "policies, refused ones included), `all` (operations on items too), or `off`.",
        ),
    ] = "management"
