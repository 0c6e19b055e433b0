"""Objects in a bucket of S3 or of another store that speaks its protocol.

Data move through obstore, which uploads and retries by itself; listing is done by boto3, because obstore's listing
ends at the first key that it does not like (an empty segment, a control character). Credentials, region and
endpoint are those of a boto3 session, as for every AWS program: profiles, roles, AWS_ENDPOINT_URL_S3. A session
renews credentials that it was given for a time, but reads those in a file once: so after an error the next use
begins with a new session. Both libraries are imported by the first use.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any, Final
from urllib.parse import urlsplit

from blotter.database.copies.objects import (
    PIECE_BYTES,
    BucketMissing,
    CredentialsRefused,
    ObjectInfo,
    ObjectNotFound,
    ObjectsDenied,
    ObjectsUnavailable,
    check_name,
)

# How long the store keeps credentials before it gets them from botocore again, which renews temporary ones in
# time.
_CREDENTIALS_KEPT: Final = timedelta(minutes=5)
_RETRIES: Final = {"max_retries": 4, "retry_timeout": timedelta(seconds=30)}
_TIMEOUT: Final = "60s"
# Bytes of one part of an upload and how many may be on their way. S3 requires parts of at least 5 MiB.
_PART_BYTES: Final = 8 * 1024 * 1024
_PARTS_UNDER_WAY: Final = 2
_REFUSED = re.compile(
    r"\b(ExpiredToken|InvalidToken|InvalidAccessKeyId|SignatureDoesNotMatch|TokenRefreshRequired"
    r"|UnrecognizedClientException|InvalidClientTokenId|ExpiredTokenException)\b"
)
"""Codes of errors about the credentials, not about what they allow. Source:
https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html and the common errors of AWS's services."""
_STATUSES_OF_REFUSALS: Final = (400, 401, 403)


