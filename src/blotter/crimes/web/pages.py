"""The pages: the list with its upload form, one result, the API's documentation, errors.

Server-rendered with Jinja2, autoescaped, working without JavaScript; scripts only add drag-and-drop, live
progress and local times. What a page shows is computed in `views.py`; here are only routes and the template
environment.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Request
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from starlette.responses import HTMLResponse, RedirectResponse, Response

from blotter import __version__
from blotter.crimes.item import Result
from blotter.crimes.web import explain, paths, text, views
from blotter.crimes.web.errors import WebError, result_not_found
from blotter.crimes.web.newest import newest
from blotter.crimes.web.reference import reference
from blotter.crimes.web.services import Services
from blotter.crimes.web.uploads import Uploads

LISTED = 100


class Pages:
    """Renders the templates; kept on the app so that error handlers can show a page too."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self._environment = Environment(
            loader=PackageLoader("blotter.crimes.web"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        for function in (text.number, text.share, text.size, text.duration, text.utc, text.iso, text.sentence):
            self._environment.filters[function.__name__] = function
        self._environment.filters["prose"] = prose
        self._environment.filters["failure"] = explain.failure
        self._environment.filters["skipped"] = explain.skipped
        self._environment.filters["result_page"] = paths.result_page
        self._environment.filters["result_api"] = paths.result_api
        self._environment.filters["events_api"] = paths.events_api
        self._environment.filters["predictions_download"] = paths.neutralized_predictions
        self._environment.globals |= {
            "elapsed": text.elapsed,
            "bin_range": views.bin_range,
            "version": __version__,
        }
        self._environment.globals["max_upload_bytes"] = services.settings.max_upload_bytes

    def page(self, name: str, values: dict[str, Any], status: int = 200) -> HTMLResponse:
        return HTMLResponse(self._environment.get_template(name).render(values), status)

    def error(self, request: Request, error: WebError) -> HTMLResponse:
        heading = HTTPStatus(error.status).phrase
        return self.page(
            "error.html", {"error": error, "heading": heading, "path": request.url.path}, error.status
        )


def prose(value: str) -> Markup:
    """Text in which `…` marks code, as HTML."""
    pieces = escape(value).split("`")
    return Markup("").join(
        Markup("<code>{}</code>").format(piece) if place % 2 else piece for place, piece in enumerate(pieces)
    )


def router(pages: Pages, uploads: Uploads) -> APIRouter:
    """The routes of the pages; they are no part of the API's schema."""
    routes = APIRouter(include_in_schema=False)
    services = pages.services

    def get_result(file_key: str) -> Result:
        found = services.results.find(file_key)
        if found is None:
            raise result_not_found(file_key)
        return found

    @routes.get("/")
    def files() -> Response:
        return pages.page("files.html", {"newest": newest(services.results, LISTED), "listed": LISTED})

    @routes.post("/")
    async def upload_form(request: Request) -> Response:
        """The form of the first page where there is no JavaScript."""
        file_key = await uploads.receive(request)
        return RedirectResponse(paths.result_page(file_key), 303)

    @routes.get("/results/{file_key:key}")
    def result(file_key: str) -> Response:
        found = get_result(file_key)
        values = {"result": found, "charts": views.charts_of(found), "folded_after": views.FOLDED_AFTER}
        return pages.page("result.html", values)

    @routes.post("/results/{file_key:key}/cancel")
    def cancel(file_key: str) -> Response:
        services.cancel(get_result(file_key))
        return RedirectResponse(paths.result_page(file_key), 303)

    @routes.post("/results/{file_key:key}/retry")
    def retry(file_key: str) -> Response:
        services.retry(get_result(file_key))
        return RedirectResponse(paths.result_page(file_key), 303)

    @routes.post("/results/{file_key:key}/delete")
    def delete(file_key: str) -> Response:
        services.delete(get_result(file_key))
        return RedirectResponse("/", 303)

    @routes.get("/docs")
    def documentation(request: Request) -> Response:
        values = reference(request.app.openapi(), str(request.base_url).rstrip("/"))
        return pages.page("docs.html", {"reference": values})

    return routes
