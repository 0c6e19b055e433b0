"""Names, manifests and compressed files, held against exports that AWS made (gurre/ddb-pitr, s3exportdata)."""

from __future__ import annotations

import gzip
import re
from base64 import b64encode

import orjson
import pytest

from blotter.database.exporting.compression import GzipStream
from blotter.database.exporting.layout import (
    Places,
    Summary,
    checksum_key,
    etag_of,
    files_manifest,
    manifest_time,
    md5_text,
    summary_manifest,
)
from blotter.database.exporting.lines import FORMATS
from blotter.database.operations.exports.records import DataFile

ARN = "arn:aws:dynamodb:eu-north-1:123456789123:table/test"
FOLDER = "AWSDynamoDB/01768385930622-efd1a093"
EMPTY_MD5, EMPTY_ETAG = "FjvgqIxwymKf1RbbqtrZag==", "7deb4078f238dd87d6af0538152c04e9-1"
FILES = [
    DataFile(f"{FOLDER}/data/zqp435kgma323mmasy7jmciuje.json.gz", 0, EMPTY_MD5, EMPTY_ETAG),
    DataFile(
        f"{FOLDER}/data/5mrfg3b44e3vhnfickkozoym6a.json.gz",
        3,
        "y+zg5fVeudb3R3DOQ+RKgA==",
        "b5443265c5e545b6c8d8275e0b6f8c15-1",
    ),
    DataFile(f"{FOLDER}/data/t7sisheiy44edlhcrjd5zqoudu.json.gz", 0, EMPTY_MD5, EMPTY_ETAG),
    DataFile(f"{FOLDER}/data/erajd3hco442njqter3ahrxn3e.json.gz", 0, EMPTY_MD5, EMPTY_ETAG),
]
FULL_SUMMARY = (
    b'{"version":"2020-06-30","exportArn":"arn:aws:dynamodb:eu-north-1:123456789123:table/test/export/'
    b'01768385930622-efd1a093","startTime":"2026-01-14T10:18:50.622Z","endTime":"2026-01-14T10:24:58.984Z",'
    b'"tableArn":"arn:aws:dynamodb:eu-north-1:123456789123:table/test","tableId":'
    b'"cf263806-6bf1-4e51-a242-7067dcdecc72","exportTime":"2026-01-14T10:18:50.622Z","s3Bucket":"test-1231x1x",'
    b'"s3Prefix":null,"s3SseAlgorithm":"AES256","s3SseKmsKeyId":null,"manifestFilesS3Key":'
    b'"AWSDynamoDB/01768385930622-efd1a093/manifest-files.json","billedSizeBytes":0,"itemCount":3,'
    b'"outputFormat":"DYNAMODB_JSON"}'
)
INCREMENTAL_SUMMARY = (
    b'{"version":"2023-08-01","exportArn":"arn:aws:dynamodb:eu-north-1:123456789123:table/test/export/'
    b'01768386924000-d339e52d","startTime":"2026-01-14T10:35:24.000Z","endTime":"2026-01-14T10:40:27.622Z",'
    b'"tableArn":"arn:aws:dynamodb:eu-north-1:123456789123:table/test","tableId":'
    b'"cf263806-6bf1-4e51-a242-7067dcdecc72","exportFromTime":"2026-01-14T10:20:00.000Z","exportToTime":'
    b'"2026-01-14T10:35:00.000Z","s3Bucket":"test-1231x1x","s3Prefix":null,"s3SseAlgorithm":"AES256",'
    b'"s3SseKmsKeyId":null,"manifestFilesS3Key":"AWSDynamoDB/01768386924000-d339e52d/manifest-files.json",'
    b'"billedSizeBytes":10000000,"itemCount":6,"outputFormat":"DYNAMODB_JSON","outputView":'
    b'"NEW_AND_OLD_IMAGES","exportType":"INCREMENTAL_EXPORT"}'
)


def summary(**members: object) -> Summary:
    common = {
        "export_arn": f"{ARN}/export/01768385930622-efd1a093",
        "started_at": 1768385930.622,
        "ended_at": 1768386298.984,
        "table_arn": ARN,
        "table_id": "cf263806-6bf1-4e51-a242-7067dcdecc72",
        "export_time": 1768385930.622,
        "from_time": None,
        "to_time": None,
        "bucket": "test-1231x1x",
        "prefix": None,
        "sse_algorithm": "AES256",
        "sse_key": None,
        "files_manifest": "AWSDynamoDB/01768385930622-efd1a093/manifest-files.json",
        "billed_bytes": 0,
        "items": 3,
        "format": "DYNAMODB_JSON",
        "view": None,
    }
    return Summary(**(common | members))  # type: ignore[arg-type]


