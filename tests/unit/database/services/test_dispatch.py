"""Which service a request reaches: by its credential scope, else by target, path or version."""

from __future__ import annotations

import pytest

from blotter.database.http.messages import Pending, Request, Response
from blotter.database.metrics.series import MetricReader
from blotter.database.security.access import open_access
from blotter.database.security.access_state import AccessState
from blotter.database.security.sealing import sealer_in_memory
from blotter.database.services.dispatch import Claims, Dispatcher
from blotter.database.services.form import first_value
from blotter.database.services.model import load_model
from blotter.database.services.table import DYNAMODB_TARGETS, SERVICES, Backing, Trail
from blotter.database.storage.memory.maps import OrderedMaps
from blotter.database.storage.memory.storage import MemoryStorage
from blotter.database.wire.service_model import service_model

VERSIONS = {"sts": "2011-06-15", "iam": "2010-05-08", "monitoring": "2010-08-01"}
FORM = "application/x-www-form-urlencoded"


class _Named:
    def __init__(self, name: str) -> None:
        self._body = name.encode()

    def answer(self, request: Request) -> Response | Pending:  # noqa: ARG002
        return Response(200, self._body)

    def refuse(self, request: Request, message: str) -> Response:  # noqa: ARG002
        return Response(403, self._body)


def _chosen(target: str = "/", body: bytes = b"", **headers: str) -> str:
    others = [Claims(_Named("dynamodb"), "dynamodb", DYNAMODB_TARGETS)]
    for entry in SERVICES:
        names = (entry.target,) if entry.target else ()
        others.append(Claims(_Named(entry.scope), entry.scope, names, (entry.version,), names))
    dispatcher = Dispatcher(_Named("dynamodb"), others, lambda name: _Named(f"unknown {name}"))
    request = Request("POST", target, {name.replace("_", "-"): text for name, text in headers.items()}, body)
    answer = dispatcher(request)
    assert isinstance(answer, Response)
    assert dispatcher.refuse(request, "no").body == answer.body
    return answer.body.decode()


def _signed(scope: str) -> str:
    return f"AWS4-HMAC-SHA256 Credential=k/20261128/us-east-1/{scope}/aws4_request, SignedHeaders=h, Signature=0"


@pytest.mark.parametrize("scope", ["dynamodb", *(entry.scope for entry in SERVICES)])
def test_the_scope_decides_whatever_else_is_said(scope: str) -> None:
    others = {"x_amz_target": "GraniteServiceVersion20100801.ListMetrics", "content_type": FORM}
    assert _chosen(body=b"Version=2010-05-08", authorization=_signed(scope), **others) == scope


def test_a_presigned_url_has_its_scope_in_the_query() -> None:
    query = "Action=GetCallerIdentity&X-Amz-Credential=k%2F20261128%2Fus-east-1%2Fsts%2Faws4_request"
    assert _chosen(f"/?{query}") == "sts"


@pytest.mark.parametrize("authorization", [None, _signed("something"), "Basic abc", ""])
def test_else_the_target_decides(authorization: str | None) -> None:
    headers = {} if authorization is None else {"authorization": authorization}
    for entry in SERVICES:
        if entry.target:
            assert _chosen(x_amz_target=f"{entry.target}.ListMetrics", **headers) == entry.scope
    for target in DYNAMODB_TARGETS:
        assert _chosen(x_amz_target=f"{target}.GetItem", **headers) == "dynamodb"


@pytest.mark.parametrize(("scope", "version"), VERSIONS.items())
def test_else_the_version_of_a_form_or_query(scope: str, version: str) -> None:
    assert _chosen(f"/?Action=X&Version={version}") == scope
    assert _chosen(body=f"Version={version}&Action=X".encode(), content_type=f"{FORM}; charset=utf-8") == scope


def test_else_the_path() -> None:
    assert _chosen("/service/GraniteServiceVersion20100801/operation/ListMetrics") == "monitoring"
    assert _chosen("/service/Other/operation/ListMetrics") == "dynamodb"


def test_what_is_signed_for_another_service_is_answered_by_its_name() -> None:
    assert _chosen("/bucket/key", authorization=_signed("s3")) == "unknown s3"
    assert (
        _chosen(authorization=_signed("kinesis"), x_amz_target="Kinesis_20131202.ListStreams") == "unknown kinesis"
    )


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "x"},
        {"x_amz_target": "x"},
        {"content_type": FORM},
        {"x_amz_target": "DynamoDB_2012.X"},
    ],
)
def test_what_nobody_claims_is_for_dynamodb(headers: dict[str, str]) -> None:
    assert _chosen(**headers) == "dynamodb"


def test_a_huge_form_is_not_searched() -> None:
    body = b"x=" + b"y" * 2_000_000 + b"&Version=2011-06-15"
    assert _chosen(body=body, content_type=FORM) == "dynamodb"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", ""),
        ("Action=A", "A"),
        ("X=1&Action=A%20B&Action=C", "A B"),
        ("NotAction=A", ""),
        ("Action=", ""),
        ("Action", ""),
        ("&&Action=A&", "A"),
    ],
)
def test_the_first_value_of_a_parameter(text: str, value: str) -> None:
    assert first_value(text, "Action") == value


@pytest.mark.parametrize("entry", SERVICES, ids=lambda entry: entry.scope)
def test_the_table_says_what_the_models_say(entry: object) -> None:
    scope, target, version, load = entry  # type: ignore[misc]
    model = load_model(scope)
    assert (model.scope, model.target, model.version) == (scope, target, version)
    sealer = sealer_in_memory()
    access = open_access("1" * 12, AccessState(MemoryStorage(OrderedMaps()), sealer), sealer)
    assert set(load(Backing(access, Trail(), MetricReader()))) == {
        name for name, operation in model.operations.items() if operation.implemented
    }


def test_dynamodbs_targets_are_the_models() -> None:
    assert set(service_model().operations) == set(DYNAMODB_TARGETS)
