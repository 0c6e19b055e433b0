"""The results table: one item per file, and the conditional writes that move it from state to state.

    UPLOADED → PROCESSING → COMPLETED | FAILED      (back to UPLOADED when a worker stops)

Every transition is one conditional write. Work is identified by `file_key` and `object_version`; which worker may
write while a file is processed is decided by the lease (`lease_owner`, `lease_until`): a worker renews it with its
progress and loses it to the worker that claims the item after it ended. An item stays far below DynamoDB's 400 KB
because its breakdowns are capped where they are made (`scoring/summary.py`) and texts are cut here. This module
reaches the table through a low-level boto3 client only and must not depend on files or models.
"""

from __future__ import annotations

import base64
import binascii
import json
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec
from botocore.exceptions import ClientError

from blotter.crimes.clock import now_text, text_of
from blotter.crimes.item import DETAIL_ATTRIBUTES, Result, Summary
from blotter.crimes.storage.attributes import from_item, to_attribute, to_item

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_MESSAGE_LIMIT = 1000
_NAME_LIMIT = 255
_LONGEST_KEY = 2048  # bytes of a partition key, DynamoDB's limit

_LIST_ATTRIBUTES = [name for name in Result.__struct_fields__ if name not in DETAIL_ATTRIBUTES]


class Page(msgspec.Struct, frozen=True):
    """Some results in the table's own (hash) order; `next` continues, None is the end."""

    results: list[Result]
    next: str | None


class Claim(msgspec.Struct, frozen=True):
    """The right to work on one version of one file until the lease ends."""

    file_key: str
    object_version: str
    owner: str
    attempt: int


class LeaseLost(Exception):
    """The item is no longer this worker's: another one claimed it, or a newer upload came."""


class InvalidToken(ValueError):
    """`next` is not a token that `page` gave out."""


