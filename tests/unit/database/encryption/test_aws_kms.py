"""Master keys in AWS KMS, as moto plays it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from blotter.database.encryption.errors import MasterKeyError
from blotter.database.encryption.master_keys import parse_master_key


@pytest.fixture
def kms(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        yield boto3.client("kms", "eu-central-1")


def test_only_the_same_key_and_context_unwrap(kms: Any) -> None:
    arns = [kms.create_key()["KeyMetadata"]["Arn"] for _ in range(2)]
    key, other = (parse_master_key(f"aws-kms:{arn}") for arn in arns)
    wrapped = key.wrap(b"data key", "context")
    assert b"data key" not in wrapped
    assert key.unwrap(wrapped, "context") == b"data key"
    assert (key.kind, key.id) == ("aws-kms", arns[0])
    with pytest.raises(MasterKeyError, match=f"AWS KMS cannot be used with {arns[0]}: "):
        key.unwrap(wrapped, "another")
    missing = parse_master_key("aws-kms:arn:aws:kms:eu-central-1:123456789012:key/none")
    with pytest.raises(MasterKeyError, match="AWS KMS cannot be used with"):
        missing.wrap(b"data key", "context")
    assert other.unwrap(other.wrap(b"data key", "context"), "context") == b"data key"


def test_an_alias_that_names_another_key_by_now_still_unwraps(kms: Any) -> None:
    """So that `blotter keys rotate` can wrap with the new one."""
    old, new = (kms.create_key()["KeyMetadata"]["KeyId"] for _ in range(2))
    kms.create_alias(AliasName="alias/blotter", TargetKeyId=old)
    key = parse_master_key("aws-kms:arn:aws:kms:eu-central-1:123456789012:alias/blotter")
    wrapped = key.wrap(b"data key", "context")
    kms.update_alias(AliasName="alias/blotter", TargetKeyId=new)
    assert key.unwrap(wrapped, "context") == b"data key"
    again = key.wrap(b"data key", "context")
    kms.schedule_key_deletion(KeyId=old, PendingWindowInDays=7)
    assert key.unwrap(again, "context") == b"data key"
