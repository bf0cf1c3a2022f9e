"""The windows, made when they are first wanted, and how they hang on the model."""

from datetime import UTC, datetime

from PySide6.QtCore import QObject, Signal

from app.model import AppModel
from app.tray.plain_window import PlainWindow
from app.tray.view import tray_view


class Windows(QObject):
    """Signals:
    asked: a person wants that; the argument is the Action.
    closed: the main window was closed.
    """

    asked = Signal(object)
    closed = Signal()

    def __init__(self, model: AppModel) -> None:
        super().__init__()
        self._model = model
        self._main: PlainWindow | None = None
        self._is_watching = False
        model.changed.connect(lambda _: self.redraw())

    def open(self) -> None:
        window = self._made()
        self._watch(True)
        self.redraw()
        window.show()
        window.raise_()
        window.activateWindow()

    def open_first_run(self, text: str = "") -> None:
        """The screen to join a network, with this join link or address in it."""
        self.open()
        self._made().ask_for_server(text)

    def close(self) -> None:
        if self._main is not None:
            self._main.blockSignals(True)
            self._main.close()
            self._main.deleteLater()
            self._main = None

    def redraw(self) -> None:
        if self._main is not None and self._is_watching:
            self._main.show_view(tray_view(self._model.state, datetime.now(UTC)), is_set_up=self._model.state.is_set_up)

    def _made(self) -> PlainWindow:
        if self._main is None:
            self._main = PlainWindow()
            self._main.asked.connect(self.asked)
            self._main.joined.connect(self._model.connect_)
            self._main.closed.connect(self._on_closed)
        return self._main

    def _on_closed(self) -> None:
        self._watch(False)
        self.closed.emit()

    def _watch(self, is_open: bool) -> None:
        """Counters are asked for only while somebody looks at them."""
        if is_open != self._is_watching:
            self._is_watching = is_open
            self._model.watchers += 1 if is_open else -1
