"""The limits of a single partition, where the server was asked to have them.

AWS moves key ranges between partitions as it sees fit; what is certain is that the items of one partition key
never get more than one partition can serve. So here every partition key of a table, or of a global index that is
read, has a bucket of its own. It holds the units of one second: what a partition did not serve is not saved up.
Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-partition-key-design.html
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

from blotter.database.admission.buckets import Bucket, Buckets
from blotter.database.admission.limits import Limits, Pair
from blotter.database.admission.refusals import KEY_RANGE, Limit
from blotter.database.operations.touches import Touch

READ_UNITS: Final = 3000.0
WRITE_UNITS: Final = 1000.0
_SECONDS: Final = 1.0
_TOP_BIT: Final = 1 << 63
"""Keeps the buckets of partitions apart from those of tables, which are numbered from 1 on."""


class PartitionLimits:
    """Finds the limit of the partition that a touch is about. Requests with the same key get equal limits."""

    __slots__ = ("_buckets",)

    def __init__(self, buckets: Buckets) -> None:
        self._buckets = buckets

    def limit(self, limits: Limits, pair: Pair, touch: Touch, *, writes: bool) -> Limit | None:
        """None for a touch that names no partition, such as a scan's."""
        key = touch.key
        if key is None:
            return None
        parts = [f"{pair.space}:{'w' if writes else 'r'}"]
        for attribute in pair.keys.partition:
            value = key.get(attribute.name)
            content = None if value is None else value.get(attribute.type)
            if not isinstance(content, str):
                return None
            parts.append(f"{len(content)}:{content}")
        digest = blake2b("/".join(parts).encode("utf-8", "surrogatepass"), digest_size=8).digest()
        number = int.from_bytes(digest, "big") | _TOP_BIT
        resource = f"{limits.arn}/index/{pair.index}" if pair.index else limits.arn
        units = (WRITE_UNITS if writes else READ_UNITS) / self._buckets.servers
        bucket = Bucket(number, units, _SECONDS, leases=False)
        return Limit(bucket, resource, pair.index, writes=writes, cause=KEY_RANGE, provisioned=limits.provisioned)
