"""Botocore's service models, read once in each test process instead of once for each session.

Reading and parsing them is most of what a command against an endpoint costs, and the tests run hundreds of
commands in one process. A loader keeps what it has read; botocore makes one for each session, this gives all
sessions the same.
"""

from __future__ import annotations

import functools

import botocore.session


def share_service_models() -> None:
    """For every session that is made from now on."""
    if not hasattr(botocore.session.create_loader, "cache_clear"):
        botocore.session.create_loader = functools.cache(botocore.session.create_loader)
