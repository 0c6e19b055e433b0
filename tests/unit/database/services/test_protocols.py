"""The services beside DynamoDB at the level of bytes: what they answer, and what hostile requests get.

A request goes through the dispatcher, as on the port. Messages of STS: its API reference and recorded answers of
`sts.amazonaws.com` ("Could not find operation … for version …").
"""

from __future__ import annotations

import asyncio
import gzip
import xml.etree.ElementTree as ET
from typing import Any

import cbor2
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from blotter.database.http.messages import Pending, Request, Response
from blotter.database.model.errors import DynamoDBError
from blotter.database.security.access import Access, Authenticate, open_access
from blotter.database.security.access_state import AccessState
from blotter.database.security.sealing import sealer_in_memory
from blotter.database.services.table import SERVICES, make_dispatcher
from blotter.database.storage.memory import MemoryStorage
from blotter.database.storage.memory.maps import OrderedMaps

FORM = "application/x-www-form-urlencoded"
CLOUDWATCH = "/service/GraniteServiceVersion20100801/operation/"
STS = "{https://sts.amazonaws.com/doc/2011-06-15/}"


def _store() -> MemoryStorage:
    return MemoryStorage(OrderedMaps())


def _access(account: str = "1" * 12, authenticate: Authenticate | None = None) -> Access:
    sealer = sealer_in_memory()
    state = AccessState(_store(), sealer)
    if authenticate is None:
        return open_access(account, state, sealer)
    return Access(account, state, sealer, lambda _: authenticate, enforced=True)


def _send(scope: str, target: str = "/", body: bytes = b"", method: str = "POST", **headers: str) -> Response:
    def dynamodb(_request: Request) -> Response:
        raise AssertionError("not for DynamoDB")

    dispatcher = make_dispatcher(dynamodb, _access("111122223333"), _store())
    named = {
        "authorization": f"AWS4-HMAC-SHA256 Credential=k/20261128/us-east-1/{scope}/aws4_request, "
        "SignedHeaders=host, Signature=0",
        "x-amz-date": "20261128T000000Z",
    }
    named |= {name.replace("_", "-"): text for name, text in headers.items()}
    request = Request(method, target, {name: text for name, text in named.items() if text}, body, id="ID")

    async def send() -> Response:
        answer = dispatcher(request)
        return await answer if isinstance(answer, Pending) else answer

    return asyncio.run(send())


def _form(scope: str, body: str, **headers: str) -> Response:
    return _send(scope, body=body.encode(), content_type=FORM, **headers)


def _xml_error(answer: Response) -> tuple[int, str | None, str | None]:
    assert ("Content-Type", "text/xml") in answer.headers
    error = ET.fromstring(answer.body).find("{*}Error")
    assert error is not None
    return answer.status, error.findtext("{*}Code"), error.findtext("{*}Message")


def _cbor(operation: str, body: bytes, **headers: str) -> tuple[Response, dict[str, Any]]:
    smithy = {"smithy_protocol": "rpc-v2-cbor", "content_type": "application/cbor"}
    answer = _send("monitoring", CLOUDWATCH + operation, body, **(smithy | headers))
    assert dict(answer.headers)["smithy-protocol"] == "rpc-v2-cbor"
    assert dict(answer.headers)["Content-Type"] == "application/cbor"
    return answer, cbor2.loads(answer.body)


def test_get_caller_identity() -> None:
    answer = _form("sts", "Action=GetCallerIdentity&Version=2011-06-15")
    assert answer.status == 200
    tree = ET.fromstring(answer.body)
    assert tree.tag == f"{STS}GetCallerIdentityResponse"
    result = tree.find(f"{STS}GetCallerIdentityResult")
    assert result is not None
    assert {element.tag.removeprefix(STS): element.text for element in result} == {
        "UserId": "111122223333",
        "Account": "111122223333",
        "Arn": "arn:aws:iam::111122223333:root",
    }
    assert tree.findtext(f"{STS}ResponseMetadata/{STS}RequestId") == "ID"


