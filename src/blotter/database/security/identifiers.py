"""Names and secrets of AWS's forms, made at random: unique ids of principals, access keys, their secrets.

An access key's id contains its account, as on AWS: after the four letters, base32 of ten bytes, of which the first
six are 1 bit (1), the account in 40 bits, and 7 random bits. Sources:
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-unique-ids for the forms;
https://medium.com/@TalBeerySec/a-short-note-on-aws-key-id-f88cc4317489 for the account in them.
"""

from __future__ import annotations

import base64
import binascii
import secrets
from typing import Final, Literal

_ALPHABET: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_MARK: Final = 1 << 47
_RANDOM_BITS: Final = 7


def new_principal_id(prefix: Literal["AIDA", "AROA", "AGPA", "ANPA"]) -> str:
    """The unique id of a user, a role, a group or a managed policy: 21 characters, 85 of their bits random."""
    return prefix + "".join(secrets.choice(_ALPHABET) for _ in range(17))


def new_access_key_id(prefix: Literal["AKIA", "ASIA"], account: str) -> str:
    """The id of a permanent (AKIA) or temporary (ASIA) access key: 20 characters, 39 of their bits random."""
    number = _MARK | int(account) << _RANDOM_BITS | secrets.randbits(_RANDOM_BITS)
    return prefix + base64.b32encode(number.to_bytes(6, "big") + secrets.token_bytes(4)).decode()


def account_of(access_key: str) -> str | None:
    """The account in an access key's id, whether or not there is such a key; None for what is no such id."""
    if len(access_key) != 20 or not access_key.startswith(("AKIA", "ASIA")):
        return None
    try:
        number = int.from_bytes(base64.b32decode(access_key[4:])[:6], "big")
    except (binascii.Error, ValueError):
        return None
    account = (number & (_MARK - 1)) >> _RANDOM_BITS
    return f"{account:012d}" if account < 10**12 else None


def new_secret() -> str:
    """A secret access key: 40 characters of base64, 240 random bits."""
    return base64.b64encode(secrets.token_bytes(30)).decode()
