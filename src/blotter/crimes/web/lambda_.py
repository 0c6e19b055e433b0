"""The same web application under API Gateway (HTTP API, payload 2.0), as the Lambda handler `handler`.

Only settings differ there, not code: API Gateway decides which host names arrive, a response must end
(event streams send the current state and close, the browser reconnects), and a request or answer is at most 6
MB, base64 included. Route every path of the `$default` stage here, because the pages link from the root. Limits:
https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
"""

from __future__ import annotations

from functools import cache
from typing import Any

from mangum import Mangum

from blotter.crimes.settings import Application
from blotter.crimes.web.app import create_app
from blotter.crimes.web.live import Pace
from blotter.crimes.web.services import Services, WebSettings

MAX_UPLOAD_BYTES = 4_400_000  # 6 MB as base64, minus the event around it
MAX_DOWNLOAD_BYTES = 4_400_000
# Answers that go out as text; everything else is base64-encoded.
_TEXT = ["text/", "application/json", "application/javascript", "image/svg+xml"]


def gateway_services(application: Application) -> Services:
    """The services with the limits of API Gateway."""
    upload_limit = min(application.settings.max_upload_bytes, MAX_UPLOAD_BYTES)
    settings = WebSettings(
        max_upload_bytes=upload_limit,
        max_download_bytes=MAX_DOWNLOAD_BYTES,
        allowed_hosts=None,
        pace=Pace(max_seconds=0),
    )
    return Services(application.results, application.objects, application.intake, settings)


def gateway_handler(services: Services) -> Mangum:
    """The app over these services as a function of (event, context)."""
    return Mangum(create_app(services), lifespan="off", text_mime_types=_TEXT)


@cache
def _configured() -> Mangum:
    return gateway_handler(gateway_services(Application.load()))


def handler(event: dict[str, Any], context: Any) -> Any:
    """AWS calls this; the configuration is read at the first call and kept for the life of the environment."""
    return _configured()(event, context)