def test_get_caller_identity_by_a_presigned_get() -> None:
    """As Kubernetes clusters identify a user."""
    credential = "k%2F20261128%2Feu-west-1%2Fsts%2Faws4_request"
    query = (
        f"Action=GetCallerIdentity&Version=2011-06-15&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={credential}"
        "&X-Amz-Date=20261128T000000Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-Signature=0"
    )
    answer = _send("", f"/?{query}", method="GET", authorization="", x_amz_date="")
    assert answer.status == 200
    assert b"<Account>111122223333</Account>" in answer.body


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        (
            "Action=Nothing&Version=2011-06-15",
            "InvalidAction",
            "Could not find operation Nothing for version 2011-06-15",
        ),
        (
            "Action=AssumeRoot&Version=2011-06-15",
            "InvalidAction",
            "Could not find operation AssumeRoot for version 2011-06-15. "
            "Blotter does not implement this operation of AWS Security Token Service yet.",
        ),
        (
            "Action=GetCallerIdentity&Version=2011-06-14",
            "InvalidAction",
            "Could not find operation GetCallerIdentity for version 2011-06-14",
        ),
        (
            "Action=GetCallerIdentity",
            "InvalidAction",
            "Could not find operation GetCallerIdentity for version NO_VERSION_SPECIFIED",
        ),
        ("", "MissingAction", "The request is missing an action or a required parameter."),
        ("Version=2011-06-15", "MissingAction", "The request is missing an action or a required parameter."),
        (
            "Action=GetCallerIdentity&Version=2011-06-15&Action=AssumeRole",
            "InvalidQueryParameter",
            "Parameter 'Action' is given more than once.",
        ),
        ("&".join(["a=1"] * 10_001), "InvalidQueryParameter", "The request has too many parameters."),
        (
            "Action=<a>%26%00%1b%ed%a0%80]]>&Version=2011-06-15",
            "InvalidAction",
            "Could not find operation <a>&\ufffd\ufffd\ufffd\ufffd\ufffd]]> for version 2011-06-15",
        ),
    ],
)
def test_what_the_query_protocol_refuses(body: str, code: str, message: str) -> None:
    assert _xml_error(_form("sts", body)) == (400, code, message)


def test_errors_of_signatures_have_this_protocols_names() -> None:
    body = "Action=GetCallerIdentity&Version=2011-06-15"
    assert _xml_error(_form("sts", body, authorization="")) == (
        403,
        "MissingAuthenticationToken",
        "Request is missing Authentication Token",
    )
    status, code, _ = _xml_error(_form("sts", body, x_amz_date=""))
    assert (status, code) == (400, "IncompleteSignature")


@pytest.mark.parametrize("entry", SERVICES, ids=lambda entry: entry.scope)
def test_a_page_that_is_refused_is_told_in_the_services_protocol(entry: Any) -> None:
    dispatcher = make_dispatcher(lambda _request: Response(200), _access("1" * 12), _store())
    headers = {"authorization": f"AWS4-HMAC-SHA256 Credential=k/2/r/{entry.scope}/aws4_request"}
    answer = dispatcher.refuse(Request("POST", "/", headers, b""), "not from there")
    assert answer.status == 403
    assert b"not from there" in answer.body


@pytest.mark.parametrize(
    ("scope", "target", "operation", "title"),
    [
        ("cloudtrail", "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101", "ListTrails", "AWS CloudTrail"),
        (
            "application-autoscaling",
            "AnyScaleFrontendService",
            "GetPredictiveScalingForecast",
            "Application Auto Scaling",
        ),
        ("monitoring", "GraniteServiceVersion20100801", "PutDashboard", "Amazon CloudWatch"),
    ],
)
def test_services_without_operations_name_themselves_in_json(
    scope: str, target: str, operation: str, title: str
) -> None:
    answer = _send(scope, body=b"{}", x_amz_target=f"{target}.{operation}")
    assert answer.status == 400
    assert orjson.loads(answer.body) == {
        "__type": "UnknownOperationException",
        "message": f"Blotter does not implement {operation} of {title} yet.",
    }
    assert dict(answer.headers)["Content-Type"] == (
        "application/x-amz-json-1.0" if scope == "monitoring" else "application/x-amz-json-1.1"
    )


