"""Requests as boto3 sends them: its headers, the current date, a signature of their own.

Each is signed for itself, so that its head is like no other's and a server that verifies signatures has what to
verify. Written here once more, not taken from the server's `sigv4.py`: a check should not use the code that it
checks (a test compares it with botocore's signer). About 10 µs a request; the key of a day is worked out once.
"""

from __future__ import annotations

import hmac
import json
import os
import time
from functools import lru_cache
from hashlib import sha256
from typing import Any

ACCESS_KEY = "AKIARZPUZDIKJVSGK3LP"  # of account 123456789012
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
REGION = "us-east-1"

_TYPE = "application/x-amz-json-1.0"
_SIGNED = "content-type;host;x-amz-date;x-amz-target"
_USER_AGENT = (
    "Boto3/1.44.5 md/Botocore#1.44.8 ua/2.1 os/linux#6.18.44 md/arch#x86_64 lang/python#3.11.7 md/pyimpl#CPython "
    "m/P,b,N,e,Z,E cfg/retry-mode#standard Botocore/1.44.8"
)


def request(
    host: str,
    operation: str,
    body: dict[str, Any],
    *,
    secret: str = SECRET,
    moment: float | None = None,
) -> bytes:
    """One signed DynamoDB request as bytes; `moment` is seconds since the epoch, None is now."""
    content = json.dumps(body).encode()
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(moment))
    scope = f"{stamp[:8]}/{REGION}/dynamodb/aws4_request"
    target = f"DynamoDB_20120810.{operation}"
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
    canonical = (
        f"POST\n/\n\ncontent-type:{_TYPE}\nhost:{host}\nx-amz-date:{stamp}\nx-amz-target:{target}\n\n"
        f"{_SIGNED}\n{sha256(content).hexdigest()}"
    )
    to_sign = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{sha256(canonical.encode()).hexdigest()}"
    signature = hmac.digest(_day_key(secret, stamp[:8]), to_sign.encode(), "sha256").hex()
    head = (
        f"POST / HTTP/1.1\r\nHost: {host}\r\nAccept-Encoding: identity\r\nX-Amz-Target: {target}\r\n"
        f"Content-Type: {_TYPE}\r\nUser-Agent: {_USER_AGENT}\r\nX-Amz-Date: {stamp}\r\n"
        f"Authorization: AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/{scope}, SignedHeaders={_SIGNED}, "
        f"Signature={signature}\r\n"
        f"amz-sdk-invocation-id: {_invocation()}\r\namz-sdk-request: attempt=1; max=4\r\n"
        f"Content-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


def requests(calls: list[tuple[str, dict[str, Any]]], host: str) -> list[bytes]:
    """Signed requests for one server. To be made anew for every measurement: they are good for 15 minutes."""
    return [request(host, operation, body) for operation, body in calls]


@lru_cache(maxsize=16)
def _day_key(secret: str, day: str) -> bytes:
    key = b"AWS4" + secret.encode()
    for part in (day, REGION, "dynamodb", "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def _invocation() -> str:
    random = os.urandom(16).hex()
    return f"{random[:8]}-{random[8:12]}-4{random[13:16]}-a{random[17:20]}-{random[20:]}"
