"""The compiled wheel of this checkout, built once for each state of its source and unpacked into the cache.

The same as `make wheel`; servers run from it, and one runs from the source for comparison.
"""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from hashlib import sha256
from pathlib import Path

_ROOT = Path(__file__).parent.parent


@cache
def unpacked(folder: Path) -> Path:
    """Where the compiled packages lie, below the cache `folder`. Raises RuntimeError when they cannot be built."""
    place = folder / f"blotter-{_digest()}"
    if not place.exists():
        built = folder / f"{place.name}.wheel"
        print("compiling this checkout (once for each state of it, a minute or two)", flush=True)
        _run("build", "--outdir", str(built), str(_ROOT))
        (wheel,) = built.glob("*.whl")
        _run("pip", "install", "--quiet", "--no-deps", "--target", f"{place}.new", str(wheel))
        Path(f"{place}.new").rename(place)
    return place


def _run(module: str, *arguments: str) -> None:
    environment = {**os.environ, "HATCH_BUILD_HOOK_ENABLE_MYPYC": "1"}
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments], env=environment, capture_output=True, text=True
    )
    if done.returncode != 0:
        raise RuntimeError(f"python -m {module}: {(done.stdout + done.stderr).strip()[-500:]}")


def _digest() -> str:
    digest = sha256((_ROOT / "pyproject.toml").read_bytes())
    for path in sorted((_ROOT / "src").rglob("*.py")):
        digest.update(path.read_bytes())
    return f"{digest.hexdigest()[:12]}-{sys.implementation.cache_tag}"
