"""The item's life: what each conditional write lets through, and that a result comes back as it was written."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from blotter.crimes.item import Group, Outcomes, Result, Risk, Summary
from blotter.crimes.storage.results import Claim, InvalidToken, LeaseLost, ResultsTable

KEY = 'uploads/x/a "b" 🚓.csv'

SUMMARY = Summary(
    rows_read=5,
    rows_scored=3,
    rows_skipped=2,
    skipped_reasons={"BAD_DATE": 2},
    predicted_arrests=1,
    mean_probability=0.25,
    risk=Risk(high=1, medium=0, low=2),
    probability_histogram=[2, *[0] * 18, 1],
    by_primary_type={"THEFT": Group(3, 0.25, 1)},
    by_hour={"0": Group(3, 1.0, 1)},
    by_weekday={"6": Group(3, 0.0, 1)},
    by_community_area={"unknown": Group(3, 0.25, 1)},
    model_version="m1",
)


def upload(results: ResultsTable, key: str = KEY, version: str = "v1") -> bool:
    return results.uploaded(key, file_name="a.csv", object_version=version, size_bytes=7)


def claim(
    results: ResultsTable, seen: Result | None, owner: str = "w1", version: str = "v1", lease: float = 20
) -> Claim | None:
    return results.claim(
        seen,
        KEY,
        file_name="a.csv",
        object_version=version,
        size_bytes=7,
        uploaded_at="2026-01-01T00:00:00.000Z",
        owner=owner,
        lease_seconds=lease,
    )


def test_the_straight_way(results: ResultsTable) -> None:
    assert results.find(KEY) is None
    assert upload(results)
    item = results.find(KEY)
    assert item is not None
    assert (item.status, item.size_bytes, item.attempt) == ("UPLOADED", 7, 0)
    mine = claim(results, item)
    assert mine is not None
    results.progress(mine, percent=40, rows_read=2, rows_scored=1, rows_skipped=1, lease_seconds=20)
    item = results.find(KEY)
    assert item is not None
    assert (item.status, item.progress, item.rows_read, item.lease_owner) == ("PROCESSING", 40, 2, "w1")
    assert not item.lease_ended(time.time())
    results.completed(mine, SUMMARY, "uploads/x/p.csv")
    item = results.find(KEY)
    assert item is not None
    assert (item.status, item.progress, item.predictions_key) == ("COMPLETED", 100, "uploads/x/p.csv")
    assert (item.by_hour, item.risk, item.skipped_reasons) == (SUMMARY.by_hour, SUMMARY.risk, {"BAD_DATE": 2})
    assert (item.probability_histogram, item.mean_probability) == (SUMMARY.probability_histogram, 0.25)
    assert (item.lease_owner, item.lease_until) == (None, None)


def test_uploaded_never_overwrites(results: ResultsTable) -> None:
    assert claim(results, None) is not None
    assert not upload(results)
    item = results.find(KEY)
    assert item is not None
    assert item.status == "PROCESSING"


def test_of_two_workers_that_saw_the_same_item_one_gets_it(results: ResultsTable) -> None:
    upload(results)
    seen = results.find(KEY)
    assert [claim(results, seen, owner) is not None for owner in ("w1", "w2")] == [True, False]


def test_of_two_workers_without_an_item_one_gets_it(results: ResultsTable) -> None:
    assert [claim(results, None, owner) is not None for owner in ("w1", "w2")] == [True, False]


def test_a_renewed_lease_cannot_be_taken_by_who_saw_it_ended(results: ResultsTable) -> None:
    mine = claim(results, None, "w1", lease=-1)
    assert mine is not None
    ended = results.find(KEY)
    assert ended is not None
    assert ended.lease_ended(time.time())
    results.progress(mine, percent=1, rows_read=1, rows_scored=1, rows_skipped=0, lease_seconds=20)
    assert claim(results, ended, "w2") is None


def test_who_lost_the_lease_writes_nothing(results: ResultsTable) -> None:
    first = claim(results, None, "w1", lease=-1)
    second = claim(results, results.find(KEY), "w2")
    assert first is not None
    assert second is not None
    assert second.attempt == 2
    with pytest.raises(LeaseLost):
        results.progress(first, percent=1, rows_read=1, rows_scored=1, rows_skipped=0, lease_seconds=20)
    with pytest.raises(LeaseLost):
        results.completed(first, SUMMARY, "p")
    with pytest.raises(LeaseLost):
        results.failed(first, "X", "y")
    results.failed(second, "NO_ROWS", "x" * 5000)
    item = results.find(KEY)
    assert item is not None
    assert (item.status, item.error_code) == ("FAILED", "NO_ROWS")
    assert len(item.error_message or "") == 1000


def test_a_new_version_starts_anew(results: ResultsTable) -> None:
    mine = claim(results, None)
    assert mine is not None
    results.completed(mine, SUMMARY, "p1")
    newer = claim(results, results.find(KEY), "w2", version="v2")
    assert newer is not None
    item = results.find(KEY)
    assert item is not None
    assert (item.status, item.attempt, item.predictions_key, item.by_hour) == ("PROCESSING", 1, None, {})


def test_pages_follow_each_other(results: ResultsTable) -> None:
    keys = {f"uploads/{number}" for number in range(7)}
    for key in keys:
        upload(results, key)
    found: list[str] = []
    token: str | None = None
    while True:
        page = results.page(3, token)
        found += [result.file_key for result in page.results]
        token = page.next
        if token is None:
            break
    assert sorted(found) == sorted(keys)


@pytest.mark.parametrize("token", ["x", "e30", "ImE", "🚓", "bnVsbA"])
def test_a_made_up_token_is_refused(results: ResultsTable, token: str) -> None:
    with pytest.raises(InvalidToken):
        results.page(3, token)


def test_unfinished_finds_what_is_open(results: ResultsTable) -> None:
    upload(results, "open")
    mine = claim(results, None)
    assert mine is not None
    assert {result.file_key for result in results.unfinished()} == {"open", KEY}
    results.failed(mine, "X", "y")
    assert {result.file_key for result in results.unfinished()} == {"open"}


def test_an_item_of_somebody_else_does_not_break_the_list(results: ResultsTable) -> None:
    results._client.put_item(TableName=results.table_name, Item={"file_key": {"S": "foreign"}, "n": {"N": "1"}})
    upload(results)
    assert [result.file_key for result in results.page().results] == [KEY]
    assert results.find("foreign") is None


def structs_of(kind: Any) -> Iterator[type[msgspec.Struct]]:
    """A struct and those within its fields."""
    if isinstance(kind, msgspec.inspect.StructType):
        yield kind.cls
        for field in kind.fields:
            yield from structs_of(field.type)
    for name in ("types", "item_type", "value_type"):
        inner = getattr(kind, name, ())
        for each in inner if isinstance(inner, tuple) else (inner,):
            yield from structs_of(each)


def test_what_may_be_none_may_be_missing() -> None:
    """None is not written, so an item without such a field must be readable."""
    structs = set(structs_of(msgspec.inspect.type_info(Result)))
    assert Outcomes in structs
    for struct in structs:
        for field in msgspec.structs.fields(struct):
            if type(None) in getattr(field.type, "__args__", ()):
                assert not field.required, f"{struct.__name__}.{field.name}"


def test_a_result_whose_rows_have_one_outcome_only_comes_back(results: ResultsTable) -> None:
    upload(results)
    mine = claim(results, results.find(KEY))
    assert mine is not None
    outcomes = Outcomes(
        rows=3,
        actual_arrests=0,
        expected_arrests=0.5,
        brier=0.1,
        calibration_error=0.0,
        calibration=[],
        rows_by_step=[3] + [0] * 99,
        arrests_by_step=[0] * 100,
    )
    results.completed(mine, msgspec.structs.replace(SUMMARY, outcomes=outcomes), "p")
    found = results.find(KEY)
    assert isinstance(found, Result)
    assert found.outcomes == outcomes