class ResultsTable:
    """The table of a boto3 DynamoDB client; raises botocore's errors when the table cannot be reached."""

    def __init__(self, client: DynamoDBClient, table_name: str) -> None:
        self._client = client
        self.table_name = table_name

    def find(self, file_key: str) -> Result | None:
        """The item under a key by a consistent read, or None; an item this application did not write is None."""
        try:
            length = len(file_key.encode())
        except UnicodeEncodeError:
            return None
        if not 0 < length <= _LONGEST_KEY:
            return None  # no table has it; the service would refuse the question
        answer = self._client.get_item(
            TableName=self.table_name, Key={"file_key": {"S": file_key}}, ConsistentRead=True
        )
        return _find_result(answer["Item"]) if "Item" in answer else None

    def page(self, limit: int = 50, next_token: str | None = None) -> Page:
        """Up to `limit` results without their breakdowns. Raises InvalidToken."""
        names, projection = _aliases(_LIST_ATTRIBUTES)
        request: dict[str, Any] = {
            "TableName": self.table_name,
            "Limit": limit,
            "ProjectionExpression": projection,
            "ExpressionAttributeNames": names,
        }
        if next_token:
            request["ExclusiveStartKey"] = _read_token(next_token)
        answer = self._client.scan(**request)
        return Page(_results(answer["Items"]), _make_token(answer.get("LastEvaluatedKey")))

    def unfinished(self) -> list[Result]:
        """Every item that is UPLOADED or PROCESSING. Reads the whole table: for the sweeper."""
        names, projection = _aliases(_LIST_ATTRIBUTES)
        results: list[Result] = []
        start: dict[str, Any] = {}
        while True:
            answer = self._client.scan(
                TableName=self.table_name,
                ConsistentRead=True,
                ProjectionExpression=projection,
                FilterExpression="#status IN (:uploaded, :processing)",
                ExpressionAttributeNames={**names, "#status": "status"},
                ExpressionAttributeValues={":uploaded": {"S": "UPLOADED"}, ":processing": {"S": "PROCESSING"}},
                **start,
            )
            results += _results(answer["Items"])
            if "LastEvaluatedKey" not in answer:
                return results
            start = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}

    def uploaded(
        self,
        file_key: str,
        *,
        file_name: str,
        object_version: str,
        size_bytes: int,
        uploaded_at: str | None = None,
    ) -> bool:
        """Writes UPLOADED unless the key has an item already (the event may have been faster)."""
        result = Result(
            file_key=file_key,
            status="UPLOADED",
            file_name=file_name[:_NAME_LIMIT],
            object_version=object_version,
            size_bytes=size_bytes,
            uploaded_at=uploaded_at or now_text(),
        )
        return self._put(result, _unchanged(None))

    def claim(
        self,
        seen: Result | None,
        file_key: str,
        *,
        file_name: str,
        object_version: str,
        size_bytes: int,
        uploaded_at: str,
        owner: str,
        lease_seconds: float,
    ) -> Claim | None:
        """Takes the work on a version: PROCESSING under `owner`'s lease. None when another worker was faster.

        `seen` is the item as `find` gave it; the write holds only if its state, version and attempt are still
        those, so of two workers that saw the same item one gets it. The caller decides whether the item is free.
        """
        same = seen is not None and seen.object_version == object_version
        attempt = seen.attempt + 1 if seen is not None and same else 1
        now = time.time()
        fresh = Result(
            file_key=file_key,
            status="PROCESSING",
            file_name=(seen.file_name if seen is not None and same else file_name)[:_NAME_LIMIT],
            object_version=object_version,
            size_bytes=size_bytes,
            uploaded_at=(seen.uploaded_at if seen is not None and same else None) or uploaded_at,
            started_at=text_of(now),
            attempt=attempt,
            lease_owner=owner,
            lease_until=text_of(now + lease_seconds),
        )
        # A put: whatever an earlier attempt or version left in the item is gone with it.
        if not self._put(fresh, _unchanged(seen)):
            return None
        return Claim(file_key, object_version, owner, attempt)

    def progress(
        self,
        claim: Claim,
        *,
        percent: int,
        rows_read: int,
        rows_scored: int,
        rows_skipped: int,
        lease_seconds: float,
    ) -> None:
        """Shows how far the work is and renews the lease. Raises LeaseLost."""
        values = {
            "progress": max(0, min(percent, 99)),
            "rows_read": rows_read,
            "rows_scored": rows_scored,
            "rows_skipped": rows_skipped,
            "lease_until": text_of(time.time() + lease_seconds),
        }
        self._update_claimed(claim, values)

    def completed(self, claim: Claim, summary: Summary, predictions_key: str) -> None:
        """PROCESSING → COMPLETED. Raises LeaseLost."""
        values: dict[str, Any] = msgspec.to_builtins(summary)
        values = {name: value for name, value in values.items() if value is not None}
        values |= {
            "status": "COMPLETED",
            "progress": 100,
            "completed_at": now_text(),
            "predictions_key": predictions_key,
        }
        self._update_claimed(claim, values, remove=("lease_owner", "lease_until"))

    def failed(
        self,
        claim: Claim,
        code: str,
        message: str,
        *,
        rows_scored: int = 0,
        skipped_reasons: Mapping[str, int] | None = None,
    ) -> None:
        """PROCESSING → FAILED, with the rows as far as the file was read. Raises LeaseLost."""
        rows_skipped = sum((skipped_reasons or {}).values())
        values = {
            "status": "FAILED",
            "completed_at": now_text(),
            "rows_read": rows_scored + rows_skipped,
            "rows_scored": rows_scored,
            "rows_skipped": rows_skipped,
            "skipped_reasons": dict(skipped_reasons or {}),
            "error_code": code,
            "error_message": message[:_MESSAGE_LIMIT],
        }
        self._update_claimed(claim, values, remove=("lease_owner", "lease_until"))

    def released(self, claim: Claim) -> None:
        """Returns unfinished work: PROCESSING → UPLOADED, free for any worker. Raises LeaseLost."""
        values = {"status": "UPLOADED", "progress": 0, "attempt": claim.attempt - 1}
        self._update_claimed(claim, values, remove=("lease_owner", "lease_until", "started_at"))

    def cancel(self, file_key: str) -> bool:
        """UPLOADED or PROCESSING → FAILED with CANCELED; whether it was one of them.

        The worker that holds the file loses its lease with this write and stops at its next progress.
        """
        seen = self.find(file_key)
        if seen is None or seen.finished:
            return False
        values = {
            "status": "FAILED",
            "completed_at": now_text(),
            "error_code": "CANCELED",
            "error_message": "the work on this file was canceled",
        }
        free = {"status": ("UPLOADED", "PROCESSING"), "object_version": (seen.object_version,)}
        return self._update(file_key, values, ("lease_owner", "lease_until"), free)

    def again(self, file_key: str) -> bool:
        """COMPLETED or FAILED → UPLOADED, everything that was found removed; whether it was one of them."""
        seen = self.find(file_key)
        if seen is None or not seen.finished:
            return False
        fresh = Result(
            file_key=file_key,
            status="UPLOADED",
            file_name=seen.file_name,
            object_version=seen.object_version,
            size_bytes=seen.size_bytes,
            uploaded_at=seen.uploaded_at or now_text(),
        )
        return self._put(fresh, _unchanged(seen))

    def delete(self, file_key: str) -> None:
        """Removes the item, whatever its state; a missing one is no error."""
        self._client.delete_item(TableName=self.table_name, Key={"file_key": {"S": file_key}})

    def _update_claimed(self, claim: Claim, values: Mapping[str, Any], remove: tuple[str, ...] = ()) -> None:
        """Writes attributes while the item is the claim's. Raises LeaseLost."""
        held = {
            "status": ("PROCESSING",),
            "lease_owner": (claim.owner,),
            "object_version": (claim.object_version,),
        }
        if not self._update(claim.file_key, values, remove, held):
            raise LeaseLost(claim.file_key)

    def _put(self, result: Result, condition: Mapping[str, Any]) -> bool:
        """Writes a whole item; False when the condition does not hold."""
        return self._write(self._client.put_item, Item=to_item(_known(result)), **condition)

    def _update(
        self,
        file_key: str,
        values: Mapping[str, Any],
        remove: tuple[str, ...],
        expected: Mapping[str, tuple[str, ...]],
    ) -> bool:
        """Sets and removes attributes where each of `expected` has one of its values; False where not."""
        expression = "SET " + ", ".join(f"#{name} = :{name}" for name in values)
        if remove:
            expression += " REMOVE " + ", ".join(f"#{name}" for name in remove)
        allowed = {
            f":is_{name}_{number}": value
            for name, choices in expected.items()
            for number, value in enumerate(choices)
        }
        conditions = (
            f"#{name} IN ({', '.join(f':is_{name}_{number}' for number in range(len(choices)))})"
            for name, choices in expected.items()
        )
        return self._write(
            self._client.update_item,
            Key={"file_key": {"S": file_key}},
            UpdateExpression=expression,
            ConditionExpression=" AND ".join(conditions),
            ExpressionAttributeNames={f"#{name}": name for name in (*values, *remove, *expected)},
            ExpressionAttributeValues=to_item({f":{name}": value for name, value in values.items()} | allowed),
        )

    def _write(self, operation: Callable[..., Any], **request: Any) -> bool:
        """Every write of an item goes through here; False when its condition does not hold."""
        try:
            operation(TableName=self.table_name, **request)
        except ClientError as error:
            if not _is_condition(error):
                raise
            return False
        return True


