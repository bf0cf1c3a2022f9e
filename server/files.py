"""Small files of the server's data folder."""

import contextlib
import os
import secrets
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from protocol.errors import CoveyError

TURN_SECRET = "turn.secret"  # noqa: S105 a file's name
MAX_SOCKET_FOLDER = 70  # bytes; a socket's whole path may have 107 on Linux, 103 elsewhere, and some names have 30


class FileDamaged(CoveyError):
    code = "file-damaged"
    hint = "Delete the file; the next start of `covey-server up` makes it anew."


def write_atomically(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Write a file whole or not at all, readable from the first moment on only as `mode` says."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        sync_folder(path.parent)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def sync_folder(folder: Path) -> None:
    """Have the names in it outlast a power failure."""
    with contextlib.suppress(OSError):  # Windows, and file systems that sync no folders
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def remove_drafts(data_dir: Path, names: Iterable[str]) -> None:
    """Delete what writing these files left behind when power failed. Needs the lock: nobody may be writing."""
    for name in names:
        for draft in data_dir.glob(f".{name}.{'[0-9a-f]' * 8}"):
            draft.unlink(missing_ok=True)


def turn_secret(data_dir: Path) -> str:
    """The secret that TURN credentials are made from; drawn at the first call, for good. Raises FileDamaged."""
    path = data_dir / TURN_SECRET
    if not path.exists():
        write_atomically(path, secrets.token_hex(32).encode() + b"\n")
    secret = path.read_text("ascii", errors="replace").strip()
    if len(secret) < 16:
        raise FileDamaged(f"{path} does not hold a secret")
    return secret


@contextlib.contextmanager
def socket_folder(data_dir: Path) -> Iterator[Path]:
    """A folder of ours alone for unix sockets: in the data folder, or a temporary one where that path is too long."""
    folder = data_dir.absolute() / "run"
    if len(os.fsencode(folder)) > MAX_SOCKET_FOLDER:
        with tempfile.TemporaryDirectory(prefix="covey-server-") as temporary:
            yield Path(temporary)
        return
    folder.mkdir(mode=0o700, exist_ok=True)
    folder.chmod(0o700)
    for leftover in folder.iterdir():  # of a server that was killed; the folder is locked, so nobody uses them
        leftover.unlink()
    yield folder
