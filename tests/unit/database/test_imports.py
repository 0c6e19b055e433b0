"""What a server need not load to start is not loaded."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys
import blotter.database.serving.server
import blotter.database.operations.registry
heavy = {"numpy", "botocore", "boto3", "fastapi", "lightgbm", "prometheus_client"}
print(sorted(heavy & sys.modules.keys()))
"""


def test_a_server_starts_without_libraries_that_few_requests_need() -> None:
    shown = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True).stdout
    assert shown == "[]\n"
