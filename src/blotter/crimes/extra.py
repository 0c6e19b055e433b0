"""Whether what the application needs beyond the database is installed: the `crimes` extra.

Checked before anything starts, so that the user gets one line and not a traceback in the middle of it.
"""

from __future__ import annotations

import importlib.util

NEEDED = ("fastapi", "jinja2", "lightgbm", "mangum", "numpy", "obstore", "python_multipart", "uvicorn")
INSTALL = 'pip install "blotter-db[crimes]"'


def missing() -> list[str]:
    """The packages that are not installed; nothing is imported for it."""
    return [name for name in NEEDED if importlib.util.find_spec(name) is None]


def explain(names: list[str]) -> str:
    """One line for a person: what is missing and what installs it."""
    return f"the application needs {', '.join(names)}; install them with: {INSTALL} (in a checkout: .[crimes])"
