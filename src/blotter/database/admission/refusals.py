"""AWS's errors for what is throttled: which limit was exceeded, and of which table or index.

Reasons are made of the resource's kind, read or write, and the limit. Sources:
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/throttling-diagnosing-workflow.html and
…/gsi-throttling.html for codes, reasons and the message of on-demand maxima;
https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_CancellationReason.html for the messages of
provisioned tables and of partitions; botocore's model for the spelling of `throttlingReasons`, which is small in a
ThrottlingException.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from blotter.database.admission.buckets import Bucket
from blotter.database.model.errors import DynamoDBError

PROVISIONED: Final = "ProvisionedThroughputExceeded"
MAXIMUM: Final = "MaxOnDemandThroughputExceeded"
ACCOUNT: Final = "AccountLimitExceeded"
KEY_RANGE: Final = "KeyRangeThroughputExceeded"

_TABLE: Final = (
    "The level of configured provisioned throughput for the table was exceeded. "
    "Consider increasing your provisioning level with the UpdateTable API."
)
_INDEX: Final = (
    "The level of configured provisioned throughput for one or more global secondary indexes of the table was "
    "exceeded. Consider increasing your provisioning level for the under-provisioned global secondary indexes "
    "with the UpdateTable API"
)
_MAXIMUM: Final = "Throughput exceeds the maximum OnDemandThroughput configured on table or index"
_ACCOUNT: Final = (
    "Throughput exceeds the current throughput limit for your account. To request a limit increase, contact AWS "
    "Support at https://aws.amazon.com/support"
)
_HOT: Final = (
    "Throughput exceeds the current capacity of your table or index. DynamoDB is automatically scaling your table "
    "or index so please try again shortly. If exceptions persist, check if you have a hot key: "
    "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-partition-key-design.html"
)


class Limit:
    """One limit of one table or index: its bucket, and what is said when it is exceeded. `index` is "" for the
    table's own; `writes` is whether it is about write units; `cause` is one of the constants above."""

    __slots__ = ("bucket", "cause", "index", "provisioned", "resource", "writes")

    def __init__(
        self, bucket: Bucket, resource: str, index: str, *, writes: bool, cause: str, provisioned: bool
    ) -> None:
        self.bucket: Final = bucket
        self.resource: Final = resource
        self.index: Final = index
        self.writes: Final = writes
        self.cause: Final = cause
        self.provisioned: Final = provisioned

    @property
    def reason(self) -> dict[str, str]:
        """The ThrottlingReason."""
        kind = "Index" if self.index else "Table"
        return {"reason": f"{kind}{'Write' if self.writes else 'Read'}{self.cause}", "resource": self.resource}


def throttled(exceeded: Sequence[Limit]) -> DynamoDBError:
    """The error of a request, or of a part of one, that exceeds limits; the first one decides its code."""
    first = exceeded[0]
    reasons = [limit.reason for limit in exceeded]
    if first.provisioned:
        message = _INDEX if first.index else _TABLE
        return DynamoDBError(
            "ProvisionedThroughputExceededException", message, members={"ThrottlingReasons": reasons}
        )
    if first.cause == ACCOUNT and not first.index:
        return DynamoDBError("RequestLimitExceeded", _ACCOUNT, members={"ThrottlingReasons": reasons})
    message = _HOT if first.cause == KEY_RANGE else _ACCOUNT if first.cause == ACCOUNT else _MAXIMUM
    return DynamoDBError("ThrottlingException", message, members={"throttlingReasons": reasons})
