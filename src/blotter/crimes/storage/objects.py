"""The objects: uploaded files and their predictions, in a local folder or in an S3 bucket.

Rules: a key is whatever S3 allows (spaces, quotes, emoji) but never a way out of the folder; an object becomes
visible only when it is complete; nothing is ever held in memory as a whole. A reader is pinned to the version it
was opened for: when the object is replaced meanwhile the read fails with `ObjectChanged` instead of mixing two
files. `ObjectInfo.version` is the identity of a content: the store's version id, else its ETag.
One client (obstore) reads and writes both places, so what is tested here on a folder is what runs on S3. Listing
is done by `os.walk` and by boto3, because obstore's listing ends at the first key that it does not like (a tab, an
empty segment); here such keys are logged once and left out. Credentials, region and endpoint of S3 are those of a
boto3 session: profiles, single sign-on and roles work as for every AWS program.
This module must not depend on tables, CSV or events.
"""

from __future__ import annotations

import errno
import logging
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import BaseError, PreconditionError
from obstore.store import LocalStore, S3Store

from blotter.crimes.storage.private_files import private_folder

if TYPE_CHECKING:
    import boto3
    from obstore import GetOptions

LOCAL_BUCKET = "local"
_LONGEST_KEY = 1024  # bytes, S3's limit
_LONGEST_SEGMENT = 255  # bytes, a file system's
_DRAFT = re.compile(r"#\d+$")  # how the local store names an unfinished object
# How long the store keeps credentials before it gets them from botocore again, which renews temporary ones in
# time.
_CREDENTIALS_KEPT = timedelta(minutes=5)
_ODD_KEYS_TOLD = 1000
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)

_log = logging.getLogger(__name__)

_READ_BLOCK = 4 * 1024 * 1024
# Bytes of one part and how many parts may be on their way: an open draft holds at most their product in memory.
_S3_PARTS = (8 * 1024 * 1024, 4)  # S3 requires parts of at least 5 MiB
_LOCAL_PARTS = (1024 * 1024, 2)


class ObjectNotFound(Exception):
    """No object lies under the key."""


class ObjectChanged(Exception):
    """The object was replaced after its metadata was read."""


class InvalidKey(ValueError):
    """The key is too long or empty, has an empty, "." or ".." segment, a control character or half a character."""


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """A store's metadata of an object. `size` in bytes; `etag` as the store writes it, quotes included."""

    key: str
    size: int
    etag: str
    version_id: str | None
    last_modified: datetime

    @property
    def version(self) -> str:
        """The identity of the content: version id, else ETag without its quotes."""
        return self.version_id or self.etag.strip('"')


class Sink(Protocol):
    """What `ObjectStore.writer` hands out."""

    def write(self, data: bytes, /) -> int: ...


