"""The predictions file as a download: streamed from the object store, named after the upload.

The reader is pinned to one version of the object, so a download never mixes two files. The name is the user's
own and therefore goes into the header twice: in plain ASCII for old clients, and percent-encoded (RFC 6266, RFC
8187). Cells that a spreadsheet would run as formulas can be neutralized on the way
(`crimes/scoring/spreadsheets.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import quote

from starlette.responses import Response, StreamingResponse

from blotter.crimes.item import Result
from blotter.crimes.scoring.spreadsheets import neutralized
from blotter.crimes.storage.objects import InvalidKey, ObjectInfo, ObjectNotFound, ObjectStore
from blotter.crimes.web import text
from blotter.crimes.web.errors import WebError

_ENDING = "-predictions.csv"
_LONGEST_NAME = 255
_UPLOAD_SUFFIX = re.compile(r"(\.csv)?(\.gz)?$", re.IGNORECASE)
_NOT_PLAIN = re.compile(r"[^A-Za-z0-9 ._()+-]+")


def predictions(result: Result, objects: ObjectStore, max_bytes: int | None, *, neutralize: bool) -> Response:
    """The whole predictions file. Raises WebError: 409 while there is none, 410 when it is gone, 422 too long."""
    info = find_predictions(result, objects)
    if max_bytes is not None and info.size > max_bytes:
        where = f"Read the object {info.key} of the bucket {objects.bucket} instead."
        raise WebError(422, "PREDICTIONS_TOO_LARGE", f"{text.size(info.size)} cannot be sent from here. {where}")
    headers = {"Content-Disposition": disposition(download_name(result.file_name))}
    body: Iterable[bytes] = objects.read(info)
    if neutralize:  # the length is known only at the end
        body = neutralized(body)
        headers["ETag"] = f'"{info.version}-neutralized"'
    else:
        headers |= {"Content-Length": str(info.size), "ETag": f'"{info.version}"'}
    return StreamingResponse(body, media_type="text/csv; charset=utf-8", headers=headers)


def find_predictions(result: Result, objects: ObjectStore) -> ObjectInfo:
    """The predictions object of a result. Raises WebError: 409 while there is none, 410 when it is gone."""
    if result.status != "COMPLETED" or not result.predictions_key:
        raise WebError(409, "NOT_COMPLETED", f"There are no predictions: the file is {result.status}.")
    try:
        return objects.head(result.predictions_key)
    except (ObjectNotFound, InvalidKey) as error:
        raise WebError(
            410, "PREDICTIONS_GONE", "The predictions file is no longer in the object store."
        ) from error


def download_name(file_name: str) -> str:
    """ "January.csv.gz" → "January-predictions.csv"."""
    stem = _UPLOAD_SUFFIX.sub("", file_name).strip() or "incidents"
    # The name must fit a file system, of which the usual ones allow 255 bytes; a character is never cut in two.
    stem = stem.encode()[: _LONGEST_NAME - len(_ENDING)].decode(errors="ignore")
    return stem + _ENDING


def disposition(name: str) -> str:
    """The Content-Disposition header of a download under this name."""
    plain = _NOT_PLAIN.sub("_", name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
