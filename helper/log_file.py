"""The helper's own log on disk, whatever else is done with its standard error: the last 2 MB, in STATE_DIR/logs.

    helper.log      the newest
    helper.log.1    those before

A file that was moved or removed by somebody else is made anew at the next line. A full disk costs lines, never the helper.
"""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from protocol.logs import FoldingHandler

LINE = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"
FOLDER = "logs"
NAME = "helper.log"
MAX_FILE = 1_000_000  # bytes
MAX_LINE = 8_000  # characters of a line or a traceback


class LogFile(logging.Handler):
    """Writes to a file for its owner only."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.path = folder / NAME
        self._descriptor: int | None = None
        self._size = 0
        self._inode = 0

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = self.format(record)
            data = (text if len(text) <= MAX_LINE else text[:MAX_LINE] + " ...").encode(errors="replace") + b"\n"
            if self._size + len(data) > MAX_FILE:
                self._rotate()
            descriptor = self._opened()
            self._size += os.write(descriptor, data)
        except (OSError, ValueError, TypeError):
            self._close()  # there is no log to tell it; the next line tries anew

    def close(self) -> None:
        self._close()
        super().close()

    def _opened(self) -> int:
        if self._descriptor is not None:
            try:
                if os.stat(self.path).st_ino == self._inode:
                    return self._descriptor
            except FileNotFoundError:
                pass
            self._close()
        self.path.parent.mkdir(mode=0o700, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
        self._descriptor = os.open(self.path, flags, 0o600)
        found = os.fstat(self._descriptor)
        self._size, self._inode = found.st_size, found.st_ino
        return self._descriptor

    def _rotate(self) -> None:
        self._close()
        with suppress(FileNotFoundError):
            os.replace(self.path, self.path.with_name(f"{NAME}.1"))

    def _close(self) -> None:
        descriptor, self._descriptor, self._size = self._descriptor, None, 0
        if descriptor is not None:
            os.close(descriptor)


@contextmanager
def logged(state: Path) -> Iterator[None]:
    """Write to the file as well what the program's log says, while the context is open."""
    handler = next((one for one in logging.getLogger().handlers if isinstance(one, FoldingHandler)), None)
    if handler is None:
        yield
        return
    file = LogFile(state / FOLDER)
    file.setFormatter(logging.Formatter(LINE))
    handler.targets.append(file)
    try:
        yield
    finally:
        handler.flush()
        handler.targets.remove(file)
        file.close()


def tail(folder: Path) -> str:
    """What is kept, oldest first; empty where there is nothing, or nothing that we may read."""
    found = b""
    for name in (f"{NAME}.1", NAME):
        try:
            with (folder / name).open("rb") as file:
                found += file.read(2 * MAX_FILE)
        except OSError:
            continue
    return found.decode(errors="replace")
