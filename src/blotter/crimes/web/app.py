"""`create_app`: the web application, put together from its services. Start here.

A request passes SecurityMiddleware (Host, Origin, headers), SendTimeoutMiddleware (clients that do not read),
ExactPathMiddleware (keys with slashes), HeadMiddleware and the router: `api.py` for programs, `pages.py` for
people, `static/` for style and scripts. Nothing of a result is kept between requests, so any number of
processes can run the same app; the limits on uploads and event streams are each process's own.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files

from fastapi import FastAPI
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from blotter import __version__
from blotter.crimes.web import api, errors, pages
from blotter.crimes.web.connections import SendTimeoutMiddleware
from blotter.crimes.web.paths import ExactPathMiddleware
from blotter.crimes.web.security import SecurityMiddleware
from blotter.crimes.web.services import Services
from blotter.crimes.web.uploads import Uploads

_DESCRIPTION = (
    "Upload files of incidents from the City of Chicago Data Portal, follow the work on them, read predictions of "
    "arrest. A file is known by its file key, which contains slashes: percent-encode them (%2F) in a path, or "
    "leave them plain."
)


class HeadMiddleware:
    """HEAD is GET whose body the server drops; the framework alone would answer 405."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "HEAD":
            scope = {**scope, "method": "GET"}
        await self._app(scope, receive, send)


def create_app(services: Services, closing: Callable[[], bool] = lambda: False) -> FastAPI:
    """The application over these services.

    `closing` is set when the server is about to stop, so that event streams end instead of holding it up
    (`server.py` passes it).
    """
    app = FastAPI(
        title="Blotter: Chicago crimes",
        version=__version__,
        description=_DESCRIPTION,
        docs_url=None,  # ours is server-rendered: the framework's loads scripts from a CDN
        redoc_url=None,
        redirect_slashes=False,  # a slash too many is an explained 404, not an empty redirect
    )
    uploads = Uploads(services.intake.begin, services.settings.max_upload_bytes, services.settings.uploads)
    app.state.pages = pages.Pages(services)
    app.include_router(api.router(services, uploads, closing))
    app.include_router(pages.router(app.state.pages, uploads))
    app.mount("/static", StaticFiles(directory=str(files("blotter.crimes.web") / "static")), name="static")
    errors.install(app)
    app.add_middleware(HeadMiddleware)
    app.add_middleware(ExactPathMiddleware)
    app.add_middleware(SendTimeoutMiddleware)
    app.add_middleware(SecurityMiddleware, allowed_hosts=services.settings.allowed_hosts)  # added last: outermost
    return app
