"""The pages: the files with the upload form, one result, its incidents, two results compared, the API, errors.

Server-rendered with Jinja2, autoescaped, working without JavaScript; scripts only add drag-and-drop, live
progress and local times. What a page shows is computed in `file_list.py`, `views.py`, `headline.py`,
`incidents.py` and `comparison.py`; here are only routes and the template environment.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

import anyio
from anyio import to_thread
from botocore.exceptions import BotoCoreError, ClientError
from fastapi import APIRouter, Query, Request
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from starlette.responses import HTMLResponse, RedirectResponse, Response

from blotter import __version__
from blotter.crimes import example
from blotter.crimes.item import Result
from blotter.crimes.storage.results import InvalidToken
from blotter.crimes.web import (
    community_map,
    comparison,
    downloads,
    explain,
    file_list,
    headline,
    incidents,
    paths,
    text,
    views,
)
from blotter.crimes.web.errors import WebError, result_not_found, table_error
from blotter.crimes.web.reference import reference
from blotter.crimes.web.services import Services
from blotter.crimes.web.uploads import Uploads

_READING_INCIDENTS = 2  # a page of incidents may read a whole file: few at a time, so that other pages stay quick
_OFFERED = 100  # files that the result page offers to compare with


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
        filters = (
            *(text.number, text.amount, text.signed, text.points, text.share, text.size, text.duration),
            *(text.utc, text.iso, text.day, text.sentence, text.title),
            *(paths.result_page, paths.result_api, paths.events_api, paths.incidents_page, explain.failure),
            *(explain.skipped, prose),
        )
        self._environment.filters |= {function.__name__: function for function in filters}
        self._environment.filters["predictions_download"] = paths.neutralized_predictions
        self._environment.globals |= {
            "elapsed": text.elapsed,
            "bin_range": views.bin_range,
            "compare_page": paths.compare_page,
            "version": __version__,
            "max_upload_bytes": services.settings.max_upload_bytes,
            "example_name": example.FILE_NAME,
        }

    def page(self, name: str, values: dict[str, Any], status: int = 200) -> HTMLResponse:
        """A template with these values."""
        return HTMLResponse(self._environment.get_template(name).render(values), status)

    def error(self, request: Request, error: WebError) -> HTMLResponse:
        """An error as a page."""
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
    reading_incidents = anyio.CapacityLimiter(_READING_INCIDENTS)

    def get_result(file_key: str) -> Result:
        found = services.results.find(file_key)
        if found is None:
            raise result_not_found(file_key)
        return found

    @routes.get("/")
    def files(
        q: str = "", status: str = "", sort: str = file_list.DEFAULT_SORT, page: str = "1", after: str = ""
    ) -> Response:
        number = int(page) if page.isascii() and page.isdigit() and len(page) < 7 else 1
        query = file_list.Query.of(q, status, sort, number, after)
        values: dict[str, Any] = {"query": query, "list": None, "problem": None, "columns": file_list}
        try:
            values["list"] = file_list.read(services.results, query)
        except InvalidToken as error:
            raise WebError(400, "INVALID_PARAMETER", "after is not a token that this list gave out.") from error
        except (ClientError, BotoCoreError) as error:
            values["problem"] = table_error(error)  # the form stays: uploads are stored without the table
            return pages.page("files.html", values, values["problem"].status)
        return pages.page("files.html", values)

    @routes.post("/")
    async def upload_form(request: Request) -> Response:
        """The form of the first page where there is no JavaScript."""
        file_key = await uploads.receive(request)
        return RedirectResponse(paths.result_page(file_key), 303)

    @routes.post("/example")
    def try_example() -> Response:
        """Takes in the example that is shipped with the package."""
        arrival = services.intake.begin(example.FILE_NAME)
        try:
            arrival.write(example.content())
            file_key = arrival.finish()
        except BaseException:
            arrival.discard()
            raise
        return RedirectResponse(paths.result_page(file_key), 303)

    @routes.get("/results/{file_key:key}/incidents")
    async def incidents_of(request: Request, file_key: str) -> Response:
        filters = incidents.Filters.of(dict(request.query_params))

        def read() -> Response:
            found = get_result(file_key)
            info = downloads.find_predictions(found, services.objects)
            day_first = found.reading is not None and found.reading.date_order == "day first"
            page = incidents.read(services.objects.read(info), filters, day_first=day_first)
            values = {"result": found, "page": page, "incidents": incidents, "areas": community_map.areas()}
            return pages.page("incidents.html", values)

        return await to_thread.run_sync(read, limiter=reading_incidents)

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

    @routes.get("/results/{file_key:key}")
    def result(file_key: str, threshold: str = "") -> Response:
        found = get_result(file_key)
        percent = int(threshold) if threshold.isascii() and threshold.isdigit() and len(threshold) < 4 else None
        values = {
            "result": found,
            "charts": views.charts_of(found),
            "headline": headline.headline_of(found),
            "comparison": headline.comparison_of(found),
            "threshold": headline.threshold_of(found, headline.DEFAULT_THRESHOLD if percent is None else percent),
            "steps": headline.steps_of(found),
            "folded_after": views.FOLDED_AFTER,
        }
        return pages.page("result.html", values)

    @routes.get("/compare")
    def compare(file: Annotated[list[str], Query(default_factory=list)]) -> Response:
        chosen = [get_result(file_key) for file_key in file[:2]]
        query = file_list.Query.of("", "COMPLETED", file_list.DEFAULT_SORT, 1, None)
        offered = file_list.read(services.results, query).results[:_OFFERED]
        ready = len(chosen) == 2 and all(one.status == "COMPLETED" for one in chosen)
        values = {
            "chosen": chosen,
            "offered": offered,
            "comparison": comparison.compare(chosen[0], chosen[1]) if ready else None,
        }
        return pages.page("compare.html", values)

    @routes.get("/docs")
    def documentation(request: Request) -> Response:
        values = reference(request.app.openapi(), str(request.base_url).rstrip("/"))
        return pages.page("docs.html", {"reference": values})

    return routes
