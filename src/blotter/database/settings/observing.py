"""The settings of metrics, notifications and logs, as `declaring` describes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, NamedTuple

from blotter.database.notifications.targets import FORMS, Targets, parse_targets
from blotter.database.settings.declaring import Declared, Form, megabytes, one_of, seconds, whole

METRICS = ("on", "off")
LOG_FORMATS = ("text", "json")
LOG_LEVELS = ("debug", "info", "warning", "error")
_NO_TARGETS = Targets()


class Place(NamedTuple):
    """Where to listen."""

    host: str
    port: int


def _read_place(text: str) -> Place | None:
    if not text:
        return None
    host, _, port = text.rpartition(":")
    try:
        return Place(host.strip("[]") or "127.0.0.1", whole(0, 65535).read(port))
    except ValueError:
        raise ValueError("a port, or HOST:PORT") from None


def _show_place(place: Place | None) -> str:
    if place is None:
        return ""
    return f"[{place.host}]:{place.port}" if ":" in place.host else f"{place.host}:{place.port}"


@dataclass(frozen=True)
class Observing:
    """What the server counts, logs and notifies."""

    metrics: Annotated[
        str,
        Declared(
            one_of(METRICS),
            "`on`: requests are counted as CloudWatch's metrics of DynamoDB, a point a minute, which are kept in "
            "the store. `off`: nothing is counted.",
        ),
    ] = "on"
    metrics_storage: Annotated[
        int,
        Declared(
            megabytes(16, 1_000_000),
            "Megabytes that points of metrics may take in the store. Past it the oldest points of a minute are "
            "removed before their 15 days are over, then those of five minutes and of hours.",
        ),
    ] = 512 * 1024 * 1024
    metrics_port: Annotated[
        Place | None,
        Declared(
            Form(_read_place, _show_place),
            "Port on which `GET /metrics` answers Prometheus, without credentials: on 127.0.0.1, or on another "
            "address as `HOST:PORT`. 0 takes a free one, which a line after the ready line names.",
            default="none",
        ),
    ] = None
    notify: Annotated[
        Targets,
        Declared(
            Form(parse_targets, lambda targets: targets.text),
            f"Where notifications of CloudWatch alarms go, by the ARN of the action: `{FORMS}`. An ARN may "
            "have `*` for any characters. A web hook gets what SNS posts to subscribers, e-mail uses TLS where "
            "there is any, and `sns:` publishes to the topic.",
            default="none",
            secret=True,
        ),
    ] = _NO_TARGETS
    slow_requests: Annotated[
        float,
        Declared(
            seconds(0, 3600),
            "Seconds from which a request is logged as slow, with its operation, tables, capacity units and time. "
            "0: never.",
        ),
    ] = 0.0
    log_format: Annotated[
        str,
        Declared(
            one_of(LOG_FORMATS),
            "`text`: lines for people. `json`: each line is a JSON object with `time`, `level`, `process`, "
            "`message`, and `request_id` where it is about a request.",
        ),
    ] = "text"
    log_level: Annotated[
        str,
        Declared(
            one_of(LOG_LEVELS),
            "Least severe messages to log on standard error: `debug`, `info`, `warning` or `error`. `debug` logs "
            "every request as a line of JSON: operation, tables, capacity units, status, time, request id; never "
            "keys or values.",
        ),
    ] = "warning"
