"""What can stop the set-up, with the exit code and the retry rule of each.

Every failure a user can meet is a `SetupError`: one line, an exit code from the documented table, and how long it
is worth trying again. The translation from botocore is in `calls/endpoint.py`; nothing here imports it.
"""

from __future__ import annotations

import enum


class Exit(enum.IntEnum):
    """Exit codes of `blotter tables`, documented in docs/tables.md (a test compares)."""

    DONE = 0
    REFUSED = 1
    DIFFERS = 2
    REPLACEMENT = 3
    CONFIGURATION = 4
    CREDENTIALS = 5
    DENIED = 6
    UNREACHABLE = 7
    TIMED_OUT = 8
    UNUSABLE = 9
    PROTECTED = 10
    USAGE = 64
    INTERRUPTED = 130
    TERMINATED = 143


MEANINGS: dict[Exit, str] = {
    Exit.DONE: "done, or nothing to do",
    Exit.REFUSED: "the endpoint refused a request, or did not do what it accepted",
    Exit.DIFFERS: "`plan --check`, `diff` or `status`: a table differs from its declaration",
    Exit.REPLACEMENT: "cannot be changed in place (key schema, local index), or needs a permission flag",
    Exit.CONFIGURATION: "configuration missing, wrong or contradictory",
    Exit.CREDENTIALS: "no credentials, unknown profile, expired token, wrong signature or clock",
    Exit.DENIED: "access denied by policy",
    Exit.UNREACHABLE: "the endpoint cannot be reached, or is not DynamoDB",
    Exit.TIMED_OUT: "the deadline (--timeout) passed; running again continues",
    Exit.UNUSABLE: "the table is in a state that waiting does not end (archived, encryption key inaccessible)",
    Exit.PROTECTED: "`destroy`: deletion protection is on, or the deletion was not confirmed",
    Exit.USAGE: "wrong command line",
    Exit.INTERRUPTED: "interrupted (Ctrl-C); running again continues",
    Exit.TERMINATED: "terminated (SIGTERM); running again continues",
}


class Retry(enum.Enum):
    """How long a failure is worth repeating."""

    NEVER = "never"
    BRIEFLY = "briefly"  # a few times in a row: an endpoint that starts, a server error
    UNTIL_DEADLINE = "until the deadline"  # throttling, a table that is busy: it will pass


NOT_OFFERED = "NotOffered"
"""Our own code: a service of AWS's is needed, and the tables are elsewhere."""


class SetupError(Exception):
    """The set-up cannot go on. `str()` is one line; `code` is the endpoint's error code, if it had one."""

    def __init__(self, message: str, exit_code: Exit, retry: Retry = Retry.NEVER, code: str = "") -> None:
        super().__init__(" ".join(message.split()))
        self.exit_code = exit_code
        self.retry = retry
        self.code = code
