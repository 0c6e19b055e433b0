"""Every store of objects keeps the same promises."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import boto3
import obstore
import pytest
from obstore.exceptions import GenericError, PermissionDeniedError

from blotter.database.copies import objects as objects_module
from blotter.database.copies.memory_objects import MemoryObjects
from blotter.database.copies.objects import (
    CredentialsRefused,
    FolderObjects,
    ObjectNotFound,
    Objects,
    ObjectsDenied,
    ObjectsUnavailable,
    open_objects,
)
from blotter.database.copies.s3_objects import S3Objects
from blotter.database.shared_disk import SharedDisk
from tests.moto_server import moto_server


@pytest.fixture(scope="module")
def s3_endpoint() -> Iterator[str]:
    with moto_server() as server:
        yield server.url


@pytest.fixture
def s3(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> S3Objects:
    """A place in a bucket, with nothing in it."""
    for name, value in (
        ("AWS_ENDPOINT_URL_S3", s3_endpoint),
        ("AWS_ACCESS_KEY_ID", "key"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
    ):
        monkeypatch.setenv(name, value)
    client = boto3.client("s3")
    for bucket in ("unit-objects", "exports"):
        client.create_bucket(Bucket=bucket)
    place = hashlib.md5(request.node.name.encode(), usedforsecurity=False).hexdigest()
    objects = open_objects(f"s3://unit-objects/{place}")
    assert isinstance(objects, S3Objects)
    return objects


@pytest.fixture(params=["folder", "memory", "s3"])
def objects(request: pytest.FixtureRequest, tmp_path: Path) -> Objects:
    if request.param == "s3":
        found: Objects = request.getfixturevalue("s3")
        return found
    return open_objects((tmp_path / "objects").as_uri() if request.param == "folder" else "memory:")


def test_objects_are_stored_replaced_and_deleted(objects: Objects) -> None:
    objects.put("a/b", b"one")
    objects.put("a/b", b"two")
    assert objects.get("a/b") == b"two"
    found = objects.find("a/b")
    assert found is not None
    assert (found.name, found.size) == ("a/b", 3)
    objects.delete("a/b")
    objects.delete("a/b")
    assert objects.find("a/b") is None
    with pytest.raises(ObjectNotFound, match="a/b"):
        objects.get("a/b")
    assert list(objects.list()) == []


def test_long_objects_are_read_in_pieces(objects: Objects, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects_module, "PIECE_BYTES", 4)
    for module in ("memory_objects", "s3_objects"):
        monkeypatch.setattr(f"blotter.database.copies.{module}.PIECE_BYTES", 4)
    assert objects.upload("long", (b"0123", b"", b"456789")) == 10
    assert list(objects.read("long")) == [b"0123", b"4567", b"89"]
    assert list(objects.read("long", 5)) == [b"5678", b"9"]
    assert list(objects.read("long", 10)) == []


def test_names_are_listed_in_order_by_prefix(objects: Objects) -> None:
    for name in ("b", "a/2", "a/10", "a/1/x", "ab"):
        objects.put(name, b"")
    assert [info.name for info in objects.list()] == ["a/1/x", "a/10", "a/2", "ab", "b"]
    assert [info.name for info in objects.list("a/1")] == ["a/1/x", "a/10"]
    assert [info.name for info in objects.list("a")] == ["a/1/x", "a/10", "a/2", "ab"]
    assert [info.name for info in objects.within("a").list()] == ["1/x", "10", "2"]
    assert list(objects.list("nothing/")) == []


def test_a_bucket_is_a_place_of_its_own(objects: Objects) -> None:
    objects.within("_blotter").bucket("exports").put("x", b"1")
    assert objects.bucket("exports").get("x") == b"1"
    assert objects.has_bucket("exports")


@pytest.mark.parametrize("name", ["", "/a", "a/", "a//b", ".", "a/../b", "a\nb", "x" * 1025, "\ud800"])
def test_names_that_lead_elsewhere_are_refused(objects: Objects, name: str) -> None:
    for use in (objects.get, objects.find, objects.delete, objects.within, lambda name: objects.put(name, b"")):
        with pytest.raises(ValueError, match=r"has a|too long"):
            use(name)


def test_what_is_interrupted_is_not_there(objects: Objects) -> None:
    objects.put("x", b"before")

    def pieces() -> Iterator[bytes]:
        yield b"after"
        raise RuntimeError("interrupted")

    with pytest.raises(RuntimeError, match="interrupted"):
        objects.upload("x", pieces())
    assert objects.get("x") == b"before"
    assert [info.name for info in objects.list()] == ["x"]


def test_files_are_private_and_what_a_crash_leaves_is_no_object(tmp_path: Path) -> None:
    objects = FolderObjects(tmp_path / "objects")
    objects.put("a/b/c", b"content")
    for parent in ("", "a", "a/b"):
        assert stat.S_IMODE((tmp_path / "objects" / parent).stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "objects/a/b/c").stat().st_mode) == 0o600
    (tmp_path / "objects/a/.0123.unfinished").write_bytes(b"half")
    assert [info.name for info in objects.list()] == ["a/b/c"]
    assert objects.remove_unfinished() == 1
    objects.delete("a/b/c")
    assert not (tmp_path / "objects/a").exists()
    objects.within("copies/one").put("part", b"")
    objects.within("copies/one").delete("part")
    assert [path.name for path in (tmp_path / "objects").rglob("*")] == ["copies"]
    objects.bucket("bucket").put("a/b", b"")
    objects.bucket("bucket").delete("a/b")
    assert objects.has_bucket("bucket")


def test_a_place_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    objects = open_objects((tmp_path / "file" / "objects").as_uri())
    with pytest.raises(ObjectsUnavailable, match=r"file:///.*/file/objects/x cannot be used"):
        objects.put("x", b"1")


def test_a_full_disk_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    objects = FolderObjects(tmp_path / "objects")
    objects.put("x", b"before")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ObjectsUnavailable, match="its disk is full: make room"):
        objects.put("x", b"after")
    monkeypatch.undo()
    assert objects.get("x") == b"before"
    assert objects.remove_unfinished() == 0


def test_what_the_store_keeps_for_deletions_is_not_used(tmp_path: Path) -> None:
    spare = [17_000]
    objects = FolderObjects(tmp_path / "objects", disk=SharedDisk(tmp_path, lambda: spare[0]))

    def pieces() -> Iterator[bytes]:
        for _ in range(3):
            yield bytes(5_000)
            spare[0] -= 5_000

    for place in (objects, objects.within("copies"), objects.bucket("exports")):
        spare[0] = 17_000
        with pytest.raises(
            ObjectsUnavailable, match=r"/x cannot be written, what is left of its disk is kept for deletions: make"
        ):
            place.upload("x", pieces())
        assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
        spare[0] = 30_000
        assert place.upload("x", pieces()) == 15_000
        place.delete("x")


def test_another_disk_may_be_used_up(tmp_path: Path) -> None:
    assert Path("/proc/self").stat().st_dev != tmp_path.stat().st_dev
    FolderObjects(tmp_path / "objects", disk=SharedDisk(Path("/proc/self"), lambda: 0)).put("x", b"content")
    FolderObjects(tmp_path / "objects", disk=SharedDisk(tmp_path, lambda: None)).put("x", b"content")


@pytest.mark.parametrize(
    "url", ["", "objects", "file:objects", "file://host/x", "s3://", "http://x", "s3://b/p?x=1"]
)
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match="must be file:///FOLDER or s3://BUCKET/PREFIX"):
        open_objects(url)


def test_memory_is_one_store_for_all_its_views() -> None:
    contents: dict[str, tuple[bytes, float]] = {}
    MemoryObjects(contents, "").within("a").put("b", b"1")
    assert MemoryObjects(contents, "").get("a/b") == b"1"


def test_s3_says_what_to_do(s3: S3Objects, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionDeniedError("ExpiredToken: the security token is expired\nDebug source: …")

    monkeypatch.setattr(obstore, "put", refuse)
    with pytest.raises(
        CredentialsRefused, match=r"s3://unit-objects/.*/x: the credentials are refused or have expired; renew"
    ):
        s3.put("x", b"1")

    def deny(*_: object) -> None:
        raise PermissionDeniedError("AccessDenied: this is not yours\nDebug source: …")

    monkeypatch.setattr(obstore, "put", deny)
    with pytest.raises(
        ObjectsDenied,
        match=r"s3://unit-objects/.*/x: access is denied; allow it, or use other credentials \(AccessDenied: this",
    ):
        s3.put("x", b"1")

    def fail(*_: object) -> None:
        raise GenericError("503 Slow Down\nDebug source: …")

    monkeypatch.setattr(obstore, "put", fail)
    with pytest.raises(ObjectsUnavailable, match=r"s3://unit-objects/.*/x cannot be used: 503 Slow Down$"):
        s3.put("x", b"1")


def test_a_bucket_that_is_not_there_is_no_empty_one(s3: S3Objects) -> None:
    assert not s3.has_bucket("nothing-here")
    for use in (lambda place: place.put("x", b"1"), lambda place: place.get("x")):
        with pytest.raises(ObjectsUnavailable, match="s3://nothing-here/x cannot be used: there is no bucket"):
            use(s3.bucket("nothing-here"))
    with pytest.raises(ObjectsUnavailable, match="there is no bucket"):
        s3.bucket("nothing-here").upload("x", (b"1",))
    with pytest.raises(ObjectsUnavailable, match="s3://nothing-here"):
        list(s3.bucket("nothing-here").list())