def test_manifests_are_those_of_aws_to_the_byte() -> None:
    assert md5_text(files_manifest(FILES)) == b"28wsUe8cuLOHoBhSQNQ2zw=="
    assert summary_manifest(summary()) == FULL_SUMMARY
    incremental = summary(
        export_arn=f"{ARN}/export/01768386924000-d339e52d",
        started_at=1768386924.0,
        ended_at=1768387227.622,
        export_time=None,
        from_time=1768386000.0,
        to_time=1768386900.0,
        files_manifest="AWSDynamoDB/01768386924000-d339e52d/manifest-files.json",
        billed_bytes=10_000_000,
        items=6,
        view="NEW_AND_OLD_IMAGES",
    )
    assert summary_manifest(incremental) == INCREMENTAL_SUMMARY


def test_a_file_without_items_is_that_of_aws_to_the_byte() -> None:
    stream = GzipStream()
    content = stream.finish()
    assert content.hex() == "1f8b08000000000000ff03000000000000000000"
    assert (b64encode(stream.md5).decode(), etag_of(stream.md5)) == (EMPTY_MD5, EMPTY_ETAG)


@pytest.mark.parametrize("sizes", [[], [0], [1], [10, 0, 100_000], [3_000_000]])
def test_compressed_files_are_gzip(sizes: list[int]) -> None:
    stream = GzipStream()
    parts = [bytes(number % 251 for number in range(size)) for size in sizes]
    content = b"".join([stream.add(part) for part in parts]) + stream.finish()
    assert gzip.decompress(content) == b"".join(parts)
    assert md5_text(content) == b64encode(stream.md5)


def test_lines_of_items_are_those_of_aws() -> None:
    lines = FORMATS["DYNAMODB_JSON"]
    stored = b'{"pk":{"S":"1"},"sk":{"S":"1"},"test":{"S":"test"}}'
    expected = b'{"Item":{"pk":{"S":"1"},"sk":{"S":"1"},"test":{"S":"test"}}}\n'
    assert lines.stored(stored) == expected
    assert lines.item(orjson.loads(stored)) == expected
    assert FORMATS["ION"].stored(stored) == b'$ion_1_0 {Item:{pk:"1",sk:"1",test:"test"}}\n'


def test_lines_of_changes_are_those_of_aws() -> None:
    lines = FORMATS["DYNAMODB_JSON"]
    keys = {"pk": {"S": "2"}, "sk": {"S": "3"}}
    image = {**keys, "test": {"S": "test"}}
    assert lines.change(1768386122158621, keys, None, image) == (
        b'{"Metadata":{"WriteTimestampMicros":{"N":"1768386122158621"}},"Keys":{"pk":{"S":"2"},"sk":{"S":"3"}},'
        b'"NewImage":{"pk":{"S":"2"},"sk":{"S":"3"},"test":{"S":"test"}}}\n'
    )
    assert lines.change(1768387654353205, keys, image, None) == (
        b'{"Metadata":{"WriteTimestampMicros":{"N":"1768387654353205"}},"Keys":{"pk":{"S":"2"},"sk":{"S":"3"}},'
        b'"OldImage":{"pk":{"S":"2"},"sk":{"S":"3"},"test":{"S":"test"}}}\n'
    )
    assert lines.change(1, keys, image, keys).index(b'"OldImage"') < lines.change(1, keys, image, keys).index(
        b'"NewImage"'
    )
    assert FORMATS["ION"].change(1768386122158621, keys, image, keys) == (
        b'$ion_1_0 {Metadata:{WriteTimestampMicros:1768386122158621.},Keys:{pk:"2",sk:"3"},'
        b'OldImage:{pk:"2",sk:"3",test:"test"},NewImage:{pk:"2",sk:"3"}}\n'
    )


@pytest.mark.parametrize(
    ("prefix", "root"),
    [("", ""), ("foo", "foo/"), ("foo/", "foo/"), ("a/b", "a/b/"), ("/foo", "foo/"), ("//", "")],
)
def test_prefixes(prefix: str, root: str) -> None:
    places = Places(prefix, "01768385930622-efd1a093", "FULL_EXPORT", "ION")
    assert places.summary == f"{root}AWSDynamoDB/01768385930622-efd1a093/manifest-summary.json"
    assert checksum_key(places.files_manifest).endswith("/manifest-files.md5")
    assert re.fullmatch(
        f"{root}AWSDynamoDB/01768385930622-efd1a093/data/[a-z2-7]{{26}}\\.ion\\.gz", places.data_file(0)
    )
    assert places.data_file(0) == places.data_file(0) != places.data_file(1)


def test_incremental_exports_share_a_folder() -> None:
    places = Places("p", "01768385930622-efd1a093", "INCREMENTAL_EXPORT", "DYNAMODB_JSON")
    assert re.fullmatch(r"p/AWSDynamoDB/data/[a-z2-7]{26}\.json\.gz", places.data_file(3))
    assert places.started == "p/AWSDynamoDB/01768385930622-efd1a093/_started"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "1970-01-01T00:00:00.000Z"),
        (1768385930.6219, "2026-01-14T10:18:50.622Z"),
        (0.9999, "1970-01-01T00:00:01.000Z"),
    ],
)
def test_times(seconds: float, text: str) -> None:
    assert manifest_time(seconds) == text
