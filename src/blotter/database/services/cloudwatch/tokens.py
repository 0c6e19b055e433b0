"""Tokens of pages: where to go on, bound to the request that they continue."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping
from typing import Any, Final

import orjson

_BOUND_BY: Final = 16


def make_token(arguments: Mapping[str, Any], place: Any) -> str:
    """The token of the page after a place, which is JSON."""
    return base64.urlsafe_b64encode(orjson.dumps([_fingerprint(arguments), place])).decode()


def read_token(arguments: Mapping[str, Any]) -> Any:
    """The place that the request's NextToken names; None without one. Raises ValueError for a token that is
    none, or is of another request."""
    token = arguments.get("NextToken")
    if token is None:
        return None
    try:
        fingerprint, place = orjson.loads(base64.urlsafe_b64decode(token.encode()))
    except (binascii.Error, UnicodeError, orjson.JSONDecodeError, TypeError) as error:
        raise ValueError("not a token") from error
    if fingerprint != _fingerprint(arguments):
        raise ValueError("a token of another request")
    return place


def _fingerprint(arguments: Mapping[str, Any]) -> str:
    asked = {name: value for name, value in arguments.items() if name not in ("NextToken", "MaxRecords")}
    encoded = orjson.dumps(asked, option=orjson.OPT_SORT_KEYS)
    return hashlib.blake2b(encoded, digest_size=_BOUND_BY).hexdigest()
