"""Access control at the start of a server: its sealing key, the account and its root key, made before it forks.

With open access, nothing is made: there are no principals. For a store in memory the root credentials go into a
private folder among the system's temporary files, which is removed when the server stops.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path

from blotter.database.security.access import Access, enforced_access, open_access
from blotter.database.security.access_state import AccessState
from blotter.database.security.root_key import RootKeys
from blotter.database.security.sealing import Sealer
from blotter.database.settings import Settings
from blotter.database.storage.protocol import Storage, Store


class AccessSetup:
    """What the processes of one server share of access control. `new_root_file` is the file of a root key that was
    made just now."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self._settings = settings
        self._temporary: Path | None = None
        self.sealer = Sealer(lambda: store.secret_key("sealing"))
        self.new_root_file: Path | None = None

    def prepare(self, store: Store) -> None:
        """Makes sure, when access is enforced, that the account has a root key. Called once, before the server
        forks. Raises DataDirectoryError."""
        if not self._settings.enforced:
            return
        self.sealer.prepare()
        folder = self._folder()
        self.new_root_file = store.run_apart(lambda storage: self._ensure_root_key(storage, folder))

    async def _ensure_root_key(self, storage: Storage, folder: Path) -> Path | None:
        roots = RootKeys(storage, self.sealer, folder, time.time)
        await roots.check_sealer()
        return await roots.ensure(self._settings.account)

    def _folder(self) -> Path:
        if not self._settings.in_memory:
            return self._settings.data_dir
        self._temporary = Path(tempfile.mkdtemp(prefix="blotter-"))  # mode 0700
        return self._temporary

    def make(self, storage: Storage) -> Access:
        """The access control of one process."""
        state = AccessState(storage, self.sealer, _aws_policy)
        make = enforced_access if self._settings.enforced else open_access
        return make(self._settings.account, state, self.sealer)

    def close(self) -> None:
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)


def _aws_policy(arn: str) -> str | None:
    """The document of one of AWS's managed policies; they are read when the first one is attached to somebody."""
    from blotter.database.services.iam.aws_policies import aws_policy_document

    return aws_policy_document(arn)
