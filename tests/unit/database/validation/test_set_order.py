"""The order of names in errors, against lists that AWS sent.

Sources: ack-api-quirks, DDB-TABLE-127; aws/aws-sdk-java#335; aws-samples/aws-batch-processing-job-repo#4; logs in
public repositories.
"""

from __future__ import annotations

import pytest

from blotter.database.validation.set_order import as_set, as_sized_set


@pytest.mark.parametrize(
    "listed",
    [
        ["a", "sk", "pk"],
        ["index", "hash"],
        ["my-hash", "my-string"],
        ["requestId", "from", "to"],
        ["CreatedTime", "ProductName", "ProductId"],
    ],
)
def test_keys_used(listed: list[str]) -> None:
    assert as_set(sorted(listed)) == as_set(sorted(listed, reverse=True)) == listed


@pytest.mark.parametrize(
    ("sent", "listed"),
    [
        (["pk", "sk"], ["sk", "pk"]),
        (["pk", "sk", "a", "b", "c"], ["sk", "a", "b", "pk", "c"]),
        (["hash", "index", "extra"], ["index", "hash", "extra"]),
        (["my-hash", "my-string", "my-int"], ["my-string", "my-int", "my-hash"]),
        (["requestId", "from", "to", "date", "message"], ["date", "from", "to", "message", "requestId"]),
        (
            ["ProductId", "ProductName", "CreatedTime", "ProductDescription"],
            ["ProductId", "CreatedTime", "ProductDescription", "ProductName"],
        ),
    ],
)
def test_definitions(sent: list[str], listed: list[str]) -> None:
    assert as_sized_set(sent) == listed


def test_names_of_any_kind_have_a_place() -> None:
    assert as_sized_set(["𝔘", "\ud800", "", "𝔘"]) == as_sized_set(["𝔘", "\ud800", ""])
    assert sorted(as_set([str(number) for number in range(100)]), key=int) == [str(n) for n in range(100)]
