"""Whether the trail is what the server wrote: every file, every journal, every record, in order.

Works on a trail in use as well: what grows is read in an order in which nothing can seem to be missing.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable
from pathlib import Path

import msgspec

from blotter.database.audit.archive import CURRENT, LAYOUT, file_content, records_in, unique_part
from blotter.database.audit.chain import FILE_NAME, HEAD_NAME, UNREADABLE, Entry, FileDigest, read_chain
from blotter.database.audit.files import DRAFT_SUFFIX
from blotter.database.audit.journal import SUFFIX, read_journal
from blotter.database.audit.keys import AuditKeys
from blotter.database.encryption.errors import DamagedCiphertext
from blotter.database.encryption.files import FileCipher


class Verdict(msgspec.Struct):
    """`problems` is what was found to be changed, a line each; the counts are of what was checked."""

    records: int = 0
    files: int = 0
    journals: int = 0
    problems: list[str] = []


def verify(folder: Path, keys: AuditKeys, cipher: FileCipher) -> Verdict:
    """Checks the trail in a folder. Raises OSError for what cannot be read at all."""
    verdict = Verdict()
    # What exists first, what should exist after: a file or journal that is made meanwhile is not missed.
    journals = sorted((folder / CURRENT).glob(f"*{SUFFIX}"))
    files = {str(path.relative_to(folder)) for path in (folder / LAYOUT).rglob("*") if path.is_file()}
    contents = {}
    for path in journals:
        try:
            contents[path.stem] = read_journal(path, keys, cipher)
        except FileNotFoundError:
            continue  # Closed meanwhile: it is a file now.
    chain = read_chain(folder, keys, cipher)
    verdict.problems += chain.problems
    opened = {entry.journal for entry in chain.entries if entry.kind == "opened"}
    closed = {entry.journal: entry for entry in chain.entries if entry.kind == "closed"}
    for entry in closed.values():
        _check_closed(folder, entry, cipher, verdict)
        if entry.journal not in opened and entry.records:
            verdict.problems.append(f"the journal {entry.journal} was closed, but never opened")
    for name, found in contents.items():
        if name in closed:
            continue
        verdict.journals += 1
        verdict.records += len(found.records)
        if found.problem:
            verdict.problems.append(f"{CURRENT}/{name}{SUFFIX}: {found.problem}")
        elif name not in opened and found.records:
            verdict.problems.append(f"{CURRENT}/{name}{SUFFIX}: the chain does not know it")
    for name in sorted(opened - closed.keys() - contents.keys()):
        if not (folder / CURRENT / f"{name}{SUFFIX}").exists():
            verdict.problems.append(f"{CURRENT}/{name}{SUFFIX} is missing")
    known = {digest.path for entry in closed.values() for digest in entry.files}
    for stranger in sorted(files - known):
        if not _is_being_closed(stranger, contents.keys()):
            verdict.problems.append(f"{stranger}: the chain does not know it")
    return verdict


def has_trail(folder: Path) -> bool:
    return any((folder / name).exists() for name in (FILE_NAME, HEAD_NAME, LAYOUT))


def _check_closed(folder: Path, entry: Entry, cipher: FileCipher, verdict: Verdict) -> None:
    if entry.damage:
        verdict.problems.append(f"journal {entry.journal}, when it was closed at {entry.time}: {entry.damage}")
    for digest in entry.files:
        verdict.files += 1
        problem = _problem_of(folder / digest.path, digest, cipher)
        if problem:
            verdict.problems.append(f"{digest.path} {problem}")
        else:
            verdict.records += digest.records


def _problem_of(path: Path, digest: FileDigest, cipher: FileCipher) -> str:
    try:
        content = file_content(path, cipher)
    except FileNotFoundError:
        return f"is missing ({digest.records} records)"
    except DamagedCiphertext as error:
        return f"was changed: {error}"
    if hashlib.sha256(content).hexdigest() == digest.sha256:
        return ""
    try:
        return f"was changed: it has {len(records_in(content))} of {digest.records} records"
    except (OSError, EOFError, KeyError, zlib.error, *UNREADABLE):
        return "was changed: it cannot be read"


def _is_being_closed(path: str, journals: Iterable[str]) -> bool:
    """Whether a file is one of a journal's that is being closed, or was when its process was killed."""
    parts = Path(path).parts
    if len(parts) != 8:
        return False
    account, region, day = parts[1], parts[3], "-".join(parts[4:7])
    end = parts[7].removesuffix(DRAFT_SUFFIX).removesuffix(".json.gz").rpartition("_")[2]
    return any(end == unique_part(journal, account, region, day) for journal in journals)
