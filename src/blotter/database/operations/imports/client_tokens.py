"""Client tokens of imports and bulk operations: a request that is sent again within eight hours finds what it has
started.

    token/import/123456789012/us-east-1/9bd2…     1795940400.000 01795911600000-1f2e3d4c

The body is the expiry and what the operation keeps. These records lie among those of transactions
(`request_tokens`), whose keys go on with an account's number, so that the same walk removes them
(`background.tokens`). Tokens may have any length: keys have a hash of them.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final, Literal

from blotter.database.operations.request_tokens import is_expired_token
from blotter.database.storage.protocol import RECORDS_SPACE, ReadTransaction, StoredItem, WriteTransaction

TOKEN_SECONDS: Final = 8 * 3600.0

Kind = Literal["bulk", "import"]


def remembered(
    tx: ReadTransaction, kind: Kind, account: str, region: str, token: str, now: float
) -> list[str] | None:
    """What a token stands for; None for one that is new or has expired."""
    found = tx.get(RECORDS_SPACE, _key(kind, account, region, token))
    if found is None or is_expired_token(found.body, now):
        return None
    return found.body.decode().split(" ")[1:]


def remember(
    tx: WriteTransaction, kind: Kind, account: str, region: str, token: str, now: float, *what: str
) -> None:
    """Notes words without blanks under a token."""
    key = _key(kind, account, region, token)
    body = " ".join([f"{now + TOKEN_SECONDS:.3f}", *what]).encode()
    tx.put(RECORDS_SPACE, StoredItem(key, 0, body), tx.get(RECORDS_SPACE, key))


def _key(kind: Kind, account: str, region: str, token: str) -> bytes:
    digest = blake2b(token.encode(errors="surrogatepass"), digest_size=16).hexdigest()
    return f"token/{kind}/{account}/{region}/{digest}".encode()
