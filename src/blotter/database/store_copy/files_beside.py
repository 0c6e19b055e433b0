"""What lies beside a database in a data directory and belongs to what it knows: copied with it, file by file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from blotter.database.copies.objects import OBJECTS_FOLDER
from blotter.database.durable_files import make_private_folder, sync_directory
from blotter.database.encryption import files
from blotter.database.encryption.errors import DamagedCiphertext
from blotter.database.encryption.files import FileCipher
from blotter.database.storage.protocol import DataDirectoryError

FOLDERS: Final = {
    OBJECTS_FOLDER: "backups, exports and imports",
    "audit": "the audit trail",
}
"""Folders of a data directory that belong to what the database knows, and what is in them."""


def found_in(directory: Path) -> Iterator[str]:
    """What there is to be copied, for the operator."""
    for folder, what in FOLDERS.items():
        if any(_files(directory / folder)):
            yield f"{directory / folder}: {what}"


def copy_files(source: Path, target: Path, cipher: FileCipher) -> None:
    """Copies the files that are not there yet as they are in the source, as the target encrypts them."""
    for folder in FOLDERS:
        for path in _files(source / folder):
            copy = target / path.relative_to(source)
            try:
                if not copy.exists() or copy.stat().st_mtime_ns != path.stat().st_mtime_ns:
                    make_private_folder(copy.parent)
                    _copy_file(path, copy, cipher)
            except FileNotFoundError:
                continue  # removed meanwhile
            except DamagedCiphertext as error:
                raise DataDirectoryError(f"{path} is damaged: {error}") from None
            except OSError as error:
                raise DataDirectoryError(f"{path} cannot be copied: {error.strerror or error}") from error


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            yield path


def _copy_file(path: Path, copy: Path, cipher: FileCipher) -> None:
    """With its times, which tell whether it has changed since."""
    with path.open("rb") as source:
        found = os.fstat(source.fileno())
        descriptor = os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as target:
            if found.st_size:
                files.convert(source, target, cipher)
            target.flush()
            os.utime(target.fileno(), ns=(found.st_atime_ns, found.st_mtime_ns))
            os.fsync(target.fileno())
    sync_directory(copy.parent)
