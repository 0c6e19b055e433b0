"""docs/api.md lists exactly the addresses and error codes that exist."""

from __future__ import annotations

import re
from pathlib import Path

from fastapi.testclient import TestClient

import blotter.crimes.web

PAGE = (Path(__file__).parents[4] / "docs" / "api.md").read_text(encoding="utf-8")
SOURCES = Path(blotter.crimes.web.__file__).parent


def test_every_operation_is_documented(client: TestClient) -> None:
    schema = client.get("/openapi.json").json()
    operations = {f"{method.upper()} {path}" for path, methods in schema["paths"].items() for method in methods}
    documented = {
        found.partition("?")[0] for found in re.findall(r"^\| `((?:GET|POST|DELETE) [^`]+)`", PAGE, re.MULTILINE)
    }
    assert documented == operations


def test_every_error_code_is_documented() -> None:
    source = "".join(
        path.read_text(encoding="utf-8") for path in SOURCES.glob("*.py") if path.name != "explain.py"
    )
    codes = set(re.findall(r'WebError\(\s*\d+,\s*"([A-Z_]+)"', source))
    codes |= set(re.findall(r'error_body\("([A-Z_]+)"', source)) | set(re.findall(r'\d+: "([A-Z_]+)"', source))
    table = PAGE.partition("| status | code |")[2].partition("\n\n")[0]
    documented = set(re.findall(r"`([A-Z_]{5,})`", table))
    assert documented == codes | {"BAD_REQUEST"}
