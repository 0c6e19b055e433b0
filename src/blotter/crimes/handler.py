"""The Lambda function: `handler(event, context)` takes S3's object-created events, as AWS Lambda calls it.

The local worker calls the same `handle_event`. Nothing is expected to be in the table before: on AWS nothing
writes UPLOADED. An event may come twice, late, or for an object that is already another; see `jobs/processing.py`.
When the table or the store is out of reach, or a part of the event is not understood, the error leaves the
function after everything else was done, so that Lambda delivers the event again or sends it to the dead-letter
queue. A scheduled rule may call it with `{"blotter": "sweep"}` to find lost work.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from blotter.crimes.jobs.events import BadEvent, parse_event
from blotter.crimes.jobs.notify import Notifier
from blotter.crimes.jobs.processing import Done, Processor, WorkerStopping
from blotter.crimes.jobs.sweeper import MISSING_SECONDS, Sweeper
from blotter.crimes.learning.model import load_model
from blotter.crimes.settings import Application

_log = logging.getLogger(__name__)


class Parts:
    """What handling needs, made once in a process; the model is loaded with the first file."""

    def __init__(self, application: Application, stopping: Callable[[], bool] = lambda: False) -> None:
        settings = application.settings
        self.application = application
        self.load_model = cache(lambda: load_model(settings.model, settings.threads))
        self.processor = Processor(
            settings, application.objects, application.results, self.load_model, Notifier(settings), stopping
        )
        self.sweeper = Sweeper(application.objects, application.results, settings.grace_seconds)


def handler(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    """The function's entry. Returns `{"results": [{"file_key": …, "outcome": …}]}`."""

    def time_left() -> float:
        remaining = getattr(context, "get_remaining_time_in_millis", None)
        return remaining() / 1000 if remaining is not None else float("inf")

    parts = _loaded_parts()
    done = sweep(parts, time_left) if event.get("blotter") == "sweep" else handle_event(parts, event, time_left)
    return {"results": [{"file_key": key, "outcome": outcome.what} for key, outcome in done.items()]}


def handle_event(
    parts: Parts, event: object, time_left: Callable[[], float] = lambda: float("inf")
) -> dict[str, Done]:
    """Processes every object that an event names: key → what was done.

    All objects are tried. At the end, when the table or the store failed for some, the first such error is raised;
    else BadEvent when a part of the event was not understood.
    """
    objects = parts.application.objects
    done: dict[str, Done] = {}
    failure: Exception | None = None
    parsed = parse_event(event)
    for created in parsed.created:
        if objects.is_remote and created.bucket != objects.bucket:
            _log.warning("event about bucket %s, but %s is configured: ignored", created.bucket, objects.bucket)
            continue
        try:
            done[created.key] = parts.processor.process(created.key, time_left)
        except WorkerStopping:
            raise
        except Exception as error:
            _log.warning("%s: %s: %s", created.key, type(error).__name__, error)
            failure = failure or error
    if failure is not None:
        raise failure
    if parsed.problems:
        raise BadEvent("; ".join(parsed.problems))
    return done


def sweep(parts: Parts, time_left: Callable[[], float] = lambda: float("inf")) -> dict[str, Done]:
    """Processes what the sweeper finds. All files are tried; the first error is raised at the end."""
    done: dict[str, Done] = {}
    failure: Exception | None = None
    for key in list(parts.sweeper.find_lost()):
        try:
            done[key] = parts.processor.process(key, time_left, missing_after=MISSING_SECONDS)
        except WorkerStopping:
            raise
        except Exception as error:
            _log.warning("%s: %s: %s", key, type(error).__name__, error)
            failure = failure or error
    if failure is not None:
        raise failure
    return done


@cache
def _loaded_parts() -> Parts:
    return Parts(Application.load())
