"""One uploaded file, from the request's bytes to the intake, never whole in memory or twice on disk.

The multipart body is parsed as it arrives; the bytes of the field `file` are written in blocks of about one
megabyte from a thread. No thread is held while the client is silent, so slow clients cost an open draft each
and nothing else. A body that stops, is malformed or too long discards the draft at once, so that no half file
becomes an object and no space stays taken. The client's file name is passed on as it came: the intake decides
what of it goes into a key. How many uploads run side by side, and which one gives way when there are too many,
is `UploadSlots`' matter.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any, Protocol

import anyio
from anyio import to_thread
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from blotter.crimes.jobs.intake import UploadTooLarge
from blotter.crimes.storage.objects import is_disk_full
from blotter.crimes.web import text
from blotter.crimes.web.errors import WebError
from blotter.crimes.web.upload_slots import UploadLimits, UploadSlots

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

FIELD = "file"
_BLOCK = 1 << 20
_ENVELOPE = 1 << 16  # bytes that boundaries, part headers and small other fields may add to the file
_MAX_OTHER_FIELD = 1 << 16
_MAX_PARTS = 100
_WRITING_THREADS = 8
_DISK_FULL = "The server's disk is full, so the file was not kept. Try again when there is space."


class Arriving(Protocol):
    """`intake.Arrival`, seen from here. Every call may block."""

    def write(self, data: bytes) -> None: ...
    def finish(self) -> str: ...
    def discard(self) -> None: ...


Begin = Callable[[str], Arriving]
"""File name → the upload it begins."""


class Uploads:
    """Receives files: `begin` opens one in the intake; each has at most `max_bytes`."""

    def __init__(self, begin: Begin, max_bytes: int, limits: UploadLimits) -> None:
        self._begin = begin
        self._max_bytes = max_bytes
        self._slots = UploadSlots(limits)
        self._threads = anyio.CapacityLimiter(_WRITING_THREADS)

    async def receive(self, request: Request) -> str:
        """Stores the request's file and returns its file key.

        Raises WebError, in this order: 415 not multipart, 413 declared too long, 503 no slot is free, then as the
        body arrives 400 malformed or without a file, 413 longer than `max_bytes`, 408 too slow, 507 disk full.
        """
        form = _Form(_boundary(request), self._max_bytes)
        declared = request.headers.get("content-length", "")
        if declared.isdecimal() and int(declared) > self._max_bytes + _ENVELOPE:
            raise too_large(self._max_bytes)
        client = request.client.host if request.client else ""
        stored: list[str] = []
        async with self._slots.take(client) as slot:
            stored.append(await self._store(form, slot.watched(request.stream())))
        return stored[0]

    async def _store(self, form: _Form, chunks: AsyncIterator[bytes]) -> str:
        arrival: Arriving | None = None
        try:
            async for block in _blocks(chunks, form):
                if arrival is None:
                    arrival = await self._in_thread(self._begin, form.file_name)
                await self._in_thread(arrival.write, block)
            if arrival is None:  # a file without a byte is a file: the worker reports what is wrong with it
                if form.file_name is None:
                    raise _bad_form(f'The form has no field named "{FIELD}" with a file in it.')
                arrival = await self._in_thread(self._begin, form.file_name)
            return str(await self._in_thread(arrival.finish))
        except BaseException as error:
            if arrival is not None:
                with anyio.CancelScope(shield=True):
                    await self._in_thread(arrival.discard)
            if isinstance(error, UploadTooLarge):
                raise too_large(self._max_bytes) from error
            if isinstance(error, Exception) and is_disk_full(error):
                raise WebError(507, "DISK_FULL", _DISK_FULL, {"Connection": "close"}) from error
            raise

    async def _in_thread(self, call: Callable[..., Any], *arguments: Any) -> Any:
        return await to_thread.run_sync(call, *arguments, limiter=self._threads)


def too_large(max_bytes: int) -> WebError:
    return WebError(
        413,
        "FILE_TOO_LARGE",
        f"The file is larger than this server takes ({text.size(max_bytes)}). Compress it with gzip, or split it.",
        {"Connection": "close"},  # the rest of the body is not read
    )


def _bad_form(message: str) -> WebError:
    return WebError(400, "INVALID_UPLOAD", message, {"Connection": "close"})


def _boundary(request: Request) -> bytes:
    kind, options = parse_options_header(request.headers.get("content-type"))
    boundary = options.get(b"boundary")
    if kind != b"multipart/form-data" or not boundary:
        raise WebError(
            415, "NOT_MULTIPART", f'Send the file as multipart/form-data, in a field named "{FIELD}".',
            {"Connection": "close"},
        )  # fmt: skip
    return boundary


class _Form:
    """Parser callbacks: collects the bytes of the one file and remembers its name."""

    def __init__(self, boundary: bytes, max_bytes: int) -> None:
        callbacks: MultipartCallbacks = {
            "on_part_begin": self._on_part_begin,
            "on_header_field": self._on_header_field,
            "on_header_value": self._on_header_value,
            "on_header_end": self._on_header_end,
            "on_headers_finished": self._on_headers_finished,
            "on_part_data": self._on_part_data,
            "on_end": self._on_end,
        }
        try:
            self._parser = MultipartParser(boundary, callbacks)
        except FormParserError as error:
            raise _bad_form(f"The upload cannot be read: {error}.") from error
        self._max_bytes = max_bytes
        self._header = (b"", b"")
        self._disposition = b""
        self._in_file = False
        self._file_bytes = self._other_bytes = self._parts = 0
        self.ended = False
        self.file_name: str | None = None
        self.waiting = bytearray()

    def feed(self, data: bytes) -> None:
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise _bad_form(f"The upload cannot be read: {error}.") from error

    def take(self) -> bytes:
        block = bytes(self.waiting)
        self.waiting.clear()
        return block

    def _on_part_begin(self) -> None:
        self._parts += 1
        if self._parts > _MAX_PARTS:
            raise _bad_form(f"A form has at most {_MAX_PARTS} fields.")
        self._header, self._disposition, self._in_file = (b"", b""), b"", False

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header = (self._header[0] + data[start:end], self._header[1])

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header = (self._header[0], self._header[1] + data[start:end])

    def _on_header_end(self) -> None:
        if self._header[0].lower() == b"content-disposition":
            self._disposition = self._header[1]
        self._header = (b"", b"")

    def _on_headers_finished(self) -> None:
        _, options = parse_options_header(self._disposition)
        if options.get(b"name") != FIELD.encode():
            return
        name = _file_name(options.get(b"filename", b""))
        if not name:
            raise _bad_form("No file was chosen.")
        if self.file_name is not None:
            raise _bad_form("Send one file per request.")
        self.file_name, self._in_file = name, True

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        if not self._in_file:
            self._other_bytes += end - start
            if self._other_bytes > _MAX_OTHER_FIELD:
                raise _bad_form(f'Only the field "{FIELD}" may be long.')
            return
        self._file_bytes += end - start
        if self._file_bytes > self._max_bytes:
            raise too_large(self._max_bytes)
        self.waiting += data[start:end]

    def _on_end(self) -> None:
        self.ended = True


def _file_name(raw: bytes) -> str:
    """The name as the user's system has it: browsers write it in UTF-8 and escape quotes and line breaks only.

    https://html.spec.whatwg.org/multipage/form-control-infrastructure.html#multipart-form-data
    """
    return raw.decode("utf-8", "replace").replace("%22", '"').replace("%0A", "\n").replace("%0D", "\r")


async def _blocks(chunks: AsyncIterator[bytes], form: _Form) -> AsyncIterator[bytes]:
    """The file's bytes in blocks of about a megabyte. Raises WebError when the form breaks off."""
    try:
        async for chunk in chunks:
            form.feed(chunk)
            if len(form.waiting) >= _BLOCK:
                yield form.take()
    except ClientDisconnect as error:
        raise _bad_form("The upload broke off.") from error
    if not form.ended:
        raise _bad_form("The upload broke off before its end.")
    if form.waiting:
        yield form.take()
