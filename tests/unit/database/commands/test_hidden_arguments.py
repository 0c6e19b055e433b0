"""A password on the command line is overwritten where `ps` finds it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from blotter.database.commands.hidden_arguments import masked


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://u:geheim@db/x", "postgresql://u:******@db/x"),
        ("postgresql://u:a:b%40c@db/x", "postgresql://u:*******@db/x"),
        ("postgresql://u@db/x?password=geheim&schema=s", "postgresql://u@db/x?password=******&schema=s"),
        ("postgresql://u@db/x", "postgresql://u@db/x"),
        ("postgresql://[::1/x", "postgresql://[::1/x"),
        ("", ""),
    ],
)
def test_what_is_shown_instead(url: str, expected: str) -> None:
    assert masked(url) == expected


_PROGRAM = """
import sys
from blotter.database.commands.hidden_arguments import hide_password
hide_password(sys.argv[1])
print(open("/proc/self/cmdline").read() if sys.platform == "linux" else "*" * 6)
"""


def test_the_arguments_of_a_process_are_overwritten() -> None:
    command = [sys.executable, "-c", _PROGRAM, "postgresql://u:geheim@db/x"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path.cwd()).stdout
    assert "geheim" not in shown
    assert "******" in shown