def _unchanged(seen: Result | None) -> dict[str, Any]:
    """The condition that an item is still in the state in which it was seen; None: that there is none."""
    if seen is None:
        return {"ConditionExpression": "attribute_not_exists(file_key)"}
    # attempt and lease_until are absent from an UPLOADED item; a comparison with an absent attribute is false.
    optional = {"object_version": seen.object_version, "attempt": seen.attempt, "lease_until": seen.lease_until}
    seen_values = {"status": seen.status, **{name: value for name, value in optional.items() if value}}
    return {
        "ConditionExpression": " AND ".join(f"#{name} = :{name}" for name in seen_values),
        "ExpressionAttributeNames": {f"#{name}": name for name in seen_values},
        "ExpressionAttributeValues": {f":{name}": to_attribute(value) for name, value in seen_values.items()},
    }


def _known(result: Result) -> dict[str, Any]:
    """The attributes to store: those that have a value."""
    values: dict[str, Any] = msgspec.to_builtins(result)
    return {name: value for name, value in values.items() if value not in (None, {}, [], "", 0)}


def _find_result(item: Mapping[str, Any]) -> Result | None:
    try:
        return msgspec.convert(from_item(item), Result)
    except msgspec.ValidationError:
        return None


def _results(items: Iterable[Mapping[str, Any]]) -> list[Result]:
    """The items that are results; an item of another program in the table is left out."""
    return [result for item in items if (result := _find_result(item)) is not None]


def _aliases(attributes: list[str]) -> tuple[dict[str, str], str]:
    """An alias for every name, because some (status) are reserved words of DynamoDB."""
    names = {f"#{name}": name for name in attributes}
    return names, ", ".join(names)


def _make_token(key: Mapping[str, Any] | None) -> str | None:
    if not key:
        return None
    return base64.urlsafe_b64encode(json.dumps(key["file_key"]["S"]).encode()).decode().rstrip("=")


def _read_token(token: str) -> dict[str, Any]:
    try:
        text = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    except (ValueError, binascii.Error) as error:
        raise InvalidToken("next is not a token of this list") from error
    if not isinstance(text, str) or not text:
        raise InvalidToken("next is not a token of this list")
    return {"file_key": {"S": text}}


def _is_condition(error: ClientError) -> bool:
    return error.response["Error"].get("Code") == "ConditionalCheckFailedException"
