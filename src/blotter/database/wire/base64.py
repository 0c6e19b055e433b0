"""AWS's messages for text that is not base64. The check itself is C; this is only reached when it failed.

Shared by the deserializer and by the validation of attribute values, which meets binaries that the fast decoder
let through as plain strings.
"""

from __future__ import annotations

from binascii import Error, a2b_base64, b2a_base64


def base64_problem(text: str) -> str | None:
    """AWS's message for text that is not canonical base64, None when it is."""
    if len(text) % 4:
        return f"Base64 encoded length is expected a multiple of 4 bytes but found: {len(text)}"
    try:
        # Bits that no byte uses and characters outside of the alphabet both fail to come back as they were.
        canonical = b2a_base64(a2b_base64(text), newline=False) == text.encode()
    except (Error, ValueError):
        canonical = False
    # The misspelling is the service's.
    return None if canonical else "Invalid last non-pad Base64 character dectected"
