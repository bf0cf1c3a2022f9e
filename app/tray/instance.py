"""One app for each person: the first holds a lock and listens, the second hands over what it was started for and leaves.

What is handed over is one line: `show`, `start`, or a join link to look at. Only the same user can reach the socket; what
comes is bounded and checked all the same.
"""

import logging
import os
import sys
from pathlib import Path

from PySide6.QtCore import QLockFile, QObject, Signal
from PySide6.QtNetwork import QLocalServer, QLocalSocket

log = logging.getLogger(__name__)

SHOW, START = "show", "start"
MAX_LINE = 4096  # bytes; a join link is far shorter
HAND_OVER_TIMEOUT = 3000  # milliseconds for each step


def instance_folder() -> Path:
    """Where the lock and the socket are: private to the person, and to this session where the system has such a place."""
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if runtime and Path(runtime).is_dir():
        return Path(runtime) / "covey"
    from platformdirs import user_cache_path

    return user_cache_path("covey", appauthor=False)


class Instance(QObject):
    """Signals:
    called: a second start says `show`, `start` or a link.
    """

    called = Signal(str)

    def __init__(self, folder: Path) -> None:
        super().__init__()
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock = QLockFile(str(folder / "tray.lock"))
        self._lock.setStaleLockTime(0)  # only a lock whose process is gone is stale, however long it runs
        self._address = server_name(folder)
        self._server: QLocalServer | None = None

    def claim(self) -> bool:
        """Become the one; False if another is."""
        if not self._lock.tryLock(0):
            return False
        QLocalServer.removeServer(self._address)  # what a crash left; the lock says that nobody listens
        self._server = QLocalServer(self)
        self._server.setSocketOptions(QLocalServer.SocketOption.UserAccessOption)
        self._server.newConnection.connect(self._on_connection)
        if not self._server.listen(self._address):
            log.warning("a second start can't reach this one: %s", self._server.errorString())
        return True

    def hand_over(self, line: str) -> bool:
        """Tell the one that runs; False if it does not take it. Blocks for a few seconds at most: nothing else runs yet."""
        socket = QLocalSocket()
        socket.connectToServer(self._address)
        if not socket.waitForConnected(HAND_OVER_TIMEOUT):
            return False
        socket.write(line.encode()[: MAX_LINE - 1] + b"\n")
        while socket.bytesToWrite():
            if not socket.waitForBytesWritten(HAND_OVER_TIMEOUT):
                return False
        return socket.waitForReadyRead(HAND_OVER_TIMEOUT) or socket.bytesAvailable() > 0

    def release(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        self._lock.unlock()

    def _on_connection(self) -> None:
        while self._server is not None and (socket := self._server.nextPendingConnection()) is not None:
            socket.disconnected.connect(socket.deleteLater)
            socket.readyRead.connect(lambda socket=socket: self._on_ready(socket))
            self._on_ready(socket)

    def _on_ready(self, socket: QLocalSocket) -> None:
        if not socket.canReadLine():
            if socket.bytesAvailable() >= MAX_LINE:
                socket.abort()
            return
        line = bytes(socket.readLine(MAX_LINE).data()).decode(errors="replace").strip()
        socket.write(b"ok\n")
        socket.disconnectFromServer()
        self.called.emit(line)


def server_name(folder: Path) -> str:
    """The socket's path; on Windows a pipe's name for this user."""
    if sys.platform == "win32":
        return f"covey-tray-{os.environ.get('USERNAME', 'user')}-{os.environ.get('SESSIONNAME', '')}"
    return str(folder / "tray.sock")
