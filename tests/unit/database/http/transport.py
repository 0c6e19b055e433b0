"""A transport that only records, for connections without a socket."""

from __future__ import annotations

import asyncio
import re


class Transport:
    """Records what a connection does to its socket."""

    def __init__(self) -> None:
        self.written = b""
        self.closed = False
        self.aborted = False
        self.ended = False
        self.reading = True
        self.was_written = asyncio.Event()

    def get_extra_info(self, _name: str) -> tuple[str, int]:
        return ("10.0.0.1", 4321)

    def write(self, data: bytes) -> None:
        assert not self.closed
        assert not self.ended
        self.written += data
        self.was_written.set()

    def write_eof(self) -> None:
        self.ended = True

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed or self.aborted

    def abort(self) -> None:
        self.aborted = True

    def pause_reading(self) -> None:
        assert self.reading
        self.reading = False

    def resume_reading(self) -> None:
        assert not self.reading
        self.reading = True

    @property
    def statuses(self) -> list[int]:
        return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", self.written)]

    @property
    def bodies(self) -> list[bytes]:
        answers = re.split(rb"HTTP/1\.1 \d{3} ", self.written)[1:]
        return [answer.split(b"\r\n\r\n", 1)[1] for answer in answers]
