"""A window that says and does what the tray's menu does: the state, what else there is to say, and the next step."""

from collections.abc import Callable

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QCloseEvent, QKeySequence, QShortcut
from PySide6.QtWidgets import QHBoxLayout, QLabel, QLineEdit, QPushButton, QVBoxLayout, QWidget

from app.tray.icons import app_icon, tray_icon, variant_of_this_desktop
from app.tray.names import menu_text, one_line
from app.tray.view import Action, Do, Item, TrayView
from protocol.join_link import JoinLink, ServerLocation
from protocol.local_api import UpRequest

PICTURE = 48  # pixels
MAX_INPUT = 4096  # characters


class PlainWindow(QWidget):
    """Signals:
    asked: a person wants that; the argument is the Action.
    joined: a person confirmed a server; the argument is the UpRequest.
    closed: the window was closed.
    """

    asked = Signal(object)
    joined = Signal(object)
    closed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setWindowTitle("Covey")
        self.setWindowIcon(app_icon())
        self.setMinimumWidth(420)
        self._picture, self._state, self._details = QLabel(), plain_label(), plain_label()
        self._state.setAccessibleName("State")
        font = self._state.font()
        font.setPointSizeF(font.pointSizeF() * 1.3)
        self._state.setFont(font)
        self._main, self._action = QPushButton(), Action(Do.CONNECT)
        self._main.clicked.connect(lambda: self.asked.emit(self._action))
        self._place = QLineEdit()
        self._place.setPlaceholderText("covey://... or https://vpn.example.org")
        self._place.setAccessibleName("Join link or server address")
        self._place.setMaxLength(MAX_INPUT)
        self._place.textChanged.connect(self._on_text)
        self._place.returnPressed.connect(self._on_join)
        self._join, self._meaning = QPushButton("&Join"), plain_label()
        self._join.clicked.connect(self._on_join)
        caption = QLabel("Join &link or server address:")
        caption.setBuddy(self._place)
        self._first_run = column(caption, row(self._place, self._join), self._meaning)
        column_of = QVBoxLayout(self)
        for part in (row(self._picture, self._state, stretched=1), self._details, self._first_run, self._main):
            column_of.addWidget(part)
        column_of.addStretch(1)
        QShortcut(QKeySequence.StandardKey.Close, self).activated.connect(self.close)
        self._on_text("")

    def show_view(self, view: TrayView, *, is_set_up: bool) -> None:
        self._picture.setPixmap(tray_icon(view.icon, variant_of_this_desktop()).pixmap(PICTURE, PICTURE))
        self._state.setText(view.state)
        details = [item.text for item in view.menu if isinstance(item, Item) and item.action == Action(Do.TROUBLESHOOT)][:-1]
        self._details.setText("\n".join(details))
        self._details.setVisible(bool(details))
        for item in view.menu:
            if isinstance(item, Item) and item.action is not None and item.action.do in (Do.CONNECT, Do.DISCONNECT, Do.CANCEL):
                self._action = item.action
                self._main.setText(menu_text(item.text))
                self._main.setEnabled(item.is_enabled and (is_set_up or item.action.do is not Do.CONNECT))
        if is_set_up and not self._place.text():
            self._first_run.hide()

    def ask_for_server(self, text: str) -> None:
        """Show the field for a server with this in it; nothing happens before a person confirms."""
        self._place.setText(one_line(text.strip(), MAX_INPUT))
        self._first_run.show()
        self._place.setFocus(Qt.FocusReason.OtherFocusReason)

    def closeEvent(self, event: QCloseEvent) -> None:
        event.accept()
        self.closed.emit()

    def _on_text(self, text: str) -> None:
        request, words = read_place(text)
        self._join.setEnabled(request is not None)
        self._meaning.setText(words)

    def _on_join(self) -> None:
        request, _ = read_place(self._place.text())
        if request is not None:
            self._place.clear()
            self.joined.emit(request)


def read_place(text: str) -> tuple[UpRequest | None, str]:
    """What a person typed, and what joining would do, in words."""
    text = text.strip()
    if not text:
        return None, "Ask whoever runs your network for a join link."
    try:
        if "://" not in text:
            text = f"https://{text}"
        if not text.lower().startswith("covey:"):
            server = ServerLocation.from_url(text)
            return UpRequest(management_url=server.url), f"Joins the network of {server.url}."
        link = JoinLink.parse(text)
    except ValueError as error:
        return None, one_line(str(error), 200)
    known = (
        " It carries the server's fingerprint." if link.server.fingerprint else " The server's certificate must be a public one."
    )
    how = " It lets this device in by a setup key." if link.setup_key else ""
    return UpRequest(join_link=text), f"Joins the network of {link.server.url}.{known}{how}"


def plain_label() -> QLabel:
    label = QLabel()
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setWordWrap(True)
    return label


def row(*parts: QWidget, stretched: int = 0) -> QWidget:
    return _box(QHBoxLayout, parts, stretched)


def column(*parts: QWidget) -> QWidget:
    return _box(QVBoxLayout, parts, 0)


def _box(kind: Callable[[QWidget], QHBoxLayout | QVBoxLayout], parts: tuple[QWidget, ...], stretched: int) -> QWidget:
    box = QWidget()
    layout = kind(box)
    layout.setContentsMargins(0, 0, 0, 0)
    for number, part in enumerate(parts):
        layout.addWidget(part, int(number == stretched))
    return box
