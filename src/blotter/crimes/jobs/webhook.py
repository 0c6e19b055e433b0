"""The address of a webhook: validated where settings are read, used where notifications are sent.

It may hold a secret (a token in the path, a password), so no message here quotes it.
"""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit


def webhook_address(url: str) -> SplitResult:
    """The parts of a webhook's address. Raises ValueError, whose text does not quote the address."""
    try:
        address = urlsplit(url)
        host, _ = address.hostname, address.port
    except ValueError as error:
        raise ValueError("webhook_url is not an address (its value is not shown)") from error
    if address.scheme not in ("http", "https") or not host:
        raise ValueError("webhook_url must be http://HOST/… or https://HOST/… (its value is not shown)")
    if not (url.isascii() and url.isprintable()) or " " in url:
        raise ValueError("webhook_url has a blank or another character that must be percent-encoded (not shown)")
    return address
