"""Folders and files that only their owner may access, because uploads hold addresses.

Every command sets the umask, so that whatever it makes is 0700 and 0600. Folders that existed before are
closed to group and others when this user owns them; otherwise a warning names the folder and its owner.
"""

from __future__ import annotations

import logging
import os
import stat
from pathlib import Path

_OTHERS = stat.S_IRWXG | stat.S_IRWXO

_log = logging.getLogger(__name__)


def set_umask() -> None:
    """From now on this process makes folders 0700 and files 0600."""
    os.umask(0o077)


def private_folder(folder: Path) -> Path:
    """The folder, made if it is missing, closed to group and others. Raises OSError when it cannot be made."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.stat()
    if not found.st_mode & _OTHERS:
        return folder
    if found.st_uid == os.geteuid():
        folder.chmod(stat.S_IMODE(found.st_mode) & ~_OTHERS)
        return folder
    _log.warning("folder %s belongs to user %d, and others may enter it", folder, found.st_uid)
    return folder
