"""NextToken of lists of jobs: hexadecimal text that only the list that made it takes back.

A token holds the name of its list, the place to go on from and a digest of both, so that one that was made for
another list, or made up, is refused. Form: the service model's `([0-9a-f]{16})+` of at least 112 characters;
message: ack-api-quirks, DDB-EXPORT-006.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

from blotter.database.model.errors import validation_error

_DIGEST_BYTES: Final = 16
_LEAST_BYTES: Final = 56
_GROUP_BYTES: Final = 8


def page_token(listing: str, place: str) -> str:
    """The token of the page that begins after a place."""
    content = f"{listing}\n{place}".encode()
    token = blake2b(content, digest_size=_DIGEST_BYTES).digest() + content
    length = max(_LEAST_BYTES, -(-len(token) // _GROUP_BYTES) * _GROUP_BYTES)
    return token.ljust(length, b"\0").hex()


def place_of(listing: str, token: str) -> str:
    """The place in a token. Raises ValidationException unless this list made it."""
    try:
        content = bytes.fromhex(token).rstrip(b"\0")
        name, _, place = content[_DIGEST_BYTES:].decode().partition("\n")
    except ValueError:
        name = place = ""
    if name != listing or page_token(listing, place) != token:
        raise validation_error(f"Invalid Request: Provided nextToken is invalid: {token}")
    return place
