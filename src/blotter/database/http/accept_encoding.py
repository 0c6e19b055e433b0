"""How a client wants its answer compressed, as DynamoDB reads `Accept-Encoding`: more loosely than RFC 9110.

gzip and deflate exist; any other coding, `identity` too, is passed over, so that an answer is compressed even
where `identity` is preferred. Among equals the first one listed is taken, a listed one before `*`, and `*` means
gzip unless that is listed. A weight is what follows the first `q=`, wherever it stands; what is no number is 1,
and so is anything above.
Recorded from AWS in scylladb/scylladb, test/alternator/test_compressed_response.py (2025).
"""

from __future__ import annotations

import re
from typing import Final, Literal

Coding = Literal["gzip", "deflate"]

_CODINGS: Final[tuple[Coding, ...]] = ("gzip", "deflate")
# Characters of a header that are read; no client has a use for more.
_READ: Final = 1024
_NUMBER: Final = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)")


def response_coding(accept_encoding: str) -> Coding | None:
    """The coding for an answer to a request with this header; None to send it as it is."""
    best: Coding | None = None
    highest = others = 0.0
    listed: set[str] = set()
    for choice in accept_encoding[:_READ].lower().split(","):
        name, _, parameters = choice.partition(";")
        name = name.strip()
        weight = _weight(parameters)
        if name == "*":
            others = max(others, weight)
        for coding in _CODINGS:
            if name == coding:
                listed.add(coding)
                if weight > highest:
                    best, highest = coding, weight
    for coding in _CODINGS:
        if others > highest and coding not in listed:
            best, highest = coding, others
    return best


def _weight(parameters: str) -> float:
    _, found, value = parameters.partition("q=")
    value = value.partition(";")[0].strip()
    if not found or not _NUMBER.fullmatch(value):
        return 1.0
    return min(float(value), 1.0)
