"""Where to go: a server's address or a join link, typed, pasted or clicked. A link is shown before anything is done with it."""

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QLineEdit, QPushButton, QVBoxLayout, QWidget

from app.screens.parts import Heading, Text
from app.tray.names import one_line
from protocol.join_link import JoinLink, ServerLocation
from protocol.local_api import UpRequest

EXPLANATION = (
    "Covey joins your machines into one private network. Paste the join link that you were given, "
    "or type the address of your server."
)


def request_of(text: str) -> tuple[UpRequest, str]:
    """What to ask of the helper for a link or an address, and a sentence about it. Raises ValueError with a sentence. Pure."""
    text = text.strip()
    if text.lower().startswith("covey:"):
        link = JoinLink.parse(text)
        return UpRequest(join_link=text), _about(link.server, link.setup_key is not None)
    server = ServerLocation.from_url(text if "://" in text else f"https://{text}")
    return UpRequest(management_url=server.url), _about(server, False)


def _about(server: ServerLocation, has_key: bool) -> str:
    where = f"The server is {one_line(server.hosts[0], 80)}, port {server.port}."
    if not server.tls:
        known = "It has no TLS: whoever is on the way can read the names and addresses of your machines."
    elif server.fingerprint is not None:
        known = f"It is known by the fingerprint of its certificate, {server.fingerprint.hex()[:16]}…"
    else:
        known = "It is known by its name: a certificate authority must vouch for it."
    then = "A key in the link lets this machine in at once." if has_key else "You will sign in with your browser."
    return f"{where} {known} {then}"


class FirstRun(QWidget):
    """Signals:
    asked: a person wants to connect with this UpRequest.
    cancelled: a person wants to go back; only where `can_cancel` was set.
    """

    asked = Signal(object)
    cancelled = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.field = QLineEdit()
        self.field.setPlaceholderText("covey://…  or  vpn.example.org")
        self.field.setAccessibleName("Join link or address of the server")
        self.field.setMaxLength(4096)
        label = Text("&Join link or server address")
        label.setTextFormat(Qt.TextFormat.AutoText)
        label.setBuddy(self.field)
        self._about = Text(name="What this link does", dim=True)
        self._failure = Text(name="What went wrong")
        self._connect, self._back = QPushButton("&Connect"), QPushButton("&Back")
        self._connect.setDefault(True)
        self._back.hide()
        self.field.textChanged.connect(self._look)
        self.field.returnPressed.connect(self._on_connect)
        self._connect.clicked.connect(self._on_connect)
        self._back.clicked.connect(self.cancelled)
        buttons = QHBoxLayout()
        buttons.addStretch(1)
        buttons.addWidget(self._back)
        buttons.addWidget(self._connect)
        layout = QVBoxLayout(self)
        layout.addStretch(1)
        layout.addWidget(Heading("Welcome to Covey"))
        layout.addWidget(Text(EXPLANATION))
        layout.addSpacing(12)
        layout.addWidget(label)
        layout.addWidget(self.field)
        layout.addWidget(self._about)
        layout.addWidget(self._failure)
        layout.addLayout(buttons)
        layout.addStretch(2)
        self._look()

    def fill_in(self, text: str) -> None:
        """Put in what a click on a link brought; nothing happens before the person confirms it."""
        self.field.setText(text[:4096])
        self.field.setCursorPosition(0)
        self._connect.setFocus()

    def can_cancel(self, can: bool) -> None:
        self._back.setVisible(can)

    def show_failure(self, text: str) -> None:
        self._failure.setText(one_line(text, 500))
        self._failure.setVisible(bool(text))

    def _look(self) -> None:
        self.show_failure("")
        text = self.field.text().strip()
        try:
            about, is_right = request_of(text)[1], True
        except ValueError as error:
            about, is_right = (one_line(str(error).capitalize() + ".", 300) if text else ""), False
        self._about.setText(about)
        self._connect.setEnabled(is_right)

    def _on_connect(self) -> None:
        try:
            request, _ = request_of(self.field.text())
        except ValueError:
            return
        self.asked.emit(request)
