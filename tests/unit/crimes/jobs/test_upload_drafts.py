"""Drafts of uploads after a crash: removed at the next start, but never those of a server that still runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from blotter.crimes.jobs.upload_drafts import discard_dead_drafts
from blotter.crimes.storage.objects import ObjectStore


def test_what_a_killed_server_left_is_removed_at_the_next_start(tmp_path: Path) -> None:
    objects = ObjectStore.open(tmp_path)
    folder = tmp_path / "uploads" / "x"
    folder.mkdir(parents=True)
    for name in ("a.csv#1", "b.csv", "c.csv.0123456789ab.predictions.csv#1"):
        (folder / name).write_bytes(b"x")
    assert discard_dead_drafts(objects) == 1
    assert sorted(path.name for path in folder.iterdir()) == ["b.csv", "c.csv.0123456789ab.predictions.csv#1"]


_OTHER = """
import sys
from blotter.crimes.storage.objects import ObjectStore
from blotter.crimes.jobs.upload_drafts import discard_dead_drafts
discard_dead_drafts(ObjectStore.open(sys.argv[1]))
print("ready", flush=True)
sys.stdin.read()
"""


def test_drafts_of_another_running_server_stay(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _OTHER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "ready\n"
        draft = tmp_path / "uploads" / "a.csv#1"
        draft.parent.mkdir()
        draft.write_bytes(b"x")
        assert discard_dead_drafts(ObjectStore.open(tmp_path)) == 0
        assert draft.exists()
        other.kill()