class ObjectStore:
    """The objects of one bucket; a local folder is a bucket named `local`."""

    def __init__(self, store: Any, bucket: str, root: Path | None = None, client: Any = None) -> None:
        self._store = store
        self.bucket = bucket
        self._root = root
        self._client = client
        self._told: set[str] = set()

    @classmethod
    def open(cls, location: str | Path, session: boto3.Session | None = None) -> ObjectStore:
        """A folder (made when missing, closed to others) or `s3://bucket`.

        S3's credentials, region and endpoint are those of `session`, by default those of the environment as for
        every AWS program; `AWS_ENDPOINT_URL_S3`, `AWS_ENDPOINT_URL` or the profile's `endpoint_url` point at
        another S3-compatible store. Raises ValueError, OSError and what botocore raises.
        """
        text = os.fspath(location)
        if text.startswith("s3://"):
            return cls._open_s3(text.removeprefix("s3://").strip("/"), session)
        root = private_folder(Path(text).absolute())
        return cls(LocalStore(prefix=root), LOCAL_BUCKET, root)

    @classmethod
    def _open_s3(cls, bucket: str, session: boto3.Session | None) -> ObjectStore:
        if not bucket or "/" in bucket:
            raise ValueError(f"objects must be a folder or s3://BUCKET without a path, not s3://{bucket}")
        import boto3
        from obstore.auth.boto3 import Boto3CredentialProvider

        session = session or boto3.Session()
        client = session.client("s3")
        endpoint = client.meta.endpoint_url
        options: dict[str, Any] = {"region": client.meta.region_name}
        if urlsplit(endpoint).hostname not in _own_hosts(client.meta.region_name):
            options |= {"endpoint": endpoint, "client_options": {"allow_http": endpoint.startswith("http://")}}
        credentials = Boto3CredentialProvider(session, ttl=_CREDENTIALS_KEPT)
        return cls(S3Store(bucket, credential_provider=credentials, **options), bucket, client=client)

    @property
    def folder(self) -> Path | None:
        """The folder of a local store, None for S3."""
        return self._root

    @property
    def is_remote(self) -> bool:
        """Whether objects lie in S3, which sends its events itself."""
        return self._root is None

    def head(self, key: str) -> ObjectInfo:
        """Raises ObjectNotFound, InvalidKey."""
        self._checked(key)
        try:
            return _info(obstore.head(self._store, key))
        except (FileNotFoundError, NotADirectoryError) as error:
            raise ObjectNotFound(key) from error
        except ValueError as error:
            raise InvalidKey(f"{key!r} cannot be a key") from error

    def put_stream(self, key: str, chunks: Iterable[bytes]) -> ObjectInfo:
        """Stores the chunks as one object; when `chunks` raises, nothing is stored. Raises InvalidKey."""
        with self.writer(key) as sink:
            for chunk in chunks:
                sink.write(chunk)
        return self.head(key)

    @contextmanager
    def writer(self, key: str) -> Iterator[Sink]:
        """A sink whose bytes become the object when the block ends, or vanish when it raises."""
        draft = self.open_draft(key)
        try:
            yield draft
        except BaseException:
            draft.discard()
            raise
        draft.commit()

    def open_draft(self, key: str) -> Draft:
        """An object under way, invisible until `commit`. Raises InvalidKey."""
        buffer, parts = _S3_PARTS if self._root is None else _LOCAL_PARTS
        sink = obstore.open_writer(self._store, self._checked(key), buffer_size=buffer, max_concurrency=parts)
        return Draft(self, key, sink)

    def read(self, info: ObjectInfo, block: int = _READ_BLOCK) -> Iterator[bytes]:
        """The bytes of exactly this version, in blocks. Raises ObjectChanged, ObjectNotFound.

        One ranged request a block: a single long answer would run into the client's time-out on slow consumers.
        """
        for start in range(0, info.size, block):
            yield self.read_range(info, start, min(start + block, info.size))

    def read_range(self, info: ObjectInfo, start: int, end: int) -> bytes:
        """Bytes start..end-1 of exactly this version. Raises ObjectChanged, ObjectNotFound."""
        options: dict[str, Any] = {"range": (start, end)}
        options |= {"version": info.version_id} if info.version_id else {"if_match": info.etag}
        try:
            answer = obstore.get(self._store, info.key, options=cast("GetOptions", options))
            return bytes(answer.bytes())
        except PreconditionError as error:
            raise ObjectChanged(info.key) from error
        except FileNotFoundError as error:
            raise ObjectNotFound(info.key) from error

    def list(self, prefix: str, after: str | None = None) -> Iterator[ObjectInfo]:
        """Every object under a folder-like prefix whose key is greater than `after`, in no certain order.

        Keys that cannot be read are left out, with a line in the log for each.
        """
        if self._root is None:
            yield from self._list_s3(prefix.rstrip("/") + "/", after)
            return
        for folder, _, names in os.walk(self._root / prefix.rstrip("/")):
            parent = Path(folder).relative_to(self._root)
            for name in names:
                key = (parent / name).as_posix()
                if _DRAFT.search(name) or (after is not None and key <= after) or not self._is_usable(key):
                    continue
                with suppress(ObjectNotFound):  # removed meanwhile
                    yield self.head(key)

    def _list_s3(self, prefix: str, after: str | None) -> Iterator[ObjectInfo]:
        request = {"Bucket": self.bucket, "Prefix": prefix, **({"StartAfter": after} if after else {})}
        for page in self._client.get_paginator("list_objects_v2").paginate(**request):
            for entry in page.get("Contents", []):
                if self._is_usable(entry["Key"]):
                    yield ObjectInfo(entry["Key"], entry["Size"], entry["ETag"], None, entry["LastModified"])

    def _is_usable(self, key: str) -> bool:
        try:
            self._checked(key)
        except InvalidKey as error:
            if key not in self._told and len(self._told) < _ODD_KEYS_TOLD:
                self._told.add(key)
                _log.warning("an object is left out: %s", error)
            return False
        return True

    def free_bytes(self) -> int | None:
        """How much a local folder's disk still takes; None for S3."""
        if self._root is None:
            return None
        found = os.statvfs(self._root)
        return found.f_bavail * found.f_frsize

    def delete(self, key: str) -> None:
        """Removes an object; a missing one is no error."""
        try:
            obstore.delete(self._store, self._checked(key))
        except FileNotFoundError:
            return

    def _checked(self, key: str) -> str:
        """The key, if it names one object and nothing else. Raises InvalidKey."""
        try:
            length = len(key.encode())
        except UnicodeEncodeError as error:
            raise InvalidKey(f"{key!r} is not text") from error
        segments = key.split("/")
        if length > _LONGEST_KEY or any(segment in ("", ".", "..") for segment in segments):
            raise InvalidKey(f"{key[:200]!r} is too long or has an empty, '.' or '..' segment")
        if any(ord(character) < 32 or ord(character) == 127 for character in key):
            raise InvalidKey(f"{key!r} has a control character")
        if self._root is not None and any(len(segment.encode()) > _LONGEST_SEGMENT for segment in segments):
            raise InvalidKey(f"{key[:200]!r} has a segment that is too long for a file")
        return key

    def discard_drafts(
        self, older_than: float, key: str | None = None, chosen: Callable[[str], bool] = lambda _: True
    ) -> int:
        """Removes unfinished writes from a local folder: of one key, or of all `chosen` ones; returns how many.

        `older_than` in seconds since the last write, so that a running upload keeps its draft. S3 has a lifecycle
        rule for that (AbortIncompleteMultipartUpload).
        """
        if self._root is None:
            return 0
        folder = self._root if key is None else (self._root / self._checked(key)).parent
        start = "" if key is None else key.rpartition("/")[2]
        removed = 0
        for path in folder.rglob("*") if key is None else folder.glob("*"):
            name, _, number = path.name.rpartition("#")
            if not number.isdigit() or (start and name != start) or not path.is_file():
                continue
            if not chosen(path.relative_to(self._root).with_name(name).as_posix()):
                continue
            with suppress(FileNotFoundError):
                if time.time() - path.stat().st_mtime >= older_than:
                    path.unlink()
                    removed += 1
        return removed

    def _sync(self, key: str) -> None:
        """Syncs a local object and its directory entries before the upload is acknowledged."""
        if self._root is None:
            return
        path = self._root / key
        for place in (path, path.parent, path.parent.parent):
            descriptor = os.open(place, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


class Draft:
    """An object that is being written: `write` its bytes, then `commit` or `discard`. Every call may block."""

    def __init__(self, store: ObjectStore, key: str, sink: Any) -> None:
        self._store = store
        self.key = key
        self._sink = sink

    def write(self, data: bytes, /) -> int:
        return int(self._sink.write(data))

    def commit(self) -> None:
        """Makes the object visible; a local one is on the disk when this returns."""
        self._sink.close()
        self._store._sync(self.key)

    def discard(self) -> None:
        """Drops what was written and frees its space at once (on S3 a lifecycle rule does)."""
        self._sink = None  # never closed: closing would make the object visible
        self._store.discard_drafts(0.0, self.key)


def is_disk_full(error: BaseException) -> bool:
    """Whether a write failed because there is no space left, or none for this user."""
    if isinstance(error, BaseError) or (isinstance(error, OSError) and error.errno is None):  # obstore's own
        return any(f"(os error {number})" in str(error) for number in _DISK_FULL)
    return isinstance(error, OSError) and error.errno in _DISK_FULL


def first_line(error: BaseException) -> str:
    """The message of an error of the store, without the debugging details that follow."""
    return next(iter(str(error).splitlines()), "") or type(error).__name__


def _own_hosts(region: str) -> tuple[str, ...]:
    """The names under which AWS itself serves S3 in a region."""
    return (f"s3.{region}.amazonaws.com", f"s3.{region}.amazonaws.com.cn", "s3.amazonaws.com")


def _info(meta: Any) -> ObjectInfo:
    return ObjectInfo(
        key=meta["path"],
        size=meta["size"],
        etag=meta["e_tag"] or "",
        version_id=meta["version"],
        last_modified=meta["last_modified"],
    )
