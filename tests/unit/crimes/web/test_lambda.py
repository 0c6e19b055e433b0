"""The app under API Gateway: HTTP API events (payload 2.0) in, answers out."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import unquote

import pytest
from mangum import Mangum

from blotter.crimes.settings import Application, CrimesSettings
from blotter.crimes.web import lambda_
from blotter.crimes.web.services import Services


def event(
    method: str, path: str, *, headers: dict[str, str] | None = None, body: bytes | None = None, query: str = ""
) -> dict[str, Any]:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html"""
    host = "abc123.execute-api.us-east-1.amazonaws.com"
    made: dict[str, Any] = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": query,
        "headers": {"host": host, "x-forwarded-proto": "https", "x-forwarded-port": "443"} | (headers or {}),
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "abc123",
            "domainName": host,
            "http": {
                "method": method,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "203.0.113.7",
                "userAgent": "x",
            },
            "requestId": "JKJaXmPLvHcESHA=",
            "routeKey": "$default",
            "stage": "$default",
            "time": "22/Nov/2026:13:00:00 +0000",
            "timeEpoch": 1795352400000,
        },
        "isBase64Encoded": body is not None,
    }
    if body is not None:
        made["body"] = base64.b64encode(body).decode()
    return made


@pytest.fixture
def handler(services: Services) -> Mangum:
    application = Application(
        CrimesSettings(),
        services.objects,
        services.results,
        None,
        services.intake,  # type: ignore[arg-type]
    )
    return lambda_.gateway_handler(lambda_.gateway_services(application))


def test_pages_results_and_health(handler: Mangum, files: Any) -> None:
    key = files.completed("uploads/x/a b 100% 🚓.csv")
    page = handler(event("GET", "/"), None)
    assert page["statusCode"] == 200
    assert page["isBase64Encoded"] is False
    assert "uploads%2Fx%2F" in page["body"]
    result = handler(event("GET", f"/api/results/{key}"), None)
    assert json.loads(result["body"])["file_key"] == key
    encoded = handler(event("GET", "/api/results/uploads%2Fx%2Fa%20b%20100%25%20%F0%9F%9A%93.csv"), None)
    assert json.loads(encoded["body"])["file_key"] == key
    assert handler(event("GET", "/health"), None)["statusCode"] == 200
    listed = handler(event("GET", "/api/results", query="limit=1"), None)
    assert len(json.loads(listed["body"])["results"]) == 1
    style = handler(event("GET", "/static/app.css"), None)
    assert style["statusCode"] == 200
    assert not style["isBase64Encoded"]


def test_uploads_arrive_base64_encoded(handler: Mangum, services: Services) -> None:
    boundary = "b"
    body = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\n\xff\x00a,b\r\n--b--\r\n'
    headers = {
        "content-type": f"multipart/form-data; boundary={boundary}",
        "origin": "https://abc123.execute-api.us-east-1.amazonaws.com",
    }
    answer = handler(event("POST", "/api/files", headers=headers, body=body), None)
    assert answer["statusCode"] == 202
    key = json.loads(answer["body"])["file_key"]
    assert unquote(answer["headers"]["location"]) == f"/api/results/{key}"
    assert b"".join(services.objects.read(services.objects.head(key))) == b"\xff\x00a,b"
    foreign = headers | {"origin": "https://evil.example"}
    assert handler(event("POST", "/api/files", headers=foreign, body=body), None)["statusCode"] == 403


def test_an_event_stream_ends_although_the_work_goes_on(handler: Mangum, files: Any) -> None:
    files.processing("uploads/x/a.csv")
    answer = handler(event("GET", "/api/results/uploads/x/a.csv/events"), None)
    assert answer["statusCode"] == 200
    assert answer["body"].count("event: progress") == 1
    assert answer["body"].startswith("retry: ")


def test_predictions_come_as_text(handler: Mangum, files: Any) -> None:
    key = files.completed("uploads/x/a.csv")
    answer = handler(event("GET", f"/api/results/{key}/predictions.csv"), None)
    assert answer["statusCode"] == 200
    assert answer["body"].startswith("Date,")
    assert answer["headers"]["content-disposition"].startswith("attachment")
