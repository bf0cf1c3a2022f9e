"""An advisory lock on an open file, held until it is closed or the process ends."""

import sys
from typing import IO, Any


def try_lock(file: IO[Any]) -> bool:
    """Lock the file against other processes; False if one of them holds it."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
