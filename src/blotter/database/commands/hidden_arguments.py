"""Hides a password of the command line from other users of the machine, as far as a program can.

The password of `--store postgresql://user:password@…` is in the process's arguments, which `ps` shows to all.
Linux shows them out of the process's own memory, so that they can be overwritten; they can be seen for the moment
until then. Elsewhere nothing is done. The environment and password files have no such moment: docs/operations.md.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
from pathlib import Path
from urllib.parse import urlsplit

# Fields of /proc/self/stat, counted from the one after the name: where the arguments begin and end in memory.
_BEGIN, _END = 45, 46


def masked(url: str) -> str:
    """The URL with asterisks in the places of its password; as long as before."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return url
    password = parts.netloc.rpartition("@")[0].partition(":")[2]
    if password:
        url = url.replace(f":{password}@", f":{'*' * len(password)}@", 1)
    for part in parts.query.split("&"):
        name, _, value = part.partition("=")
        if name == "password" and value:
            url = url.replace(f"password={value}", f"password={'*' * len(value)}", 1)
    return url


def hide_password(url: str) -> None:
    """Overwrites the URL in the arguments of this process with the masked one."""
    shown, hidden = os.fsencode(url), os.fsencode(masked(url))
    if shown == hidden or len(shown) != len(hidden):
        return
    with contextlib.suppress(OSError, ValueError, IndexError):  # no such file: another system
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        begin, end = int(fields[_BEGIN]), int(fields[_END])
        if 0 < begin < end:
            at = ctypes.string_at(begin, end - begin).find(shown)
            if at >= 0:
                ctypes.memmove(begin + at, hidden, len(hidden))
