"""The HTTP API under /api, and /health: thin functions from a request to the table, the objects or the intake.

Handlers that block (boto3, the object store) are plain functions, which the framework runs in threads; the two
that stream with the client are asynchronous. What they answer is described in `schemas.py`, what goes wrong in
`errors.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

from anyio import to_thread
from fastapi import APIRouter, Query, Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from blotter import __version__
from blotter.crimes.item import Result
from blotter.crimes.storage.results import InvalidToken
from blotter.crimes.web import downloads, live, paths, schemas
from blotter.crimes.web.errors import WebError, result_not_found
from blotter.crimes.web.services import Services
from blotter.crimes.web.uploads import FIELD, Uploads

MAX_LIMIT = 1000
_ERRORS: dict[int, str] = {
    400: "The request cannot be read.",
    403: "The request comes from another site.",
    404: "There is no such result.",
    408: "The upload was too slow.",
    409: "The state of the file does not allow it.",
    410: "The object was removed.",
    413: "The file is too large.",
    415: "The body is not multipart/form-data.",
    422: "A parameter is out of its range, or the answer cannot be sent.",
    503: "The results table cannot be used at the moment, or there are too many uploads or streams.",
}


def _errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    described: dict[int | str, str] = {status: _ERRORS[status] for status in statuses}
    described["default"] = "Any other failure, in the same shape."
    return {status: {"model": schemas.Error, "description": text} for status, text in described.items()}


_UPLOAD_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": [FIELD],
                    "properties": {
                        FIELD: {
                            "type": "string",
                            "format": "binary",
                            "description": "Incidents as CSV or gzipped CSV, with the portal's headings.",
                        }
                    },
                }
            }
        },
    }
}


def router(services: Services, uploads: Uploads, closing: Callable[[], bool]) -> APIRouter:
    """The routes over these services; `closing` ends long streams when the server stops."""
    routes = APIRouter()
    streams = live.Streams(services.results.find, services.settings.pace, closing)

    def get_result(file_key: str) -> Result:
        result = services.results.find(file_key)
        if result is None:
            raise result_not_found(file_key)
        return result

    @routes.post(
        "/api/files",
        status_code=202,
        response_description="The file is stored; `Location` names its result.",
        response_model=schemas.Accepted,
        responses=_errors(400, 403, 408, 413, 415, 503),
        openapi_extra=_UPLOAD_BODY,
        tags=["Files"],
        summary="Upload a file",
    )
    async def upload(request: Request) -> JSONResponse:
        """Takes one file in the field `file` and answers as soon as it is stored; the work goes on by itself.

        Every upload gets a key of its own, also when the name was used before.
        """
        file_key = await uploads.receive(request)
        return JSONResponse(schemas.accepted(file_key), 202, {"Location": paths.result_api(file_key)})

    @routes.get(
        "/api/results",
        response_model=schemas.ResultPage,
        response_description="Results in the table's order.",
        responses=_errors(400, 422, 503),
        tags=["Results"],
        summary="List results",
    )
    def results(
        limit: Annotated[int, Query(ge=1, le=MAX_LIMIT, description="At most so many results.")] = 50,
        next: Annotated[str | None, Query(description="`next` of the page before.")] = None,  # noqa: A002
    ) -> JSONResponse:
        """One page of the table, in its own order and without breakdowns. A page may hold fewer than `limit`."""
        try:
            page = services.results.page(limit, next)
        except InvalidToken as error:
            raise WebError(400, "INVALID_PARAMETER", "next is not a token that this list gave out.") from error
        return JSONResponse({"results": [schemas.summary_of(one) for one in page.results], "next": page.next})

    @routes.get(
        "/api/results/{file_key:key}/events",
        response_class=StreamingResponse,
        responses={
            200: {
                "content": {"text/event-stream": {}},
                "description": "`progress` events until the state is final.",
            },
            204: {"description": "The client has already seen the final state (Last-Event-ID)."},
            **_errors(404, 503),
        },
        tags=["Results"],
        summary="Follow a result",
    )
    async def events(request: Request, file_key: str) -> Response:
        """Server-sent events: `progress` with a Progress object per change; the stream ends at a final state.

        Write the slashes of a key as %2F when the key itself might end in "/events".
        """
        first = await to_thread.run_sync(get_result, file_key)
        if first.finished and request.headers.get("last-event-id") == live.FINAL_ID:
            return Response(status_code=204)  # ends an EventSource
        client = request.client.host if request.client else ""
        streams.check(client)
        stream = streams.events(first, client)
        headers = {"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}
        return StreamingResponse(stream, media_type="text/event-stream", headers=headers)

    @routes.get(
        "/api/results/{file_key:key}/predictions.csv",
        response_class=StreamingResponse,
        responses={
            200: {"content": {"text/csv": {}}, "description": "The predictions."},
            **_errors(404, 409, 410, 422, 503),
        },
        tags=["Results"],
        summary="Download predictions",
    )
    def predictions(
        file_key: str,
        formulas: Annotated[
            Literal["keep", "neutralize"],
            Query(
                description="`neutralize`: cells that a spreadsheet would run as formulas get an apostrophe in "
                "front. The pages link it; programs get the cells as they were uploaded."
            ),
        ] = "keep",
    ) -> Response:
        """Every row of the upload in its order, with `probability` (empty where skipped) and the reason."""
        return downloads.predictions(
            get_result(file_key),
            services.objects,
            services.settings.max_download_bytes,
            neutralize=formulas == "neutralize",
        )

    @routes.post(
        "/api/results/{file_key:key}/cancel",
        response_model=schemas.ResultDetail,
        response_description="The result, now FAILED with CANCELED.",
        responses=_errors(403, 404, 409, 503),
        tags=["Results"],
        summary="Cancel a file",
    )
    def cancel(file_key: str) -> JSONResponse:
        """Ends the work on a file that is UPLOADED or PROCESSING; its worker notices within a second."""
        services.cancel(get_result(file_key))
        return JSONResponse(schemas.detail_of(get_result(file_key)))

    @routes.post(
        "/api/results/{file_key:key}/retry",
        status_code=202,
        response_model=schemas.Accepted,
        response_description="The file is UPLOADED and will be processed again.",
        responses=_errors(403, 404, 409, 410, 503),
        tags=["Results"],
        summary="Process a file again",
    )
    def retry(file_key: str) -> JSONResponse:
        """Processes a file that is COMPLETED or FAILED again, with the model of today."""
        services.retry(get_result(file_key))
        return JSONResponse(schemas.accepted(file_key), 202, {"Location": paths.result_api(file_key)})

    @routes.delete(
        "/api/results/{file_key:key}",
        status_code=204,
        response_description="Upload, predictions and result are removed.",
        responses=_errors(403, 404, 503),
        tags=["Results"],
        summary="Delete a file",
    )
    def delete(file_key: str) -> Response:
        """Removes the upload, its predictions and its result. Work under way is canceled first."""
        services.delete(get_result(file_key))
        return Response(status_code=204)

    @routes.get(
        "/api/results/{file_key:key}",
        response_model=schemas.ResultDetail,
        response_description="The result.",
        responses=_errors(404, 503),
        tags=["Results"],
        summary="Read a result",
    )
    def result(file_key: str) -> JSONResponse:
        """Everything that is known about one file, by a consistent read of its item."""
        return JSONResponse(schemas.detail_of(get_result(file_key)))

    @routes.get(
        "/health",
        response_model=schemas.Health,
        response_description="The table answers.",
        responses=_errors(503),
        tags=["Service"],
        summary="Health",
    )
    def health() -> JSONResponse:
        """Reads one key of the results table; 503 when that fails."""
        services.results.find("health")
        return JSONResponse({"status": "ok", "version": __version__, "table": services.results.table_name})

    return routes
