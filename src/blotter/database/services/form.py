"""Where requests name things beside their headers: form-encoded parameters (`Action=…&Version=…`, in a URL's query
or in a body) and RPC paths. Read within bounds; no I/O."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, unquote_plus

from blotter.database.http.messages import Request

MAX_PARAMETERS = 10_000
MAX_BODY = 1024 * 1024
"""Bytes of a request to a service other than DynamoDB; the services in question stop at or below this."""

RPC_PATH = re.compile(r"/service/([^/]+)/operation/([^/]+)")
"""`/service/<service>/operation/<operation>`"""

_FORM = "application/x-www-form-urlencoded"


def form_text(request: Request) -> str:
    """The encoded parameters of a request: its body if that is a form, else its query; "" beyond `MAX_BODY`."""
    if request.body and request.headers.get("content-type", "").partition(";")[0].strip().lower() == _FORM:
        return request.body.decode("latin-1") if len(request.body) <= MAX_BODY else ""
    return request.target.partition("?")[2]


def first_value(text: str, name: str) -> str:
    """The first value of one parameter, "" when it is not there. Decodes nothing else."""
    prefix = f"{name}="
    start = 0 if text.startswith(prefix) else text.find(f"&{prefix}") + 1
    if start == 0 and not text.startswith(prefix):
        return ""
    end = text.find("&", start)
    return unquote_plus(text[start + len(prefix) : None if end < 0 else end])


def parameters(text: str) -> list[tuple[str, str]]:
    """All parameters in order, repeated ones included. Raises ValueError beyond `MAX_PARAMETERS`."""
    return parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_PARAMETERS)
