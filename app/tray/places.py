"""Whether there is a tray, now: panels come and go, and some desktops have none.

Qt puts an icon back into a tray of the same kind that restarted; into one of another kind it must be put anew. So Qt is asked
again and again, and where there is a session bus the host of status icons is watched as well.
"""

import os
import sys
from pathlib import Path

from PySide6.QtCore import QObject, QTimer, Signal
from PySide6.QtWidgets import QSystemTrayIcon

LOOK_EVERY = 1000  # milliseconds; a look costs less than one
HOST = "org.kde.StatusNotifierWatcher"


class TrayPlace(QObject):
    """Signals:
    appeared: a tray is there, perhaps another than before: register with it.
    vanished: there is none any more.
    """

    appeared = Signal()
    vanished = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.is_there = False
        self._timer = QTimer(self)
        self._timer.setInterval(LOOK_EVERY)
        self._timer.timeout.connect(self.look)
        if sys.platform not in ("win32", "darwin") and has_session_bus():
            self._watch_host()

    def start(self) -> None:
        self.look()
        self._timer.start()

    def stop(self) -> None:
        self._timer.stop()

    def look(self) -> None:
        is_there = QSystemTrayIcon.isSystemTrayAvailable()
        if is_there == self.is_there:
            return
        self.is_there = is_there
        (self.appeared if is_there else self.vanished).emit()

    def _watch_host(self) -> None:
        from PySide6.QtDBus import QDBusConnection, QDBusServiceWatcher

        bus = QDBusConnection.sessionBus()
        if bus.isConnected():
            mode = QDBusServiceWatcher.WatchModeFlag.WatchForRegistration
            watcher = QDBusServiceWatcher(HOST, bus, mode, self)
            watcher.serviceRegistered.connect(self._on_host)

    def _on_host(self) -> None:
        self.is_there = False  # register, whatever was there before
        self.look()


def has_session_bus() -> bool:
    """Without an address libraries would start a bus of their own."""
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    return bool(os.environ.get("DBUS_SESSION_BUS_ADDRESS")) or (bool(runtime) and (Path(runtime) / "bus").exists())
