"""What a connection is waiting for: its states, and every transition from one to another.

The table is the specification: `connection.py` follows it, a test checks that it does and that nothing in the
table is unused, and the drawing in docs/architecture/connection.md is made from it (`diagram`).
"""

from __future__ import annotations

from enum import Enum


class State(Enum):
    """What has to happen next. Each state but BUSY and CLOSED has a deadline."""

    IDLE = "idle"
    """The first byte of a request."""
    HEAD = "head"
    """The rest of a request's head."""
    BODY = "body"
    """The rest of a request's body."""
    BUSY = "busy"
    """The answer to a complete request, or the event loop, to start on the next one that has arrived."""
    BLOCKED = "blocked"
    """The client, to take answers; nothing is read meanwhile."""
    LINGERING = "lingering"
    """A refused client, to stop sending, so that it can read why."""
    CLOSED = "closed"
    """Nothing."""


_OPEN = (State.IDLE, State.HEAD, State.BODY, State.BUSY, State.BLOCKED)

TRANSITIONS: dict[tuple[State, State], str] = {
    (State.IDLE, State.HEAD): "first bytes",
    (State.IDLE, State.BODY): "a head",
    (State.IDLE, State.BUSY): "a request",
    (State.HEAD, State.BODY): "the head's end",
    (State.HEAD, State.BUSY): "the request's end",
    (State.BODY, State.BUSY): "the request's end",
    (State.BUSY, State.IDLE): "answered",
    (State.BUSY, State.HEAD): "answered, the next begun",
    (State.BUSY, State.BODY): "answered, the next's head read",
    (State.BUSY, State.BUSY): "answered, the next complete",
    (State.BUSY, State.BLOCKED): "answered, not taken",
    (State.IDLE, State.BLOCKED): "output not taken",
    (State.HEAD, State.BLOCKED): "output not taken",
    (State.BODY, State.BLOCKED): "output not taken",
    (State.BLOCKED, State.IDLE): "taken",
    (State.BLOCKED, State.HEAD): "taken, the next begun",
    (State.BLOCKED, State.BODY): "taken, the next's head read",
    (State.BLOCKED, State.BUSY): "taken, the next complete",
    **{(state, State.LINGERING): "refused" for state in _OPEN},
    **{(state, State.CLOSED): "closed or lost" for state in (*_OPEN, State.LINGERING)},
}


def diagram() -> str:
    """The table as a Mermaid state diagram."""
    lines = ["stateDiagram-v2", "    [*] --> idle"]
    for (before, after), event in TRANSITIONS.items():
        if after is not State.CLOSED:  # From everywhere: it would hide the rest.
            lines.append(f"    {before.value} --> {after.value}: {event}")
    return "\n".join(lines)
