"""What a run shows while it works: live lines on a terminal, plain lines in a log, nothing for machines.

Everything goes to stdout, so that stderr holds errors only. The work is independent of this: it reports what
happens to a `Reporter` and goes on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple, Protocol

REMIND_AFTER_S = 30.0


class News(NamedTuple):
    """Something about one table. `parts` has the state of the table ("") and of its indexes while they change."""

    name: str
    text: str
    parts: dict[str, str] = {}  # noqa: RUF012  (never written to)
    over: bool = False


class Reporter(Protocol):
    """Takes the news."""

    def __call__(self, news: News, /) -> None: ...


def silent(_: News, /) -> None:
    """For machines and tests."""


class PlainReporter:
    """One line when something changes, and a reminder every half minute while nothing does."""

    def __init__(self, write: Callable[[str], None], now: Callable[[], float] = time.monotonic) -> None:
        self._write, self._now = write, now
        self._start = now()
        self._last: dict[str, tuple[str, float]] = {}

    def __call__(self, news: News, /) -> None:
        if news.over:
            return  # the report follows
        parts = "; ".join(f"{part} {state}".strip() for part, state in news.parts.items())
        line = f"{news.name}: {news.text}{f' ({parts})' if parts else ''}"
        before, said = self._last.get(news.name, ("", 0.0))
        now = self._now()
        if line == before and now - said < REMIND_AFTER_S:
            return
        self._last[news.name] = (line, now)
        self._write(line if line != before else f"{line}, {now - self._start:.0f} s")


@contextmanager
def on_terminal() -> Iterator[Reporter]:
    """A live line per table, with a line under it for each index that is being built."""
    from rich.console import Console, Group
    from rich.live import Live
    from rich.spinner import Spinner
    from rich.text import Text

    start = time.monotonic()
    latest: dict[str, News] = {}
    spinners: dict[str, Spinner] = {}

    def lines() -> Group:
        rows: list[Spinner | Text] = []
        for name, news in latest.items():
            if news.over:
                continue
            spinner = spinners.setdefault(name, Spinner("dots"))
            elapsed = f"{time.monotonic() - start:.0f} s"
            spinner.update(text=Text.assemble((name, "bold"), f"  {news.text}  ", (elapsed, "dim")))
            rows.append(spinner)
            rows += [Text(f"    {part}  {state}", style="dim") for part, state in news.parts.items() if part]
        return Group(*rows)

    with Live(get_renderable=lines, console=Console(highlight=False), transient=True, refresh_per_second=10):

        def notify(news: News, /) -> None:
            latest[news.name] = news

        yield notify
