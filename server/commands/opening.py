"""How commands open the database of a server that may be running."""

from contextlib import AbstractAsyncContextManager
from pathlib import Path

from server.store import Store, open_store
from server.unix import is_locked


def open_beside_server(data_dir: Path, *, must_exist: bool = True) -> AbstractAsyncContextManager[Store]:
    """Open the store, upgrading its database only while no server runs on it: an older one would not know the new tables."""
    return open_store(data_dir, must_exist=must_exist, may_migrate=lambda: not is_locked(data_dir))
