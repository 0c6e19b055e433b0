"""Every store of objects keeps the same promises."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from blotter.database.copies import objects as objects_module
from blotter.database.copies.memory_objects import MemoryObjects
from blotter.database.copies.objects import (
    FolderObjects,
    ObjectNotFound,
    Objects,
    ObjectsUnavailable,
    open_objects,
)


@pytest.fixture(params=["folder", "memory"])
def objects(request: pytest.FixtureRequest, tmp_path: Path) -> Objects:
    if request.param == "folder":
        return open_objects((tmp_path / "objects").as_uri())
    return open_objects("memory:")


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
    monkeypatch.setattr("blotter.database.copies.memory_objects.PIECE_BYTES", 4)
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
