"""Host names: which are addresses, and which mean this machine. One rule for database, application and clients."""

from __future__ import annotations

from ipaddress import ip_address


def is_loopback(host: str) -> bool:
    """Whether a host name or address can only mean this machine. Does not use DNS."""
    if host.lower().removesuffix(".") == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def is_address(name: str) -> bool:
    """Whether it is an IP address, an IPv6 one without brackets."""
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
