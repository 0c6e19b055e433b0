"""One uploaded file, from the request's bytes to the intake, never whole in memory or twice on disk.

The multipart body is parsed as it arrives; the bytes of the field `file` go in blocks of about one megabyte
through a short queue to a thread in which the intake iterates over them. When the intake is slow the queue is
full and the client waits. A body that breaks off, is malformed or too long makes that iteration raise, so that
no half file becomes an object. The client's file name is passed on as it came: the intake decides what of it
goes into a key.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator
from typing import TYPE_CHECKING

import anyio
from anyio import from_thread, to_thread
from anyio.streams.memory import MemoryObjectSendStream
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from blotter.crimes.intake import UploadTooLarge
from blotter.crimes.web import text
from blotter.crimes.web.errors import WebError

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

FIELD = "file"
Accept = Callable[[str, Iterator[bytes]], str]  # file name and its bytes in blocks → file key
_BLOCK = 1 << 20
_QUEUED_BLOCKS = 2
_ENVELOPE = 1 << 16  # what boundaries, part headers and small other fields may add to the file
_MAX_OTHER_FIELD = 1 << 16


class Uploads:
    """The way in for files: `accept` stores one, at most `concurrent` at a time, of at most `max_bytes` each."""

    def __init__(self, accept: Accept, max_bytes: int, concurrent: int) -> None:
        self._accept = accept
        self._max_bytes = max_bytes
        self._limiter = anyio.CapacityLimiter(concurrent)  # slow clients must not hold every thread there is

    async def receive(self, request: Request) -> str:
        """The file key of the request's file, once it is stored. Raises WebError as `receive_file` does."""
        return await receive_file(request, self._accept, self._max_bytes, self._limiter)


async def receive_file(request: Request, accept: Accept, max_bytes: int, limiter: anyio.CapacityLimiter) -> str:
    """Stream the request's file into `accept(file_name, blocks)` (called in a thread); returns its file key.

    Raises WebError: 415 not multipart, 400 malformed or without a file, 413 longer than `max_bytes`.
    """
    form = _Form(_boundary(request), max_bytes)
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > max_bytes + _ENVELOPE:
        raise too_large(max_bytes)
    blocks = _blocks(request, form)
    first = await anext(blocks, b"")
    if form.file_name is None:
        raise _bad_form(f'The form has no field named "{FIELD}" with a file in it.')
    return await _hand_over(form.file_name, first, blocks, accept, max_bytes, limiter)


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
        self._file_bytes = self._other_bytes = 0
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


async def _blocks(request: Request, form: _Form) -> AsyncGenerator[bytes, None]:
    """The file's bytes in blocks; the first comes as soon as the file's name is known."""
    named = False
    try:
        async for chunk in request.stream():
            form.feed(chunk)
            if len(form.waiting) >= _BLOCK or (form.file_name is not None and not named):
                named = True
                yield form.take()
    except ClientDisconnect as error:
        raise _bad_form("The upload broke off.") from error
    if not form.ended:
        raise _bad_form("The upload broke off before its end.")
    if form.waiting:
        yield form.take()


async def _hand_over(
    file_name: str,
    first: bytes,
    blocks: AsyncGenerator[bytes, None],
    accept: Accept,
    max_bytes: int,
    limiter: anyio.CapacityLimiter,
) -> str:
    """Run the intake in a thread while the blocks go to it; whichever side fails first decides the outcome."""
    send, receive = anyio.create_memory_object_stream[bytes | None](_QUEUED_BLOCKS)
    broken: list[WebError] = []

    async def pump() -> None:
        with send:
            try:
                await _send_all(first, blocks, send)
            except WebError as error:  # closing without the end mark makes the intake's read raise
                broken.append(error)

    def arriving() -> Iterator[bytes]:
        try:
            while (block := from_thread.run(receive.receive)) is not None:
                yield block
        except anyio.EndOfStream:
            raise OSError("the upload broke off") from None

    outcome: list[str] = []
    failure: list[Exception] = []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(pump)
        try:
            outcome.append(await to_thread.run_sync(accept, file_name, arriving(), limiter=limiter))
        except Exception as error:
            failure.append(error)  # raised below: a task group would wrap it
        tasks.cancel_scope.cancel()  # an intake that gave up does not wait for the rest of the body
    if broken:
        raise broken[0]
    if failure:
        raise too_large(max_bytes) if isinstance(failure[0], UploadTooLarge) else failure[0]
    return outcome[0]


async def _send_all(
    first: bytes, blocks: AsyncGenerator[bytes, None], send: MemoryObjectSendStream[bytes | None]
) -> None:
    try:
        await send.send(first)
        async for block in blocks:
            await send.send(block)
        await send.send(None)
    except anyio.BrokenResourceError:  # the intake has stopped reading: its own error tells why
        return
