"""Drafts of uploads that a killed server left, removed when the next one starts.

Every server that receives uploads into a folder holds a shared lock on a file in it for its life. A server
that can lock it exclusively at its start is the only one, so every draft of an upload is abandoned and is removed
at once. Beside a running server only drafts that have not grown for an hour are. Drafts of predictions are the
workers' (`worker.py`); S3 has a lifecycle rule (AbortIncompleteMultipartUpload).
"""

from __future__ import annotations

import fcntl
import os

from blotter.crimes.jobs.intake import UPLOADS
from blotter.crimes.jobs.processing import is_predictions_key
from blotter.crimes.storage.objects import ObjectStore

_LOCK_FILE = ".receiving-uploads.lock"
_OLD_SECONDS = 3600.0
_held: list[int] = []  # descriptors kept for the life of the process


def discard_dead_drafts(objects: ObjectStore) -> int:
    """Removes dead drafts of uploads and returns how many; keeps the lock until the process ends."""
    if objects.folder is None:
        return 0
    lock = os.open(objects.folder / _LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
    _held.append(lock)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        alone = True
    except BlockingIOError:
        alone = False
    removed = objects.discard_drafts(0.0 if alone else _OLD_SECONDS, chosen=_is_upload)
    fcntl.flock(lock, fcntl.LOCK_SH)
    return removed


def _is_upload(key: str) -> bool:
    return key.startswith(UPLOADS) and not is_predictions_key(key)