class S3Objects:
    """See `objects.Objects`. `session`: a boto3 session, by default that of the environment."""

    makes_buckets: Final = False

    def __init__(self, bucket: str, prefix: str = "", session: Any = None, opened: dict[str, Any] | None = None):
        self._bucket = bucket
        self._prefix = f"{check_name(prefix)}/" if prefix else ""
        self._session = session
        self._opened: dict[str, Any] = {} if opened is None else opened
        """Shared by all views of one bucket: a session with boto3's client, obstore's store, for as long as they
        work."""
        self.place = f"s3://{bucket}/{prefix}".rstrip("/")

    def put(self, name: str, content: bytes) -> None:
        import obstore

        full = self._full(name)
        with self._as_unavailable(name, writing=True):
            obstore.put(self._store(), full, content)

    def upload(self, name: str, pieces: Iterable[bytes]) -> int:
        import obstore

        full, size = self._full(name), 0
        with self._as_unavailable(name, writing=True):
            sink = obstore.open_writer(
                self._store(), full, buffer_size=_PART_BYTES, max_concurrency=_PARTS_UNDER_WAY
            )
        for piece in pieces:  # what it raises is the caller's; without `close` nothing becomes visible
            with self._as_unavailable(name, writing=True):
                sink.write(piece)
            size += len(piece)
        with self._as_unavailable(name, writing=True):
            sink.close()
        return size

    def get(self, name: str) -> bytes:
        import obstore

        full = self._full(name)
        with self._as_unavailable(name):
            return bytes(obstore.get(self._store(), full).bytes())

    def read(self, name: str, start: int = 0) -> Iterator[bytes]:
        """One ranged request for each piece, all of the same version: a single long response would run into a
        time-out with a slow consumer."""
        import obstore

        full = self._full(name)
        with self._as_unavailable(name):
            meta = obstore.head(self._store(), full)
        for position in range(start, meta["size"], PIECE_BYTES):
            options: Any = {"range": (position, min(position + PIECE_BYTES, meta["size"]))}
            if meta["e_tag"]:
                options["if_match"] = meta["e_tag"]
            with self._as_unavailable(name):
                piece = bytes(obstore.get(self._store(), full, options=options).bytes())
            yield piece

    def find(self, name: str) -> ObjectInfo | None:
        import obstore

        full = self._full(name)
        try:
            with self._as_unavailable(name):
                meta = obstore.head(self._store(), full)
        except ObjectNotFound:
            return None
        etag = (meta["e_tag"] or "").strip('"')
        return ObjectInfo(name, meta["size"], meta["last_modified"].timestamp(), etag)

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        with self._as_unavailable(prefix):
            pages = self._client().get_paginator("list_objects_v2")
            for page in pages.paginate(Bucket=self._bucket, Prefix=self._prefix + prefix):
                for entry in page.get("Contents", []):
                    name = entry["Key"].removeprefix(self._prefix)
                    with suppress(ValueError):
                        check_name(name)
                        yield ObjectInfo(name, entry["Size"], entry["LastModified"].timestamp())

    def delete(self, name: str) -> None:
        import obstore

        full = self._full(name)
        with suppress(ObjectNotFound), self._as_unavailable(name):
            obstore.delete(self._store(), full)

    def within(self, folder: str) -> S3Objects:
        return S3Objects(self._bucket, self._full(folder), self._session, self._opened)

    def bucket(self, name: str) -> S3Objects:
        return S3Objects(check_name(name), "", self._session)

    def has_bucket(self, name: str, owner: str | None = None) -> bool:
        from botocore.exceptions import ClientError

        expected = {} if owner is None else {"ExpectedBucketOwner": owner}
        with self._as_unavailable(""):
            try:
                self._client().head_bucket(Bucket=name, **expected)
            except ClientError as error:
                if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                    return False
                raise
        return True

    def encrypted_by(self, kms_key: str | None) -> S3Objects:
        options = {"server_side_encryption": "aws:kms"} | ({} if kms_key is None else {"sse_kms_key_id": kms_key})
        encrypted = S3Objects(self._bucket, "", self._session, {"encryption": options})
        encrypted._prefix = self._prefix
        return encrypted

    def _full(self, name: str) -> str:
        return self._prefix + check_name(name)

    def _client(self) -> Any:
        return self._session_and_client()[1]

    def _session_and_client(self) -> tuple[Any, Any]:
        found: tuple[Any, Any] | None = self._opened.get("client")
        if found is None:
            import boto3

            session = self._session or boto3.Session()
            found = self._opened["client"] = (session, session.client("s3"))
        return found

    def _store(self) -> Any:
        store = self._opened.get("store")
        if store is None:
            from obstore.auth.boto3 import Boto3CredentialProvider
            from obstore.store import S3Store

            session, client = self._session_and_client()
            endpoint = client.meta.endpoint_url
            options: dict[str, Any] = {"region": client.meta.region_name, "retry_config": _RETRIES}
            options |= self._opened.get("encryption", {})
            client_options: Any = {"timeout": _TIMEOUT}
            if not (urlsplit(endpoint).hostname or "").endswith((".amazonaws.com", ".amazonaws.com.cn")):
                options["endpoint"] = endpoint
                client_options["allow_http"] = endpoint.startswith("http://")
            credentials = Boto3CredentialProvider(session, ttl=_CREDENTIALS_KEPT)
            store = self._opened["store"] = S3Store(
                self._bucket, credential_provider=credentials, client_options=client_options, **options
            )
        return store

    @contextmanager
    def _as_unavailable(self, name: str, *, writing: bool = False) -> Iterator[None]:
        from botocore.exceptions import BotoCoreError, ClientError
        from obstore.exceptions import BaseError

        place = f"{self.place}/{name}".rstrip("/")
        try:
            yield
        except FileNotFoundError as error:
            if writing or "NoSuchBucket" in str(error):
                raise BucketMissing(f"{place} cannot be used: there is no bucket {self._bucket}") from error
            raise ObjectNotFound(place) from None
        except (BaseError, BotoCoreError, ClientError, OSError) as error:
            raise self._unavailable(place, error) from error

    def _unavailable(self, place: str, error: Exception) -> ObjectsUnavailable:
        status = _status(error)
        refused = _REFUSED.search(str(error)) is not None or (
            status in _STATUSES_OF_REFUSALS and self._refuses_credentials()
        )
        self._opened.pop("store", None)
        self._opened.pop("client", None)
        if refused:
            return CredentialsRefused(
                f"{place}: the credentials are refused or have expired; renew them where the AWS SDKs look for "
                f"them ({_first_line(error)})"
            )
        if status in (401, 403):
            return ObjectsDenied(
                f"{place}: access is denied; allow it, or use other credentials ({_first_line(error)})"
            )
        return ObjectsUnavailable(f"{place} cannot be used: {_first_line(error)}")

    def _refuses_credentials(self) -> bool:
        """Asked when an error does not say it: responses to HEAD requests have no body."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            self._client().list_objects_v2(Bucket=self._bucket, Prefix=self._prefix, MaxKeys=1)
        except ClientError as error:
            return _REFUSED.fullmatch(error.response.get("Error", {}).get("Code", "")) is not None
        except BotoCoreError:
            return False
        return False


def _status(error: Exception) -> int:
    """The status of the response behind an error; 0 for none that is known."""
    from botocore.exceptions import ClientError
    from obstore.exceptions import PermissionDeniedError, UnauthenticatedError

    if isinstance(error, ClientError):
        return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if isinstance(error, PermissionDeniedError):
        return 403
    if isinstance(error, UnauthenticatedError):
        return 401
    return 400 if "400 Bad Request" in str(error) else 0


def _first_line(error: BaseException) -> str:
    """The message of an error without the debugging details that follow it."""
    return next(iter(str(error).splitlines()), "")[:300] or type(error).__name__
