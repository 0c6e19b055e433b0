"""Objects: odd keys come back as they are, nothing leaves the folder, a read is pinned to its version."""

from __future__ import annotations

import stat
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from blotter.crimes.storage.objects import InvalidKey, ObjectChanged, ObjectNotFound, ObjectStore

ODD_NAMES = [
    "plain.csv",
    "with space + plus.csv",
    'it\'s "quoted".csv',
    "emoji 🚓 und Straße.csv",
    "per%20cent%.csv",
    "hash#tag?&=;.csv",
    "..dots..csv",
    "~back\\slash|<>.csv",
]


@pytest.fixture
def s3_objects(
    make_client: Callable[[str], Any], aws_endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> ObjectStore:
    bucket = f"bucket-{uuid.uuid4().hex}"
    make_client("s3").create_bucket(Bucket=bucket)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", aws_endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    return ObjectStore.open(f"s3://{bucket}")


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest) -> ObjectStore:
    name = "objects" if request.param == "folder" else "s3_objects"
    found = request.getfixturevalue(name)
    assert isinstance(found, ObjectStore)
    return found


@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_keys_are_kept(store: ObjectStore, name: str) -> None:
    key = f"uploads/x/{name}"
    info = store.put_stream(key, [b"one,", b"two"])
    assert (info.key, info.size) == (key, 7)
    assert b"".join(store.read(info)) == b"one,two"
    assert [entry.key for entry in store.list("uploads/")] == [key]


def test_s3_itself_sees_the_same_key(s3_objects: ObjectStore, make_client: Callable[[str], Any]) -> None:
    for name in ODD_NAMES:
        s3_objects.put_stream(f"uploads/{name}", [b"x"])
    answer = make_client("s3").list_objects_v2(Bucket=s3_objects.bucket)
    assert {entry["Key"] for entry in answer["Contents"]} == {f"uploads/{name}" for name in ODD_NAMES}


@pytest.mark.parametrize("key", ["../x", "uploads/../../x", "/etc/x", "a//b", "a/./b", "a/", "", "a\nb", "a\0b"])
def test_no_key_leaves_the_folder(objects: ObjectStore, tmp_path: Path, key: str) -> None:
    with pytest.raises(InvalidKey):
        objects.put_stream(key, [b"x"])
    with pytest.raises(InvalidKey):
        objects.head(key)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_missing_object(store: ObjectStore) -> None:
    with pytest.raises(ObjectNotFound):
        store.head("uploads/none")
    store.delete("uploads/none")


def test_an_upload_that_breaks_off_leaves_nothing(store: ObjectStore) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"x" * 20_000_000
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        store.put_stream("uploads/a", chunks())
    assert list(store.list("uploads/")) == []


def test_a_read_is_pinned_to_its_version(store: ObjectStore) -> None:
    info = store.put_stream("uploads/a", [b"0123456789"])
    blocks = store.read(info, block=4)
    assert next(blocks) == b"0123"
    newer = store.put_stream("uploads/a", [b"abcdefghij"])
    assert newer.version != info.version
    with pytest.raises(ObjectChanged):
        next(blocks)
    assert b"".join(store.read(newer, block=3)) == b"abcdefghij"


def test_an_empty_object(store: ObjectStore) -> None:
    info = store.put_stream("uploads/empty", [])
    assert info.size == 0
    assert list(store.read(info)) == []


def test_list_goes_on_after_a_key(store: ObjectStore) -> None:
    for name in "abc":
        store.put_stream(f"uploads/{name}", [b"x"])
    store.put_stream("uploads-not/z", [b"x"])
    assert sorted(info.key for info in store.list("uploads/", after="uploads/a")) == ["uploads/b", "uploads/c"]


def test_a_profile_gives_credentials_region_and_endpoint(
    make_client: Callable[[str], Any], aws_endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S3 objects ignored AWS_PROFILE."""
    bucket = f"bucket-{uuid.uuid4().hex}"
    make_client("s3").create_bucket(Bucket=bucket)
    (tmp_path / "config").write_text(f"[profile work]\nregion = eu-west-1\nendpoint_url = {aws_endpoint}\n")
    (tmp_path / "credentials").write_text("[work]\naws_access_key_id = a\naws_secret_access_key = b\n")
    for name in (
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_REGION",
        "AWS_ENDPOINT_URL",
        "AWS_ENDPOINT_URL_S3",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    store = ObjectStore.open(f"s3://{bucket}", boto3.Session(profile_name="work"))
    info = store.put_stream("uploads/a", [b"x"])
    assert [entry.key for entry in store.list("uploads/")] == [info.key]


def test_odd_keys_in_a_bucket_do_not_end_the_listing(
    s3_objects: ObjectStore, make_client: Callable[[str], Any], caplog: pytest.LogCaptureFixture
) -> None:
    for key in ("uploads/dir//x.csv", "uploads/a\tb.csv", "uploads/", "uploads/good.csv"):
        make_client("s3").put_object(Bucket=s3_objects.bucket, Key=key, Body=b"x")
    assert [info.key for info in s3_objects.list("uploads/")] == ["uploads/good.csv"]
    assert "uploads/dir//x.csv" in caplog.text


def test_a_listing_says_of_an_object_what_a_look_at_it_says(store: ObjectStore) -> None:
    """The sweeper compares the two: a difference would be endless work."""
    info = store.put_stream("uploads/a", [b"x"])
    (listed,) = store.list("uploads/")
    assert (listed.key, listed.size, listed.etag) == (info.key, info.size, info.etag)


def test_the_folder_is_private(tmp_path: Path) -> None:
    folder = tmp_path / "objects"
    folder.mkdir(mode=0o755)
    folder.chmod(0o775)
    ObjectStore.open(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
