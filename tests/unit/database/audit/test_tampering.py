"""The trail shows every change: whatever is done to its files without the key, `verify` finds it, and nothing is
said of a trail that was not changed."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blotter.database.audit.archive import CURRENT, LAYOUT
from blotter.database.audit.chain import Chain
from blotter.database.audit.files import frames
from blotter.database.audit.keys import AuditKeys
from blotter.database.encryption.files import frame
from tests.examples import examples
from tests.unit.database.audit.trails import KEYS, NOW, PLAIN, OnDisk, record


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> OnDisk:
    """Three journals of two regions and days that became files, and one that is in use."""
    trail = OnDisk(tmp_path_factory.mktemp("trail"))
    trail.write([record("a"), record("b"), record("c", awsRegion="eu-west-1")], close=True)
    trail.write([record("d"), record("e", time="2026-11-29T00:00:01Z")], close=True)
    trail.write([record("f")], close=True)
    journal = trail.open()
    journal.append([record("g"), record("h")], 0.0)
    journal.append([record("i")], 0.0)
    return trail


def _copy(whole: OnDisk, tmp_path: Path) -> OnDisk:
    shutil.copytree(whole.folder, tmp_path / "copy", dirs_exist_ok=True)
    return OnDisk(tmp_path / "copy")


def _files(trail: OnDisk) -> list[Path]:
    return sorted(trail.folder.glob(f"{LAYOUT}/**/*.json.gz"))


def _journal(trail: OnDisk) -> Path:
    (path,) = (trail.folder / CURRENT).glob("*.journal")
    return path


def test_nothing_is_said_of_a_trail_that_was_not_changed(whole: OnDisk) -> None:
    verdict = whole.verdict()
    assert verdict.problems == []
    assert (verdict.records, verdict.files, verdict.journals) == (9, 5, 1)
    assert whole.names() == [*"abcdfghi", "e"]


def _change_record(trail: OnDisk) -> None:
    path = _files(trail)[0]
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()).replace(b'"a"', b'"z"'), mtime=0))


def _swap_records(trail: OnDisk) -> None:
    path = next(path for path in _files(trail) if b'"b"' in gzip.decompress(path.read_bytes()))
    records = json.loads(gzip.decompress(path.read_bytes()))["Records"][::-1]
    path.write_bytes(gzip.compress(json.dumps({"Records": records}).encode()))


def _add_file(trail: OnDisk) -> None:
    path = _files(trail)[0]
    path.with_name(path.name.replace(".json.gz", "X.json.gz")).write_bytes(path.read_bytes())


def _swap_files(trail: OnDisk) -> None:
    first, second = _files(trail)[-2:]
    kept = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(kept)


def _cut_journal(trail: OnDisk) -> None:
    path = _journal(trail)
    ends = [end for _, end in frames(path.read_bytes())]
    path.write_bytes(path.read_bytes()[: ends[-2]])


def _swap_in_journal(trail: OnDisk) -> None:
    path = _journal(trail)
    parts = [frame(part) for part, _ in frames(path.read_bytes())]
    parts[1], parts[2] = parts[2], parts[1]
    path.write_bytes(b"".join(parts))


def _drop_from_journal(trail: OnDisk) -> None:
    path = _journal(trail)
    parts = [frame(part) for part, _ in frames(path.read_bytes())]
    path.write_bytes(b"".join(parts[:2] + parts[3:]))


def _insert_into_journal(trail: OnDisk) -> None:
    path = _journal(trail)
    path.write_bytes(path.read_bytes() + frame(bytes(32) + record("forged")))


def _remove_journal(trail: OnDisk) -> None:
    path = _journal(trail)
    path.unlink()
    path.with_suffix(".tail").unlink()


def _cut_chain(trail: OnDisk) -> None:
    """The last file and everything that knows of it."""
    path = trail.folder / "digests"
    entries = list(frames(path.read_bytes()))
    (_files(trail)[-1]).unlink()
    path.write_bytes(path.read_bytes()[: entries[-3][1]])


def _rewrite_chain(trail: OnDisk) -> None:
    """A chain of somebody without the key."""
    for path in (trail.folder / "digests", trail.folder / "head"):
        path.unlink()
    chain = Chain(trail.folder, AuditKeys(b"x" * 32), PLAIN, lambda: NOW)
    chain.opened("0" * 32)


_CHANGES: dict[str, tuple[Callable[[OnDisk], object], str]] = {
    "a record is changed": (_change_record, "was changed: it has"),
    "records are reordered": (_swap_records, "was changed: it has 2 of 2"),
    "a file is removed": (lambda trail: _files(trail)[1].unlink(), "is missing"),
    "a file is added": (_add_file, "the chain does not know it"),
    "files are exchanged": (_swap_files, "was changed"),
    "the last record is cut off": (_cut_journal, "1 of 3 records were changed or removed"),
    "records of a journal are reordered": (_swap_in_journal, "3 of 3 records were changed or removed"),
    "a record of a journal is removed": (_drop_from_journal, "2 of 3 records were changed or removed"),
    "a record is forged": (_insert_into_journal, "a record was inserted"),
    "a journal is removed": (_remove_journal, ".journal is missing"),
    "its tail is removed": (lambda trail: _journal(trail).with_suffix(".tail").unlink(), "its tail is missing"),
    "a journal is added": (
        lambda trail: shutil.copy(_journal(trail), trail.folder / CURRENT / f"{'0' * 32}.journal"),
        "under another name",
    ),
    "the chain is cut": (_cut_chain, "the chain was cut"),
    "the chain is removed": (lambda trail: (trail.folder / "digests").unlink(), "the chain was cut"),
    "its head is removed": (lambda trail: (trail.folder / "head").unlink(), "the head of the chain is missing"),
    "the chain is written anew": (_rewrite_chain, "wrong signature"),
}


@pytest.mark.parametrize("change", _CHANGES)
def test_what_was_changed_is_named(whole: OnDisk, tmp_path: Path, change: str) -> None:
    trail = _copy(whole, tmp_path)
    apply, said = _CHANGES[change]
    apply(trail)
    problems = trail.verdict().problems
    assert any(said in problem for problem in problems), problems


@settings(max_examples=examples(50))
@given(st.data())
def test_any_changed_byte_is_found(
    whole: OnDisk, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """One byte of any file, other bytes in its place, or the rest of the file cut off."""
    trail = _copy(whole, tmp_path_factory.mktemp("copy"))
    paths = sorted(path for path in trail.folder.rglob("*") if path.is_file() and path.stat().st_size)
    path = data.draw(st.sampled_from(paths))
    content = path.read_bytes()
    at = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        changed = content[:at] + data.draw(st.binary(min_size=1, max_size=3)) + content[at + 1 :]
    else:
        changed = content[:at]
    path.write_bytes(changed)
    assert bool(trail.verdict().problems) == (changed != content)


def test_a_server_goes_on_after_a_change_and_it_stays_visible(whole: OnDisk, tmp_path: Path) -> None:
    trail = _copy(whole, tmp_path)
    _cut_chain(trail)
    before = trail.verdict().problems
    assert before
    trail.write([record("later")], close=True)
    after = trail.verdict().problems
    assert any("the chain had been changed" in problem for problem in after), after
    assert trail.names()[-1] == "later"


def test_what_was_wrong_with_a_journal_is_remembered_when_it_is_closed(whole: OnDisk, tmp_path: Path) -> None:
    trail = _copy(whole, tmp_path)
    _drop_from_journal(trail)
    trail.archive.adopt()
    assert not list((trail.folder / CURRENT).glob("*.journal"))
    assert any("2 of 3 records" in problem for problem in trail.verdict().problems)


def test_a_torn_end_is_no_change(whole: OnDisk, tmp_path: Path) -> None:
    trail = _copy(whole, tmp_path)
    path = _journal(trail)
    path.write_bytes(path.read_bytes() + frame(bytes(32) + record("torn"))[:-1])
    assert trail.verdict().problems == []
    assert KEYS.mac(b"")  # the keys of the copy are those of the original
    trail.archive.adopt()
    assert trail.verdict().problems == []
    assert "torn" not in trail.names()
