"""What `blotter serve` writes on its standard output and error: lines for people, or one JSON object each.

    {"time": "2026-11-29T01:20:00.123Z", "level": "warning", "process": 4711, "name": "blotter.database.pipeline",
     "request_id": "4TS…", "message": "request 4TS…: storage unavailable: …"}

A line about a request begins with "request <id>" by convention, so that its id can be told from the text too; here
it becomes `request_id`. A record may have `fields`, further members of the object, and then `brief`, its message.
Set up before the fork.
"""

from __future__ import annotations

import logging
import os
import sys
import time
import traceback
from typing import Any, Final, TextIO

import orjson

from blotter.database.model.timestamps import iso_milliseconds

TEXT: Final = "text"
JSON: Final = "json"
_REQUEST: Final = "request %s"
_SDK: Final = ("boto3", "botocore", "s3transfer", "urllib3")
"""Below a warning they log what they send: session tokens, signatures, items."""

_format = TEXT


def set_up(log_format: str, level: str) -> None:
    """Sends the log of this process, and of those that it forks, to standard error."""
    global _format
    _format = log_format
    handler = logging.StreamHandler(sys.stderr)
    if log_format == JSON:
        handler.setFormatter(JsonFormatter())
    else:
        handler.setFormatter(logging.Formatter("blotter serve[%(process)d]: %(message)s"))
    logging.basicConfig(handlers=[handler], level=level.upper())
    for name in _SDK:
        logging.getLogger(name).setLevel(logging.WARNING)


def failed(message: str) -> None:
    """Writes the exception that is handled."""
    if _format == JSON:
        logging.getLogger(__name__).error("%s", message, exc_info=True)
    else:
        traceback.print_exc()


def say(message: str, level: str = "info", file: TextIO | None = None) -> None:
    """Writes a line of the server's own, whatever the log level is; on standard error unless `file` is given."""
    members = {"message": message}
    line = _line(time.time(), level, members) if _format == JSON else f"blotter serve: {message}"
    print(line, file=sys.stderr if file is None else file, flush=True)


class JsonFormatter(logging.Formatter):
    """One line of JSON for each record. What is no JSON becomes text."""

    def format(self, record: logging.LogRecord) -> str:
        members: dict[str, Any] = {"name": record.name}
        if record.msg.startswith(_REQUEST) and isinstance(record.args, tuple) and record.args:
            members["request_id"] = record.args[0]
        members["message"] = getattr(record, "brief", None) or record.getMessage()
        members |= getattr(record, "fields", {})
        if record.exc_info:
            members["exception"] = self.formatException(record.exc_info)
        return _line(record.created, record.levelname.lower(), members)


def _line(at: float, level: str, members: dict[str, Any]) -> str:
    line = {"time": iso_milliseconds(at), "level": level, "process": os.getpid(), **members}
    return orjson.dumps(line, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
