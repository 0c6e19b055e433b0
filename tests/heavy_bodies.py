"""A database in this process that treats every body as a heavy one, and a checker without a process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from blotter.database.checking.body_check import CheckResult, check_body
from blotter.database.heavy_requests import HeavyBody
from blotter.database.http.content_encoding import ContentEncodingError, unpack
from blotter.database.http.messages import Pending, Request, Response
from blotter.database.pipeline import Pipeline
from tests.in_process import InProcessDatabase


class CheckerHere:
    """Checks bodies on the caller's thread; results go through their encoding, as between processes."""

    def check(self, target: str | None, body: bytes) -> CheckResult | None:
        return msgspec.msgpack.decode(msgspec.msgpack.encode(check_body(target, body)), type=CheckResult)


class EveryBodyHeavy:
    """A pipeline that has every body checked and decoded in slices."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline

    def answer(self, request: Request) -> Response | Pending:
        body = request.body
        if "content-encoding" in request.headers:
            try:
                body = unpack(body, request.headers["content-encoding"], 1 << 24)
            except ContentEncodingError:
                return self._pipeline.answer(request)
        answer = Pending()
        self._pipeline.add_heavy(HeavyBody(request, body, None), answer)
        return answer


def heavy_database(folder: Path, **options: Any) -> InProcessDatabase:
    database = InProcessDatabase(folder, checker=CheckerHere(), **options)
    database.pipeline = EveryBodyHeavy(database.pipeline)  # type: ignore[assignment]
    return database
