"""One app for each person: the first holds a lock and listens, the second hands over what it was started for and leaves.

What is handed over is one line of JSON. Only the same user can reach the socket; what comes is bounded and checked all the same.
"""

import json
import logging
import os
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from PySide6.QtCore import QLockFile, QObject, Signal
from PySide6.QtNetwork import QLocalServer, QLocalSocket

log = logging.getLogger(__name__)

MAX_LINE = 16 * 1024  # bytes; a join link is far shorter
HAND_OVER_TIMEOUT = 3000  # milliseconds for each step


@dataclass(frozen=True, slots=True)
class Call:
    """What the program was started for.

    Attributes:
        link: a join link to look at, from anywhere.
        profile: the account to use.
        shows_window: False for a start that nobody sees.
    """

    link: str | None = None
    profile: str | None = None
    shows_window: bool = True

    def to_line(self) -> bytes:
        return json.dumps(asdict(self)).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> "Call":
        """Raises ValueError for what no second start says."""
        try:
            data = json.loads(line)
        except RecursionError:
            raise ValueError("nested too deeply") from None
        match data:
            case {"link": str() | None as link, "profile": str() | None as profile, "shows_window": bool(shows_window)}:
                return cls(link, profile, shows_window)
            case _:
                raise ValueError("this is nothing that a second start says")


def instance_folder() -> Path:
    """Where the lock and the socket are: private to the person, and to this session where the system has such a place."""
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if runtime and Path(runtime).is_dir():
        return Path(runtime) / "covey"
    from platformdirs import user_cache_path

    return user_cache_path("covey", appauthor=False)


class Instance(QObject):
    """Signals:
    called: a second start; the argument is its Call.
    """

    called = Signal(object)

    def __init__(self, folder: Path) -> None:
        super().__init__()
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock = QLockFile(str(folder / "tray.lock"))
        self._lock.setStaleLockTime(0)  # only a lock whose process is gone is stale, however long it runs
        self._address = server_name(folder)
        self._server: QLocalServer | None = None

    def claim(self) -> bool:
        """Become the one; False if another is. Raises OSError where there can be no lock."""
        is_mine = self._lock.tryLock(0)
        if not is_mine and self._lock.error() is not QLockFile.LockError.LockFailedError:
            raise OSError(f"no lock can be made at {self._lock.fileName()}")
        return is_mine

    def listen(self) -> None:
        """Hear of further starts; only the one listens, once there is a QApplication."""
        QLocalServer.removeServer(self._address)  # what a crash left; the lock says that nobody listens
        self._server = QLocalServer(self)
        self._server.setSocketOptions(QLocalServer.SocketOption.UserAccessOption)
        self._server.newConnection.connect(self._on_connection)
        if not self._server.listen(self._address):
            log.warning("a second start can't reach this one: %s", self._server.errorString())

    def hand_over(self, call: Call) -> bool:
        """Tell the one that runs; False if it does not take it. Blocks for a few seconds at most: nothing else runs yet."""
        deadline = time.monotonic() + HAND_OVER_TIMEOUT / 1000
        socket = QLocalSocket()
        while True:
            socket.connectToServer(self._address)
            if socket.waitForConnected(HAND_OVER_TIMEOUT):
                break
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)  # it is just starting
        socket.write(call.to_line())
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
            caller = _Caller(socket)
            caller.called.connect(self.called)
            caller.on_ready()  # what came before we listened


class _Caller(QObject):
    """A second start at the other end of a socket, which owns this."""

    called = Signal(object)

    def __init__(self, socket: QLocalSocket) -> None:
        super().__init__(socket)
        socket.readyRead.connect(self.on_ready)
        socket.disconnected.connect(socket.deleteLater)

    def on_ready(self) -> None:
        socket = self.parent()
        assert isinstance(socket, QLocalSocket)
        if not socket.canReadLine():
            if socket.bytesAvailable() >= MAX_LINE:
                socket.abort()
            return
        try:
            call = Call.from_line(bytes(socket.readLine(MAX_LINE).data()))
        except ValueError as error:
            log.info("somebody called and said nonsense: %s", error)
            socket.abort()
            return
        socket.write(b"ok\n")
        self.called.emit(call)
        socket.disconnectFromServer()


def server_name(folder: Path) -> str:
    """The socket's path; on Windows a pipe's name for this user."""
    if sys.platform == "win32":
        return f"covey-tray-{os.environ.get('USERNAME', 'user')}-{os.environ.get('SESSIONNAME', '')}"
    return str(folder / "tray.sock")