def test_and_in_xml() -> None:
    status, code, message = _xml_error(_form("iam", "Action=CreateInstanceProfile&Version=2010-05-08"))
    assert (status, code) == (400, "InvalidAction")
    assert "AWS Identity and Access Management" in (message or "")
    _, _, message = _xml_error(_form("monitoring", "Action=PutDashboard&Version=2010-08-01"))
    assert "Amazon CloudWatch" in (message or "")


def test_and_in_cbor() -> None:
    answer, error = _cbor("PutDashboard", cbor2.dumps({"DashboardName": "x"}))
    assert answer.status == 400
    assert error == {
        "__type": "UnknownOperationException",
        "message": "Blotter does not implement PutDashboard of Amazon CloudWatch yet.",
    }
    assert dict(answer.headers)["x-amzn-query-error"] == "UnknownOperationException;Sender"


@pytest.mark.parametrize(
    "body",
    [
        b"\xa1",  # a map cut off
        b"\xa1\x69Namespace",
        b"\x9b\x7f" + b"\xff" * 7,  # a list that announces 2^63 elements
        b"\x5b\x00\x00\x00\xff" + b"\xff" * 4,  # a terabyte of bytes
        b"\xbf\x61a\x01",  # without its end
        b"\xff",
        b"\x81" * 100_000 + b"\x01",  # nested
        b"\xa1\x61a" * 1_000 + b"\x01",
        b"\xa1\x61a\xd8\x23\x63(a)",  # a regular expression
        b"\xa1\x61a\xd8\x1c\x81\xd8\x1d\x00",  # a list that holds itself
        b"\xa1\x61a\xc5\x82\x1b\x7f" + b"\xff" * 7 + b"\x01",  # a bigfloat
        b"\xa1\x61a\xc1\x1b" + b"\xff" * 8,  # a time that is none
        b"\xa1\x61a\xd9\x12\x34\x01",  # an unknown tag
        b"\xa2\x61a\x01\x61a\x02",  # a key twice
        b"\xa1\x01\x02",  # keys that are no text
        b"\xa1\x81\x01\x02",
        b"\xa1\x62\xff\xff\x01",  # text that is no UTF-8
        b"\x80",
        b"\x01\x02",
        cbor2.dumps({"a": 1}) + b"\x00",
        b'{"Namespace":"x"}',
    ],
)
def test_hostile_cbor_is_a_serialization_error(body: bytes) -> None:
    answer, error = _cbor("ListMetrics", body)
    assert answer.status == 400
    assert error["__type"] == "SerializationException"
    assert len(answer.body) < 500


@given(st.binary(max_size=64))
def test_any_bytes_get_a_cbor_answer(body: bytes) -> None:
    answer, error = _cbor("PutDashboard", body)
    assert answer.status == 400
    assert error["__type"] in ("SerializationException", "UnknownOperationException")


@given(st.text(max_size=40).filter(lambda action: action != "GetCallerIdentity"))
def test_any_action_comes_back_in_well_formed_xml(action: str) -> None:
    from urllib.parse import quote

    body = f"Action={quote(action, errors='surrogatepass')}&Version=2011-06-15"
    status, code, _ = _xml_error(_form("sts", body))
    assert status == 400
    assert code in ("InvalidAction", "MissingAction")


@pytest.mark.parametrize("body", [b"{", b"[]", b"\xff", b'{"a":' * 5000, b"1"])
def test_hostile_json_is_a_serialization_error(body: bytes) -> None:
    answer = _send(
        "cloudtrail", body=body, x_amz_target="com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101.X"
    )
    assert answer.status == 400
    assert orjson.loads(answer.body)["__type"] == "SerializationException"


def test_compressed_bodies_are_understood() -> None:
    """boto3 and others compress PutMetricData."""
    packed = gzip.compress(cbor2.dumps({"DashboardName": "x"}))
    assert _cbor("PutDashboard", packed, content_encoding="gzip")[1]["__type"] == "UnknownOperationException"
    assert _cbor("PutDashboard", b"broken", content_encoding="gzip")[0].status == 500
    bomb = gzip.compress(b"\0" * 2_000_000)
    assert _cbor("PutDashboard", bomb, content_encoding="gzip")[0].status == 413


