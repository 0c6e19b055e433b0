"""A handler that was submitted to a store, and its outcome; what every store with batches of its own keeps."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from blotter.database.storage.protocol import Action, Settled, StorageUnavailable, WriteTransaction

log = logging.getLogger(__name__)

Handler = Callable[[WriteTransaction], Any]


class Submission:
    """A submitted handler with its result, a value or an error to raise. A caller that sets `abandoned` withdraws
    the handler if it has not run yet, and is not called any more; after it was called, that has no effect."""

    __slots__ = ("abandoned", "actions", "error", "excluded", "handler", "settled", "value")

    def __init__(self, handler: Handler, settled: Settled) -> None:
        self.handler = handler
        self.settled = settled
        self.value: Any = None
        self.error: BaseException | None = None
        self.actions: list[Action] | None = None
        self.excluded = False
        """Whether its batch runs without it: it raised after having written, or met damage."""
        self.abandoned = False

    def settle(self) -> None:
        """Runs the actions and calls the caller's callback. No exception of either harms the others of the
        batch."""
        if self.actions is not None:
            self._act(self.actions)
        if self.abandoned:
            return
        try:
            self.settled(None if self.error is not None else self.value, self.error)
        except Exception:
            log.exception("the caller of a write failed to take its result")

    def fail(self, error: StorageUnavailable) -> None:
        """Its batch was not stored."""
        self.error, self.actions = error, None
        self.settle()

    def keep_error(self, error: BaseException) -> None:
        """Keeps what the handler raised until its batch is committed."""
        # A future cannot carry a StopIteration.
        self.error = RuntimeError(repr(error)) if isinstance(error, StopIteration) else error

    def _act(self, actions: list[Action]) -> None:
        for action in actions:
            try:
                action()
            except Exception:  # The work is committed; its caller must learn that.
                log.exception("an action after a commit failed")
