"""All checks of a data directory, and their report. Read-only; a server may run on the directory meanwhile.

report = check(Path("blotter-data"))
report.is_sound            # True
report.results[0]          # CheckResult(name="pages", problems=(), more=0, seconds=0.02)
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Final

import apsw
import msgspec

from blotter.database.encryption.master_keys import MasterKey
from blotter.database.inspection.item_checks import ITEM_CHECKS
from blotter.database.storage.protocol import METRICS_SPACE, RECORDS_SPACE, DataDirectoryError
from blotter.database.storage.sqlite import checksums
from blotter.database.storage.sqlite.file_check import FILE_CHECKS, spaces_in_use
from blotter.database.storage.sqlite.read_only import DamagedFile, ReadOnlyFile
from blotter.database.storage.sqlite.schema import LAST_SPACE

MOST_PROBLEMS: Final = 20
"""Problems that are reported of one check; the others are counted."""


class CheckResult(msgspec.Struct, frozen=True):
    name: str
    problems: tuple[str, ...]
    more: int = 0
    """Problems found beyond those reported."""
    seconds: float = 0.0


class Report(msgspec.Struct, frozen=True):
    path: str
    results: tuple[CheckResult, ...]

    @property
    def is_sound(self) -> bool:
        return not any(result.problems for result in self.results)


def check(
    directory: Path, master_key: MasterKey | None = None, monotonic: Callable[[], float] = time.monotonic
) -> Report:
    """Runs every check. Raises DataDirectoryError if the directory cannot be checked: it holds no database, or one
    of another format, or the disk fails. What a check cannot read because it is damaged is one of its problems."""
    try:
        file = ReadOnlyFile(directory, master_key)
    except DamagedFile as error:
        return Report(str(directory), (CheckResult("file", (str(error),)),))
    try:
        return Report(str(file.path), tuple(_run(file, monotonic)))
    finally:
        file.close()


def _run(file: ReadOnlyFile, monotonic: Callable[[], float]) -> Iterator[CheckResult]:
    for name, check_file in FILE_CHECKS.items():
        yield _result(name, check_file(file.connection), monotonic)
    yield _result("key spaces", _check_spaces(file), monotonic)
    for name, check_items in ITEM_CHECKS.items():
        yield _result(name, check_items(file.snapshot), monotonic)


def _check_spaces(file: ReadOnlyFile) -> Iterator[str]:
    """Every key space that holds something belongs to a table or an index, or was dropped, and was once given."""
    with file.snapshot() as tx:
        owned = {RECORDS_SPACE, METRICS_SPACE}
        for table in tx.tables():
            owned.update([table.space, *(space for index in table.indexes for space in index.spaces)])
        dropped = {space for (space,) in file.connection.execute("SELECT space FROM dropped_spaces")}
        last = file.connection.execute("SELECT value FROM counters WHERE id = ?", (LAST_SPACE,)).get or 0
        for space in spaces_in_use(file.connection):
            if space not in owned and space not in dropped:
                yield f"key space {space} belongs to no table and no index"
        for space in sorted(owned | dropped):
            if space > last:
                yield f"key space {space} is in use, but the last one given is {last}"


def _result(name: str, problems: Iterator[str], monotonic: Callable[[], float]) -> CheckResult:
    begun = monotonic()
    found: list[str] = []
    more = 0
    try:
        found.extend(islice(problems, MOST_PROBLEMS))
        more = sum(1 for _ in problems)
    except apsw.Error as error:
        if not checksums.is_damage(error):
            raise DataDirectoryError(f"{name} cannot be checked: {checksums.error_text(error)}") from error
        found.append(f"cannot be read any further: {checksums.error_text(error)}")
    except msgspec.DecodeError as error:
        found.append(f"cannot be read any further: {error}")
    return CheckResult(name, tuple(found), more, monotonic() - begun)
