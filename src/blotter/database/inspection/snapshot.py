"""`blotter snapshot`: a copy of a data directory that a server can start on, checked before it gets its name.

The copy is made in a directory beside the target, `.NAME.incomplete-…`, which servers refuse. It is renamed when
every check has found it sound and it is synced: whatever happens before, nothing is there that looks whole.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from contextlib import suppress
from pathlib import Path

from blotter.database.durable_files import sync_directory, write_durably
from blotter.database.encryption.directory_keys import KEY_FILES
from blotter.database.encryption.master_keys import MasterKey
from blotter.database.inspection.check import Report, check
from blotter.database.storage.data_directory import mark_incomplete, mark_whole
from blotter.database.storage.protocol import DataDirectoryError
from blotter.database.storage.sqlite.copying import Progress, copy_file
from blotter.database.storage.sqlite.read_only import ReadOnlyFile
from blotter.database.storage.sqlite.schema import FILE_NAME


class UnsoundCopy(Exception):
    """The copy has damage, as the source must have, and was removed again."""

    def __init__(self, report: Report) -> None:
        super().__init__("the copy is not sound")
        self.report = report


def snapshot(source: Path, target: Path, progress: Progress, master_key: MasterKey | None = None) -> int:
    """Copies the data directory `source` to `target`, which must be missing or empty; returns the copy's bytes.
    The copy has the keys of the source, wrapped by the same master key.

    Raises DataDirectoryError if the one cannot be read or the other not be written, DamagedFile, UnsoundCopy, and
    apsw's errors. Nothing is left in `target` then.
    """
    target = Path(os.path.abspath(target))
    refuse_contents(target)
    file = ReadOnlyFile(source, master_key)
    try:
        return _copy(file, target, progress, master_key)
    except OSError as error:
        raise DataDirectoryError(f"{target} cannot be written: {error.strerror}") from error
    finally:
        file.close()


def _copy(file: ReadOnlyFile, target: Path, progress: Progress, master_key: MasterKey | None) -> int:
    incomplete = target.with_name(f".{target.name}.incomplete-{secrets.token_hex(8)}")
    try:
        incomplete.mkdir(mode=0o700)  # within the try: an interruption may come at any moment
        mark_incomplete(incomplete)
        for name in KEY_FILES:
            _copy_key_file(file.path.with_name(name), incomplete / name)
        copy_file(file, incomplete / FILE_NAME, progress)
        report = check(incomplete, master_key)
        if not report.is_sound:
            raise UnsoundCopy(report)
        size = (incomplete / FILE_NAME).stat().st_size
        mark_whole(incomplete)
        sync_directory(incomplete)
        rename_into_place(incomplete, target)
    except BaseException:
        shutil.rmtree(incomplete, ignore_errors=True)
        raise
    sync_directory(target.parent)
    return size


def _copy_key_file(source: Path, target: Path) -> None:
    with suppress(FileNotFoundError):
        write_durably(target, source.read_bytes())


def rename_into_place(incomplete: Path, target: Path) -> None:
    """Replaces nothing but an empty directory."""
    try:
        incomplete.rename(target)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
            raise _not_empty(target) from error
        raise


def refuse_contents(target: Path) -> None:
    """Raises DataDirectoryError unless a directory is missing or empty."""
    try:
        if target.is_symlink() or (target.exists() and (not target.is_dir() or any(target.iterdir()))):
            raise _not_empty(target)
    except OSError as error:
        raise DataDirectoryError(f"{target} cannot be read: {error.strerror}") from error


def _not_empty(target: Path) -> DataDirectoryError:
    return DataDirectoryError(f"{target} exists and is not an empty directory; nothing was written")