def test_bodies_are_bounded_in_every_protocol() -> None:
    big = b"x" * (1024 * 1024 + 1)
    assert _send("sts", body=big, content_type=FORM).status == 413
    assert _send("cloudtrail", body=big, x_amz_target="X.Y").status == 413
    answer, error = _cbor("ListMetrics", big)
    assert (answer.status, error["__type"]) == (413, "RequestEntityTooLarge")


@pytest.mark.parametrize("target", ["Other.X", "X", "", "AnyScaleFrontendService."])
def test_a_target_of_another_service_is_unknown(target: str) -> None:
    answer = _send("application-autoscaling", body=b"{}", x_amz_target=target or "?")
    assert orjson.loads(answer.body)["__type"] == "UnknownOperationException"


def test_what_is_signed_for_another_service_is_told_so() -> None:
    answer = _send("s3", "/bucket", method="GET")
    assert answer.status == 501
    assert b"'s3'" in answer.body
    assert b"AWS_ENDPOINT_URL_S3" in answer.body
    ET.fromstring(answer.body)
    answer = _send("kinesis", x_amz_target="Kinesis_20131202.ListStreams", body=b"{}")
    assert "AWS_ENDPOINT_URL_KINESIS" in orjson.loads(answer.body)["message"]
    assert _xml_error(_form("sns", "Action=Publish"))[1] == "NotImplemented"


def test_a_bug_is_an_internal_failure(caplog: pytest.LogCaptureFixture) -> None:
    def broken(_request: Any) -> Any:
        raise RuntimeError("secret")

    dispatcher = make_dispatcher(lambda _request: Response(200), _access(authenticate=broken), _store())
    headers = {"authorization": "AWS4-HMAC-SHA256 Credential=k/2/r/sts/aws4_request", "content-type": FORM}
    answer = dispatcher(Request("POST", "/", headers, b"Action=GetCallerIdentity&Version=2011-06-15"))
    assert isinstance(answer, Response)
    assert _xml_error(answer)[:2] == (500, "InternalFailure")
    assert b"secret" not in answer.body
    assert "secret" in caplog.text


def test_an_access_denied_of_authentication_keeps_its_status() -> None:
    def denied(_request: Any) -> Any:
        raise DynamoDBError("UnrecognizedClientException", "no such key")

    dispatcher = make_dispatcher(lambda _request: Response(200), _access(authenticate=denied), _store())
    headers = {"authorization": "AWS4-HMAC-SHA256 Credential=k/2/r/sts/aws4_request", "content-type": FORM}
    answer = dispatcher(Request("POST", "/", headers, b"Action=GetCallerIdentity&Version=2011-06-15"))
    assert isinstance(answer, Response)
    assert _xml_error(answer) == (403, "InvalidClientTokenId", "no such key")


@pytest.mark.parametrize("protocol", ["json", "cbor"])
def test_a_long_list_is_not_looked_into(protocol: str) -> None:
    """A million empty structures in a body of a megabyte kept the event loop busy for a second."""
    body = {"Namespace": "n", "MetricData": [{}] * 10_001}
    if protocol == "cbor":
        target = f"{CLOUDWATCH}PutMetricData"
        answer = _send("monitoring", target, cbor2.dumps(body), smithy_protocol="rpc-v2-cbor")
        error = cbor2.loads(answer.body)
    else:
        named = {"x_amz_target": "GraniteServiceVersion20100801.PutMetricData"}
        answer = _send("monitoring", body=orjson.dumps(body), content_type="application/x-amz-json-1.0", **named)
        error = orjson.loads(answer.body)
    assert answer.status == 400
    assert error["__type"].endswith("SerializationException")
    assert error["message"] == "MetricData has more than 10000 elements."


def test_a_large_body_is_answered_later() -> None:
    name = "x" * 70_000
    body = f"Action=GetCallerIdentity&Version=2011-06-15&Unknown={name}"
    assert _form("sts", body).status == 200
    wrong = _form("sts", f"Action=GetCallerIdentity&Version=2011-06-14&Unknown={name}")
    assert _xml_error(wrong)[1] == "InvalidAction"
    assert _xml_error(_form("sts", body, authorization=""))[1] == "MissingAuthenticationToken"
