"""Work in a forked process, waited for: for what must not happen in a process that forks others later."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, TypeVar

T = TypeVar("T")


def run_in_child(work: Callable[[], T]) -> T:
    """What `work` returned, or raises what it raised; both must be picklable. Raises RuntimeError if the process
    died."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=_run, args=(work, sender))
    child.start()
    sender.close()
    try:
        error, value = receiver.recv()
    except EOFError:
        raise RuntimeError("a process that prepared the start has died") from None
    finally:
        child.join()
        receiver.close()
    if error is not None:
        raise error
    return value  # type: ignore[no-any-return]


def _run(work: Callable[[], Any], sender: Connection[Any, Any]) -> None:
    try:
        sender.send((None, work()))
    except Exception as error:
        sender.send((error, None))
