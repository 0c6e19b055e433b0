"""The order in which Java lists the members of a set, which shows in some of the service's error messages.

A java.util.HashSet has a power of two of buckets, 16 at least and one for every 0.75 members; a member's bucket is
its hash's low bits, the hash that of java.lang.String with its upper half folded in. Members of one bucket stay in
the order in which they came. `in_hash_set_order(["status", "name", "id"])` is ["name", "id", "status"].
Source: the JDK's java.util.HashMap and java.lang.String.hashCode; the order itself is recorded in dynalite's tests
and in paritysuite/dynamodb-conformance, tests/tier3/error-messages.
"""

from __future__ import annotations

from collections.abc import Iterable


def in_hash_set_order(texts: Iterable[str]) -> list[str]:
    """The distinct texts in the order in which a HashSet to which they were added one by one lists them."""
    distinct = list(dict.fromkeys(texts))
    buckets = 16
    while len(distinct) * 4 > buckets * 3:
        buckets *= 2
    return sorted(distinct, key=lambda text: _spread_hash(text) & (buckets - 1))


def _spread_hash(text: str) -> int:
    units = text.encode("utf-16-be", "surrogatepass")
    code = 0
    for high, low in zip(units[::2], units[1::2], strict=True):
        code = (31 * code + (high << 8 | low)) & 0xFFFFFFFF
    return code ^ code >> 16
