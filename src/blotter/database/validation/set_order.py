"""The order in which AWS's errors list names that it keeps in a set: that of Java's hash tables.

Nobody states it; it explains the lists that were recorded (ack-api-quirks, DDB-TABLE-127, 2026-10;
aws/aws-sdk-java#335; aws-samples/aws-batch-processing-job-repo#4): definitions lie in a table made for their
number, keys in one of the default size.
https://docs.oracle.com/en/java/javase/17/docs/api/java.base/java/util/HashMap.html
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

_DEFAULT_SIZE: Final = 16


def as_set(names: Sequence[str], size: int = _DEFAULT_SIZE) -> list[str]:
    """The names without repetitions, in the order of a table that was made with this many places."""
    distinct = list(dict.fromkeys(names))
    places = 1
    while places < size:
        places *= 2
    while len(distinct) > places * 3 // 4:
        places *= 2
    return sorted(distinct, key=lambda name: _hash(name) % places)  # equal ones stay in the order they came in


def as_sized_set(names: Sequence[str]) -> list[str]:
    return as_set(names, len(names))


def _hash(name: str) -> int:
    code = 0
    utf16 = name.encode("utf-16-be", "surrogatepass")
    for high, low in zip(utf16[::2], utf16[1::2], strict=True):
        code = (31 * code + (high << 8 | low)) & 0xFFFFFFFF
    return code ^ code >> 16
