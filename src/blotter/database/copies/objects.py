"""Where copies go (`--objects`): a folder, a bucket of any S3-compatible store, or memory.

An object has a name with slashes, and appears as a whole or not at all: a folder writes beside it, syncs, and
renames; S3 completes an upload at once. Nothing is held in memory beyond what one call was given. All calls block:
the background process makes them on threads. What is written and how it is verified is the callers' matter.

The database's own objects lie under INTERNAL, which cannot be the name of a bucket; `bucket` gives the place that
a request names as its S3Bucket: a folder beside INTERNAL, or the bucket of that name when the store is S3.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple, Protocol
from urllib.parse import unquote, urlsplit

from blotter.database.durable_files import SteadyWriter, make_private_folder, sync_directory
from blotter.database.shared_disk import KEPT, SharedDisk

INTERNAL: Final = "_blotter"
PIECE_BYTES: Final = 4 * 1024 * 1024
"""Bytes that `read` gives at a time."""
MEMORY: Final = "memory:"
OBJECTS_FOLDER: Final = "objects"
"""The folder of a data directory where copies go by default."""
SCRATCH_FOLDER: Final = "scratch"
"""The folder of a data directory for files that jobs need only while they run."""

_UNFINISHED = ".unfinished"
_UNUSABLE = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")
_LONGEST_NAME = 1024  # bytes, S3's limit
_LONGEST_SEGMENT = 255  # bytes, a file system's


class ObjectsUnavailable(Exception):
    """The store of objects cannot be reached, is full, or refuses the credentials; the text says what to do. What
    was to be written is not there."""


class ObjectsDenied(ObjectsUnavailable):
    """The store of objects does not allow what was asked of it."""


class CredentialsRefused(ObjectsUnavailable):
    """The store of objects does not accept the credentials, or no longer: with others it may allow everything.
    The next use looks for them anew."""


class BucketMissing(ObjectsUnavailable):
    """The bucket is not there; an object that is missing in it says nothing."""


class ObjectNotFound(Exception):
    """No object has this name."""


class ObjectInfo(NamedTuple):
    name: str
    size: int
    modified: float
    """Seconds since the epoch."""
    etag: str = ""
    """S3's; elsewhere there is none."""


class Objects(Protocol):
    """A place with named objects. Names that are empty, too long, or have an empty, "." or ".." segment or a
    control character raise ValueError; everything raises ObjectsUnavailable."""

    @property
    def place(self) -> str:
        """Its URL, for messages."""

    @property
    def makes_buckets(self) -> bool:
        """Whether a bucket need not be there before something is written to it."""

    def put(self, name: str, content: bytes) -> None:
        """Stores an object durably, or replaces it."""

    def upload(self, name: str, pieces: Iterable[bytes]) -> int:
        """Stores an object out of pieces, in bounded memory; returns its size. If `pieces` raises, nothing is
        stored."""

    def get(self, name: str) -> bytes:
        """Raises ObjectNotFound."""

    def read(self, name: str, start: int = 0) -> Iterator[bytes]:
        """The object from a byte on, in pieces. Raises ObjectNotFound, at the first piece."""

    def find(self, name: str) -> ObjectInfo | None:
        """None if there is no such object."""

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """The objects whose names begin with a prefix, by name. What no object can be called is left out."""

    def delete(self, name: str) -> None:
        """A missing object is no error."""

    def within(self, folder: str) -> Objects:
        """The objects whose names begin with `folder/`, without it."""

    def bucket(self, name: str) -> Objects:
        """What a request means by an S3Bucket."""

    def has_bucket(self, name: str, owner: str | None = None) -> bool:
        """Whether that bucket is there. Raises ObjectsDenied if S3 says that it is not the owner's, an account."""

    def encrypted_by(self, kms_key: str | None) -> Objects:
        """The same place, where S3 encrypts what is written with a key of AWS KMS; None is AWS's own key for S3.
        Raises ValueError where there is no S3."""


def open_objects(url: str, disk: SharedDisk | None = None) -> Objects:
    """`file:///folder`, `s3://bucket/prefix` or `memory:`. Credentials, region and endpoint of S3 are those that
    the AWS SDKs would take. `disk` is the store's, on which a folder may lie. Nothing is made or asked for yet.
    Raises ValueError for another URL."""
    if url == MEMORY:
        from blotter.database.copies.memory_objects import MemoryObjects

        return MemoryObjects({}, "")
    parts = urlsplit(url)
    if parts.scheme == "file" and parts.netloc in ("", "localhost") and parts.path.startswith("/"):
        return FolderObjects(Path(unquote(parts.path)), disk=disk)
    if parts.scheme == "s3" and parts.netloc and not parts.query:
        from blotter.database.copies.s3_objects import S3Objects

        return S3Objects(parts.netloc, unquote(parts.path).strip("/"))
    raise ValueError(f"{url!r} must be file:///FOLDER or s3://BUCKET/PREFIX")


def check_name(name: str, longest_segment: int = _LONGEST_NAME) -> str:
    """The name, if an object may have it. Raises ValueError."""
    segments = name.split("/")
    if len(name.encode(errors="surrogatepass")) > _LONGEST_NAME or any(
        segment in ("", ".", "..") for segment in segments
    ):
        raise ValueError(f"{name[:100]!r} is too long or has an empty, '.' or '..' segment")
    if _UNUSABLE.search(name):
        raise ValueError(f"{name[:100]!r} has a control character or half a character")
    if any(len(segment.encode()) > longest_segment for segment in segments):
        raise ValueError(f"{name[:100]!r} has a segment that is too long")
    return name


