"""DynamoDB requests over one plain connection: no SDK that would retry, so that what breaks is seen."""

from __future__ import annotations

import http.client
import json
from typing import Any

HEADERS = {
    "Content-Type": "application/x-amz-json-1.0",
    "X-Amz-Date": "20261122T000000Z",
    "Authorization": "AWS4-HMAC-SHA256 Credential=a/20261122/us-east-1/dynamodb/aws4_request, "
    "SignedHeaders=host, Signature=0",
}

_STREAMS = ("DescribeStream", "GetRecords", "GetShardIterator", "ListStreams")


def post(connection: http.client.HTTPConnection, operation: str, **arguments: Any) -> tuple[int, Any]:
    """Status and answer. Raises OSError or HTTPException when the connection breaks."""
    service = "DynamoDBStreams" if operation in _STREAMS else "DynamoDB"
    headers = HEADERS | {"X-Amz-Target": f"{service}_20120810.{operation}"}
    connection.request("POST", "/", json.dumps(arguments), headers)
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())


class Client:
    """One connection, which opens itself again after it broke."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._connection = http.client.HTTPConnection(*address, timeout=60)

    def call(self, operation: str, **arguments: Any) -> tuple[int, Any]:
        """Status and answer. Raises OSError or HTTPException when the connection breaks."""
        try:
            return post(self._connection, operation, **arguments)
        except (OSError, http.client.HTTPException):
            self._connection.close()
            raise
