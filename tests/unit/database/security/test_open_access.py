"""Open access verifies no credentials, but requires them."""

from __future__ import annotations

import pytest

from blotter.database.http.messages import Request
from blotter.database.model.errors import DynamoDBError
from blotter.database.security.identity import Identity
from blotter.database.security.open_access import OpenAccess
from blotter.database.security.sigv4 import parse_authentication


def _request(credential: str, target: str = "/") -> Request:
    header = f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders=host, Signature=none"
    return Request("POST", target, {"authorization": header, "x-amz-date": "20261122T000000Z"}, b"")


def _named(identity: Identity) -> tuple[object, ...]:
    return identity.account, identity.region, identity.access_key, identity.principal


def test_the_region_is_the_one_of_the_scope() -> None:
    access = OpenAccess("123456789012")
    for region in ("us-east-1", "eu-central-1", "local"):
        identity = access.authenticate(_request(f"any/20200101/{region}/dynamodb/aws4_request"))
        assert _named(identity) == ("123456789012", region, "any", None)


def test_a_presigned_request_counts_too() -> None:
    query = (
        "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=key%2F20200101%2Feu-west-1%2Fdynamodb%2Faws4_request"
        "&X-Amz-Date=20200101T000000Z&X-Amz-SignedHeaders=host&X-Amz-Signature=0"
    )
    identity = OpenAccess("000000000000").authenticate(Request("POST", f"/?{query}", {}, b""))
    assert _named(identity) == ("000000000000", "eu-west-1", "key", None)


def test_silence_is_refused() -> None:
    with pytest.raises(DynamoDBError) as refused:
        OpenAccess("000000000000").authenticate(Request("POST", "/", {}, b""))
    assert refused.value.code == "MissingAuthenticationTokenException"


SIGNATURES = ("0", "abc123", "none-at-all", "", "a b", "a,b", "a=b", "x, SignedHeaders=host, Signature=y", "é")


@pytest.mark.parametrize(
    "head", ["AWS4-HMAC-SHA256 Credential=k/1/r/d/e, SignedHeaders=host, ", "AWS4-HMAC-SHA256 ", ""]
)
@pytest.mark.parametrize("signature", SIGNATURES)
def test_a_header_counts_or_is_refused_whatever_came_before_it(head: str, signature: str) -> None:
    def outcome(access: OpenAccess, header: str) -> object:
        try:
            headers = {"authorization": header, "x-amz-date": "d"}
            return _named(access.authenticate(Request("POST", "/", headers, b"")))
        except DynamoDBError as error:
            return (error.code, error.message)

    header = f"{head}Signature={signature}"
    access = OpenAccess("000000000000")
    for other in SIGNATURES:
        outcome(access, f"{head}Signature={other}")
    expected: object
    try:
        parse_authentication({"authorization": header, "x-amz-date": "d"}, "/")
        expected = ("000000000000", "r", "k", None)
    except DynamoDBError as error:
        expected = (error.code, error.message)
    assert outcome(access, header) == expected


@pytest.mark.parametrize("region", ["", "a b", "us:east", "-x", "x" * 64])
def test_a_region_that_could_not_be_part_of_an_arn(region: str) -> None:
    query = (
        f"X-Amz-Algorithm=A&X-Amz-Credential=key/1/{region}/d/e"
        "&X-Amz-Date=d&X-Amz-SignedHeaders=h&X-Amz-Signature=s"
    )
    with pytest.raises(DynamoDBError) as refused:
        OpenAccess("000000000000").authenticate(Request("POST", f"/?{query}", {}, b""))
    assert refused.value.message == f"Credential should be scoped to a valid region, not '{region}'. "
