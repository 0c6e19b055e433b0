"""ClientRequestTokens: a transaction sent again within ten minutes succeeds without a second effect.

A record in the store's own key space holds what was carried out under which token, and what a repetition consumes:
the reads of the items as they were when the transaction was carried out, not as they are now. A record's key
and body:

    token/123456789012/us-east-1/4f3a…    1795911600.000 9bd2…(fingerprint) {"results":1.0}

The body is expiry, fingerprint of the actions, and read units by table. The store removes expired records in the
background (`background.tokens`).
Sources: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html; for what a
repetition consumes nubo-db/dynoxide, pull request 188, measured on AWS in August 2026.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

import msgspec
import orjson

from blotter.database.model.capacity import Capacities, ConsumedCapacity, read_units
from blotter.database.model.errors import DynamoDBError
from blotter.database.operations.context import Context
from blotter.database.storage.protocol import RECORDS_SPACE, ReadTransaction, StoredItem, WriteTransaction
from blotter.database.work_thread import give_way

TOKEN_LIFETIME = 600.0
# Between these are the keys of all token records; "0" follows "/" in ASCII.
TOKEN_RECORDS = (b"token/", b"token0")


def fingerprint(actions: Any) -> bytes:
    """What a ClientRequestToken stands for: the same for two requests with the same actions, in whatever order a
    client writes down the members of its maps. It is the digest of their JSON; a list is encoded one action after
    another, because all of them may be large."""
    digest = hashlib.blake2b(digest_size=16)
    if not isinstance(actions, list):
        digest.update(msgspec.json.encode(actions, order="deterministic"))
        return digest.digest()
    separator = b"["
    for action in actions:
        give_way()
        digest.update(separator + msgspec.json.encode(action, order="deterministic"))
        separator = b","
    digest.update(b"]" if actions else b"[]")
    return digest.digest()


def repetition(tx: ReadTransaction, context: Context, token: str, actions: bytes) -> list[ConsumedCapacity] | None:
    """What the repetition of a request consumes when it was carried out under this token in the last ten minutes;
    None when it was not. Raises IdempotentParameterMismatchException when another request was."""
    record = tx.get(RECORDS_SPACE, _key(token, context))
    if record is None or is_expired_token(record.body, context.now):
        return None
    _, carried_out, units = (record.body + b" {}").split(b" ", 3)[:3]
    if carried_out != actions.hex().encode():
        raise DynamoDBError(
            "IdempotentParameterMismatchException",
            "The request uses the same client token as a previous, but non-identical request.",
        )
    capacities = Capacities(writes=False, transactional=True)
    for table_name, read in orjson.loads(units).items():
        capacities.of(table_name).table_units = read
    return capacities.finish()


def remember(
    tx: WriteTransaction, context: Context, token: str, actions: bytes, sizes: Iterable[tuple[str, int]]
) -> None:
    """Notes that a request was carried out under a token. `sizes`: for each item its table's name and its bytes,
    the greater of before and after."""
    units: dict[str, float] = {}
    for table_name, size in sizes:
        units[table_name] = units.get(table_name, 0.0) + read_units(size, consistent=True)
    key = _key(token, context)
    body = b"%.3f %b %b" % (context.now + TOKEN_LIFETIME, actions.hex().encode(), orjson.dumps(units))
    tx.put(RECORDS_SPACE, StoredItem(key, 0, body), tx.get(RECORDS_SPACE, key))


def token_record(token: str, context: Context) -> tuple[int, bytes]:
    """Where the record of a token is: its key space and key."""
    return RECORDS_SPACE, _key(token, context)


def is_expired_token(record: bytes, now: float) -> bool:
    """Whether a token's record has expired."""
    return float(record.partition(b" ")[0]) <= now


def _key(token: str, context: Context) -> bytes:
    return f"token/{context.account}/{context.region}/{token}".encode()
