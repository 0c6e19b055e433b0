"""The bucket that a request names as its source: whether it can be read, and its objects."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from blotter.database.copies.objects import ObjectNotFound, Objects, ObjectsDenied
from blotter.database.importing.reading import Source

NO_BUCKET: Final = (
    "The specified bucket does not exist (Service: Amazon S3; Status Code: 404; Error Code: NoSuchBucket)"
)
ACCESS_DENIED: Final = "Access Denied (Service: Amazon S3; Status Code: 403; Error Code: AccessDenied)"


class SourceRefused(Exception):
    """The work cannot go on, and trying again would not help: its FailureCode and FailureMessage."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message


def open_bucket(objects: Objects, bucket: str, owner: str | None, account: str) -> Objects:
    """The objects of a bucket. `owner`: the account that must own it; a folder is always the caller's. Raises
    SourceRefused, and ObjectsUnavailable."""
    try:
        if not objects.has_bucket(bucket, owner):
            raise SourceRefused("S3NoSuchBucket", NO_BUCKET)
        if objects.makes_buckets and owner not in (None, account):
            raise SourceRefused("S3AccessDenied", ACCESS_DENIED)
        return objects.bucket(bucket)
    except ObjectsDenied:
        raise SourceRefused("S3AccessDenied", ACCESS_DENIED) from None


def source_of(objects: Objects, prefix: str) -> Source:
    """The objects whose names begin with a prefix."""

    def names(start: str) -> Iterator[str]:
        try:
            for info in objects.list(prefix):
                if info.name >= start:
                    yield info.name
        except ValueError:  # no object can have such a name
            return

    return Source(names, objects.read, ObjectNotFound)
