"""`blotter serve --access enforced` whose root key is the one that `benchmarks.signing` signs with.

    python -m benchmarks.verifying_server serve --access enforced --port 8000 --data-dir /tmp/data

Only what makes keys at random is replaced, before any process is forked: everything else is the server as it is.
"""

from __future__ import annotations

from benchmarks.signing import ACCESS_KEY, SECRET
from blotter.cli import main
from blotter.database.security import root_key

if __name__ == "__main__":
    root_key.new_access_key_id = lambda *_: ACCESS_KEY  # type: ignore[assignment]
    root_key.new_secret = lambda: SECRET
    main()