class FolderObjects:
    """Objects as files, which only their owner can read. A file that a crash leaves unfinished has a name that no
    object has (`.….unfinished`), and is removed by `remove_unfinished`."""

    makes_buckets: Final = True

    def __init__(
        self,
        root: Path,
        place: str = "",
        top: Path | None = None,
        *,
        part: bool = False,
        disk: SharedDisk | None = None,
    ) -> None:
        self.root = root
        self.place = place or root.as_uri()
        self._top = top or root
        self._part = part
        """Whether this is a part of a place (`within`), whose folder goes when it is empty."""
        self._disk = disk

    def put(self, name: str, content: bytes) -> None:
        self.upload(name, (content,))

    def upload(self, name: str, pieces: Iterable[bytes]) -> int:
        path = self._path(name)
        with self._as_unavailable(name):
            make_private_folder(path.parent)
            unfinished = path.with_name(f".{secrets.token_hex(8)}{_UNFINISHED}")
            try:
                size = _write_and_sync(unfinished, pieces, self._disk)
                unfinished.replace(path)
            except BaseException:
                with suppress(OSError):
                    unfinished.unlink()
                raise
            sync_directory(path.parent)
            return size

    def get(self, name: str) -> bytes:
        return b"".join(self.read(name))

    def read(self, name: str, start: int = 0) -> Iterator[bytes]:
        with self._as_unavailable(name):
            try:
                file = self._path(name).open("rb")
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                raise ObjectNotFound(f"{self.place}/{name}") from None
            with file:
                file.seek(start)
                while piece := file.read(PIECE_BYTES):
                    yield piece

    def find(self, name: str) -> ObjectInfo | None:
        with self._as_unavailable(name):
            return _info(self._path(name), name)

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        folder = prefix.rpartition("/")[0]
        names: list[str] = []
        with self._as_unavailable(prefix):
            start = self.root / folder if folder else self.root
            if ".." in folder.split("/"):
                raise ValueError(f"{prefix[:100]!r} has a '..' segment")
            for parent, _, files in os.walk(start, onerror=_raise_unless_missing):
                relative = Path(parent).relative_to(self.root).as_posix()
                above = "" if relative == "." else f"{relative}/"
                names += [above + file for file in files if not _is_unfinished(file)]
        for name in sorted(name for name in names if name.startswith(prefix)):
            with suppress(ValueError):
                info = self.find(name)
                if info is not None:
                    yield info

    def delete(self, name: str) -> None:
        """Folders that become empty go with it."""
        path = self._path(name)
        with self._as_unavailable(name):
            try:
                path.unlink()
            except (FileNotFoundError, NotADirectoryError):
                return
            sync_directory(path.parent)
            parents = path.relative_to(self.root).parents
            for parent in parents if self._part else parents[:-1]:
                try:
                    (self.root / parent).rmdir()
                except OSError:  # there is something else in it
                    return

    def within(self, folder: str) -> FolderObjects:
        return FolderObjects(self._path(folder), f"{self.place}/{folder}", self._top, part=True, disk=self._disk)

    def bucket(self, name: str) -> FolderObjects:
        root = self._top / check_name(name, _LONGEST_SEGMENT)
        return FolderObjects(root, root.as_uri(), self._top, disk=self._disk)

    def has_bucket(self, name: str, owner: str | None = None) -> bool:  # noqa: ARG002
        return self.bucket(name).root.is_dir()

    def encrypted_by(self, kms_key: str | None) -> FolderObjects:
        raise ValueError(f"{self.place} cannot be encrypted by {kms_key or 'AWS KMS'}")

    def remove_unfinished(self) -> int:
        """Removes what crashes have left, for the only process that writes here; returns how many files."""
        removed = 0
        with self._as_unavailable(""):
            for path in self.root.rglob(f".*{_UNFINISHED}"):
                path.unlink(missing_ok=True)
                removed += 1
        return removed

    def _path(self, name: str) -> Path:
        return self.root / check_name(name, _LONGEST_SEGMENT)

    @contextmanager
    def _as_unavailable(self, name: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            place = f"{self.place}/{name}".rstrip("/")
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                reason = KEPT if error.strerror == KEPT else "its disk is full"
                text = f"{place} cannot be written, {reason}: make room there"
            else:
                text = f"{place} cannot be used: {error.strerror or error}"
            raise ObjectsUnavailable(text) from error


def _write_and_sync(path: Path, pieces: Iterable[bytes], disk: SharedDisk | None) -> int:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        file = SteadyWriter(descriptor)
        for piece in pieces:
            if disk is not None:
                disk.take(path.parent, len(piece))
            file.write(piece)
        return file.finish()
    finally:
        os.close(descriptor)


def _info(path: Path, name: str) -> ObjectInfo | None:
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return ObjectInfo(name, status.st_size, status.st_mtime) if path.is_file() else None


def _is_unfinished(file: str) -> bool:
    return file.startswith(".") and file.endswith(_UNFINISHED)


def _raise_unless_missing(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise error
