"""Keys in addresses: how a file key with slashes, spaces, quotes, percent signs or emoji goes into a URL and back.

A key such as `uploads/x/events` must not be mistaken for "the events of uploads/x". What distinguishes them is the
encoded slash, which servers and gateways decode before routing. `ExactPathMiddleware` therefore decodes
everything except "%2F" and "%25", routing sees whole keys, and the `key` convertor finishes the decoding. Plain
slashes work too wherever they are not ambiguous. Every address that the application writes itself comes from
here.
"""

from __future__ import annotations

import re
from urllib.parse import quote, unquote, urlencode

from starlette.convertors import Convertor, register_url_convertor
from starlette.types import ASGIApp, Receive, Scope, Send

_HELD_BACK = re.compile(r"(%2[fF5])")


class _KeyConvertor(Convertor[str]):
    """`{file_key:key}`: one or more characters, slashes included, with the last two escapes undone."""

    regex = ".+"

    def convert(self, value: str) -> str:
        return unquote(value)

    def to_string(self, value: str) -> str:
        return quote(value, safe="")


register_url_convertor("key", _KeyConvertor())


class ExactPathMiddleware:
    """Give routing a path in which an encoded slash and an encoded percent sign are still distinguished from plain
    ones."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope = {**scope, "path": _routable(scope)}
        await self._app(scope, receive, send)


def _routable(scope: Scope) -> str:
    raw = scope.get("raw_path")
    if not raw:  # under API Gateway the path arrives decoded: every character is meant literally
        return str(scope["path"]).replace("%", "%25")
    pieces = _HELD_BACK.split(raw.decode("latin-1"))
    return "".join(piece if _HELD_BACK.fullmatch(piece) else unquote(piece) for piece in pieces)


def result_page(file_key: str) -> str:
    return f"/results/{quote(file_key, safe='')}"


def result_api(file_key: str) -> str:
    return f"/api/results/{quote(file_key, safe='')}"


def events_api(file_key: str) -> str:
    return f"{result_api(file_key)}/events"


def predictions_api(file_key: str) -> str:
    return f"{result_api(file_key)}/predictions.csv"


def neutralized_predictions(file_key: str) -> str:
    return f"{predictions_api(file_key)}?formulas=neutralize"


def incidents_page(file_key: str, **filters: str) -> str:
    """The incidents of a file, narrowed: `type`, `area`, `hour`, `weekday`, `low`, `high`, `order`, `page`."""
    given = urlencode({name: value for name, value in filters.items() if value})
    return f"{result_page(file_key)}/incidents" + (f"?{given}" if given else "")


def compare_page(*file_keys: str) -> str:
    return "/compare?" + urlencode([("file", key) for key in file_keys])
