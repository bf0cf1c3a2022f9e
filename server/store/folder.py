"""The server's data folder: readable by its owner only."""

import contextlib
import os
import secrets
import stat
from pathlib import Path

from protocol.keys import PrivateKey
from server.files import sync_folder
from server.store.errors import DataFolderUnusable, ManagementKeyUnreadable

DATABASE = "covey.db"
MANAGEMENT_KEY = "management.key"


def prepare_folder(data_dir: Path) -> Path:
    """Make the folder (0700) and an empty database file (0600), whose mode SQLite gives to the files beside it.

    Returns the database's path. A folder that is there already is closed to others only if it is empty or
    ours: somebody may have given /tmp. Raises DataFolderUnusable.
    """
    database = data_dir / DATABASE
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        mode = data_dir.stat().st_mode
        is_ours = database.exists() or not any(data_dir.iterdir())
        if is_ours and mode & 0o077 and not mode & stat.S_ISVTX:
            data_dir.chmod(0o700)
        os.close(os.open(database, os.O_RDWR | os.O_CREAT, 0o600))
        database.chmod(0o600)
    except OSError as error:
        raise DataFolderUnusable(f"cannot use the folder {data_dir}: {error.strerror}") from None
    return database


def load_management_key(data_dir: Path) -> PrivateKey:
    """The key that every message to and from this server is sealed with; made at the first call, for good."""
    path = data_dir / MANAGEMENT_KEY
    try:
        if not path.exists():
            _create(path, PrivateKey.generate().secret_text + "\n")
        return PrivateKey.from_text(path.read_text("ascii").strip())
    except OSError as error:
        raise ManagementKeyUnreadable(f"cannot read {path}: {error.strerror}") from None
    except ValueError:
        raise ManagementKeyUnreadable(f"{path} does not hold a key; it is damaged") from None


def _create(path: Path, text: str) -> None:
    """Write a file for its owner only, whole or not at all; one that somebody else made first stays."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(descriptor, "w", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
        sync_folder(path.parent)
    finally:
        draft.unlink()
